"""UUIDs, files and display names in all their spellings."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

DIGITS = "564d36cf6988c91d0f5fa62628d46553"


@pytest.mark.parametrize("text", [
    "564d36cf-6988-c91d-0f5f-a62628d46553",
    "564D36CF-6988-C91D-0F5F-A62628D46553",
    "56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53",
    "{564d36cf-6988-c91d-0f5f-a62628d46553}",
    " 56:4d:36:cf:69:88:c9:1d:0f:5f:a6:26:28:d4:65:53\n",
    DIGITS,
])  # fmt: skip
def test_every_spelling_of_a_uuid_is_the_same(agent, text):
    assert agent.plain_uuid(text) == DIGITS


@pytest.mark.parametrize("text", [
    "", "web", "12", DIGITS[:-1], DIGITS + "0", DIGITS[:-1] + "g", DIGITS[:-1] + "\u0663",
    f"vm {DIGITS}", f"{DIGITS}.vmx",
])  # fmt: skip
def test_what_is_no_uuid(agent, text):
    assert agent.plain_uuid(text) is None


def test_a_file_is_split_at_every_bracket_that_may_end_the_datastore(agent):
    assert agent.vmx_paths("[ds] web/web.vmx") == ["/vmfs/volumes/ds/web/web.vmx"]
    assert agent.vmx_paths("[a [b] c] d [e] f/g.vmx") == [
        "/vmfs/volumes/a [b/c] d [e] f/g.vmx",
        "/vmfs/volumes/a [b] c/d [e] f/g.vmx",
        "/vmfs/volumes/a [b] c] d [e/f/g.vmx",
    ]


@given(
    datastore=st.text(st.characters(exclude_characters="\n"), min_size=1),
    path=st.text(st.characters(exclude_characters="\n"), min_size=1).filter(
        lambda path: path == path.lstrip(" ")
    ),
)
def test_the_real_path_is_always_among_those_tried(agent, datastore, path):
    paths = agent.vmx_paths(f"[{datastore}] {path}.vmx")
    assert f"/vmfs/volumes/{datastore}/{path}.vmx" in paths


def test_a_vm_of_the_host_has_no_datastore(agent):
    assert agent.vmx_paths("[] /var/run/crx/infra/v/v.vmx") == ["/var/run/crx/infra/v/v.vmx"]


@pytest.mark.parametrize(("path", "file", "may_use"), [
    ("/vmfs/volumes/5f2c/web/web.vmx", "[ds] web/web.vmx", True),
    ("/vmfs/volumes/5f2c/web/web.vmx", "[other] web/web.vmx", True),
    ("/vmfs/volumes/5f2c/web/web.vmx", "[a [b] c] web/web.vmx", True),
    ("/vmfs/volumes/vsan:52-01/web/web.vmx", "[vsan] web/web.vmx", True),
    ("/var/run/crx/infra/v/v.vmx", "[] /var/run/crx/infra/v/v.vmx", True),
    ("/vmfs/volumes/5f2c/web/web.vmx", "[ds] web/web-old.vmx", False),
    ("/vmfs/volumes/5f2c/web/web.vmx", "[ds] old web/web.vmx", False),
    ("/vmfs/volumes/5f2c/web/web.vmx", "[ds] WEB/web.vmx", False),
    ("/vmfs/volumes/5f2c/a/b/web.vmx", "[ds] b/web.vmx", False),
    ("/vmfs/volumes/5f2c/web/web.vmx", None, False),
])  # fmt: skip
def test_a_path_and_a_file_are_compared_below_the_volume(agent, path, file, may_use):
    assert agent.Process("2", "1", "web", path, None).may_use(file) is may_use


@pytest.mark.parametrize(("name", "plug", "is_called"), [
    ("web", "web", True), ("a/b", "a%2fb", True), ("a%2fb", "a/b", True), ("c\\d", "c%5cd", True),
    ("100%", "100%25", True), ("100%25", "100%", True),
    ("web", "WEB", False), ("web", "web ", False), ("web-old", "web", False), ("web", "w.b", False),
    ("ü", "u\u0308", False), ("a%2fb", "a%2eb", False),
])  # fmt: skip
def test_a_name_is_itself_or_as_the_host_may_print_it(agent, name, plug, is_called):
    assert agent.Process("2", "1", name, "/x.vmx", DIGITS).is_called(plug) is is_called
    assert agent.Process("2", "1", name, "/x.vmx", DIGITS).is_called(plug, DIGITS)
    assert not agent.Process("2", "1", name, "/x.vmx", None).is_called("nobody", None)


def test_a_name_is_shown_on_one_line_and_not_endless(agent):
    assert agent.show("a\nb\x1b[31m\u2028c") == r'"a\nb\x1b[31m\u2028c"'
    assert agent.show("größe 日本") == '"größe 日本"'
    assert agent.show("  two  blanks ") == '"  two  blanks "'  # that may be what is wrong with it
    assert agent.show("x" * 200) == '"' + "x" * 77 + '..."'


@given(st.text())
def test_whatever_is_shown_can_be_printed(agent, name):
    assert agent.show(name).isprintable()
    assert "\n" not in agent.one_line(name)
    assert len(agent.one_line(name)) <= 300


@given(st.text(st.characters(exclude_characters="\x00")))
def test_a_quoted_path_is_one_word_for_the_shell(agent, path):
    assert shlex.split(agent.quote(path)) == [path]

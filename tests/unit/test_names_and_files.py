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
    assert agent.split_file("[ds] web/web.vmx") == [("ds", "web/web.vmx")]
    assert agent.split_file("[a [b] c] d [e] f/g.vmx") == [
        ("a [b", "c] d [e] f/g.vmx"),
        ("a [b] c", "d [e] f/g.vmx"),
        ("a [b] c] d [e", "f/g.vmx"),
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


@pytest.fixture
def rows(agent):
    names = ("web", "web-old", "DB", "a/b", "mail  server", "größe")
    return [
        agent.InventoryRow(str(vmid), [name], f"[ds] {vmid}/{vmid}.vmx", False, "")
        for vmid, name in enumerate(names, 1)
    ]


@pytest.mark.parametrize(("plug", "hints"), [
    ("db", ['"DB"']),
    ("WEB", ['"web"', '"web-old"']),
    ("we", ['"web"', '"web-old"']),
    ("web-older", ['"web"', '"web-old"']),
    ("a%2Fb", ['"a/b"']),
    ("mail server", ['"mail  server"']),
    ("GRÖSSE", ['"größe"']),
    ("3", ['3 is the Vmid of "DB"; Vmids change']),
    ("nobody", []),
    ("e", []),
])  # fmt: skip
def test_near_misses(agent, rows, plug, hints):
    assert agent.near_misses(plug, rows) == hints


def test_at_most_three_near_misses(agent, rows):
    many = [rows[0]._replace(names=[f"web{n}"]) for n in range(9)]
    assert agent.near_misses("web", many) == ['"web0"', '"web1"', '"web2"']


def test_a_name_is_shown_on_one_line_and_not_endless(agent):
    assert agent.show("a\nb\x1b[31m\u2028c") == r'"a\nb\x1b[31m\u2028c"'
    assert agent.show("größe 日本") == '"größe 日本"'
    assert agent.show("x" * 200) == '"' + "x" * 77 + '..."'


@given(st.text())
def test_whatever_is_shown_can_be_printed(agent, name):
    assert agent.show(name).isprintable()
    assert "\n" not in agent.one_line(name)
    assert len(agent.one_line(name)) <= 300


@given(st.text(st.characters(exclude_characters="\x00")))
def test_a_quoted_path_is_one_word_for_the_shell(agent, path):
    assert shlex.split(agent.quote(path)) == [path]

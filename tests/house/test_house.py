"""The Makefile, the versions, the man page: what goes stale unless something looks."""

import re

from commands import PROJECT, run, succeed

MAN_PAGE = PROJECT / "docs/fence_esxi.8"
SCHEMA = "/usr/share/cluster/relaxng/metadata.rng"


def first(pattern, name):
    return re.search(pattern, (PROJECT / name).read_text(), re.MULTILINE).group(1)


def test_bare_make_tells_what_there_is():
    output = succeed("make", "--no-print-directory")
    for target in ("demo", "test", "check", "lint", "install", "uninstall", "deb", "rpm", "clean"):
        assert re.search(rf"^  make {target} ", output, re.MULTILINE), target


def test_every_target_has_a_line_of_help():
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)
    helped = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert targets == helped


def test_the_versions_agree():
    version = first(r'^    version="(.*)"', "setup.py")
    assert first(r"^fence-agents-esxi \((.*)\)", "packaging/debian/changelog") == version
    assert first(r"^Version: *(.*)$", "packaging/fence-agents-esxi.spec") == version


def test_the_man_page_is_of_this_agent():
    """The library words many of the options: only with the same library is the page the same."""
    fresh = succeed(PROJECT / "tools/manpage")
    committed = MAN_PAGE.read_text()
    if fresh.splitlines()[0] == committed.splitlines()[0]:
        assert fresh == committed, "run: make manpage"
    else:
        for option in re.findall(r"^\.B (.*)$", fresh, re.MULTILINE):
            assert f".B {option}\n" in committed, option


def test_man_says_nothing_against_the_page():
    done = run("man", "--warnings", "--local-file", MAN_PAGE, env={"LC_ALL": "C.UTF-8"})
    assert done.stderr == ""
    assert "fence_esxi" in done.stdout


def test_the_metadata_follow_the_schema(tmp_path):
    metadata = tmp_path / "metadata.xml"
    metadata.write_text(succeed(PROJECT / "fence_esxi", "-o", "metadata"))
    succeed("xmllint", "--noout", "--relaxng", SCHEMA, metadata)

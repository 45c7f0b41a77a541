"""The Makefile and the man pages: what goes stale unless something looks."""

import re

import pytest
from commands import PROJECT, run, succeed

MAN_PAGES = sorted(PROJECT.glob("docs/*.8"))
FENCE_ESXI_PAGE = PROJECT / "docs/fence_esxi.8"
SCHEMA = "/usr/share/cluster/relaxng/metadata.rng"


def test_bare_make_tells_what_there_is():
    output = succeed("make", "--no-print-directory")
    for target in ("demo", "test", "check", "lint", "install", "uninstall", "deb", "rpm", "clean"):
        assert re.search(rf"^  make {target} ", output, re.MULTILINE), target


def test_every_target_has_a_line_of_help():
    makefile = (PROJECT / "Makefile").read_text()
    targets = re.findall(r"^\.PHONY: (\S+)$", makefile, re.MULTILINE)
    helped = re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)
    assert targets == helped


def without_its_date(page):
    """The page is dated when it is made."""
    return re.sub(r"^(\.TH FENCE_ESXI 8) \S+ ", r"\1 DATE ", page, flags=re.MULTILINE)


def test_the_man_page_is_of_this_agent():
    """The library words many of the options: only with the same library is the page the same."""
    fresh = without_its_date(succeed(PROJECT / "tools/manpage"))
    committed = without_its_date(FENCE_ESXI_PAGE.read_text())
    if fresh.splitlines()[0] == committed.splitlines()[0]:
        assert fresh == committed, "run: make manpage"
    else:
        for option in re.findall(r"^\.B (.*)$", fresh, re.MULTILINE):
            assert f".B {option}\n" in committed, option


def test_each_program_has_a_man_page():
    programs = {path.stem for path in PROJECT.glob("agents/esxi/*") if path.is_file()}
    assert {page.stem for page in MAN_PAGES} == programs


@pytest.mark.parametrize("page", MAN_PAGES, ids=lambda page: page.name)
def test_a_man_page_has_what_one_looks_for(page):
    sections = re.findall(r"^\.SH (.*)$", page.read_text(), re.MULTILINE)
    assert {"EXAMPLES", "FILES", "DIAGNOSTICS", "SEE ALSO"} <= set(sections)


@pytest.mark.parametrize("page", MAN_PAGES, ids=lambda page: page.name)
def test_man_says_nothing_against_the_page(page):
    done = run("man", "--warnings", "--local-file", page, env={"LC_ALL": "C.UTF-8"})
    assert done.stderr == ""
    assert page.stem in done.stdout


def test_the_metadata_follow_the_schema(tmp_path):
    metadata = tmp_path / "metadata.xml"
    metadata.write_text(succeed(PROJECT / "fence_esxi", "-o", "metadata"))
    succeed("xmllint", "--noout", "--relaxng", SCHEMA, metadata)

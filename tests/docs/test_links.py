"""Links lead somewhere, every page can be reached, and no word is misspelt."""

import subprocess
import sys
from pathlib import Path

import pytest
from pages import PROJECT, Page, all_pages

PAGES = all_pages()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.path)
def test_links_lead_to_a_file_and_a_heading_of_it(page: Page) -> None:
    for link in page.links():
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (PROJECT / page.path).parent / path if path else PROJECT / page.path
        assert target.exists(), f"{page.path}: {link}"
        if anchor:
            name = str(target.resolve().relative_to(PROJECT))
            assert anchor in Page(name).anchors(), f"{page.path}: {link}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {link.partition("#")[0] for link in Page("README.md").links()}
    assert {page.path for page in PAGES} - linked <= {"README.md"}


def test_the_pages_are_spelt_well() -> None:
    files = [str(PROJECT / page.path) for page in PAGES]
    done = subprocess.run(
        [Path(sys.executable).with_name("codespell"), "--toml", str(PROJECT / "pyproject.toml"),
         *files], capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")

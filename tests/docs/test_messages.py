"""docs/messages.md has a heading for every message that the tests compare, and none that the agent
does not say. "…" in a heading stands for anything."""

import re
from pathlib import Path

import pytest
from pages import PROJECT, Page

HEADINGS = Page("docs/messages.md").headings("h3")
STORED = {line.partition(": ")[2]
          for folder in ("messages", "ladder")
          for file in (PROJECT / "tests/data" / folder).glob("*.txt")
          for line in file.read_text().splitlines() if line.startswith(("ERROR: ", "WARNING: "))}
LIBRARY = Path("/usr/share/fence/fencing.py")


def fits(heading: str, message: str) -> bool:
    return re.search(".*".join(map(re.escape, heading.split("…"))), message) is not None


@pytest.mark.parametrize("message", sorted(STORED))
def test_a_message_that_the_tests_compare_has_a_heading(message: str) -> None:
    assert [heading for heading in HEADINGS if fits(heading, message)]


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_something_that_the_agent_says(heading: str, agent_path: Path) -> None:
    """A heading that was left behind when the agent was reworded is red here."""
    source = agent_path.read_text() + LIBRARY.read_text()
    texts = re.sub(r"""["']\s*\n\s*["']""", "", source)  # adjacent literals are one text
    in_the_source = all(words.strip(' "') in texts for words in heading.split("…"))
    assert in_the_source or any(fits(heading, message) for message in STORED)


def test_the_japanese_page_has_the_same_headings() -> None:
    assert Page("docs/ja/messages.md").headings("h3") == HEADINGS

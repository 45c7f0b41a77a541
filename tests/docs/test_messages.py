"""docs/messages.md has a heading for every message that the tests compare, and none that the agent
does not have. "…" in a heading stands for anything."""

import re
from pathlib import Path

import pytest
from pages import PROJECT, Page

PAGE = Page("docs/messages.md")
HEADINGS = PAGE.headings("h3")
STORED = [line.partition(": ")[2]
          for folder in ("messages", "ladder")
          for file in sorted((PROJECT / "tests/data" / folder).glob("*.txt"))
          for line in file.read_text().splitlines() if line.startswith(("ERROR: ", "WARNING: "))]
LIBRARY = Path("/usr/share/fence/fencing.py")


@pytest.mark.parametrize("message", sorted(set(STORED)))
def test_a_message_that_the_tests_compare_has_a_heading(message: str) -> None:
    found = [heading for heading in HEADINGS
             if re.search(".*".join(map(re.escape, heading.split("…"))), message)]
    assert found


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_words_of_a_heading_stand_in_the_agent(heading: str, agent_path: Path) -> None:
    """A heading that was left behind when the agent was reworded is red here."""
    source = agent_path.read_text() + LIBRARY.read_text()
    # adjacent literals are one text; a hole of a text (%s) is a hole here too
    text = re.sub(r"""["']\s*\n\s*["']""", "", source).replace('\\"', '"')
    for words in heading.split("…"):
        assert words.strip(' "') in text


def test_the_japanese_page_has_the_same_headings() -> None:
    assert Page("docs/ja/messages.md").headings("h3") == HEADINGS

"""The moving picture of the README shows today's demo."""

import runpy
import shlex
import xml.etree.ElementTree as ET

from pages import PROJECT

SVG = "{http://www.w3.org/2000/svg}"


def test_it_shows_each_command_of_the_demo() -> None:
    """As `make picture` draws it; a command that was added or reworded is missing."""
    shown = [text.text or "" for text in ET.parse(PROJECT / "docs/demo.svg").iter(f"{SVG}text")]
    typed = [line.partition("--password=XXXXXXXX ")[2] for line in shown if line.startswith("# ")]
    for why, words in runpy.run_path(str(PROJECT / "tools/demo"))["STORY"]:
        assert why in shown
        assert shlex.join(words) in typed

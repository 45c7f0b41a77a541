"""What the guide tells an admin to type in the cluster."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.node import Node

sys.path.append(str(Path(__file__).parents[1] / "docs"))

from pages import Block, Page, all_pages  # noqa: E402  (its folder had to be named first)

__all__ = ["Block", "Page", "all_pages", "blocks_of", "type_as_told"]


def blocks_of(page: Page, *marks: str) -> list[Block]:
    """The blocks of a page with one of these marks; there must be some."""
    found = [block for block in page.blocks() if block.mark.partition(",")[0] in marks]
    assert found
    return found


def type_as_told(node: Node, command: str) -> str:
    """What the command prints; it must end well, and without a word about deprecated names."""
    printed = node.do(command)
    assert "deprecated" not in printed.lower(), printed
    return printed

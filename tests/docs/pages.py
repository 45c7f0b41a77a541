"""The pages of the guide, taken apart: blocks with their marks, headings, links.

A mark is an HTML comment right before a block. What it says:
    run: host               on a machine that reaches the simulated hosts 192.168.33.10 and .12
    run: host and nodes     there, and on both nodes of the cluster before its own blocks
    run: cluster            on the node t3021cent
    run: cluster, devices   the same; where no fence device is there, two are created first
    run: cluster, NODE is NAME [UUID]    the same; the VM of that node has that name now
    run: crmsh              on t3021cent, in a cluster of its own
    run: runbook            on the node that ran the agent, when a fencing has failed
    run: four nodes         on t3021cent, where there are four nodes
    run: either host        on t3021cent, where a VM may be on either of the two hosts
    run: secret             on t3021cent, with devices
    run: old name           on both nodes, which have another agent called fence_ESXi
    not run: REASON
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator
from urllib.parse import unquote

from markdown_it import MarkdownIt

PROJECT = Path(__file__).resolve().parents[2]
MARK = re.compile(r"<!-- (run|not run): (.*?) -->")
SHELL = ("sh", "console")


@dataclass(frozen=True)
class Block:
    """A fenced block: sh is commands only, console is commands behind "# " and what they print."""

    page: str
    line: int
    kind: str
    text: str
    mark: str  # "host", "cluster, devices", ...; "" where it has none
    reason: str  # why it is not run, "" where it is

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    def calls(self) -> list[tuple[str, str | None]]:
        """(command, what it prints) in order; None where the page does not say."""
        if self.kind == "sh":
            return [(self.text, None)]
        calls: list[tuple[str, str | None]] = []
        continues = False
        for line in self.text.splitlines(keepends=True):
            if continues:
                command, printed = calls.pop()
                calls.append((command + line, printed))
            elif line.startswith("# "):
                calls.append((line[2:], ""))
            else:
                command, printed = calls.pop()
                calls.append((command, (printed or "") + line))
            is_command = continues or line.startswith("# ")
            continues = is_command and line.endswith("\\\n")
        return calls


class Page:
    """One page; path: from the project's folder."""

    def __init__(self, path: str):
        self.path = path
        self.text = (PROJECT / path).read_text()
        self._tokens = MarkdownIt("commonmark").enable("table").parse(self.text)

    def blocks(self) -> list[Block]:
        """All fenced blocks, in order."""
        blocks = []
        before = None
        for token in self._tokens:
            if token.type == "fence":
                mark = MARK.fullmatch(before.content.strip()) if before else None
                given = mark.groups() if mark else ("", "")
                ran, left = (given[1], "") if given[0] == "run" else ("", given[1])
                line = token.map[0] + 1 if token.map else 0
                blocks.append(Block(self.path, line, token.info, token.content, ran, left))
            before = token if token.type == "html_block" else None
        return blocks

    def unfenced_blocks(self) -> list[str]:
        """Indented blocks, which can carry no language."""
        return [token.content for token in self._tokens if token.type == "code_block"]

    def anchors(self) -> set[str]:
        """What "#..." in a link to this page may be, as GitHub makes it of the headings."""
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
                for title in self.headings("h1", "h2", "h3")}

    def headings(self, *levels: str) -> list[str]:
        """The words of its headings of these levels ("h1", "h2", ...)."""
        return [self._tokens[number + 1].content for number, token in enumerate(self._tokens)
                if token.type == "heading_open" and token.tag in levels]

    def links(self) -> Iterator[str]:
        """Where it links to."""
        for token in self._tokens:
            for child in token.children or ():
                if child.type in ("link_open", "image"):
                    yield unquote(str(child.attrs.get("href") or child.attrs.get("src")))

    def code(self) -> list[str]:
        """All words set as code in the running text and in tables."""
        return [child.content for token in self._tokens for child in token.children or ()
                if child.type == "code_inline"]


def all_pages() -> list[Page]:
    """README.md and the guide."""
    guide = sorted(str(path.relative_to(PROJECT)) for path in PROJECT.glob("docs/**/*.md"))
    return [Page(path) for path in ["README.md", *guide]]

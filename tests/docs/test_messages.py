"""docs/messages.md has every message of the agent, and none that the agent does not have.

A message on the page is bold code, or code within the text of another message; "…" stands for
anything. It is held against the texts that the tests compare (tests/data/messages and ladder),
and against every sentence in the agent's source.
"""

import ast
import re
from pathlib import Path

import pytest
from pages import PROJECT, Page

PAGE = Page("docs/messages.md")
STORED = [file for folder in ("messages", "ladder")
          for file in sorted((PROJECT / "tests/data" / folder).glob("*.txt"))]
LIBRARY = Path("/usr/share/fence/fencing.py")
#: What a message begins with: who was asked.
WHO = r"(?:\S+@\S+ port \S+: |\S+: )?"
#: What may follow it: the words of ssh or the host, and what the agent does then.
AFTER = r'(?: >>\S+)?(?: \((?:ssh|host): ".*"\))?(?:; one more try|; asking again)?'
#: Where no sentence for the admin's eyes stands: documentation, and what only -v shows.
OTHER_FUNCTIONS = {"define_options", "documentation"}
OTHER_CALLS = {"compile", "search", "match", "findall", "sub", "split", "info", "debug",
               "namedtuple", "ask", "append"}  # fmt: skip
#: What the agent sends to a host, and patterns.
NO_SENTENCES = re.compile(r"^(?:%s )?vm process |^vim-cmd |^readlink |^grep |^echo |[|\\]")


def pattern_of(message: str) -> str:
    """A message of the page as a regular expression."""
    return ".*".join(re.escape(part) for part in message.split("…"))


def stored_lines() -> list[tuple[str, str]]:
    lines = []
    for file in STORED:
        for line in file.read_text().splitlines():
            level, _, message = line.partition(": ")
            if level in ("ERROR", "WARNING"):
                lines.append((file.stem, message))
    return lines


@pytest.mark.parametrize(("name", "line"), stored_lines())
def test_a_message_that_the_tests_compare_is_on_the_page(name: str, line: str) -> None:
    assert any(
        re.fullmatch(WHO + pattern_of(message) + AFTER, line) for message in PAGE.bold_code()
    ), line


def sentences(path: Path) -> list[str]:
    """The texts in a source that somebody may get to read, without documentation."""
    found = []

    def look(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and node.name in OTHER_FUNCTIONS:
            return
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            return  # a docstring
        if isinstance(node, (ast.Compare, ast.Dict)):
            return  # what is looked for in the words of ssh or a host
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in OTHER_CALLS:
                return
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value.split()) > 2 and not NO_SENTENCES.search(node.value):
                found.append(node.value)
        for child in ast.iter_child_nodes(node):
            look(child)

    look(ast.parse(path.read_text()))
    return found


def pieces(text: str, holes: str) -> list[str]:
    """The fixed parts of a text, between its holes."""
    parts = (part.strip(" ;:.,\"'()=") for part in re.split(holes, " ".join(text.split())))
    return [part for part in parts if len(part.split()) > 1]


def test_every_sentence_in_the_agent_is_on_the_page(agent_path: Path) -> None:
    page = " ".join(PAGE.text.split())
    missing = [
        (piece, sentence)
        for sentence in sentences(agent_path)
        for piece in pieces(sentence, r'%[.0-9]*[sdf]|%%|\(host: ')
        if piece not in page
    ]
    assert missing == []


@pytest.mark.parametrize("message", PAGE.bold_code())
def test_every_message_on_the_page_is_one_of_the_agent(message: str, agent_path: Path) -> None:
    texts = [node.value for path in (agent_path, LIBRARY) for node in ast.walk(parsed(path))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    source = " ".join(" ".join(text.replace("%%", "%").split()) for text in texts)
    for piece in pieces(message, "…"):
        # a message may be put together of several texts, so its parts are looked for
        for part in re.split(r"[;:,] ", piece):
            assert part in source or re.escape(part) in source, part


def parsed(path: Path) -> ast.Module:
    if path not in PARSED:
        PARSED[path] = ast.parse(path.read_text())
    return PARSED[path]


PARSED: dict[Path, ast.Module] = {}

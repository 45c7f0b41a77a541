"""The cases in tests/data: one file is one case, a head and below `---` a text.

The head is lines "# key: value"; a value goes on in lines that begin with "#   ". What the keys
mean is told by the tests that read the folder. A text is as the agent's session hands it over:
UTF-8, foreign bytes as surrogates.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent / "data"


@dataclass(frozen=True)
class Case:
    """A case; name: its file in the folder, without .txt."""

    name: str
    head: dict[str, str]
    text: str

    def value(self, key: str, default: Any = None) -> Any:
        """A value that is JSON."""
        return json.loads(self.head[key]) if key in self.head else default

    def __str__(self) -> str:
        return self.name


def read(file: Path, folder: Path = DATA) -> Case:
    """The case in a file."""
    head, text = file.read_bytes().split(b"---\n", 1)
    pairs: list[list[str]] = []
    for line in head.decode("utf-8").splitlines():
        if line.startswith("#   "):
            pairs[-1][1] += "\n" + line[4:]
        else:
            pairs.append(line[2:].split(":", 1))
    name = str(file.relative_to(folder).with_suffix(""))
    return Case(name, {key: value.strip() for key, value in pairs},
                text.decode("utf-8", "surrogateescape"))  # fmt: skip


def cases(folder: str) -> list[Case]:
    """All cases of a folder of tests/data, its own folders included: a new file is a new test."""
    found = sorted((DATA / folder).rglob("*.txt"))
    assert found, folder
    return [read(file, DATA / folder) for file in found]


def text_of(name: str) -> str:
    """The text of one case, by its path in tests/data without .txt."""
    return read(DATA / f"{name}.txt").text

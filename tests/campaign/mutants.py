"""Bugs that are put into the agent on purpose: the campaign has to notice each of them.

They are in mutants.json: a name that says what the bug is, the text that is replaced, which stands
in the agent once, what it becomes, and a schedule in which the agent with the bug does wrong.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict

from .schedule import Schedule
from .virtual import AGENT

MUTANTS: Dict[str, Dict[str, Any]] = json.loads(
    (Path(__file__).parent / "mutants.json").read_text(encoding="utf-8"))


def mutated(name: str) -> str:
    """The agent's text with one bug in it."""
    good, bad = MUTANTS[name]["text"], MUTANTS[name]["becomes"]
    text = AGENT.read_text(encoding="utf-8")
    if text.count(good) != 1:
        raise ValueError("mutant %s: its text stands %d times in the agent" % (
            name, text.count(good)))
    return text.replace(good, bad)


def schedule_that_catches(name: str) -> Schedule:
    """A schedule in which the agent with this bug does wrong."""
    return Schedule.from_json(json.dumps(MUTANTS[name]["caught by"]))

"""The exhaustive small world: every single fault at every command, and every pair of them.

Over a set of situations: every kind of fault strikes at each command of the run, once or for good
(from then on, every command), as long as the run comes that far. Pairs: two of them, at any two of
the first ten commands. The situations and the faults are in small_world.json. (The hosts on which
nothing helps are slow, so that the ladder is not climbed twenty times.)
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Callable, Iterator, List, Tuple

from .generator import LISTS, NO_ANSWERS, SHORTENING
from .oracle import Verdict
from .schedule import Schedule, damage_of

_WORLD = json.loads((Path(__file__).parent / "small_world.json").read_text())
FAULTS = [(what, times) for what in _WORLD["faults"] for times in _WORLD["times"]]
# the commands between which pairs are tried
COMMANDS_OF_PAIRS = 10

Fault = Tuple[str, int]
Case = Tuple[int, Fault]


def cases() -> List[Case]:
    """(number of the situation, fault): what the small world is divided into."""
    return [(number, fault) for number in range(len(_WORLD["situations"])) for fault in FAULTS]


def singles(case: Case, try_out: Callable[[Schedule], Verdict]) -> Iterator[Verdict]:
    """The verdicts on one fault at the first command, the second, ... of one situation."""
    number, fault = case
    position = 1
    while True:
        verdict = try_out(_struck(number, [(fault, position)]))
        if len(verdict.commands) < position:
            return
        if _is_knowable(verdict, [(fault, position)]):
            yield verdict
        position += 1


def sample(random: Random, count: int) -> Iterator[Schedule]:
    """So many single faults, at one of the first commands of a situation each, by chance."""
    for _ in range(count):
        number, fault = random.choice(cases())
        yield _struck(number, [(fault, random.randint(1, 2 * COMMANDS_OF_PAIRS))])


def pairs(case: Case, try_out: Callable[[Schedule], Verdict]) -> Iterator[Verdict]:
    """The verdicts on one fault together with every other one, at two of the first commands."""
    number, fault = case
    if fault[1] > 1:  # for good: it leaves nothing for another one to strike
        return
    for first in range(1, COMMANDS_OF_PAIRS):
        for second in range(first + 1, COMMANDS_OF_PAIRS + 1):
            for other in FAULTS:
                faults = [(fault, first), (other, second)]
                verdict = try_out(_struck(number, faults))
                if len(verdict.commands) < second:
                    break
                if _is_knowable(verdict, faults):
                    yield verdict


def _is_knowable(verdict: Verdict, faults: List[Tuple[Fault, int]]) -> bool:
    """Whether an agent could know the truth: see _keep_it_knowable in generator.py."""
    lacks_ps, spoilt = verdict.schedule.host.get("ps", "up") != "up", 0
    for (what, times), position in faults:
        struck = verdict.commands[position - 1:position - 1 + times]
        lacks_ps = lacks_ps or what in NO_ANSWERS and "ps" in struck
        spoilt += what in SHORTENING and sum(command in LISTS for command in struck)
    return not (lacks_ps and spoilt > 1)


def _struck(number: int, faults: List[Tuple[Fault, int]]) -> Schedule:
    situation: Any = Schedule.from_json(json.dumps(_WORLD["situations"][number]))
    return replace(situation, bad=situation.bad + [
        damage_of("", what, times, position) for (what, times), position in faults])

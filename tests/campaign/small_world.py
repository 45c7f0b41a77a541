"""The exhaustive small world: every single fault at every command, and every pair of them.

Over a set of situations: every kind of fault strikes at each command of the run, once or for good
(from then on, every command), as long as the run comes that far. Pairs: two of them, at any two of
the first ten commands. The situations and the faults are in small_world.json. (The hosts on which
nothing helps are slow, so that the ladder is not climbed twenty times.)
"""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any, Callable, Iterator, List, Set, Tuple

from .generator import LISTS, NO_ANSWERS, SHORTENING, TELLING
from .oracle import Verdict
from .schedule import Schedule, damage_of

_WORLD = json.loads((Path(__file__).parent / "small_world.json").read_text())
FAULTS = [(what, times) for what in _WORLD["faults"] for times in _WORLD["times"]]
# the commands between which pairs are tried
COMMANDS_OF_PAIRS = 10
# what comes in place of an answer; all else takes the answer of the command beside it away, too
SPOILT_ANSWERS = ("empty", "half", "garbage", "absent", "denied", "not allowed", "no such VM")

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
    schedule, commands = verdict.schedule, verdict.commands
    lacks_ps, shortened = schedule.host.get("ps", "up") != "up", 0
    for (what, times), position in faults:
        struck = commands[position - 1:position - 1 + times]
        lacks_ps = lacks_ps or what in NO_ANSWERS and "ps" in struck
        shortened += what in SHORTENING and sum(command in LISTS for command in struck)
    has_other_bearer = schedule.twin and schedule.power != "on"
    return not (lacks_ps and shortened > 1) and (
        not has_other_bearer or _was_told(schedule.plug, commands, faults))


def _was_told(plug: str, commands: List[str], faults: List[Tuple[Fault, int]]) -> bool:
    """Whether the agent heard, before it killed, which VMs there are: hostd's list, and where their
    datastore is or, of a UUID, what grep found; and hostd denied no VM twice that it lists."""
    spoilt: Set[int] = set()
    lost: Set[int] = set()
    for (what, times), position in faults:
        struck = range(position - 1, min(position - 1 + times, len(commands)))
        spoilt.update(struck)
        if what not in SPOILT_ANSWERS:  # what was asked beside it is lost with it
            lost.update(n + beside for n in struck for beside in (-1, 0, 1))
    before_kill = list(enumerate(takewhile(lambda each: "process kill" not in each, commands)))
    is_listed = any(each == TELLING[0] and n not in spoilt | lost for n, each in before_kill)
    is_read = any(each.startswith("grep") and n not in lost for n, each in before_kill)
    has_link = not any("readlink" in each and n in spoilt | lost for n, each in before_kill)
    denials = [what for (what, _), _ in faults].count("no such VM")
    return is_listed and has_link and (is_read or plug != "uuid") and denials < 2


def _struck(number: int, faults: List[Tuple[Fault, int]]) -> Schedule:
    situation: Any = Schedule.from_json(json.dumps(_WORLD["situations"][number]))
    return replace(situation, bad=situation.bad + [
        damage_of("", what, times, position) for (what, times), position in faults])

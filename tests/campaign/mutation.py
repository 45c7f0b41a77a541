"""Change the agent in one place at a time, and see whether the tests notice.

    mutation.py                400 mutants of seed 1
    mutation.py --all          all there are
    mutation.py --lines 9-12   all in these lines

Mutated, by cosmic-ray's operators, are the rooms of the agent that decide: what the host says, the
host, the ladder. A mutant lives in the memory of a process of its own. It is tried out first by a
fixed set of schedules in virtual time, which hold what was found once, faults of the small world,
random ones, and ones that have to be told; then by tests/unit, without those of the session, which
is not changed, and by the tests/ladder in virtual time. It is killed where one of them fails or it
never ends. Survivors are shown as they come; the last line is the score.

A number of seconds is left as it is: one more or less is no bug, and tests assert only bounds.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import logging
import multiprocessing
import os
import re
import resource
import signal
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Dict, Iterator, List, Tuple

import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

TESTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "lib")]

from campaign import small_world, virtual  # noqa: E402
from campaign.generator import schedules  # noqa: E402
from campaign.mutants import MUTANTS, schedule_that_catches  # noqa: E402
from campaign.schedule import Schedule  # noqa: E402
from campaign.tellable import failure_of, is_tellable  # noqa: E402

ROOMS = ("1", "3", "4")
# Of each kind one or two operators: + may become -, and would tell no more by becoming * or / too;
# a comparison is negated, or its boundary is moved.
OPERATORS = re.compile(
    r"core/(?:AddNot|ExceptionReplacer|NumberReplacer|ReplaceAndWithOr|ReplaceOrWithAnd"
    r"|ReplaceTrueWithFalse|ReplaceFalseWithTrue|ReplaceBreakWithContinue|ZeroIterationForLoop"
    r"|ReplaceUnaryOperator_(?:Delete_Not|Delete_USub)"
    r"|ReplaceBinaryOperator_(?:Add_Sub|Sub_Add|Mul_Add|Mod_Sub|BitAnd_BitOr)"
    r"|ReplaceComparisonOperator_(?:Is_IsNot|IsNot_Is|Eq_NotEq|NotEq_Eq|Lt_GtE|Lt_LtE|LtE_Gt|LtE_Lt"
    r"|Gt_LtE|Gt_GtE|GtE_Lt|GtE_Gt))\Z")
SECONDS = re.compile(r"\b(?:bound=|sleep\(|for pause in |left\(\)|poll\(|session\.open\()")
# of the random schedules, of those that have to be told among others, of the small world
RANDOM, TELLABLE, SINGLES = 1500, 150, 1200
# seconds of a processor, of one schedule and in all, after which a mutant never ends; bytes at most
MOST_OF_ONE, MOST_WORK, MOST_MEMORY = 4, 120, 4 << 30
ENOUGH = 0.9


@dataclass(frozen=True)
class Mutant:
    """One change: the occurrence-th thing that an operator of cosmic-ray can do to the agent."""

    line: int
    operator: str
    occurrence: int

    def source(self, text: str) -> str:
        """The agent's text with this change in it."""
        return mutate_code(text, get_operator(self.operator)(), self.occurrence)


def mutants(text: str) -> List[Mutant]:
    """All mutants of the rooms of an agent, by line."""
    nodes, rooms = list(ast_nodes(get_ast(text))), _lines_of_rooms(text)
    lines, found = text.split("\n"), []
    for name in filter(OPERATORS.match, operator_names()):
        operator = get_operator(name)()
        positions = [place for node in nodes for place in operator.mutation_positions(node)]
        found += [Mutant(start[0], name, occurrence)
                  for occurrence, (start, _) in enumerate(positions) if start[0] in rooms
                  and not ("NumberReplacer" in name and SECONDS.search(lines[start[0] - 1]))]
    return sorted(found, key=lambda mutant: (mutant.line, mutant.operator, mutant.occurrence))


def _lines_of_rooms(text: str) -> set:
    lines, room = set(), ""
    for number, line in enumerate(text.split("\n"), 1):
        banner = re.match(r"# --- (\d)\. ", line)
        room = banner.group(1) if banner else room
        if room in ROOMS:
            lines.add(number)
    return lines


# -- the judges -----------------------------------------------------------------------------------


class Judges:
    """The schedules and the tests that the agent passes as it is."""

    def __init__(self) -> None:
        theatre = virtual.Theatre(virtual.load())
        self._lines = [line for line in _schedules() if not _fault(theatre, line)]
        with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as once:
            failed = once.submit(_failing_tests, virtual.AGENT).result()
        self._deselected = ["--deselect=" + test for test in failed]
        print("judged by %d schedules and the tests (of which %d fail without a mutant)" % (
            len(self._lines), len(failed)), flush=True)

    def fault_of(self, source: str) -> str:
        """What the judges have against an agent, in a word; "" where they have nothing."""
        try:
            theatre = virtual.Theatre(virtual.load(source))
        except Exception:
            return "load"
        if any(_fault(theatre, line) for line in self._lines):
            return "schedules"
        with tempfile.TemporaryDirectory(prefix="fence_esxi-mutant-") as folder:
            file = Path(folder) / "fence_esxi.py"
            file.write_text(source, encoding="utf-8")
            file.chmod(0o755)
            failed = _failing_tests(file, "-x", *self._deselected)
            return failed[0].split("/")[1] if failed else ""


def _schedules() -> Iterator[str]:
    """As lines: a run must not change what the next one is tried with."""
    chosen = Random(1)
    for file in sorted((Path(__file__).parent / "found").glob("*.json")):
        yield file.read_text().splitlines()[-1]
    for bug in MUTANTS:
        yield schedule_that_catches(bug).to_json()
    told = [schedule for schedule in schedules(2, 40 * TELLABLE) if is_tellable(schedule)]
    others = [*told[:TELLABLE], *schedules(3, RANDOM), *small_world.sample(chosen, SINGLES)]
    chosen.shuffle(others)
    yield from (schedule.to_json() for schedule in others)


def _fault(theatre: virtual.Theatre, line: str) -> bool:
    signal.setitimer(signal.ITIMER_VIRTUAL, MOST_OF_ONE, 0.1)
    try:
        verdict = theatre.try_out(Schedule.from_json(line))
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return bool(verdict.offences or failure_of(verdict))


def _give_up(*_: Any) -> None:
    raise TimeoutError


def _failing_tests(agent: Path, *words: str) -> List[str]:
    """The tests that fail with an agent; once in a process, which keeps the agent it has loaded."""
    failed: List[str] = []

    class Listener:
        @staticmethod
        def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
            items[:] = [item for item in items if "end to end" not in item.nodeid.replace("_", " ")]

        @staticmethod
        def pytest_runtest_logreport(report: pytest.TestReport) -> None:
            if report.failed:
                failed.append(report.nodeid)

    os.environ["FENCE_ESXI_AGENT"] = str(agent)
    virtual.AGENT = agent
    logging.disable(logging.NOTSET)
    unit, ladder = TESTS / "unit", TESTS / "ladder"
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        status = pytest.main([str(unit), str(ladder), "--ignore=" + str(unit / "test_framing.py"),
                              "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider",
                              "--hypothesis-seed=0", *words], [Listener()])
    return failed or ["tests/none of them ran"] * (status != 0)


# -- one process a mutant -------------------------------------------------------------------------


def judge(todo: List[Mutant], text: str, at_once: int) -> Dict[Mutant, str]:
    """What kills each mutant, "" where nothing does."""
    judges = Judges()
    verdicts: Dict[Mutant, str] = {}
    running: Dict[int, Tuple[Mutant, int]] = {}
    waiting = list(reversed(todo))
    while waiting or running:
        while waiting and len(running) < at_once:
            mutant = waiting.pop()
            reading, writing = os.pipe()
            process = os.fork()
            if process == 0:
                os.write(writing, _in_child(judges, mutant, text).encode() or b"nothing")
                os._exit(0)
            os.close(writing)
            running[process] = (mutant, reading)
        process, _ = os.wait()
        mutant, reading = running.pop(process)
        fault = os.read(reading, 100).decode() or "never ended"
        os.close(reading)
        verdicts[mutant] = "" if fault == "nothing" else fault
        if not verdicts[mutant]:
            print("survived: line %d, %s\n%s" % (mutant.line, mutant.operator, _diff(text, mutant)))
        if len(verdicts) % 20 == 0:
            print("%d of %d" % (len(verdicts), len(todo)), flush=True)
    return verdicts


def _in_child(judges: Judges, mutant: Mutant, text: str) -> str:
    os.setsid()  # whom a mutant may kill
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_WORK, MOST_WORK))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    sys.stderr = io.StringIO()
    try:
        return judges.fault_of(mutant.source(text))
    except BaseException as error:  # such as memory that ran out
        return type(error).__name__


# -- the program ----------------------------------------------------------------------------------


def main() -> int:
    """The score of a sample as a program."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--lines", metavar="FROM-TO")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGVTALRM, _give_up)
    text = virtual.AGENT.read_text(encoding="utf-8")
    todo = mutants(text)
    print("%d mutants in all" % len(todo))
    if asked.lines:
        first, last = map(int, asked.lines.split("-"))
        todo = [mutant for mutant in todo if first <= mutant.line <= last]
    elif not asked.all and asked.count < len(todo):
        todo = Random(asked.seed).sample(todo, asked.count)
    verdicts = judge(todo, text, asked.jobs)
    faults = list(filter(None, verdicts.values()))
    print("killed by " + ", ".join("%s %d" % (fault, faults.count(fault))
                                   for fault in sorted(set(faults))))
    print("%d mutants, %d killed, %d survived: %.1f %%" % (
        len(verdicts), len(faults), len(verdicts) - len(faults),
        100 * len(faults) / max(1, len(verdicts))))
    return 0 if len(faults) >= ENOUGH * len(verdicts) else 1


def _diff(text: str, mutant: Mutant) -> str:
    before, after = text.split("\n"), mutant.source(text).split("\n")
    return "\n".join("    " + line for line in list(
        difflib.unified_diff(before, after, n=0, lineterm=""))[3:])


if __name__ == "__main__":
    sys.exit(main())

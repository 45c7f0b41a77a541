"""The fault campaign: the agent against random faults of a simulated host, truth as the judge.

    run.py --count 100000 --seed 1 --singles   in virtual time, and every single fault everywhere
    run.py --pairs                             every pair of faults at the first ten commands
    run.py --end-to-end --count 500            a process, a real ssh and a host in real time
    run.py --both --count 100                  in both ways: the same verdicts?
    run.py --replay '{"vm": ...}'              one schedule once more, with all that was said
    run.py --mutant NAME                       how long until a bug put in on purpose is found

The last line is the result; the exit status is 1 where something happened that never must.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import multiprocessing
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Optional, Tuple

TESTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "lib")]

from campaign import end_to_end, small_world, virtual  # noqa: E402
from campaign.cuttable import is_cuttable  # noqa: E402
from campaign.generator import schedules  # noqa: E402
from campaign.mutants import MUTANTS, mutated  # noqa: E402
from campaign.oracle import Verdict  # noqa: E402
from campaign.schedule import Schedule  # noqa: E402
from campaign.shrink import kind_of, shrunk  # noqa: E402
from campaign.tellable import failure_of, is_tellable  # noqa: E402

# how many schedules a process takes at a time
CHUNK = 500
MOST_SHOWN = 20
ENOUGH_CUT = 0.999


@dataclass
class Tally:
    """What came of many schedules. digest: the same for the same verdicts."""

    schedules: int = 0
    false_successes: int = 0
    wrong_vms: int = 0
    late: int = 0
    crashes: int = 0
    cuttable: int = 0
    cut: int = 0
    tellable: int = 0
    told: int = 0
    offending: List[str] = field(default_factory=list)
    failed: List[str] = field(default_factory=list)
    digest: str = ""

    def count(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self.schedules += 1
        self.false_successes += bool(verdict.false_successes)
        self.wrong_vms += bool(verdict.wrong_vms)
        self.late += bool(verdict.late)
        self.crashes += bool(verdict.crashes)
        if verdict.offences:
            self.offending.append(verdict.schedule.to_json())
        failure = failure_of(verdict)
        if failure:
            self.failed.append("%s: %s" % (failure, verdict.schedule.to_json()))
        if is_cuttable(verdict.schedule):
            self.cuttable += 1
            self.cut += failure != "not cut"
        if is_tellable(verdict.schedule):
            self.tellable += 1
            self.told += failure != "not told"

    def add(self, other: Tally) -> None:
        """Add what came of other schedules."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    @property
    def is_enough(self) -> bool:
        """Whether the agent did nearly all that could be done, and all it had to."""
        return self.cut >= ENOUGH_CUT * self.cuttable and self.told == self.tellable

    def closing_line(self) -> str:
        """The result on one line."""
        line = ("%d schedules, %d false successes, %d wrong VMs, %d late, %d of %d cuttable cut, "
                "%d of %d tellable told" % (
                    self.schedules, self.false_successes, self.wrong_vms, self.late, self.cut,
                    self.cuttable, self.told, self.tellable))
        return line + (", %d internal errors" % self.crashes if self.crashes else "")


def tally_of(verdicts: Iterable[Verdict]) -> Tally:
    """The verdicts, counted."""
    tally, digest = Tally(), hashlib.sha256()
    for verdict in verdicts:
        tally.count(verdict)
        digest.update(repr([(run.status, run.out, round(run.seconds, 3)) for run in verdict.runs]
                           + verdict.offences + verdict.events).encode())
    tally.digest = digest.hexdigest()[:16]
    return tally


# -- in virtual time ------------------------------------------------------------------------------

_theatre: Optional[virtual.Theatre] = None


def theatre() -> virtual.Theatre:
    """This process's own: the agent is loaded once."""
    global _theatre
    if _theatre is None:
        logging.disable(logging.CRITICAL)  # what nobody reads need not be worded
        _theatre = virtual.Theatre(virtual.load())
    return _theatre


def _chunk(job: Tuple[str, Any]) -> Tally:
    kind, what = job
    if kind == "random":
        return tally_of(map(theatre().try_out, schedules(*what)))
    search = small_world.singles if kind == "single" else small_world.pairs
    return tally_of(search(what, theatre().try_out))


def random_jobs(seed: int, count: int) -> List[Tuple[str, Any]]:
    """The schedules of a seed, in portions."""
    return [("random", (seed, min(CHUNK, count - start), start))
            for start in range(0, count, CHUNK)]


def simulate(jobs: List[Tuple[str, Any]], processes: int) -> Tally:
    """Try out everything in virtual time, on several processors."""
    total, digest = Tally(), hashlib.sha256()
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        for tally in pool.imap(_chunk, jobs):
            digest.update(tally.digest.encode())
            total.add(tally)
    total.digest = digest.hexdigest()[:16]
    return total


def report_offences(tally: Tally) -> None:
    """Print what the offending schedules come down to, and what else failed."""
    smallest = {}
    for line in tally.offending[:MOST_SHOWN]:
        verdict = shrunk(theatre().try_out(Schedule.from_json(line)), theatre().try_out)
        smallest[verdict.schedule.to_json()] = kind_of(verdict)
    for line, kind in smallest.items():
        print("%s\n    %s" % (line, kind))
    print("".join(line + "\n" for line in tally.failed[:MOST_SHOWN]), end="")


# -- end to end -----------------------------------------------------------------------------------


def try_out_end_to_end(todo: Iterable[Schedule], at_once: int) -> Iterator[Verdict]:
    """The verdicts on schedules, in their order; `at_once` are tried at the same time."""
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(end_to_end.try_out, todo)


def compare(todo: List[Schedule], at_once: int) -> Tuple[List[str], int]:
    """Try schedules in both ways; returns what differed, and how often the commands were the
    same too."""
    found, alike = [], 0
    for real in try_out_end_to_end(todo, at_once):
        simulated = theatre().try_out(real.schedule)
        found += ["%s: %s" % (real.schedule.to_json(), difference)
                  for difference in end_to_end.differences(simulated, real)]
        alike += set(simulated.commands) == set(real.commands)
    return found, alike


# -- the program ----------------------------------------------------------------------------------


def replay(line: str, really: bool) -> int:
    """One schedule once more, with all that was said; the exit status."""
    schedule = Schedule.from_json(line)
    if really:
        verdict = end_to_end.try_out(schedule)
    else:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="    log: %(message)s")
        verdict = virtual.Theatre(virtual.load(), aloud=True).try_out(schedule)
    for run in verdict.runs:
        print("exit status %d after %.1f s: %s" % (run.status, run.seconds, run.out.strip()))
        print(run.err, end="")
    for event in verdict.events:
        print("power: %s went %s by %s" % event)
    for offence in verdict.offences:
        print("OFFENCE: " + offence)
    failure = failure_of(verdict)
    print("could be cut: %s, has to be told: %s; %s" % (
        is_cuttable(schedule), is_tellable(schedule), failure or "all that had to be done was"))
    return 1 if verdict.offences or failure else 0


def hunt(name: str, seed: int, count: int) -> Tuple[int, str]:
    """How many schedules until a mutant is caught, and by which; (0, "") where it is not."""
    logging.disable(logging.CRITICAL)
    mutant = virtual.Theatre(virtual.load(mutated(name)))
    for tried, schedule in enumerate(schedules(seed, count), 1):
        verdict = mutant.try_out(schedule)
        if verdict.offences:
            return tried, schedule.to_json()
    return 0, ""


def main() -> int:
    """The campaign as a program."""
    asked = _arguments()
    if asked.replay:
        return replay(asked.replay, asked.end_to_end)
    if asked.mutant:
        tried, line = hunt(asked.mutant, asked.seed, asked.count)
        print("mutant %s: %s" % (asked.mutant, "caught by schedule %d: %s" % (tried, line) if tried
                                 else "not caught by %d schedules" % asked.count))
        return 0 if tried else 1
    if asked.both or asked.end_to_end:
        return campaign(asked)
    return campaign_in_virtual_time(asked)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=0, help="how many random schedules")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count(),
                        help="processes at a time; end to end, agents at a time")
    for word in ("singles", "pairs", "end-to-end", "both"):
        parser.add_argument("--" + word, action="store_true")
    parser.add_argument("--log", type=Path, help="write what failed into this file")
    parser.add_argument("--replay", metavar="JSON")
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    return parser.parse_args()


def campaign_in_virtual_time(asked: argparse.Namespace) -> int:
    """A campaign in virtual time; the exit status."""
    parts: List[Tuple[str, List[Tuple[str, Any]]]] = []
    for kind in ("single", "pair"):
        if getattr(asked, kind + "s"):
            parts.append((kind + "s", [(kind, case) for case in small_world.cases()]))
    if asked.count:
        parts.append(("random, seed %d" % asked.seed, random_jobs(asked.seed, asked.count)))
    is_sound, lines = True, []
    for name, jobs in parts:
        started = time.monotonic()
        tally = simulate(jobs, asked.jobs)
        seconds = time.monotonic() - started
        report_offences(tally)
        if asked.log:
            with asked.log.open("a") as log:
                log.writelines("offence: %s\n" % line for line in tally.offending)
                log.writelines(line + "\n" for line in tally.failed)
        print("%s: %.0f s, %.0f schedules a second, digest %s" % (
            name, seconds, tally.schedules / seconds, tally.digest))
        is_sound = is_sound and not tally.offending and tally.is_enough
        lines.append("%s: %s" % (name, tally.closing_line()) if name != parts[-1][0]
                     else tally.closing_line())
    print("\n".join(lines))
    return 0 if is_sound else 1


def campaign(asked: argparse.Namespace) -> int:
    """A campaign end to end, or in both ways; the exit status."""
    todo = [schedule for schedule in schedules(asked.seed, asked.count)
            if end_to_end.can_run(schedule)]
    if asked.both:
        found, alike = compare(todo, asked.jobs)
        print("\n".join(found))
        print("%d schedules in both ways, %d differences, %d sent the same commands, how often "
              "aside" % (len(todo), len(found), alike))
        return 1 if found else 0
    tally = tally_of(_shown(try_out_end_to_end(todo, asked.jobs)))
    print(tally.closing_line())
    return 1 if tally.offending or tally.cut < 0.99 * tally.cuttable else 0


def _shown(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """The verdicts; what failed is printed as it comes in."""
    for verdict in verdicts:
        failure = verdict.offences or failure_of(verdict)
        if failure:
            print("%s\n    %s" % (verdict.schedule.to_json(), failure), flush=True)
        yield verdict


if __name__ == "__main__":
    sys.exit(main())

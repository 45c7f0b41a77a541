"""The fault campaign: the real agent against random faults of a simulated host.

    run.py --seed 1 --count 2000 --jobs 16     a campaign; each bad schedule is printed
    run.py --replay '{"action": "off", ...}'   one schedule once more, with all that was said
    run.py --mutant NAME                       how long until a bug put in on purpose is found
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Iterable, Iterator, List, Optional

TESTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "lib")]

from campaign.agent_process import AGENT  # noqa: E402
from campaign.generator import schedules  # noqa: E402
from campaign.schedule import Schedule  # noqa: E402
from campaign.trial import Verdict, try_out  # noqa: E402

MUTANTS = Path(__file__).parent / "mutants"
ENOUGH_SUCCESS = 0.99


def run_all(todo: Iterable[Schedule], jobs: int, agent: Path = AGENT) -> Iterator[Verdict]:
    """The verdicts on schedules, as they come in; `jobs` of them are tried at the same time."""
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for done in as_completed([pool.submit(try_out, each, agent) for each in todo]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def closing_line(verdicts: List[Verdict], seed: int) -> str:
    """The result of a campaign on one line."""
    cuttable = [verdict for verdict in verdicts if verdict.cuttable]
    cut = sum(verdict.succeeded for verdict in cuttable)
    return ("campaign: %d schedules, seed %d: %d false successes, %d wrong VMs, %d past the bound; "
            "%d of %d that could be cut were (%.2f%%)" % (
                len(verdicts), seed, sum(bool(each.false_successes) for each in verdicts),
                sum(bool(each.wrong_vms) for each in verdicts),
                sum(bool(each.past_bound) for each in verdicts),
                cut, len(cuttable), 100.0 * cut / max(1, len(cuttable))))


def passes(verdicts: List[Verdict]) -> bool:
    """Whether a campaign shows what it must."""
    cuttable = [verdict for verdict in verdicts if verdict.cuttable]
    cut = sum(verdict.succeeded for verdict in cuttable)
    return (not any(verdict.offences for verdict in verdicts)
            and cut >= ENOUGH_SUCCESS * len(cuttable))


def report(verdict: Verdict) -> str:
    """A verdict in words: the schedule to replay it with, the offences, what the agent said."""
    lines = ["schedule: " + verdict.schedule.to_json()]
    lines += ["  OFFENCE: " + offence for offence in verdict.offences]
    if verdict.cuttable and not verdict.succeeded:
        lines.append("  could have been cut, and was not")
    for run in verdict.runs:
        lines.append("  exit status %d after %.1f s: %s" % (run.status, run.seconds,
                                                           run.out.strip() or "nothing on stdout"))
        lines += ["    " + line for line in run.err.splitlines()]
    return "\n".join(lines)


def mutant_of(name: str, folder: Path, agent: Path = AGENT) -> Path:
    """A copy of the agent with one of the bugs of the folder mutants in it."""
    copy = folder / "fence_esxi.py"
    shutil.copy(agent, copy)
    patch = (MUTANTS / (name + ".patch")).read_bytes()
    subprocess.run(["patch", "--quiet", "--no-backup-if-mismatch", str(copy)], input=patch,
                   check=True)
    return copy


def campaign(seed: int, count: int, jobs: int, log: Optional[Path]) -> int:
    """A whole campaign; the exit status."""
    verdicts: List[Verdict] = []
    for verdict in run_all(schedules(seed, count), jobs):
        verdicts.append(verdict)
        if verdict.offences or (verdict.cuttable and not verdict.succeeded):
            print(report(verdict), flush=True)
        if log:
            with log.open("a") as sink:
                sink.write(json.dumps(_facts(verdict)) + "\n")
        if len(verdicts) % 100 == 0:
            print("... %d of %d" % (len(verdicts), count), file=sys.stderr, flush=True)
    print(closing_line(verdicts, seed))
    return 0 if passes(verdicts) else 1


def _facts(verdict: Verdict) -> dict:
    return {"schedule": verdict.schedule.to_json(), "offences": verdict.offences,
            "cuttable": verdict.cuttable, "succeeded": verdict.succeeded,
            "runs": [vars(run) for run in verdict.runs]}


def hunt(name: str, seed: int, count: int, jobs: int) -> int:
    """Try schedules until the campaign notices a bug put in on purpose; the exit status."""
    with tempfile.TemporaryDirectory(prefix="fence_esxi-mutant-") as folder:
        agent = mutant_of(name, Path(folder))
        for tried, verdict in enumerate(run_all(schedules(seed, count), jobs, agent), 1):
            if verdict.false_successes or verdict.wrong_vms:
                print(report(verdict))
                print("mutant %s: caught after %d schedules, seed %d" % (name, tried, seed))
                return 0
    print("mutant %s: not caught by %d schedules, seed %d" % (name, count, seed))
    return 1


def main() -> int:
    """The campaign as a program."""
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--jobs", type=int, default=16, help="trials at the same time")
    parser.add_argument("--log", type=Path, help="append each verdict to this file, as JSON")
    parser.add_argument("--replay", metavar="JSON")
    parser.add_argument("--mutant", choices=sorted(file.stem for file in MUTANTS.glob("*.patch")))
    asked = parser.parse_args()
    if asked.replay:
        verdict = try_out(Schedule.from_json(asked.replay))
        print(report(verdict))
        return 1 if verdict.offences else 0
    if asked.mutant:
        return hunt(asked.mutant, asked.seed, asked.count, asked.jobs)
    return campaign(asked.seed, asked.count, asked.jobs, asked.log)


if __name__ == "__main__":
    sys.exit(main())

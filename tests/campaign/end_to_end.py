"""Run the agent as a process, by a real ssh, against a host that is simulated in real time."""

from __future__ import annotations

import threading
import time
from typing import Dict, List

from esxi_sim import Host
from fence_runner import fence

from .oracle import WATCHED_ON, Run, Verdict, judge
from .schedule import Schedule
from .stage import Stage

# seconds a loaded machine may add to what is measured of a run
SLACK = 0.5


def can_run(schedule: Schedule) -> bool:
    """Whether the schedule can be said to a host with a real sshd: of the logins, only closed ones
    at the beginning."""
    return all(login == "busy" for login in schedule.logins)


def try_out(schedule: Schedule) -> Verdict:
    """Run the agent, or two of them, through a schedule and judge the result."""
    stage = Stage(schedule)
    with Host(schedule.release, stage.vms, drop_connections=len(schedule.logins),
              **schedule.host) as host:
        stage.set(host)
        powers = {vm.serial: vm.power for vm in host.inventory.known()}
        runs = _run_agents(host, stage)
        time.sleep(WATCHED_ON)
        return judge(stage, runs, host, powers)


def _run_agents(host: Host, stage: Stage) -> List[Run]:
    schedule = stage.schedule
    options = {"missing_as_off": schedule.missing_as_off,
               "no_kill": "1" if schedule.no_kill else None}
    runs: Dict[int, Run] = {}

    def run(number: int, action: str, later: float) -> None:
        time.sleep(later)
        plug = None if action in ("list", "list-status", "monitor") else stage.plug()
        way = "pacemaker" if schedule.service else "stdin"
        done = fence(host, action, plug, way, **options)
        runs[number] = Run(done.status, done.stdout, done.stderr, done.started, done.ended,
                           done.seconds, SLACK + done.starved)

    second = threading.Thread(target=run, args=(1, *(schedule.second or ("", 0.0))))
    if schedule.second:
        second.start()
    run(0, schedule.action, 0.0)
    if schedule.second:
        second.join()
    return [runs[number] for number in sorted(runs)]


def differences(virtual: Verdict, real: Verdict) -> List[str]:
    """In what the verdicts of both ways of running differ, a sentence each."""
    found = []
    if [run.status for run in virtual.runs] != [run.status for run in real.runs]:
        found.append("exit status %s in virtual time, %s end to end" % (
            [run.status for run in virtual.runs], [run.status for run in real.runs]))
    if virtual.kinds != real.kinds:
        found.append("offences %r in virtual time, %r end to end" % (
            virtual.offences, real.offences))
    if virtual.events != real.events:
        found.append("power events %s in virtual time, %s end to end" % (
            virtual.events, real.events))
    return found



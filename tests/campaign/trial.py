"""One trial: a host as the schedule says, the agent against it, and what really happened there."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Optional

from esxi_sim import VM, BadAnswer, Host, LineCut, VMFaults
from esxi_sim.vms import PowerEvent

from .agent_process import AGENT, AgentRun, fence
from .schedule import BOUND, UNKNOWN_PLUG, Schedule, is_cuttable

TARGET = "node1"
# other VMs of the host: of the same length, of the same beginning, different in case only
NEIGHBOURS = ("node2", "node10", "Node1", "node1 (old)")
# seconds a loaded machine may add to what is measured of a run
SLACK = 0.5
BY_AN_AGENT = re.compile(r"vim-cmd vmsvc/power\.|(?:esxcli|localcli) vm process kill")


@dataclass
class Verdict:
    """What the judge found. The lists hold a sentence for each offence."""

    schedule: Schedule
    runs: List[AgentRun]
    false_successes: List[str] = field(default_factory=list)
    wrong_vms: List[str] = field(default_factory=list)
    past_bound: List[str] = field(default_factory=list)
    cuttable: bool = False
    succeeded: bool = False

    @property
    def offences(self) -> List[str]:
        """Everything that must never happen."""
        return self.false_successes + self.wrong_vms + self.past_bound


class Truth:
    """What the host itself knows of its VMs, whatever it told the agent."""

    def __init__(self, host: Host, target: VM):
        self._host = host
        self._power_at_start = target.power
        self._vmids_of_target = {target.vmid}
        self._names_of_worlds: Dict[str, str] = {}
        self._target = target
        self.note_worlds()
        host.listeners.append(lambda news: self.note_worlds())

    def note_worlds(self) -> None:
        """Remember whose process each world is, and under which Vmids the target was known."""
        self._vmids_of_target.add(self._target.vmid)
        for vm in self._host.inventory.running():
            whose = TARGET if vm is self._target else "another VM, %s" % vm.name
            self._names_of_worlds[str(vm.world_id)] = whose

    def powers(self, start: float, end: float) -> List[str]:
        """Every power state the target was in between two moments, the first one included."""
        states = [self._power_at_start]
        for event in self._events_of_target():
            if event.time <= start:
                states = [event.new]
            elif event.time <= end:
                states.append(event.new)
        return states

    def _events_of_target(self) -> List[PowerEvent]:
        return [event for event in self._host.power_events
                if event.name == TARGET and event.vmid in self._vmids_of_target]

    def harm_to_others(self) -> List[str]:
        """A sentence for each VM but the target that a command of the agent touched."""
        ours = self._events_of_target()
        harm = ["%s went %s by %s" % (event.name, event.new, event.cause)
                for event in self._host.power_events
                if event not in ours and BY_AN_AGENT.match(event.cause)]
        for line in self._host.commands:
            kill = re.search(r"vm process kill .*-w (\d+)$", line)
            if kill and self._names_of_worlds.get(kill.group(1), TARGET) != TARGET:
                harm.append("%s was meant for %s" % (line, self._names_of_worlds[kill.group(1)]))
            power = re.match(r"vim-cmd vmsvc/power\.(?:on|off|reset) (\d+)$", line)
            if power and int(power.group(1)) in self._vmids_of_others():
                harm.append("%s was sent" % line)
        return harm

    def _vmids_of_others(self) -> List[Optional[int]]:
        return [vm.vmid for vm in self._host.vms if vm.vmid not in self._vmids_of_target]


def try_out(schedule: Schedule, agent: Path = AGENT) -> Verdict:
    """Run the agent, or two of them, through a schedule and judge the result."""
    target = VM(TARGET, power=schedule.power, faults=VMFaults(**schedule.vm))
    neighbours = [VM(name) for name in NEIGHBOURS[:schedule.neighbours]]
    vms = [*neighbours[:schedule.place], target, *neighbours[schedule.place:]]
    with Host(schedule.release, vms, **schedule.host) as host:
        _prepare(host, schedule, target, neighbours)
        truth = Truth(host, target)
        runs = _run_agents(host, schedule, target, agent)
        truth.note_worlds()
        return _judge(schedule, runs, truth)


def _prepare(host: Host, schedule: Schedule, target: VM, neighbours: List[VM]) -> None:
    if schedule.twin:
        twin = host.add_vm(VM(TARGET, datastore="datastore2"))
        if schedule.twin == "unlisted":
            host.unregister(twin)
    if schedule.invalid:
        host.faults.invalid_vms.append(target.vmid or 0)
    _forge(host, schedule.forged, target, neighbours)
    for command, kind, times in schedule.bad:
        if kind in ("empty", "half", "garbage"):
            host.faults.bad_answers.append(BadAnswer(command, kind=kind, times=times))
        else:
            host.faults.bad_answers.append(BadAnswer(command, "text", times, text=kind))
    host.faults.cuts += [LineCut(command, when, nth) for command, when, nth in schedule.cuts]
    host.login.drop_connections = schedule.busy_sshd
    if schedule.reregister_after is not None:
        host.after_commands(schedule.reregister_after, lambda: _reregister(host, target))
    if schedule.hostd != "up":
        def strike() -> None:
            host.set_hostd(schedule.hostd, recover_after=schedule.hostd_seconds)

        if schedule.hostd_after:
            host.after_commands(schedule.hostd_after, strike)
        else:
            strike()


def _reregister(host: Host, target: VM) -> None:
    was_invalid = target.vmid in host.faults.invalid_vms
    host.reregister(target)
    if was_invalid:
        host.faults.invalid_vms.append(target.vmid or 0)


def _forge(host: Host, how: str, target: VM, neighbours: List[VM]) -> None:
    row = "%s      node1   [datastore1] node1/node1.vmx   centos8_64Guest   vmx-13   "
    if how == "note":
        neighbours[0].note = "moved\n" + row % neighbours[0].vmid
    elif how == "stale":
        host.faults.extra_rows.append(row % 900)
    elif how == "repeat":
        host.faults.row_repeats[target.vmid or 0] = 2


def _run_agents(host: Host, schedule: Schedule, target: VM, agent: Path) -> List[AgentRun]:
    plug: Optional[str] = {"name": TARGET, "uuid": target.uuid, "unknown": UNKNOWN_PLUG}[
        schedule.plug]
    options = {"missing_as_off": schedule.missing_as_off,
               "no_kill": "1" if schedule.no_kill else None}

    def run(action: str) -> AgentRun:
        named = None if action in ("list", "list-status", "monitor") else plug
        return fence(host, action, named, agent, schedule.service, **options)

    second: List[AgentRun] = []

    def run_second(action: str, later: float) -> None:
        time.sleep(later)
        second.append(run(action))

    threads = []
    if schedule.second:
        threads.append(threading.Thread(target=run_second, args=schedule.second))
        threads[0].start()
    first = run(schedule.action)
    for thread in threads:
        thread.join()
    return [first, *second]


# -- the judge ----------------------------------------------------------------------------------


def _judge(schedule: Schedule, runs: List[AgentRun], truth: Truth) -> Verdict:
    verdict = Verdict(schedule, runs, cuttable=is_cuttable(schedule))
    actions = [schedule.action] + ([schedule.second[0]] if schedule.second else [])
    for action, run in zip(actions, runs):
        powers = truth.powers(run.started, run.ended)
        lie = _lie(schedule, action, run, powers)
        if lie:
            verdict.false_successes.append("%s: %s, yet it was %s" % (action, lie, powers))
        if run.seconds > BOUND[action] + SLACK + run.starved:
            verdict.past_bound.append("%s took %.1f s, %.1f s of them without a processor"
                                      % (action, run.seconds, run.starved))
    verdict.wrong_vms = truth.harm_to_others()
    verdict.succeeded = runs[0].status == 0
    return verdict


def _lie(schedule: Schedule, action: str, run: AgentRun, powers: List[str]) -> str:
    """What a run of the agent said that is not so, or "".

    A VM that was off at any moment of the run was off for certain: it lost its memory.
    """
    was_off = "off" in powers
    if schedule.plug == "unknown":
        was_off = schedule.means_yes
    if action in ("off", "reboot") and run.status == 0 and not was_off:
        return run.out.strip()
    if action == "status" and (run.status == 2 or "OFF" in run.out) and not was_off:
        return run.out.strip()
    if action in ("on", "status") and run.status == 0 and "on" not in powers:
        return run.out.strip()
    rows = re.findall(r"^node1,.*,(\w+)$", run.out, re.MULTILINE)
    if action == "list-status" and "OFF" in [row.upper() for row in rows] and not was_off:
        return "node1 is listed as off"
    return ""

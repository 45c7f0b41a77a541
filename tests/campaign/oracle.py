"""The judge: what the host itself knows, whatever it told the agent, against what the agent said.

There is one judge for both ways of running. What he needs of a host is its record of commands and
of power events, in the time of its own clock.

What is a lie. The agent's word is held against the power of the VM in every moment of the run:

- "off" (off or reboot with exit status 0, "Status: OFF", OFF in list-status) is a lie where the VM
  ran all the time: it never lost its memory. Where it was off in any moment it was off for certain.
- A VM that is suspended runs no code, and yet saying "off" of it is a lie: power.on would resume a
  stale node, and hostd would have said "Suspended". It is none in three cases. Somebody suspended
  it during the run and hostd was not there to say so, or somebody took it out of the list of VMs,
  too: the process that was seen is gone from two lists, all that fencing wants is true, and nothing
  on the host could have told more. It is
  suspended and not registered, and missing_as_off says that what is not on the host is off; there
  is no VM left that power.on could resume. The same where the list of VMs was cut at the end of a
  line: a VM that is missing from it and has no process, off or suspended, runs no code. And hostd
  has lost its configuration: then hostd itself says "Powered off", no process contradicts it, and
  power.on does nothing.
- "off" of a plug that is nobody's is a lie unless missing_as_off, by its value, means yes: "0" and
  "no" mean no.
- A plug given as vc.uuid, or by a name that another administrator changes during the run, means the
  VM all the same: "off" is a lie while that runs. Where nobody bears the name any more, though, and
  missing_as_off says that what is not on the host is off, it is none.
- "on" (on or status with exit status 0, ON in list-status) is a lie where the VM never ran, and
  hostd had no reason to think so, as it has for VMFaults.stale_seconds after a kill. Of several
  plugs the library says "on" where one of them is. A neighbour that was given the plug's name
  during the run is meant by it, too.
- A reboot whose second half fails is true: it was off. monitor and list say nothing of power.

What is a wrong VM. A change of power, by a command of an agent, of a VM that none of the plugs
means; a power command or a kill aimed at one, whatever came of it; a command that was not asked
for, such as power.off by status or a kill in spite of no_kill; and a suspended VM resumed by
power.on, unless it was off during the run: then somebody else switched it on and suspended it since
the agent looked, and what is resumed was started anew.

What is late: a verdict after more seconds than BOUND allows. And an internal error of the agent is
an offence too, whatever it did to the VM.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterable, List, Tuple

from esxi_sim import VM

from .schedule import TARGET, Schedule, may_be_invalid
from .stage import Stage

BOUND = {"off": 45.0, "on": 45.0, "reboot": 55.0, "status": 20.0, "list": 20.0,
         "list-status": 20.0, "monitor": 20.0}
# seconds for which the host is watched after the last verdict, in both ways of running: what
# follows from a command, such as an autostart, is then seen in both or in neither
WATCHED_ON = 0.75
# the commands that change power, and what an action may send of them
SWITCH = re.compile(r"vim-cmd vmsvc/power\.(on|off|reset|suspend|shutdown|reboot)\b"
                    r"|(?:esxcli|localcli) vm process (kill)\b")
MAY_SEND = {"off": {"off", "kill"}, "reboot": {"off", "kill", "on"}, "on": {"on"}}


@dataclass
class Run:
    """How one run of the agent ended. started, ended: of the host's clock; seconds: how long it
    took; allowance: seconds of it that a busy machine is to blame for."""

    status: int
    out: str
    err: str
    started: float
    ended: float
    seconds: float
    allowance: float = 0.0


@dataclass
class Verdict:
    """What the judge found; the lists hold a sentence for each offence. crashes: internal errors
    of the agent. events, commands: what happened on the host."""

    schedule: Schedule
    runs: List[Run]
    false_successes: List[str] = field(default_factory=list)
    wrong_vms: List[str] = field(default_factory=list)
    late: List[str] = field(default_factory=list)
    crashes: List[str] = field(default_factory=list)
    events: List[Tuple[str, str, str]] = field(default_factory=list)
    commands: List[str] = field(default_factory=list)

    @property
    def offences(self) -> List[str]:
        """Everything that must never happen."""
        return self.false_successes + self.wrong_vms + self.late + self.crashes

    @property
    def kinds(self) -> str:
        """Which kinds of offence there are: letters of "FWLC"."""
        return "".join(letter for letter, found in zip("FWLC", (
            self.false_successes, self.wrong_vms, self.late, self.crashes)) if found)

    @property
    def succeeded(self) -> bool:
        """Whether the first agent said that it did what it was asked."""
        return self.runs[0].status == 0


def judge(stage: Stage, runs: List[Run], world: Any, powers_at_start: Dict[int, str]) -> Verdict:
    """The verdict on what the agents said; world: a World or a Host, after the runs."""
    schedule = stage.schedule
    events = world.power_events
    verdict = Verdict(schedule, runs, commands=world.commands,
                      events=[(event.name, event.new, event.cause) for event in events])
    history = History(powers_at_start, events)
    actions = [schedule.action] + ([schedule.second[0]] if schedule.second else [])
    for action, run in zip(actions, runs):
        lie = _lie(stage, action, run, history, world.inventory.known())
        if lie:
            verdict.false_successes.append("%s: %s" % (action, lie))
        if run.seconds > BOUND[action] + run.allowance:
            verdict.late.append("%s took %.1f s" % (action, run.seconds))
        if "Traceback" in run.err or "internal error" in run.err:
            verdict.crashes.append("%s: %s" % (action, run.err.strip().split("\n")[-1]))
    verdict.wrong_vms = list(_wrong_vms(stage, actions, world))
    return verdict


class History:
    """The power of every VM in every moment."""

    def __init__(self, at_start: Dict[int, str], events: Iterable[Any]):
        self._at_start = at_start
        self._events: Dict[int, List[Any]] = {}
        for event in events:
            self._events.setdefault(event.serial, []).append(event)

    def powers(self, vm: VM, run: Run) -> List[str]:
        """Every power state a VM was in during a run, from first to last."""
        states = [self._at_start.get(vm.serial, vm.power)]
        for event in self._events.get(vm.serial, ()):
            if event.new == "reset":
                continue
            if event.time <= run.started:
                states = [event.new]
            elif event.time <= run.ended:
                states.append(event.new)
        return states


# -- false successes ------------------------------------------------------------------------------


def _lie(stage: Stage, action: str, run: Run, history: History, vms: List[VM]) -> str:
    """What a run of the agent said that is not so, or ""; vms: all on the host."""
    if action == "list-status":
        return _lie_in_list(stage, run, history, vms)
    said, words = _said(action, run), " ".join(run.out.split())
    powers = {how: history.powers(vm, run) if vm else [] for how, vm in stage.meant().items()}
    if said == "on":
        renamed = [history.powers(vm, run) for vm in stage.neighbours if vm.name == TARGET]
        was_on = any("on" in each for each in [*powers.values(), *renamed])
        return "" if was_on or stage.schedule.vm.get("stale_seconds") else "%s, yet it was %s" % (
            words, powers)
    for how, vm in stage.meant().items() if said == "off" else ():
        if vm is None and not stage.schedule.means_yes:
            return "%s, of a plug that is nobody's" % words
        if vm is not None and not _was_off(stage, vm, powers[how]):
            return "%s, yet it was %s" % (words, powers)
    return ""


def _said(action: str, run: Run) -> str:
    """What the agent claims of all its plugs: "off", "on" or nothing."""
    if action in ("off", "reboot"):
        return "off" if run.status == 0 else ""
    if action == "status":
        return "off" if run.status == 2 or "OFF" in run.out else "on" if run.status == 0 else ""
    return "on" if action == "on" and run.status == 0 else ""


def _was_off(stage: Stage, vm: VM, powers: List[str]) -> bool:
    if "off" in powers:
        return True
    if vm is not stage.target:
        return False
    if stage.schedule.means_yes and vm.name != TARGET and "uuid" not in stage.schedule.plug:
        return True
    if "suspended" not in powers:
        return False
    was_suspended_meanwhile = "on" in powers and not (
        vm.registered and _hostd_was_heard(stage.schedule))
    is_absent = stage.schedule.means_yes and (not vm.registered or _may_be_cut(stage.schedule))
    return was_suspended_meanwhile or is_absent or may_be_invalid(stage.schedule)


def _may_be_cut(schedule: Schedule) -> bool:
    """Whether the list of VMs may have ended too early, at the end of a line."""
    return any(what == "half" and re.search(command, "vim-cmd vmsvc/getallvms")
               for command, what, *_ in schedule.bad)


def _hostd_was_heard(schedule: Schedule) -> bool:
    """Whether hostd could say all the time what it knows of the VM."""
    return not (schedule.hostd != "up" or schedule.bad or may_be_invalid(schedule))


def _lie_in_list(stage: Stage, run: Run, history: History, vms: List[VM]) -> str:
    if any("rename" in what for what, _ in stage.schedule.admin):
        return ""
    for name, said in re.findall(r"^(.*),[^,\n]*,(\w+)$", run.out, re.MULTILINE):
        said = said.upper()
        states = [history.powers(vm, run) for vm in vms if vm.name == name]
        if said == "ON" and not any("on" in powers for powers in states):
            return "%s is listed as on, yet it was %s" % (name, states)
        if said == "OFF" and any("off" not in powers for powers in states):
            return "%s is listed as off, yet it was %s" % (name, states)
    return ""


# -- wrong VMs ------------------------------------------------------------------------------------


def _wrong_vms(stage: Stage, actions: List[str], world: Any) -> Iterable[str]:
    meant = {vm.serial for vm in stage.meant().values() if vm}
    allowed = set().union(*[MAY_SEND.get(action, set()) for action in actions])
    allowed -= {"kill"} if stage.schedule.no_kill else set()
    was_off = {event.serial for event in world.power_events if event.old == "off"}
    for event in world.power_events:
        sent = SWITCH.match(event.cause)
        if sent and event.serial not in meant:
            yield "%s went %s by %s" % (event.name, event.new, event.cause)
        elif sent and (event.old, event.new) == ("suspended", "on") and event.serial not in was_off:
            yield "%s was resumed by %s" % (event.name, event.cause)
    for command in list(world.record):
        sent = SWITCH.match(command.line)
        if not sent:
            continue
        if (sent.group(1) or sent.group(2)) not in allowed:
            yield "%s was sent by %s" % (command.line, " and ".join(actions))
        elif command.aim is not None and command.aim not in meant:
            yield "%s was aimed at another VM" % command.line

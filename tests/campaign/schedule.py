"""A schedule: what goes wrong on the host, and when, while the agent is at work."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

BOUND = {"off": 45.0, "on": 45.0, "reboot": 55.0, "status": 20.0, "list": 20.0,
         "list-status": 20.0, "monitor": 20.0}
UNKNOWN_PLUG = "node9"


@dataclass
class Schedule:
    """One run of the campaign. As JSON it is one line that holds what differs from the defaults.

    action, plug ("name", "uuid" or "unknown"), missing_as_off, no_kill: what the agent is asked.
    service: in Pacemaker's environment. second: [action, seconds later] of a second agent.
    power: of the VM at the start. neighbours: how many other VMs the host has, `place` of them
    listed before it.
    twin: another running VM of the same display name, "registered" or "unlisted" (left behind);
    only beside a VM that runs itself.
    vm: fields of esxi_sim.VMFaults. host: fields of esxi_sim.Faults.
    hostd: its state ("hung", "down", "late_failure") once hostd_after commands were answered, for
    hostd_seconds (None: for ever).
    invalid: "Skipping invalid VM" for the VM itself. forged: rows that are not what they seem:
    "note" (a neighbour's note imitates the VM's row under the neighbour's Vmid), "stale" (a second
    row of the VM under a Vmid nobody has), "repeat" (its row twice).
    bad: [command, kind, times] of answers that are damaged, kind "empty", "half", "garbage", or
    the whole text to print instead. cuts: [command, when, nth] of connections that break.
    reregister_after: how many commands until the VM gets a new Vmid.
    busy_sshd: how many connections are closed before the login.
    """

    number: int = 0
    action: str = "off"
    plug: str = "name"
    missing_as_off: Optional[str] = None
    no_kill: bool = False
    service: bool = True
    second: Optional[Tuple[str, float]] = None
    release: str = "6.7"
    power: str = "on"
    neighbours: int = 1
    place: int = 0
    twin: str = ""
    vm: Dict[str, Any] = field(default_factory=dict)
    host: Dict[str, Any] = field(default_factory=dict)
    hostd: str = "up"
    hostd_after: int = 0
    hostd_seconds: Optional[float] = None
    invalid: bool = False
    forged: str = ""
    bad: List[Tuple[str, str, int]] = field(default_factory=list)
    cuts: List[Tuple[str, str, int]] = field(default_factory=list)
    reregister_after: Optional[int] = None
    busy_sshd: int = 0

    def to_json(self) -> str:
        """One line to replay the schedule with."""
        default = dataclasses.asdict(Schedule())
        mine = dataclasses.asdict(self)
        return json.dumps({key: value for key, value in mine.items() if value != default[key]})

    @classmethod
    def from_json(cls, line: str) -> Schedule:
        """The schedule such a line means; TypeError where it names something unknown."""
        return cls(**json.loads(line))

    @property
    def cuts_power(self) -> bool:
        """Whether the agent is asked to switch the VM off."""
        return self.action in ("off", "reboot")

    @property
    def means_yes(self) -> bool:
        """Whether missing_as_off, by its value, means yes."""
        return self.missing_as_off not in (None, "0", "no", "off", "false")


def is_cuttable(schedule: Schedule) -> bool:
    """Whether some rung of the ladder could have cut the VM, and proven it, in time.

    True where, in this schedule, one of these ways is open from the start or opens within 20 s:
    - power.off: hostd answers, lists the VM and would obey, within 20 s;
    - esxcli: hostd answers, the VM runs, a kill is allowed and some kill ends it;
    - localcli: the same without hostd.
    Damage to the answers and to the line does not close a way unless it is lasting: more than three
    answers of one command, more than three broken connections, more than one of them by silence;
    and more than one list of VMs cut in half, which may be a whole list without the VM.
    Two VMs that bear the plug's name close all of them: which one is meant, nobody can know.
    So do two cases in which the VM is cut and nobody can prove it: it is on again, more than once
    or unseen by hostd, before there was time for a proof (2 s, once hostd noticed); or it is alone
    on a host whose hostd obeys power.off and is silent for good from then on, so that an empty list
    of processes is all there is to see.
    """
    if not schedule.cuts_power or schedule.plug == "unknown" or schedule.twin:
        return False
    if schedule.busy_sshd > 1 or _is_damaged_for_long(schedule):
        return False
    if _is_soon_on_again(schedule) or _is_alone_and_hostd_leaves(schedule):
        return False
    return _by_power_off(schedule) or _by_kill(schedule)


def _is_damaged_for_long(schedule: Schedule) -> bool:
    halves = [times for command, kind, times in schedule.bad
              if kind == "half" and command in ("getallvms", "") and times > 1]
    silences = [cut for cut in schedule.cuts if cut[1] == "silent"]
    return (any(times > 3 for _, _, times in schedule.bad) or len(schedule.cuts) > 3
            or len(silences) > 1 or bool(halves))


def _is_soon_on_again(schedule: Schedule) -> bool:
    autostart = schedule.vm.get("autostart")
    if autostart is None or autostart >= 2 + schedule.vm.get("stale_seconds", 0):
        return False
    return schedule.vm.get("autostart_times", 1) > 1 or schedule.hostd != "up"


def _is_alone_and_hostd_leaves(schedule: Schedule) -> bool:
    # the first three commands are getallvms, power.getstate and power.off
    return (schedule.neighbours == 0 and schedule.hostd_after >= 3
            and not _hostd_answers(schedule))


def _hostd_answers(schedule: Schedule) -> bool:
    if schedule.hostd == "up":
        return True
    return schedule.hostd_seconds is not None and schedule.hostd_seconds <= 20


def _by_power_off(schedule: Schedule) -> bool:
    if not _hostd_answers(schedule) or schedule.invalid:
        return False
    if schedule.power == "off":
        return True
    vm = schedule.vm
    if vm.get("busy") or vm.get("question"):
        return False
    if schedule.power == "suspended" and vm.get("suspended_off") == "refused":
        return False
    off = vm.get("off", "obeyed")
    return off in ("obeyed", "hangs_after") or (off == "late" and vm["off_seconds"] <= 20)


def _by_kill(schedule: Schedule) -> bool:
    if schedule.no_kill or schedule.power != "on":
        return False
    if schedule.vm.get("kill_needs", "soft") == "never":
        return False
    return _hostd_answers(schedule) or schedule.host.get("localcli", "up") == "up"

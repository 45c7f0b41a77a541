"""A schedule: what goes wrong on the host, and when, while the agent is at work."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

TARGET = "node1"
UNKNOWN_PLUG = "node9"
# other VMs of the host: of the same length, of the same beginning, different in case only
NEIGHBOURS = ("node2", "node10", "Node1", "node1 (old)")


@dataclass
class Schedule:
    """One run of the campaign. As JSON it is one line that holds what differs from the defaults.

    action, missing_as_off, no_kill: what the agent is asked. plug: how the VM is meant, "name",
    "uuid" (its BIOS UUID), "vc_uuid", or somebody else is: "neighbour" (the first one's name),
    "unknown" (nobody's name); several plugs with a comma between them.
    service: in Pacemaker's environment. second: [action, seconds later] of a second agent.
    power: of the VM at the start. neighbours: how many other VMs the host has, `place` of them
    listed before it.
    twin: another running VM that could be taken for it: of the same name, "registered", "unlisted"
    (left behind) or "invalid" (hostd has lost its configuration); or a file copy, of the same UUID
    and path on another datastore, under another name, "copy" or "unlisted copy", or under the same,
    "double" or "unlisted double"; or "clone", of the same UUID in a folder of its own.
    vm: fields of esxi_sim.VMFaults. host: fields of esxi_sim.Faults.
    hostd: its state ("hung", "down", "late_failure") once hostd_after commands were answered, for
    hostd_seconds (None: for ever).
    invalid: hostd has lost the VM's configuration, invalid_after: it does once that many commands
    were answered. (vm: {"refusal_invalidates": true} for: at the moment power.off is refused.)
    datastore: what is wrong with the VM's datastore once datastore_after commands were answered:
    "dead" (whoever looks at it waits for ever) or "linkless" (its name leads nowhere).
    forged: rows that are not what they seem, see stage.py: "note", "file", "table", "summary" (in
    a neighbour's note), "stale" (a second row of the VM under a Vmid nobody has), "repeat" (its
    row twice).
    bad: [command, what, times, first]: the first-th command in which `command` is found, and the
    times - 1 of them after it, end as `what` says, see stage.py; times and first are 1 if left out.
    admin: [what, commands]: what another administrator does once that many commands were
    answered, see stage.py.
    logins: how one login after the other ends, before they are all well: "busy" (closed before
    anything was asked), "slow", "refused", "lost" (after the password was given).
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
    invalid_after: Optional[int] = None
    datastore: str = ""
    datastore_after: int = 0
    forged: str = ""
    bad: List[Tuple[Any, ...]] = field(default_factory=list)
    admin: List[Tuple[str, int]] = field(default_factory=list)
    logins: List[str] = field(default_factory=list)

    def to_json(self) -> str:
        """One line to replay the schedule with."""
        return json.dumps(self.differences())

    def differences(self) -> Dict[str, Any]:
        """The fields that are not as they are by default."""
        return {name: value for name, value in vars(self).items() if value != DEFAULTS[name]}

    @classmethod
    def from_json(cls, line: str) -> Schedule:
        """The schedule such a line means; TypeError where it names something unknown."""
        schedule = cls(**json.loads(line))
        schedule.bad = [damage_of(*entry) for entry in schedule.bad]
        schedule.admin = [(what, count) for what, count in schedule.admin]
        schedule.second = tuple(schedule.second) if schedule.second else None
        return schedule

    @property
    def plugs(self) -> List[str]:
        """How the VMs are meant, one word for each plug."""
        return self.plug.split(",")

    @property
    def means_yes(self) -> bool:
        """Whether missing_as_off, by its value, means yes."""
        return self.missing_as_off not in (None, "0", "no", "off", "false")


def damage_of(command: str, what: str, times: int = 1, first: int = 1) -> Tuple[Any, ...]:
    """An entry of Schedule.bad, complete."""
    return (command, what, times, first)


def may_be_invalid(schedule: Schedule) -> bool:
    """Whether hostd loses the configuration of the VM, and so calls it "Powered off"."""
    return bool(schedule.invalid or schedule.invalid_after is not None
                or schedule.vm.get("refusal_invalidates"))


DEFAULTS = dataclasses.asdict(Schedule())

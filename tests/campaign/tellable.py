"""Which schedules leave the host unharmed, so that the agent has to succeed, and what it says then.

A fence agent that never succeeds tells no lie. Off and reboot are held to what could be cut (see
cuttable.py); status, list, list-status, monitor and on are held to this.
"""

from __future__ import annotations

import re
from typing import Dict

from .cuttable import is_cuttable
from .oracle import Verdict
from .schedule import NEIGHBOURS, TARGET, Schedule

MOST_LATENCY, MOST_SECONDS = 1.0, 9.0


def is_tellable(schedule: Schedule) -> bool:
    """Whether nothing keeps the agent from success and truth.

    - The host is well: every answer whole, hostd up, the line and the logins well but for one that
      was closed. It may be slow (MOST_LATENCY), lay its lists out in any way and lack `ps`.
    - Nobody else is at work, nothing is forged, no twin or copy could be meant, hostd knows the
      configuration of every VM.
    - One VM is meant, by its name or BIOS UUID; or nobody, and missing_as_off says yes.
    - The files can be read where they are needed: for list-status, and for a UUID whose VM is off,
      or is switched on again: without its process nothing but its .vmx tells which VM it is.
    - It is on or off: suspended is neither (but in a list). To switch it on, the user may do so and
      the VM obeys, MOST_SECONDS later at most.
    - reboot: it can be cut, by a power.off that answers or by a kill, and switched on again.
    """
    return (_is_well(schedule) and _is_alone(schedule) and _is_plug_clear(schedule)
            and _are_files_there(schedule) and _can_be(schedule))


def _is_well(schedule: Schedule) -> bool:
    return (schedule.hostd == "up" and not schedule.bad
            and not schedule.host.get("permission_denied")
            and schedule.host.get("localcli", "up") == "up"
            and schedule.host.get("latency", 0.0) <= MOST_LATENCY
            and schedule.logins in ([], ["ok"], ["busy"]))


def _is_alone(schedule: Schedule) -> bool:
    return not (schedule.second or schedule.admin or schedule.forged or schedule.twin
                or schedule.invalid or schedule.invalid_after is not None)


def _is_plug_clear(schedule: Schedule) -> bool:
    if schedule.action in ("list", "list-status", "monitor") or schedule.plug in ("name", "uuid"):
        return True
    return schedule.plug == "unknown" and schedule.means_yes and schedule.action == "status"


def _are_files_there(schedule: Schedule) -> bool:
    needed = schedule.action == "list-status" or schedule.plug == "uuid" and (
        schedule.power != "on" or schedule.action == "reboot")
    return not (schedule.datastore and needed)


def _can_be(schedule: Schedule) -> bool:
    vm = schedule.vm
    is_late = vm.get("on") == "late" and vm.get("on_seconds", 5.0) <= MOST_SECONDS
    obeys = (vm.get("on", "obeyed") == "obeyed" or is_late) and not (
        vm.get("question") or vm.get("busy") or schedule.host.get("read_only"))
    if schedule.action == "on":
        return schedule.power == "on" or schedule.power == "off" and obeys
    if schedule.action == "reboot":
        return obeys and is_cuttable(schedule) and vm.get("off", "obeyed") in (
            "obeyed", "refused", "ignored")
    return schedule.action != "off" and (schedule.action != "status"
                                         or schedule.power != "suspended")


def is_told(verdict: Verdict) -> bool:
    """Whether the agent succeeded, and said what is so of a host that is_tellable."""
    schedule, run = verdict.schedule, verdict.runs[0]
    is_on = schedule.power == "on" and schedule.plug != "unknown"
    if schedule.action == "status":
        return run.status == (0 if is_on else 2)
    if schedule.action in ("on", "reboot"):
        changes = [new for name, new, _ in verdict.events if name == TARGET]
        return run.status == 0 and (changes or [schedule.power])[-1] == "on"
    if schedule.action == "list-status":
        listed = re.findall(r"^(.*),[^,\n]*,(\w+)$", run.out, re.MULTILINE)
        return run.status == 0 and _states(schedule) == {
            name: state.upper() for name, state in listed}
    return run.status == 0 and all(name in run.out for name in _states(schedule)
                                   if schedule.action == "list")


def failure_of(verdict: Verdict) -> str:
    """What the agent had to do and did not: "not cut", "not told" or ""."""
    if is_cuttable(verdict.schedule) and not verdict.succeeded:
        return "not cut"
    return "not told" if is_tellable(verdict.schedule) and not is_told(verdict) else ""


def _states(schedule: Schedule) -> Dict[str, str]:
    """What list-status has to say of each VM."""
    own = {"on": "ON", "off": "OFF"}.get(schedule.power, "UNKNOWN")
    return {TARGET: own, **dict.fromkeys(NEIGHBOURS[:schedule.neighbours], "ON")}

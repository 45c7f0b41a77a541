"""Which schedules leave a way to switch the VM off for certain, so that an agent has to find it."""

from __future__ import annotations

import re
from typing import Optional

from .generator import shortens_a_list
from .schedule import Schedule
from .stage import CUTS

# seconds of trouble that leave time for a whole climb of the ladder and its proof
TIME_FOR_TROUBLE = 18.0
HARMLESS_WHEN_GONE = ("^readlink", "^grep", "message")
# what an agent may rightly take for final: the user, the key or the host is not the right one
FINAL = ("denied", "not allowed", "absent", "no such VM")
TOOLS = ("^localcli", "^esxcli", "^ps", "localcli vm process list", "esxcli vm process list")


def is_cuttable(schedule: Schedule) -> bool:
    """Whether some rung of the ladder could have cut the VM, and proven it, in time.

    Said of a schedule only where all of this holds:
    - off or reboot was asked, by name or UUID, and the VM alone unless there is hardly any trouble;
      by one agent where hostd is not always there (what another one did, nobody could prove), or
      where the other one switches the VM on again while there is other trouble.
    - Who is meant is beyond doubt: no twin or copy, no forged row, hostd never loses the VM's
      configuration, and another administrator does nothing but register the VM anew once.
    - The user may do it, and may log in: no login is refused or lost, one at most closed or slow.
    - Nothing that the host says is final: that the user or the key may not do it, that there is no
      vim-cmd, no such VM.
    - A way is open, from the start or within TIME_FOR_TROUBLE s: power.off, which hostd takes
      and the VM obeys; else a kill that ends the VM while it runs, through esxcli where hostd
      answers, through localcli where it does not.
    - The proof can be had. Where hostd answers: its word, beside one sound list of processes, by
      localcli or esxcli. Where it does not: localcli's list, and the VM's own process was there to
      be seen: no list is shortened that might have shown it. And in both cases `ps` as VMware's;
      else, where hostd answers, both lists, and where it does not, another VM whose process shows
      that the list is alive.
    - It stays off long enough to be seen: it is not on again, more than once or unseen by hostd,
      before there was time for a proof (3 s, once hostd noticed and ps shows it no more).
    - The rest of the trouble does not eat up the time: each silence costs what the agent waits for
      an answer and logs in anew, each damaged answer or broken line one question more, latency its
      own. Damage that lasts closes the program it strikes; where it strikes them all, or half a
      list may pass for a whole one more than once, nothing is claimed.
    """
    return (schedule.action in ("off", "reboot") and _are_plugs_clear(schedule)
            and _are_agents_clear(schedule)
            and _is_identity_clear(schedule) and _may_do_it(schedule)
            and not _is_soon_on_again(schedule) and _is_way_open(schedule))


def _are_plugs_clear(schedule: Schedule) -> bool:
    if schedule.plug in ("name", "uuid"):
        return True
    return ("vc_uuid" not in schedule.plug and "name" in schedule.plugs
            and ("unknown" not in schedule.plug or schedule.means_yes)
            and schedule.hostd == "up" and not schedule.bad and _trouble(schedule) <= 5.0)


def _are_agents_clear(schedule: Schedule) -> bool:
    if schedule.second is None:
        return True
    return schedule.hostd == "up" and (schedule.second[0] not in ("on", "reboot") or not (
        schedule.bad or schedule.vm or schedule.host.get("latency")))


def _is_identity_clear(schedule: Schedule) -> bool:
    only_reregistered = [what for what, _ in schedule.admin] in ([], ["reregister"])
    return not (schedule.twin or schedule.forged or schedule.invalid
                or schedule.invalid_after is not None or schedule.vm.get("refusal_invalidates")
                or not only_reregistered)


def _may_do_it(schedule: Schedule) -> bool:
    return not (schedule.host.get("read_only") or schedule.host.get("permission_denied")
                or set(schedule.logins) & {"refused", "lost"}
                or sum(login != "ok" for login in schedule.logins) > 1)


def _is_soon_on_again(schedule: Schedule) -> bool:
    vm = schedule.vm
    autostart = vm.get("autostart")
    lingers = max(vm.get("stale_seconds", 0), vm.get("ps_seconds", 0))
    if vm.get("off") in ("hangs_after", "late"):  # off, and nobody is told
        lingers += 12
    if autostart is None or autostart >= 3 + lingers:
        return False
    return (vm.get("autostart_times", 1) > 1 or schedule.hostd != "up" or bool(schedule.bad)
            or bool(schedule.admin))


def _hostd_answers(schedule: Schedule) -> bool:
    return schedule.hostd == "up" or (schedule.hostd_seconds is not None
                                      and schedule.hostd_seconds <= TIME_FOR_TROUBLE)


def _is_way_open(schedule: Schedule) -> bool:
    closed = _closed_programs(schedule)
    if closed is None:
        return False
    hostd = _hostd_answers(schedule) and "vim-cmd" not in closed
    localcli = "localcli" not in closed
    esxcli = hostd and "esxcli" not in closed
    if schedule.neighbours == 0 and "ps" in closed:
        return False
    if hostd:
        is_listed = esxcli and localcli if "ps" in closed else esxcli or localcli
        way = is_listed and (_obeys_power_off(schedule) or _obeys_kill(schedule) and esxcli)
        # hostd comes late, or leaves before its last word: then the others must prove it
        return bool(way) and _trouble(schedule) <= TIME_FOR_TROUBLE
    if schedule.power != "on" or not localcli:
        return False
    was_seen = not (schedule.hostd_after or "ps" in closed) or not any(
        map(shortens_a_list, schedule.bad))
    way = _obeys_kill(schedule) and was_seen
    return way and _trouble(schedule) <= TIME_FOR_TROUBLE


def _closed_programs(schedule: Schedule) -> Optional[set]:
    """The programs that are of no use for good; None where the damage is beyond telling."""
    closed = set()
    if schedule.host.get("localcli", "up") != "up":
        closed.add("localcli")
    if schedule.host.get("ps", "up") != "up":
        closed.add("ps")
    for command, what, times, _ in schedule.bad:
        if what == "not allowed" or what in FINAL and command not in TOOLS + HARMLESS_WHEN_GONE:
            return None
        if times <= 3:
            if what == "half" and times > 1 and command not in HARMLESS_WHEN_GONE:
                return None
            continue
        program = re.match(r"\^?(vim-cmd|localcli|esxcli|ps)\b", command)
        if program and what in ("hang", "absent", "garbage", "denied"):
            closed.add(program.group(1))
        elif command not in HARMLESS_WHEN_GONE or what in CUTS:
            return None
    return closed


def _obeys_power_off(schedule: Schedule) -> bool:
    vm = schedule.vm
    if schedule.power == "off":
        return True
    if vm.get("busy") or vm.get("question"):
        return False
    if schedule.power == "suspended" and vm.get("suspended_off") == "refused":
        return False
    return vm.get("off", "obeyed") in ("obeyed", "hangs_after", "late")


def _obeys_kill(schedule: Schedule) -> bool:
    return (not schedule.no_kill and schedule.power == "on"
            and schedule.vm.get("kill_needs", "soft") != "never")


def _trouble(schedule: Schedule) -> float:
    """Seconds that are lost, at the most that can be expected."""
    vm, seconds = schedule.vm, 0.0
    waits = min(vm.get("off_seconds", 12.0), 14.0) + 1 if vm.get("off") in (
        "hangs", "hangs_after", "late") else 0.0
    for command, what, times, _ in schedule.bad:
        is_silence = what in ("hang", "hang_after", "silent", "dead")
        # what sends the ladder back to its foot
        ends_round = what in ("before_run", "before", "middle", "after") or re.search(
            command, "esxcli vm process list")
        seconds += min(times, 3) * (11.0 if is_silence else 1.5 + bool(ends_round) * waits)
    if schedule.hostd != "up":
        seconds += min(schedule.hostd_seconds or 99, 11.0)
    seconds += vm.get("kill_seconds", 0) + vm.get("stale_seconds", 0) + vm.get("ps_seconds", 0)
    seconds += waits
    if schedule.host.get("localcli") == "hung" or schedule.host.get("ps") == "hung":
        seconds += 11.0
    if schedule.datastore == "dead":
        seconds += 6.0
    seconds += 6.0 * ("busy" in schedule.logins) + 16.0 * ("slow" in schedule.logins)
    return seconds + 15 * schedule.host.get("latency", 0.0)

"""Random schedules: a plain one, then none to six troubles on top of each other."""

from __future__ import annotations

import re
from random import Random
from typing import Any, Callable, Dict, Iterator, Tuple

from .schedule import Schedule, damage_of, may_be_invalid

ACTIONS = {"off": 42, "reboot": 34, "status": 9, "on": 6, "list-status": 6, "list": 1,
           "monitor": 2}
HOW_MANY_TROUBLES = {0: 3, 1: 16, 2: 28, 3: 26, 4: 16, 5: 8, 6: 3}
RELEASES = ("5.5", "6.0", "6.7", "7.0", "8.0", "9.0")
COMMANDS = ("getallvms", "getstate", "power.off", "power.on", "get.summary", "message",
            "esxcli vm process list", "localcli vm process list", "process list",
            "vm process kill", "^vim-cmd", "^esxcli", "^localcli", "^ps", "^readlink", "^grep", "")
DAMAGES = {"empty": 14, "half": 14, "garbage": 8, "hang": 10, "hang_after": 3, "absent": 6,
           "denied": 3, "not allowed": 2, "no such VM": 3, "before_run": 6, "before": 7,
           "middle": 7, "after": 7, "silent": 4, "dead": 2}
# for good: more than any run asks
FOR_GOOD = 999
LISTS = ("localcli vm process list", "esxcli vm process list")
# what tells which VMs there are, and which of them a process is
TELLING = ("vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/get.summary 1",
           "vim-cmd vmsvc/power.getstate 1", "readlink /vmfs")
# what leaves less of a list, so that it still may look whole; what makes `ps` seem not to be there
SHORTENING = ("empty", "half")
NO_ANSWERS = ("absent", "hang", "hang_after", "silent", "dead")
# what power.getstate might say that is not the state it seems to be
MISLEADING_STATES = (
    "Powered off\n",
    "Retrieved runtime info\nPowered of",
    "Retrieved runtime info\n",
    "Powered off\nRetrieved runtime info\n",
    "Retrieved runtime info\nPowered on\nPowered off\n",
    "(vim.fault.InvalidPowerState) {\n   faultCause = (vmodl.MethodFault) null, \n"
    "   existingState = \"poweredOff\"\n   msg = \"The attempted operation cannot be performed in "
    "the current state (Powered off).\"\n}\n",
    "Retrieved runtime info\n(vmodl.fault.SystemError) {\n   msg = \"Powered off\"\n}\n",
)


def schedules(seed: int, count: int, start: int = 0) -> Iterator[Schedule]:
    """`count` schedules of a seed, from the start-th on."""
    for number in range(start, start + count):
        yield schedule_of(seed, number)


def schedule_of(seed: int, number: int) -> Schedule:
    """One schedule; it depends on seed and number and on nothing else."""
    random = Random("%d %d" % (seed, number))  # to be repeated, not to be secret
    schedule = Schedule(number=number, action=_pick(random, ACTIONS))
    schedule.release = random.choice(RELEASES)
    schedule.neighbours = random.choice((0, 0, 1, 1, 1, 2, 4))
    schedule.place = random.randint(0, schedule.neighbours)
    schedule.service = random.random() < 0.7
    schedule.power = _pick(random, {"on": 90, "off": 6, "suspended": 4})
    if schedule.action == "on":
        schedule.power = _pick(random, {"off": 8, "on": 1, "suspended": 1})
    if random.random() < 0.25:
        schedule.host["localcli_layout"] = random.choice(("closed", "esxcli", "esxcli"))
    for _ in range(_pick(random, HOW_MANY_TROUBLES)):
        _pick(random, TROUBLES)(random, schedule)
    _keep_it_knowable(schedule)
    return schedule


def _keep_it_knowable(schedule: Schedule) -> None:
    """Take out what no agent could know.

    Where hostd is silent from the first, or has lost the VM, the VM that runs is the one a name or
    UUID means: so there is no other bearer of it than the VM itself, unless that runs on, which it
    does not where another agent may just have switched it off; and none where the VM itself loses
    its name or row. Which VM it is, is known once hostd has listed the VMs and .vmx files are read.
    Not both of the lists of processes are taken away, or made to lie in the same way, for good; nor
    hostd and a list at once: half a list may look whole, and of an invalid VM hostd says "Powered
    off". Where there is no `ps` of VMware's, or it does not answer, the two lists are all there is
    beside hostd: no real host is known to be so, and then one answer of theirs at most is spoilt.
    """
    does = {what for what, _ in schedule.admin}
    bearers = ["registered", "unlisted", "invalid", "double", "unlisted double", "rename neighbour",
               "rename neighbour's process"]
    is_heard = not may_be_invalid(schedule) and not any(
        re.search(command, each) for command, *_ in schedule.bad for each in TELLING)
    if "uuid" in schedule.plug:
        bearers += ["copy", "unlisted copy", "clone"]
    if schedule.hostd != "up":  # the list of VMs and its own datastore's link say which it is
        is_heard = is_heard and schedule.hostd_after > 1 and not (
            schedule.datastore == "linkless" or schedule.bad or schedule.second
            or "," in schedule.plug)
    runs_on = schedule.power == "on" and not does & {"off", "suspend"} and not schedule.second
    is_named = not does & {"rename", "rename process", "unregister", "reregister by its process"}
    if not (is_named and (runs_on or is_heard)):
        schedule.admin = [entry for entry in schedule.admin if entry[0] not in bearers]
        if schedule.twin in bearers:
            schedule.twin = ""
    if may_be_invalid(schedule):
        schedule.bad = [entry for entry in schedule.bad if entry[1] != "half"]
    spoilt = [entry for entry in schedule.bad if shortens_a_list(entry)]
    if _may_lack_ps(schedule) and sum(entry[2] for entry in spoilt) > 1:
        schedule.bad = [entry for entry in schedule.bad if entry not in spoilt]


def shortens_a_list(entry: Tuple[Any, ...]) -> bool:
    """Whether damage may leave less of a list of processes, so that it still looks whole."""
    return entry[1] in SHORTENING and any(re.search(entry[0], each) for each in LISTS)


def _may_lack_ps(schedule: Schedule) -> bool:
    return schedule.host.get("ps", "up") != "up" or any(
        re.search(command, "ps") and what in NO_ANSWERS for command, what, *_ in schedule.bad)


def _pick(random: Random, weights: Dict[Any, int]) -> Any:
    return random.choices(list(weights), weights=list(weights.values()))[0]


def _off(random: Random, schedule: Schedule) -> None:
    off = _pick(random, {"refused": 30, "ignored": 25, "late": 25, "hangs": 8, "hangs_after": 12})
    schedule.vm["off"] = off
    if off == "late":
        schedule.vm["off_seconds"] = round(random.choice((random.uniform(0.2, 6),
                                                          random.uniform(6, 20))), 1)
        schedule.vm["off_blocks"] = random.random() < 0.5
    if off == "refused" and random.random() < 0.3:
        schedule.vm["refusal_invalidates"] = True


def _kill(random: Random, schedule: Schedule) -> None:
    _off(random, schedule)
    schedule.vm["off"] = _pick(random, {"refused": 5, "ignored": 4, "hangs": 1})
    schedule.vm["kill_needs"] = _pick(random, {"soft": 40, "hard": 30, "force": 22, "never": 8})
    if random.random() < 0.4:
        schedule.vm["kill_seconds"] = round(random.uniform(0.1, 2.8), 1)
    if random.random() < 0.4:
        schedule.vm["stale_seconds"] = round(random.uniform(0.5, 10), 1)
    if random.random() < 0.2:
        schedule.vm["ps_seconds"] = round(random.uniform(0.1, 5), 1)


def _autostart(random: Random, schedule: Schedule) -> None:
    schedule.vm["autostart"] = random.choice((0.0, 0.1, 0.5, 1.0, 3.0))
    schedule.vm["autostart_times"] = random.choice((1, 1, 2, 5))
    if random.random() < 0.2:
        schedule.host["reuse_world_ids"] = True


def _hostd(random: Random, schedule: Schedule) -> None:
    schedule.hostd = _pick(random, {"down": 55, "hung": 35, "late_failure": 10})
    schedule.hostd_after = random.choice((0, 0, 0, 1, 2, 3, 4, 5, 6, 8))
    schedule.hostd_seconds = None
    if random.random() < 0.5:
        schedule.hostd_seconds = round(random.uniform(1, 22), 1)
    if schedule.hostd == "hung":
        schedule.host["hung_calls_resume"] = random.random() < 0.5
    if schedule.hostd == "late_failure":
        schedule.host["hostd_silence"] = round(random.uniform(2, 14), 1)


def _tool(random: Random, schedule: Schedule) -> None:
    """One of the host's programs is not to be had, from the start or from some command on."""
    program, how = random.choice(("^localcli", "^ps", "^esxcli", "^grep", "^readlink")), "hang"
    if random.random() < 0.6:
        how = "absent"
    schedule.bad.append(damage_of(program, how, FOR_GOOD, random.choice((1, 1, 2, 3))))


def _ps(random: Random, schedule: Schedule) -> None:
    schedule.host["ps"] = _pick(random, {"busybox": 2, "absent": 1, "hung": 1})


def _latency(random: Random, schedule: Schedule) -> None:
    schedule.host["latency"] = round(random.choice((random.uniform(0, 0.5), random.uniform(0, 2))),
                                     2)


def _bad(random: Random, schedule: Schedule) -> None:
    command, what = random.choice(COMMANDS), _pick(random, DAMAGES)
    if random.random() < 0.15:
        command, what = "getstate", random.choice(MISLEADING_STATES)
    schedule.bad.append(damage_of(command, what, random.choice((1, 1, 1, 2, 2, 3, FOR_GOOD)),
                                  random.choice((1, 1, 1, 2, 2, 3, 4, 5, 6, 8))))


def _invalid(random: Random, schedule: Schedule) -> None:
    if random.random() < 0.5:
        schedule.invalid = True
    else:
        schedule.invalid_after = random.choice((1, 2, 3, 4, 5, 6))
    schedule.host["invalid_stream"] = random.choice(("stdout", "stderr"))


def _datastore(random: Random, schedule: Schedule) -> None:
    schedule.datastore = random.choice(("dead", "linkless"))
    schedule.datastore_after = random.choice((0, 0, 1, 2, 3, 4))
    if schedule.datastore == "dead" and random.random() < 0.5:
        schedule.hostd, schedule.hostd_seconds = "hung", None
        schedule.hostd_after = schedule.datastore_after
    if schedule.datastore == "linkless":
        schedule.host["gone_link_answer"] = random.choice(("argument", "nothing"))


def _forged(random: Random, schedule: Schedule) -> None:
    schedule.forged = random.choice(("note", "file", "table", "summary", "stale", "repeat"))
    schedule.neighbours = max(1, schedule.neighbours)


def _twin(random: Random, schedule: Schedule) -> None:
    schedule.twin = random.choice(("registered", "unlisted", "invalid", "copy", "unlisted copy",
                                   "double", "unlisted double", "clone"))


def _admin(random: Random, schedule: Schedule) -> None:
    schedule.admin.append((random.choice(ADMIN_DOES), random.choice((1, 1, 2, 2, 3, 4, 5, 6, 8))))


ADMIN_DOES = ("reregister", "reregister", "reregister", "unregister", "register", "suspend", "off",
              "on", "rename", "rename process", "rename neighbour", "copy", "unlisted copy",
              "rename neighbour's process", "reregister by its process")


def _suspended(random: Random, schedule: Schedule) -> None:
    schedule.power = "suspended"
    schedule.vm["suspended_off"] = random.choice(("obeyed", "refused"))


def _asking(random: Random, schedule: Schedule) -> None:
    schedule.vm[random.choice(("question", "question", "busy"))] = True


def _rights(random: Random, schedule: Schedule) -> None:
    schedule.host[random.choice(("read_only", "read_only", "permission_denied"))] = True


def _on(random: Random, schedule: Schedule) -> None:
    schedule.vm["on"] = _pick(random, {"fails": 4, "ignored": 2, "late": 3, "hangs": 1})
    schedule.vm["on_seconds"] = round(random.uniform(0.5, 9), 1)


def _second(random: Random, schedule: Schedule) -> None:
    schedule.second = (random.choice(("off", "reboot", "off", "reboot", "status", "on")),
                       round(random.uniform(0, 3), 1))


def _plug(random: Random, schedule: Schedule) -> None:
    schedule.plug = _pick(random, {"uuid": 10, "vc_uuid": 3, "unknown": 4, "name,neighbour": 3,
                                   "neighbour,name": 3, "unknown,name": 2, "name,unknown": 2})
    if "neighbour" in schedule.plug:
        schedule.neighbours = max(1, schedule.neighbours)
    if "unknown" in schedule.plug or schedule.plug == "vc_uuid":
        _missing(random, schedule)


def _missing(random: Random, schedule: Schedule) -> None:
    schedule.missing_as_off = random.choice(("0", "1", "1", "no", "yes"))


def _no_kill(random: Random, schedule: Schedule) -> None:
    schedule.no_kill = True


def _logins(random: Random, schedule: Schedule) -> None:
    schedule.logins = random.choice((["busy"], ["busy"], ["busy", "busy"], ["slow"], ["ok", "busy"],
                                     ["ok", "slow"], ["refused"], ["ok", "refused"], ["lost"],
                                     ["ok", "lost"], ["busy", "slow"]))


Trouble = Callable[[Random, Schedule], None]
TROUBLES: Dict[Trouble, int] = {
    _off: 13, _kill: 14, _autostart: 6, _hostd: 15, _tool: 6, _ps: 3, _latency: 6,
    _bad: 22, _invalid: 6, _datastore: 5, _forged: 6, _twin: 6, _admin: 8, _suspended: 4,
    _asking: 4, _rights: 2, _on: 4, _second: 6, _plug: 7, _missing: 5, _no_kill: 2, _logins: 4,
}

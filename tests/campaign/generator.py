"""Random schedules: a plain one, then none to five troubles on top of each other."""

from __future__ import annotations

from random import Random
from typing import Callable, Iterator

from .schedule import Schedule

ACTIONS = {"off": 42, "reboot": 38, "status": 8, "on": 5, "list-status": 3, "list": 2,
           "monitor": 2}
HOW_MANY_TROUBLES = {0: 4, 1: 22, 2: 34, 3: 24, 4: 12, 5: 4}
COMMANDS = ("getallvms", "getstate", "power.off", "power.on", "get.summary",
            "esxcli vm process list", "localcli vm process list", "vm process kill", "")
# what power.getstate might say that is not the state it seems to be
MISLEADING_STATES = (
    "Powered off\n",
    "Retrieved runtime info\nPowered of",
    "Retrieved runtime info\n",
    "Powered off\nRetrieved runtime info\n",
    "(vim.fault.InvalidPowerState) {\n   faultCause = (vmodl.MethodFault) null, \n"
    "   existingState = \"poweredOff\"\n   msg = \"The attempted operation cannot be performed in "
    "the current state (Powered off).\"\n}\n",
    "Retrieved runtime info\n(vmodl.fault.SystemError) {\n   msg = \"Powered off\"\n}\n",
)


def schedules(seed: int, count: int) -> Iterator[Schedule]:
    """`count` schedules; the same seed and number give the same schedule."""
    for number in range(count):
        yield schedule_of(seed, number)


def schedule_of(seed: int, number: int) -> Schedule:
    """One schedule of a seed."""
    random = Random("%d %d" % (seed, number))  # noqa: S311 - to be repeated, not to be secret
    schedule = Schedule(number=number, action=_pick(random, ACTIONS))
    schedule.release = random.choice(("5.5", "6.0", "6.7", "7.0", "8.0", "9.0"))
    schedule.neighbours = random.choice((0, 1, 1, 2, 4))
    schedule.place = random.randint(0, schedule.neighbours)
    schedule.service = random.random() < 0.7
    schedule.power = _pick(random, {"on": 90, "off": 6, "suspended": 4})
    if schedule.action == "on":
        schedule.power = _pick(random, {"off": 8, "on": 1, "suspended": 1})
    for _ in range(_pick(random, HOW_MANY_TROUBLES)):
        _pick(random, TROUBLES)(random, schedule)
    if schedule.power != "on":
        schedule.twin = ""  # where hostd is silent, the one that runs is the one the name means
    return schedule


def _pick(random, weights):
    return random.choices(list(weights), weights=list(weights.values()))[0]


def _off(random: Random, schedule: Schedule) -> None:
    off = _pick(random, {"refused": 30, "ignored": 25, "late": 25, "hangs": 8, "hangs_after": 12})
    schedule.vm["off"] = off
    if off == "late":
        schedule.vm["off_seconds"] = round(random.choice((random.uniform(0.2, 6),
                                                          random.uniform(6, 20))), 1)
        schedule.vm["off_blocks"] = random.random() < 0.5


def _kill(random: Random, schedule: Schedule) -> None:
    _off(random, schedule)
    schedule.vm["off"] = _pick(random, {"refused": 5, "ignored": 4, "hangs": 1})
    schedule.vm["kill_needs"] = _pick(random, {"soft": 40, "hard": 30, "force": 22, "never": 8})
    if random.random() < 0.4:
        schedule.vm["kill_seconds"] = round(random.uniform(0.1, 2.8), 1)
    if random.random() < 0.4:
        schedule.vm["stale_seconds"] = round(random.uniform(0.5, 10), 1)


def _autostart(random: Random, schedule: Schedule) -> None:
    schedule.vm["autostart"] = random.choice((0.0, 0.1, 0.5, 1.0, 3.0))
    schedule.vm["autostart_times"] = random.choice((1, 1, 2, 5))


def _hostd(random: Random, schedule: Schedule) -> None:
    schedule.hostd = _pick(random, {"down": 60, "hung": 28, "late_failure": 12})
    schedule.hostd_after = random.choice((0, 0, 0, 1, 2, 3, 4, 5))
    if random.random() < 0.6:
        schedule.hostd_seconds = round(random.uniform(1, 22), 1)
    if schedule.hostd == "hung":
        schedule.host["hung_calls_resume"] = random.random() < 0.5
    if schedule.hostd == "late_failure":
        schedule.host["hostd_silence"] = round(random.uniform(2, 14), 1)


def _localcli(random: Random, schedule: Schedule) -> None:
    schedule.host["localcli"] = _pick(random, {"down": 70, "hung": 30})


def _latency(random: Random, schedule: Schedule) -> None:
    schedule.host["latency"] = round(random.choice((random.uniform(0, 0.5), random.uniform(0, 2))),
                                     2)


def _bad(random: Random, schedule: Schedule) -> None:
    if random.random() < 0.3:
        bad = ("getstate", random.choice(MISLEADING_STATES), random.choice((1, 1, 2, 3, 99)))
    else:
        bad = (random.choice(COMMANDS), random.choice(("empty", "half", "garbage")),
               random.choice((1, 1, 1, 2, 2, 3, 99)))
    schedule.bad.append(bad)


def _cut(random: Random, schedule: Schedule) -> None:
    when = _pick(random, {"before_run": 20, "before": 25, "middle": 25, "after": 25, "silent": 5})
    schedule.cuts.append((random.choice(COMMANDS), when, random.choice((1, 1, 1, 2, 3, 5))))


def _invalid(random: Random, schedule: Schedule) -> None:
    schedule.invalid = True
    schedule.host["invalid_stream"] = random.choice(("stdout", "stderr"))


def _forged(random: Random, schedule: Schedule) -> None:
    schedule.forged = random.choice(("note", "stale", "repeat"))
    schedule.neighbours = max(1, schedule.neighbours)


def _twin(random: Random, schedule: Schedule) -> None:
    schedule.twin = random.choice(("registered", "unlisted"))


def _reregister(random: Random, schedule: Schedule) -> None:
    schedule.reregister_after = random.choice((1, 1, 2, 2, 3, 4, 5, 6))


def _suspended(random: Random, schedule: Schedule) -> None:
    schedule.power = "suspended"
    schedule.vm["suspended_off"] = random.choice(("obeyed", "refused"))


def _asking(random: Random, schedule: Schedule) -> None:
    schedule.vm[random.choice(("question", "busy"))] = True


def _on(random: Random, schedule: Schedule) -> None:
    schedule.vm["on"] = _pick(random, {"fails": 4, "ignored": 2, "late": 3, "hangs": 1})
    schedule.vm["on_seconds"] = round(random.uniform(0.5, 9), 1)


def _second(random: Random, schedule: Schedule) -> None:
    schedule.second = (random.choice(("off", "reboot")), round(random.uniform(0, 3), 1))


def _unknown(random: Random, schedule: Schedule) -> None:
    schedule.plug = "unknown"
    _missing(random, schedule)


def _missing(random: Random, schedule: Schedule) -> None:
    schedule.missing_as_off = random.choice(("0", "1", "1", "no", "yes"))


def _no_kill(random: Random, schedule: Schedule) -> None:
    schedule.no_kill = True


def _uuid(random: Random, schedule: Schedule) -> None:
    schedule.plug = "uuid"


def _busy_sshd(random: Random, schedule: Schedule) -> None:
    schedule.busy_sshd = 1


Trouble = Callable[[Random, Schedule], None]
TROUBLES: "dict[Trouble, int]" = {
    _off: 14, _kill: 14, _autostart: 6, _hostd: 13, _localcli: 4, _latency: 7, _bad: 14, _cut: 12,
    _invalid: 4, _forged: 5, _twin: 4, _reregister: 7, _suspended: 4, _asking: 4, _on: 6,
    _second: 6, _unknown: 3, _missing: 5, _no_kill: 2, _uuid: 5, _busy_sshd: 3,
}

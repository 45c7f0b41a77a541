"""Make an offending schedule as small as it can be and still offend."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Callable, Iterator, List

from .oracle import Verdict
from .schedule import DEFAULTS, Schedule


def shrunk(verdict: Verdict, try_out: Callable[[Schedule], Verdict]) -> Verdict:
    """The verdict on the smallest schedule with the same kind of offence that is found by taking
    one thing after the other out of it."""
    kind = kind_of(verdict)
    verdict = try_out(replace(verdict.schedule, number=0))
    goes_on = True
    while goes_on:
        goes_on = False
        for simpler in _simpler(verdict.schedule):
            tried = try_out(simpler)
            if kind_of(tried) == kind:
                verdict, goes_on = tried, True
                break
    return verdict


def kind_of(verdict: Verdict) -> str:
    """The first offence without its numbers, "" where there is none."""
    return re.sub(r"[0-9.]+", "N", verdict.offences[0].split(", yet")[0]) if verdict.offences \
        else ""


def _simpler(schedule: Schedule) -> Iterator[Schedule]:
    """The schedules that differ from this one by one thing less."""
    for name, value in schedule.differences().items():
        yield replace(schedule, **{name: DEFAULTS[name]})
        for simpler in _simpler_values(value):
            yield replace(schedule, **{name: simpler})


def _simpler_values(value: Any) -> Iterator[Any]:
    if isinstance(value, str) and "," in value:  # plugs
        yield from value.split(",")
    elif isinstance(value, dict):
        for key in value:
            yield {other: value[other] for other in value if other != key}
        for key in value:
            for simpler in _simpler_values(value[key]):
                yield {**value, key: simpler}
    elif isinstance(value, list):
        for place in range(len(value)):
            yield value[:place] + value[place + 1:]
        for place, entry in enumerate(value):
            for simpler in _simpler_entries(entry):
                yield value[:place] + [simpler] + value[place + 1:]
    elif isinstance(value, tuple):
        yield from _simpler_entries(value)
    elif type(value) in (int, float) and value not in (0, 1):
        yield type(value)(1)
        if value > 2:
            yield type(value)(value // 2 if value < 900 else 3)


def _simpler_entries(entry: Any) -> Iterator[Any]:
    """An entry of bad, admin or second with one of its numbers made smaller."""
    if not isinstance(entry, (tuple, list)):
        return
    parts: List[Any] = list(entry)
    for place, part in enumerate(parts):
        for simpler in _simpler_values(part) if not isinstance(part, str) else ():
            yield tuple(parts[:place] + [simpler] + parts[place + 1:])

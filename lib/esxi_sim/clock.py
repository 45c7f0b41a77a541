"""What the simulated host asks of time. It cannot tell which clock it was given.

Two clocks keep this contract: RealClock (real_clock.py), which is asyncio's, and VirtualClock
(virtual.py), which jumps to the next thing due.
"""

from __future__ import annotations

from typing import Any, Awaitable, Callable, ContextManager, Protocol


class Event(Protocol):
    """Something that happens once and that commands may wait for."""

    def set(self) -> None:
        """It has happened: whoever waits goes on."""

    def wait(self) -> Awaitable[Any]:
        """Wait until it has happened."""


class Clock(Protocol):
    """The time of one world. The commands of its shell await only what a clock gives them.

    now: seconds since the epoch, for the record. alone: held while the world is changed, so that
    whoever else may change it waits.
    """

    @property
    def alone(self) -> ContextManager[Any]: ...

    @property
    def now(self) -> float: ...

    def monotonic(self) -> float:
        """Seconds since some moment; never runs backwards."""

    def delay(self, seconds: float) -> Awaitable[Any]:
        """Wait so long."""

    def never(self) -> Awaitable[Any]:
        """Wait for ever."""

    def event(self) -> Event:
        """Something new to wait for."""

    def call_later(self, seconds: float, action: Callable[[], Any]) -> None:
        """Do something so many seconds from now."""

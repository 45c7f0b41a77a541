"""The clock of a host that is logged in to: wall time, on asyncio's loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Awaitable, Callable, List, Optional, Tuple


class RealEvent:
    """An asyncio.Event that may be set from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._event = asyncio.Event()

    def set(self) -> None:
        """See clock.Event."""
        self._loop.call_soon_threadsafe(self._event.set)

    def wait(self) -> Awaitable[Any]:
        """See clock.Event."""
        return self._event.wait()


class RealClock:
    """See clock.Clock. Whatever is due before `run_on` waits for it."""

    def __init__(self) -> None:
        self.alone = threading.RLock()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._early: List[Tuple[float, Callable[[], Any]]] = []

    def run_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on time passes on this loop."""
        self._loop = loop
        early, self._early = self._early, []
        for seconds, action in early:
            loop.call_later(seconds, action)

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """See clock.Clock."""
        return time.monotonic()

    def delay(self, seconds: float) -> Awaitable[Any]:
        """See clock.Clock."""
        return asyncio.sleep(seconds)

    def never(self) -> Awaitable[Any]:
        """See clock.Clock."""
        return asyncio.Event().wait()

    def event(self) -> RealEvent:
        """See clock.Clock."""
        assert self._loop is not None, "nothing is waited for before the clock runs"
        return RealEvent(self._loop)

    def call_later(self, seconds: float, action: Callable[[], Any]) -> None:
        """See clock.Clock. From any thread."""
        loop = self._loop
        if loop is None:
            self._early.append((seconds, action))
        else:
            loop.call_soon_threadsafe(loop.call_later, seconds, action)

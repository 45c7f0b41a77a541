"""Virtual time: a clock that jumps to the next thing due, and a session with a world in it.

    clock = VirtualClock()
    world = World(clock, "6.7", ["node1"], hostd="hung")
    line = VirtualLine(world)
    line.ask(["vim-cmd vmsvc/getallvms", "localcli vm process list"], bound=10.0)

Nothing here waits for anything: a minute of the world takes as long as what is done in it. Times
are seconds of the clock.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import math
import shlex
from types import coroutine as awaitable
from typing import Any, Callable, Coroutine, Dict, Generator, List, Optional, Tuple

from .door import PROGRAMS, carry_out
from .output import Part
from .world import World

Condition = Callable[[], bool]
Answer = Tuple[int, bytes]


class VirtualEvent:
    """See clock.Event."""

    def __init__(self, clock: VirtualClock):
        self._clock = clock
        self._happened = False
        self._waiters: List[Callable[[], Any]] = []

    def set(self) -> None:
        """It has happened: whoever waits goes on, at this moment of the clock."""
        self._happened = True
        for resume in self._waiters:
            self._clock.call_later(0.0, resume)
        self._waiters = []

    @awaitable
    def wait(self) -> Generator[Any, None, None]:
        """Wait until it has happened."""
        if not self._happened:
            yield self._waiters


class VirtualClock:
    """The clock of a world (see clock.Clock), and of whoever talks to it.

    A client waits with sleep() and run_until(), which do what is due meanwhile; it may be handed
    the clock in place of the module time. Several clients at once are run by together().
    """

    alone = contextlib.nullcontext()

    def __init__(self, start: float = 1000.0):
        self.now = start
        self._due: List[Tuple[float, int, Callable[[], Any]]] = []
        self._number = 0
        self._hand_over: Optional[Callable[[Optional[Condition], float], bool]] = None

    def monotonic(self) -> float:
        """See clock.Clock."""
        return self.now

    def time(self) -> float:
        """The same, for who asks for seconds since the epoch."""
        return self.now

    # -- for the world -----------------------------------------------------------------------

    @awaitable
    def delay(self, seconds: float) -> Generator[Any, None, None]:
        """See clock.Clock."""
        yield float(seconds)

    @awaitable
    def never(self) -> Generator[Any, None, None]:
        """See clock.Clock."""
        yield []

    def event(self) -> VirtualEvent:
        """See clock.Clock."""
        return VirtualEvent(self)

    def call_later(self, seconds: float, action: Callable[[], Any]) -> None:
        """See clock.Clock."""
        self._number += 1
        heapq.heappush(self._due, (self.now + max(seconds, 0.0), self._number, action))

    # -- for its clients ---------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        """Let so much time pass, and do what is due in it. As time.sleep: ValueError below 0."""
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        self.run_until(None, self.now + seconds)

    def run_until(self, condition: Optional[Condition], deadline: float = math.inf) -> bool:
        """Do what is due, in its order, until the condition is true; returns whether it is. At the
        deadline (a moment of the clock), or when nothing is due any more, it is given up."""
        if self._hand_over is not None:
            return self._hand_over(condition, deadline)
        while not (condition and condition()):
            if not self._due or self._due[0][0] > deadline:
                if deadline > self.now and deadline < math.inf:
                    self.now = deadline
                return False
            self._do_next()
        return True

    def _do_next(self) -> None:
        moment, _, action = heapq.heappop(self._due)
        if moment > self.now:
            self.now = moment
        action()

    def together(self, *clients: Callable[[], Any]) -> None:
        """Run several clients at once, as two agents that fence at the same time: each runs until
        it waits, then another one that need not wait any more. Returns when all have ended."""
        import greenlet  # needed for this alone

        hub = greenlet.getcurrent()
        waiting: Dict[Any, Tuple[Optional[Condition], float]] = {}

        def hand_over(condition: Optional[Condition], deadline: float) -> bool:
            waiting[greenlet.getcurrent()] = (condition, deadline)
            return hub.switch()

        self._hand_over, outer = hand_over, self._hand_over
        try:
            for client in clients:
                greenlet.greenlet(client).switch()
            while waiting:
                self._wake_one(waiting)
        finally:
            self._hand_over = outer

    def _wake_one(self, waiting: Dict[Any, Tuple[Optional[Condition], float]]) -> None:
        """Let the first client go on that need not wait any more, or do what is due next."""
        for client, (condition, _) in waiting.items():
            if condition and condition():
                del waiting[client]
                client.switch(True)
                return
        client = min(waiting, key=lambda client: waiting[client][1])
        deadline = waiting[client][1]
        if self._due and self._due[0][0] <= deadline:
            self._do_next()
            return
        if self.now < deadline < math.inf:
            self.now = deadline
        del waiting[client]
        client.switch(False)


class _Task:
    """A coroutine of the world that runs in virtual time."""

    __slots__ = ("_clock", "_coroutine", "_on_end", "_over")

    def __init__(self, clock: VirtualClock, coroutine: Coroutine[Any, Any, int],
                 on_end: Callable[[int], None]):
        self._clock = clock
        self._coroutine = coroutine
        self._on_end = on_end
        self._over = False

    def go_on(self) -> None:
        """Run to its next wait, or to its end."""
        if self._over:
            return
        try:
            wait = self._coroutine.send(None)
        except StopIteration as end:
            self._over = True
            self._on_end(end.value)
            return
        if type(wait) is float:  # a delay; else who waits for an event
            self._clock.call_later(wait, self.go_on)
        else:
            wait.append(self.go_on)

    def kill(self) -> None:
        """End it where it stands."""
        if not self._over:
            self._over = True
            self._coroutine.close()


class LineBroken(Exception):
    """The session's line is broken. answers: what had arrived, None for what had not."""

    def __init__(self, answers: List[Optional[Answer]]):
        super().__init__("the line is broken")
        self.answers = answers


@functools.lru_cache(maxsize=8192)
def _words(command: str) -> Tuple[Tuple[str, ...], str]:
    """A command's words, and the same as one line."""
    words = tuple(shlex.split(command))
    return words, " ".join(words)


class _VirtualCall:
    """One command of a request: see output.Call. text: what it has printed."""

    __slots__ = ("argv", "line", "session", "text", "status", "_session")

    def __init__(self, session: VirtualLine, command: str):
        words, self.line = _words(command)
        self.argv = list(words)
        self.session = session.number
        self.text = b""
        self.status: Optional[int] = None
        self._session = session

    async def show(self, parts: List[Part]) -> None:
        self.text += b"".join([text for _, text in parts])

    async def cut(self, parts: List[Part], how: str) -> None:
        await self.show(parts)
        self._session.cut(how)
        await self._session.world.clock.never()

    async def pass_on(self) -> int:
        raise ValueError("in virtual time there is no other shell for %r" % self.line)


class VirtualLine:
    """One ssh session, logged in, whose shell reads requests of one or two commands.

    What it shows is what comes out of the agent's read loop at the other end of a line: the two
    commands run side by side, two's answer comes when two ends, one's when both have ended, and
    stderr comes among stdout. keepalive: seconds after which a client notices that its line is
    dead; None: never.
    """

    def __init__(self, world: World, keepalive: Optional[float] = None):
        self.world = world
        self.number = world.new_session()
        self.clock: Any = world.clock
        self._keepalive = keepalive
        self._tasks: List[_Task] = []
        self._calls: List[_VirtualCall] = []
        self._answers: List[Optional[Answer]] = []
        self._broken = False
        self._muted = False

    def ask(self, commands: List[str], bound: float) -> List[Optional[Answer]]:
        """Run one command line, or two side by side, for at most `bound` seconds.

        Returns (status, bytes) for each, None for what has not arrived: then the line is of no more
        use but for close(). Raises LineBroken where it breaks.
        """
        deadline = self.clock.now + bound
        self._answers = [None] * len(commands)
        blocked = any(call.status is None for call in self._calls)
        if not (self._broken or self._muted or blocked):
            self._calls = [_VirtualCall(self, command) for command in commands]
            for call in list(self._calls):
                self._start(call)
        self.clock.run_until(self._settled, deadline)
        if self._broken:
            raise LineBroken(list(self._answers))
        return list(self._answers)

    def close(self) -> None:
        """End the session, and what still runs in it."""
        self._broken = True
        for task in self._tasks:
            task.kill()
        self._tasks = []

    def _settled(self) -> bool:
        return self._broken or None not in self._answers

    def _start(self, call: _VirtualCall) -> None:
        if self._broken:
            return
        if not call.argv:
            self._ended(call, 0)
        elif call.argv[0] not in PROGRAMS:
            call.text = b"sh: %s: not found\n" % call.argv[0].encode("utf-8", "surrogateescape")
            self._ended(call, 127)
        else:
            task = _Task(self.clock, carry_out(self.world, call),
                         lambda status: self._ended(call, status))
            self._tasks.append(task)
            task.go_on()

    def _ended(self, call: _VirtualCall, status: int) -> None:
        call.status = status
        if self._muted or self._broken:
            return
        # the last command's answer comes when it ends; that of one before it waits for it
        for place in reversed(range(len(self._calls))):
            done = self._calls[place]
            if done.status is None:
                return
            self._answers[place] = (done.status, done.text)

    def cut(self, how: str) -> None:
        """The line breaks ("silent", "dead": it is heard of no more)."""
        if how not in ("silent", "dead"):
            self._break()
            return
        self._muted = True
        if how == "dead" and self._keepalive is not None:
            self.clock.call_later(self._keepalive, self._break)

    def _break(self) -> None:
        self._broken = True
        self.clock.call_later(0.0, self.close)  # not from inside one of its commands

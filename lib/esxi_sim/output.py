"""What a command of the host's shell prints, and the call that it answers."""

from __future__ import annotations

from typing import Any, List, Protocol, Tuple, Union

from .clock import Clock
from .faults import Answer
from .texts import to_bytes

Part = Tuple[str, bytes]


class Call(Protocol):
    """One running command, as the shell around the world started it.

    argv: the command and its arguments; line: the same as one text. session: number of the ssh
    session it runs in.
    """

    argv: List[str]
    line: str
    session: int

    async def show(self, parts: List[Part]) -> None:
        """Print ("out" or "err", bytes), in order; returns when it is printed."""

    async def cut(self, parts: List[Part], how: str) -> None:
        """Print the parts, then do to the session's line what LineCut.when says: it falls
        "silent", it is "dead", or it breaks (any other word)."""

    async def pass_on(self) -> int:
        """Let the shell's own program of that name run; returns its exit status."""


class Output:
    """What a program prints, in order; shown when it ends, or when it waits.

    held: keep everything to the end, so that it can be cut, spoilt or lost. cause: the command
    line, to be named as the cause of what it does.
    """

    __slots__ = ("parts", "cause", "_call", "_clock", "_held")

    def __init__(self, call: Call, clock: Clock, held: bool):
        self.parts: List[Part] = []
        self.cause = call.line
        self._call = call
        self._clock = clock
        self._held = held

    def out(self, text: Union[str, bytes]) -> None:
        """Print on standard output."""
        self.parts.append(("out", to_bytes(text)))

    def err(self, text: Union[str, bytes]) -> None:
        """Print on standard error."""
        self.parts.append(("err", to_bytes(text)))

    def answer(self, answer: Answer) -> int:
        """Print a whole answer; returns its status."""
        self.out(answer.stdout)
        self.err(answer.stderr)
        return answer.status

    async def wait_for(self, event: Any) -> None:
        """Show what was printed so far, and wait for an event of the clock."""
        await self._show()
        await event.wait()

    async def hang(self) -> int:
        """Show what was printed so far, and never end."""
        await self._show()
        await self._clock.never()
        return 255

    async def _show(self) -> None:
        if not self._held:
            parts, self.parts = self.parts, []
            await self._call.show(parts)


def first_half(parts: List[Part]) -> List[Part]:
    """The first half of the bytes of an answer."""
    room = sum(len(text) for _, text in parts) // 2
    kept = []
    for stream, text in parts:
        kept.append((stream, text[:room]))
        room -= len(text[:room])
    return kept

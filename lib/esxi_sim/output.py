"""Where a host command prints to: straight to the shell, or gathered to be spoilt first."""

from __future__ import annotations

from typing import List, Tuple, Union

from .calls import Call
from .faults import Answer
from .texts import to_bytes


class Output:
    """What a command prints, in order.

    gathered: keep everything instead of printing it, so that it can be cut, spoilt or lost.
    cause: the command line, to be named as the cause of what it does.
    """

    def __init__(self, call: Call, gathered: bool):
        self._call = call
        self._gathered = gathered
        self.parts: List[Tuple[str, bytes]] = []
        self.cause = call.line

    async def out(self, text: Union[str, bytes]) -> None:
        """Print on standard output."""
        await self._add("out", to_bytes(text))

    async def err(self, text: Union[str, bytes]) -> None:
        """Print on standard error."""
        await self._add("err", to_bytes(text))

    async def answer(self, answer: Answer) -> int:
        """Print a whole answer; returns its status."""
        await self.out(answer.stdout)
        await self.err(answer.stderr)
        return answer.status

    async def hang(self) -> int:
        """Never end."""
        return await self._call.hang()

    async def _add(self, stream: str, text: bytes) -> None:
        if self._gathered:
            self.parts.append((stream, text))
        else:
            await print_part(self._call, stream, text)


async def print_part(call: Call, stream: str, text: bytes) -> None:
    """Print bytes on the command's "out" or "err"."""
    await (call.out if stream == "out" else call.err)(text)


def first_half(parts: List[Tuple[str, bytes]]) -> List[Tuple[str, bytes]]:
    """The first half of the bytes of an answer."""
    room = sum(len(text) for _, text in parts) // 2
    kept = []
    for stream, text in parts:
        kept.append((stream, text[:room]))
        room -= len(text[:room])
    return kept

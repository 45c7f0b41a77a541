"""How the host's own commands in its shell reach the simulator, and get answers.

The scripts in the shell root connect to a port on loopback, send a token, the number of their
ssh session and their arguments, each ended by a NUL, and then do what they are told, line by
line: print this file, exit with that status. So output keeps its order and its bytes, and a
command that is killed is noticed at once: its connection closes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path
from typing import Awaitable, Callable, List, Optional, Set, Tuple

from .output import Part

log = logging.getLogger("esxi_sim")

CallHandler = Callable[["ShellCall"], Awaitable[int]]
LineCutter = Callable[[int, str], None]


class ShellCall:
    """One running command of the shell: see output.Call.

    send: has the script do a step, and returns when it is done. cut_line: called with the number
    of the session and what its line does.
    """

    def __init__(self, argv: List[str], session: int, send: Callable[[str], Awaitable[None]],
                 folder: Path, cut_line: LineCutter):
        self.argv = argv
        self.line = " ".join(argv)
        self.session = session
        self._send = send
        self._folder = folder
        self._cut_line = cut_line

    async def show(self, parts: List[Part]) -> None:
        """See output.Call."""
        for stream, text in parts:
            if text:
                await self._print(text, 3 if stream == "out" else 4)

    async def _print(self, text: bytes, descriptor: int) -> None:
        file = self._folder / ("answer-%s" % secrets.token_hex(8))
        file.write_bytes(text)
        try:
            await self._send("/.sim/busybox cat /.sim/%s >&%d" % (file.name, descriptor))
        finally:
            file.unlink()

    async def cut(self, parts: List[Part], how: str) -> None:
        """See output.Call."""
        await self.show(parts)
        if parts:
            await asyncio.sleep(0.05)  # from the shell's pipe through ssh to the client
        self._cut_line(self.session, how)
        await asyncio.Event().wait()

    async def pass_on(self) -> int:
        """See output.Call. The program takes the place of the script."""
        await self._send("exec /.sim/busybox \"$@\" <&5 >&3 2>&4")
        return 255


class CallServer:
    """Listens on loopback for the host commands; each is given to the handler."""

    def __init__(self, handler: CallHandler, cut_line: LineCutter):
        self.token = secrets.token_hex(8)
        self.port = 0
        self.folder = Path()
        self._handler = handler
        self._cut_line = cut_line
        self._server: Optional[asyncio.AbstractServer] = None
        self._tasks: Set[asyncio.Task] = set()

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and give up every command under way."""
        if self._server:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = await self._read_request(reader)
            if request is not None:
                await self._answer(request, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass  # the command was killed, or somebody else knocked
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _read_request(self, reader: asyncio.StreamReader) -> Optional[Tuple[int, List[str]]]:
        async def word() -> str:
            return (await reader.readuntil(b"\0"))[:-1].decode("utf-8", "surrogateescape")

        if not secrets.compare_digest((await word()).encode("utf-8", "replace"),
                                      self.token.encode()):
            return None
        session = await word()
        count = int(await word())
        return int(session or 0), [await word() for _ in range(count)]

    async def _answer(self, request: Tuple[int, List[str]], reader: asyncio.StreamReader,
                      writer: asyncio.StreamWriter) -> None:
        printed: asyncio.Queue = asyncio.Queue()

        async def send(step: str) -> None:
            writer.write(step.encode() + b"\n")
            await writer.drain()
            await printed.get()

        session, argv = request
        call = ShellCall(argv, session, send, self.folder, self._cut_line)
        work = asyncio.ensure_future(self._handler(call))
        watch = asyncio.ensure_future(_watch(reader, printed))
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                writer.write(b"exit %d\n" % _status(work))
                await writer.drain()
                await watch
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)


def _status(work: "asyncio.Future[int]") -> int:
    failure = work.exception()
    if failure is None:
        return work.result()
    log.error("a host command failed inside the simulator", exc_info=failure)
    return 255


async def _watch(reader: asyncio.StreamReader, printed: asyncio.Queue) -> None:
    """Pass on each "printed" from the command, until its connection closes."""
    while await reader.readline():
        printed.put_nowait(None)

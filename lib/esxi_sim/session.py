"""One ssh session: a busybox ash in the host's root, its pipes or terminal, its end."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import struct
import subprocess
import termios
from dataclasses import dataclass
from typing import Any, Coroutine, Dict, List, Optional, Protocol

import asyncssh

from . import texts
from .login import Login
from .releases import Release
from .shell_root import ShellRoot


@dataclass
class Shell:
    """What every session's shell is started with."""

    root: ShellRoot
    busybox: str
    release: Release
    login: Login
    hostname: str

    @property
    def prompt(self) -> str:
        """PS1 of an interactive shell (facts: 7.2)."""
        where = "$(test \"$PWD\" = / && echo '~' || echo \"$PWD\")"  # \\w knows no ~ for /
        if self.release.old_prompt:
            return where + " # "
        return "[%s@%s:%s] " % (self.login.user, self.hostname.partition(".")[0], where)


class Line(Protocol):
    """The connection a session came through."""

    addresses: str

    def keep(self, work: Coroutine) -> None:
        """Run something for this connection, and hold on to it until it is done."""

    def drop(self) -> None:
        """Break the TCP connection, without a word."""

    def stop_listening(self) -> None:
        """Read nothing from the client any more."""


class ShellSession(asyncssh.SSHServerSession):
    """A shell or a command that a client asked for.

    connection: where it came from. number: names the session to the host commands in it.
    key_options: the options of the authorized_keys line that let the client in. open_sessions:
    where it is entered as long as it is open.
    """

    def __init__(self, shell: Shell, connection: Line, number: int, key_options: Dict[str, Any],
                 open_sessions: Dict[int, ShellSession]):
        self.connection = connection
        self.number = number
        self.muted = False
        self._shell = shell
        self._key_options = key_options
        self._open_sessions = open_sessions
        self._loop = asyncio.get_running_loop()
        self._channel: Any = None
        self._asked: Optional[str] = None
        self._terminal = ""
        self._window = (80, 24)
        self._master = -1
        self._process: Optional[subprocess.Popen] = None
        self._pidfd = -1
        self._end: Any = None
        self._input: Any = None
        self._readers: List[Any] = []
        self._open_readers = 0
        self._early_input: List[Optional[bytes]] = []
        self._over = False

    # -- what the client asks for ----------------------------------------------------------

    def connection_made(self, chan: Any) -> None:
        self._channel = chan

    def pty_requested(self, term_type: str, term_size: Any, term_modes: Any) -> bool:
        restricted = self._key_options.get("restrict") and not self._key_options.get("pty")
        if restricted or self._key_options.get("no-pty"):
            return False
        self._terminal = term_type or "dumb"
        self._window = (term_size[0] or 80, term_size[1] or 24)
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int,
                              pixheight: int) -> None:
        self._window = (width, height)
        self._set_window()

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        self._asked = command
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        return False

    def session_started(self) -> None:
        self._open_sessions[self.number] = self
        self.connection.keep(self._start())

    # -- the shell -------------------------------------------------------------------------

    def _command(self) -> Optional[str]:
        return self._key_options.get("command", self._asked)

    def _environment(self) -> Dict[str, str]:
        login = self._shell.login
        environment = {
            "PATH": "/bin:/sbin", "HOME": "/", "USER": login.user, "LOGNAME": login.user,
            "SHELL": "/bin/sh", "ESXI_SIM_SESSION": str(self.number), "PS1": self._shell.prompt,
            "SSH_CONNECTION": self.connection.addresses,
        }
        if self._terminal:
            environment["TERM"] = self._terminal
        if "command" in self._key_options and self._asked is not None:
            environment["SSH_ORIGINAL_COMMAND"] = self._asked
        return environment

    async def _start(self) -> None:
        command = self._command()
        shell = ["sh"] if command is None else ["sh", "-c", command]
        argv = self._shell.root.argv(shell)
        if self._terminal:
            await self._start_on_terminal(argv, motd=command is None)
        else:
            await self._start_on_pipes(argv)
        if self._process is None:  # killed while its pipes were connected
            self._close_pipes()
            return
        self._pidfd = os.pidfd_open(self._process.pid)
        self._loop.add_reader(self._pidfd, self._ended)
        early, self._early_input = self._early_input, []
        for data in early:
            self._feed(data)
        if self._over:
            self._kill()

    async def _start_on_pipes(self, argv: List[str]) -> None:
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=self._environment(), cwd="/", start_new_session=True, bufsize=0)
        self._process = process
        await self._read_from(process.stdout, None)
        await self._read_from(process.stderr, asyncssh.EXTENDED_DATA_STDERR)
        self._input, _ = await self._loop.connect_write_pipe(asyncio.Protocol, process.stdin)

    async def _start_on_terminal(self, argv: List[str], motd: bool) -> None:
        self._master, slave = os.openpty()
        self._set_window()
        if motd:
            os.write(slave, (texts.stored(self._shell.release.motd) % {}).encode())
        self._process = subprocess.Popen(
            [self._shell.busybox, "setsid", "-c", *argv], stdin=slave, stdout=slave, stderr=slave,
            env=self._environment(), cwd="/")
        os.close(slave)
        reading, writing = os.dup(self._master), os.dup(self._master)
        await self._read_from(os.fdopen(reading, "rb", 0), None)
        self._input, _ = await self._loop.connect_write_pipe(
            asyncio.Protocol, os.fdopen(writing, "wb", 0))

    async def _read_from(self, pipe: Any, datatype: Optional[int]) -> None:
        self._open_readers += 1
        reader, _ = await self._loop.connect_read_pipe(lambda: _Pump(self, datatype), pipe)
        self._readers.append(reader)

    def _set_window(self) -> None:
        if self._master >= 0:
            width, height = self._window
            fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    # -- bytes in both directions ----------------------------------------------------------

    def data_received(self, data: bytes, datatype: Any) -> None:
        self._feed(data)

    def eof_received(self) -> bool:
        self._feed(None)
        return True

    def _feed(self, data: Optional[bytes]) -> None:
        if self.muted:
            return
        if self._input is None:
            self._early_input.append(data)
        elif data is not None:
            self._input.write(data)
        elif self._terminal:
            self._input.write(b"\x04")
        else:
            self._input.close()

    def pass_on(self, data: bytes, datatype: Optional[int]) -> None:
        """Send the shell's output to the client."""
        if not self._over and not self.muted:
            try:
                self._channel.write(data, datatype)
            except OSError:
                pass  # the client has just gone

    def pause_writing(self) -> None:
        for reader in self._readers:
            reader.pause_reading()

    def resume_writing(self) -> None:
        for reader in self._readers:
            reader.resume_reading()

    # -- the end ---------------------------------------------------------------------------

    def output_ended(self) -> None:
        """One of the shell's outputs is closed by all who held it."""
        self._open_readers -= 1
        self._finish()

    def _ended(self) -> None:
        # Not reaped yet: its number must stay taken as long as its group may have to be killed.
        self._end = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOWAIT)
        self._forget_pidfd()
        self._finish()

    def _forget_pidfd(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _finish(self) -> None:
        """Tell the client the exit status, once the shell ended and its output is through."""
        if self._over or self.muted or self._end is None:
            return
        if self._open_readers > 0 and not self._terminal:
            return
        self._over = True
        if self._end.si_code == os.CLD_EXITED:
            self._channel.exit(self._end.si_status)
        else:
            self._channel.exit_with_signal(signal.Signals(self._end.si_status).name[3:])

    def signal_received(self, signal: str) -> None:
        pass  # sshd 5 to 8 ignore it too

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._over = True
        self._open_sessions.pop(self.number, None)
        self._kill()

    def end(self) -> None:
        """End the shell now; the host stops."""
        self._over = True
        self._kill()

    def _kill(self) -> None:
        """End the shell and all its children, reap it, close everything."""
        process, self._process = self._process, None
        if process is None:
            return
        for leader in _groups_of_session(process.pid) if self._terminal else [process.pid]:
            try:
                os.killpg(leader, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        self._forget_pidfd()
        process.wait()
        self._close_pipes()
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _close_pipes(self) -> None:
        for transport in [*self._readers, self._input]:
            if transport is not None:
                transport.close()


def _groups_of_session(leader: int) -> List[int]:
    """The process groups of a terminal session."""
    groups = {leader}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.getsid(int(entry)) == leader:
                    groups.add(os.getpgid(int(entry)))
            except ProcessLookupError:
                continue
    return sorted(groups)


class _Pump(asyncio.Protocol):
    """Passes the shell's output on to its session."""

    def __init__(self, session: ShellSession, datatype: Optional[int]):
        self._session = session
        self._datatype = datatype

    def data_received(self, data: bytes) -> None:
        self._session.pass_on(data, self._datatype)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._session.output_ended()

"""A place for a cluster that leaves no trace: process, mount and network namespaces of its own.

Everything in the room descends from one process. When that process ends, the kernel ends all
others and takes back mounts, links and files, so there is nothing to tidy up and nothing to forget.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .userland import NAMESPACES

#: Where the room's own file system is, as seen in the room. Every Linux has this mount point.
ROOM = "/dev/shm"
IN_ROOM = Path(__file__).parent / "in_room"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class RoomError(Exception):
    """A command of the harness itself failed; the message has the command and what it printed."""


def start_time(pid: int) -> str:
    """When the process started, in clock ticks: with the pid it names one process for ever."""
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[19]


def is_alive(pid: int) -> bool:
    """Whether the process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Room:
    """Namespaces held by process `pid` (as this process sees it)."""

    pid: int
    launcher: subprocess.Popen[str] | None = None

    @classmethod
    def open(cls, *, detached: bool = False) -> Room:
        """Make a room. It ends with this process, whatever ends that; a detached one stays."""
        launcher = subprocess.Popen(
            [*NAMESPACES,
             "bash", str(IN_ROOM / "room_init.sh"), "detached" if detached else "attached"],
            stdin=subprocess.DEVNULL if detached else subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert launcher.stdout is not None
        if launcher.stdout.readline() != "ready\n":
            launcher.kill()
            raise RoomError(f"no namespaces of our own: {launcher.communicate()[1].strip()}")
        children = Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text()
        return cls(int(children), launcher)

    def close(self) -> None:
        """End the room and everything in it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 9)
        while is_alive(self.pid):
            time.sleep(0.02)
        if self.launcher is not None:
            self.launcher.wait(20)
            for pipe in (self.launcher.stdin, self.launcher.stdout, self.launcher.stderr):
                if pipe is not None:
                    pipe.close()

    def path(self, path: str) -> Path:
        """The room's own file `path` (relative to its file system) as seen from outside."""
        return Path(f"/proc/{self.pid}/root{ROOM}") / path

    def file_of(self, pid: str, path: str) -> Path:
        """A file as the process `pid` of the room (a node's, say) sees it, seen from outside."""
        return Path(f"/proc/{self.pid}/root/proc/{pid}/root") / path.lstrip("/")

    def command(self, *argv: str) -> list[str]:
        """The command line that runs argv in the room."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-p", "-i", "--wdns=/",
                "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *argv]  # fmt: skip

    def run(self, *argv: str, stdin: str = "", timeout: float = 60) -> str:
        """Run a command of the harness in the room; what it prints, or RoomError if it fails."""
        done = subprocess.run(
            self.command(*argv), input=stdin, text=True, capture_output=True, timeout=timeout
        )
        if done.returncode != 0:
            raise RoomError(
                f"{shlex.join(argv)} ended with {done.returncode}: {done.stdout}{done.stderr}"
            )
        return done.stdout

    def start(self, *argv: str, log: str) -> int:
        """Start a program that lives as long as the room; its pid in the room."""
        script = 'log=$1; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!'
        return int(self.run("bash", "-c", script, "start", f"{ROOM}/{log}", *argv))

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Make the room's file `path`, with the directories above it."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

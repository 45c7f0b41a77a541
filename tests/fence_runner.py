"""Start the agent as a process, as an admin types it or as Pacemaker does, and see what it says.

Whatever it says is kept in the folder $FENCE_ESXI_LOGS, where no_secrets.py looks for passwords:
let every password of a test contain MARKER.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Stands in every password and passphrase of the tests, and nowhere else.
MARKER = "hUsh7Qx"
PASSWORD = f"{MARKER} Secret"
PROJECT = Path(__file__).parents[1]
AGENT = os.environ.get("FENCE_ESXI_AGENT") or str(PROJECT / "agents" / "esxi" / "fence_esxi.py")
INTERPRETER = os.environ.get("FENCE_ESXI_PYTHON", "/usr/bin/python3")

#: All that the fencer of Pacemaker leaves in the environment of an agent.
PACEMAKER = {
    "PCMK_service": "pacemaker-fenced",
    "LC_ALL": "C",
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
}
#: Parameters whose option on the command line has another name.
LONG_OPTIONS = {"cmd_prompt": "command-prompt", "port": "plug", "ipaddr": "ip", "login": "username",
                "passwd": "password"}  # fmt: skip
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Run:
    """What came of one call of the agent; seconds: how long it took."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def log(self) -> str:
        """Its standard error without the date and time of each line."""
        return PREFIX.sub("", self.stderr)


class Fence:
    """A call of the agent that is running.

    way: "typed" (options on the command line), "stdin" (name=value lines on standard input), or
    "pacemaker" (the same, in the environment that Pacemaker gives an agent). parameters: names as
    on standard input; True stands for an option without a value. more: further arguments or lines.
    within: arguments put before the agent, such as those of unshare.
    """

    def __init__(self, way: str = "typed", *, more: Sequence[str] = (), within: Sequence[str] = (),
                 environment: dict[str, str] | None = None, **parameters: object):  # fmt: skip
        options: list[str] = []
        lines = ""
        if way == "typed":
            options = [*command_line(parameters), *more]
        else:
            lines = "".join(f"{line}\n" for line in [*standard_input(parameters), *more])
        if environment is None:
            environment = PACEMAKER if way == "pacemaker" else dict(os.environ)
        if "PYTHONPATH" in os.environ:
            environment = {**environment, "PYTHONPATH": os.environ["PYTHONPATH"]}
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            [*within, INTERPRETER, AGENT, *options],
            env=environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
        )
        assert self._process.stdin
        self._process.stdin.write(lines)
        self._process.stdin.close()
        self._process.stdin = None
        self.pid = self._process.pid

    def end(self, within: float = 70) -> Run:
        """Wait for its end; one that takes longer than that many seconds is ended and an error."""
        try:
            stdout, stderr = self._process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        keep_for_search(stdout + stderr)
        seconds = time.monotonic() - self._started
        return Run(self._process.returncode, stdout, stderr, seconds)


def fence(way: str = "typed", **parameters: object) -> Run:
    """Call the agent and wait for its end; see Fence."""
    return Fence(way, **parameters).end()  # type: ignore[arg-type]


def command_line(parameters: dict[str, object]) -> list[str]:
    """The parameters as options: {"ip": "esxi1"} as ["--ip=esxi1"]."""
    options = []
    for name, value in parameters.items():
        option = "--" + LONG_OPTIONS.get(name, name).replace("_", "-")
        options.append(option if value is True else f"{option}={value}")
    return options


def standard_input(parameters: dict[str, object]) -> list[str]:
    """The parameters as the lines an agent reads: {"ip": "esxi1"} as "ip=esxi1"."""
    return [f"{name}={1 if value is True else value}" for name, value in parameters.items()]


def keep_for_search(text: str) -> None:
    """Keep what the agent said for the search for passwords at the end of the suite."""
    folder = os.environ.get("FENCE_ESXI_LOGS")
    if folder:
        log = Path(folder) / f"{os.getpid()}-{next(_numbers)}.log"
        log.write_text(text, encoding="utf-8", errors="surrogateescape")

"""Start the agent as a process, as an admin types it or as Pacemaker does, and see what it says.

Fence is a call that runs, Node a place to call from. Whatever the agent says is kept in the folder
$FENCE_ESXI_LOGS, where no_secrets.py looks for passwords: let every password of a test contain
MARKER.
"""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from esxi_sim import Host

#: Stands in every password and passphrase of the tests, and nowhere else.
MARKER = "hUsh7Qx"
#: Of the simulated hosts; holds blanks and what a shell would read.
PASSWORD = f"{MARKER} $HOME 'n 1!"
PROJECT = Path(__file__).parents[1]
# FENCE_ESXI_AGENT puts another one in its place
AGENT = os.environ.get("FENCE_ESXI_AGENT") or str(PROJECT / "agents" / "esxi" / "fence_esxi.py")
INTERPRETER = os.environ.get("FENCE_ESXI_PYTHON", "/usr/bin/python3")

#: What an admin's shell gives an agent.
SHELL = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}
#: All that the fencer of Pacemaker leaves in the environment of an agent.
PACEMAKER = {
    "PCMK_service": "pacemaker-fenced",
    "LC_ALL": "C",
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
}
#: Keeps ssh out of the home directory of who runs the tests.
OWN_FILES = "-F none -o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile="
#: Parameters whose option on the command line has another name.
LONG_OPTIONS = {"cmd_prompt": "command-prompt", "port": "plug", "ipaddr": "ip", "login": "username",
                "passwd": "password"}  # fmt: skip
#: The release of the fencing library that brought an option or action; before plug_separator a
#: comma always separated.
LIBRARY_SINCE = {"manpage": (4, 2), "verbose_level": (4, 6), "disable_timeout": (4, 7),
                 "plug_separator": (4, 12)}  # fmt: skip
#: A run that is longer than that many seconds is past every bound, and is ended.
LONGEST_RUN = 75.0
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", re.MULTILINE)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Run:
    """What came of one call of the agent. started, ended: seconds since the epoch.

    seconds: wall time. starved: how much of it the agent could have run but had no processor,
    which says something about this machine and nothing about the agent.
    """

    status: int
    stdout: str
    stderr: str
    started: float
    ended: float
    seconds: float
    starved: float

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
            environment = PACEMAKER if way == "pacemaker" else SHELL
        if "PYTHONPATH" in os.environ:
            environment = {**environment, "PYTHONPATH": os.environ["PYTHONPATH"]}
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self._started, self._clock = time.time(), time.monotonic()
        with tempfile.TemporaryFile() as stdin:
            stdin.write(lines.encode("utf-8", "surrogateescape"))
            stdin.seek(0)
            self._process = subprocess.Popen(
                [*within, INTERPRETER, AGENT, *options],
                env=environment, cwd="/", stdin=stdin, stdout=self._out, stderr=self._err,
            )  # fmt: skip
        self.pid = self._process.pid

    def end(self) -> Run:
        """Wait for its end."""
        watchdog = threading.Timer(LONGEST_RUN, self._process.kill)
        watchdog.start()
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        seconds, ended = time.monotonic() - self._clock, time.time()
        starved = seconds_without_processor(self.pid)
        status = self._process.wait()
        watchdog.cancel()
        stdout, stderr = _text(self._out), _text(self._err)
        keep_for_search(stdout + stderr)
        return Run(status, stdout, stderr, self._started, ended, seconds, starved)


class Node:
    """Where the agent is called from, with all it needs to act on a host.

    folder: the test's own, for known_hosts and keys. within: see Fence; of every call.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.within: Sequence[str] = ()
        self.known_hosts = folder / "known_hosts"

    @property
    def ssh_options(self) -> str:
        """The ssh_options that keep ssh to the test's own folder."""
        return f"{OWN_FILES}{self.known_hosts}"

    def parameters(self, host: Host, action: str, plug: str | None = None,
                   **others: object) -> dict[str, object]:  # fmt: skip
        """All that the agent needs; others replace those of the same name, None leaves one out."""
        given = {"ip": host.address, "ipport": host.port, "username": host.login.user,
                 "password": host.login.password, "ssh_options": self.ssh_options,
                 "action": action, "plug": plug, **others}  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    def __call__(self, host: Host, action: str, plug: str | None = None, *words: str,
                 **environment: str) -> Run:  # fmt: skip
        """The command line, with the options' long names; more words may follow."""
        return self.typed([*command_line(self.parameters(host, action, plug)), *words],
                          **environment)  # fmt: skip

    def as_pacemaker(self, host: Host, action: str, plug: str | None = None,
                     **others: object) -> Run:  # fmt: skip
        """stdin, as pacemaker-fenced fills it; plug= is what Pacemaker 3.0.3 and later calls it."""
        node = {} if action in ("list", "list-status", "monitor") else {"nodename": "node1"}
        given = self.parameters(host, action, plug, **others)
        return self.piped(standard_input({**node, **given}))

    def typed(self, words: Sequence[str], **environment: str) -> Run:
        """The agent with these words."""
        return self._run("typed", words, {**SHELL, **environment})

    def piped(self, lines: Sequence[str]) -> Run:
        """The agent with these lines on its stdin, in the environment Pacemaker gives it."""
        return self._run("pacemaker", lines, PACEMAKER)

    def _run(self, way: str, more: Sequence[str], environment: dict[str, str]) -> Run:
        """No run may end in a traceback."""
        run = Fence(way, more=more, environment=environment, within=self.within).end()
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def library_has(self, feature: str) -> bool:
        """Whether the fencing library is new enough for a feature of LIBRARY_SINCE."""
        script = ('import sys; sys.path.append("/usr/share/fence"); import fencing; '
                  "print(fencing.RELEASE_VERSION)")  # fmt: skip
        release = subprocess.run([INTERPRETER, "-c", script], capture_output=True, text=True,
                                 check=True).stdout.split(".")  # fmt: skip
        return tuple(int(number) for number in release[:2]) >= LIBRARY_SINCE[feature]

    def debug_log(self) -> str:
        """What was written to the file `debug` in the folder; kept for the search, too."""
        text = (self.folder / "debug").read_text(encoding="utf-8", errors="surrogateescape")
        keep_for_search(text)
        return text


def fence(host: Host, action: str, plug: str | None = None, way: str = "pacemaker",
          **options: Any) -> Run:  # fmt: skip
    """One run of the agent against a host whose key it knows.

    options: by their names on stdin, such as missing_as_off.
    """
    with tempfile.TemporaryDirectory(prefix="fence_esxi-") as folder:
        node = Node(Path(folder))
        node.known_hosts.write_text(host.host_key_line() + "\n")
        pinned = {"known_hosts": node.known_hosts, "ssh_options": None}
        return Fence(way, **node.parameters(host, action, plug, **{**pinned, **options})).end()


def said(run: Run) -> tuple[str, int]:
    """What a run printed and its exit status, to be compared in one go."""
    return run.stdout, run.status


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


def seconds_without_processor(pid: int) -> float:
    """Time a process that has just ended spent waiting for a processor (proc(5): schedstat)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def keep_for_search(text: str) -> None:
    """Keep what the agent said for the search for passwords at the end of the suite."""
    folder = os.environ.get("FENCE_ESXI_LOGS")
    if folder:
        log = Path(folder) / f"{os.getpid()}-{next(_numbers)}.log"
        log.write_text(text, encoding="utf-8", errors="surrogateescape")


def _text(file: IO[bytes]) -> str:
    """All of a file, which is closed then; line ends as Python's, as a reader of the pipe sees."""
    file.seek(0)
    with file:
        return file.read().decode("utf-8", "surrogateescape").replace("\r\n", "\n")

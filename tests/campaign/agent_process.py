"""Run the agent as Pacemaker does: a process of its own, the options on its standard input."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from esxi_sim import Host
from fence_runner import keep_for_search

PROJECT = Path(__file__).resolve().parents[2]
# FENCE_ESXI_AGENT puts another one in its place
AGENT = Path(os.environ.get("FENCE_ESXI_AGENT", PROJECT / "agents/esxi/fence_esxi.py"))
# what Pacemaker leaves an agent of its environment
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE = {"PATH": PATH, "LC_ALL": "C", "PCMK_service": "pacemaker-fenced"}
SHELL = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
# a run that is longer than that is past every bound, and is ended
LONGEST_RUN = 75.0


@dataclass(frozen=True)
class AgentRun:
    """How a run of the agent ended. started, ended: seconds since the epoch.

    seconds: wall time. starved: how much of it the agent could have run but had no processor,
    which says something about this machine and nothing about the agent.
    """

    status: int
    out: str
    err: str
    started: float
    ended: float
    seconds: float
    starved: float


@contextlib.contextmanager
def esxi(*vms: Any, **switches: Any) -> Iterator[Host]:
    """A simulated host that runs as long as the block does; arguments as Host's."""
    with Host(vms=vms, **switches) as host:
        yield host


def fence(host: Host, action: str, plug: str | None = None, service: bool = True,
          **options: Any) -> AgentRun:
    """One run of the agent against a host.

    service: in the environment Pacemaker gives, where the library takes all time limits away.
    options: by their names on stdin, such as missing_as_off.
    """
    with tempfile.TemporaryDirectory(prefix="fence_esxi-") as name:
        folder = Path(name)
        (folder / "known_hosts").write_text(host.host_key_line() + "\n")
        given = {"action": action, "ip": host.address, "ipport": host.port,
                 "username": host.login.user, "password": host.login.password,
                 "known_hosts": folder / "known_hosts", "plug": plug, **options}
        lines = "".join("%s=%s\n" % pair for pair in given.items() if pair[1] is not None)
        (folder / "stdin").write_text(lines, encoding="utf-8")
        return _run(AGENT, folder, SERVICE if service else SHELL)


def _run(agent: Path, folder: Path, environment: dict[str, str]) -> AgentRun:
    out, err = folder / "stdout", folder / "stderr"
    started, clock = time.time(), time.monotonic()
    with (folder / "stdin").open() as stdin, out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen([str(agent)], stdin=stdin, stdout=stdout, stderr=stderr,
                                   env=environment)
    watchdog = threading.Timer(LONGEST_RUN, process.kill)
    watchdog.start()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    seconds, ended = time.monotonic() - clock, time.time()
    starved = _seconds_without_processor(process.pid)
    status = process.wait()
    watchdog.cancel()
    keep_for_search(_text(out) + _text(err))
    return AgentRun(status, _text(out), _text(err), started, ended, seconds, starved)


def _seconds_without_processor(pid: int) -> float:
    """Time a process that has just ended spent waiting for a processor (proc(5): schedstat)."""
    return int(Path("/proc/%d/schedstat" % pid).read_text().split()[1]) / 1e9


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")

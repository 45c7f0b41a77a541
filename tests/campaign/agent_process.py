"""Run the agent as Pacemaker does: a process of its own, the options on its standard input."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

from esxi_sim import Host

AGENT = Path(__file__).resolve().parents[2] / "agents/esxi/fence_esxi.py"
# what Pacemaker leaves an agent of its environment
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SERVICE = {"PATH": PATH, "LC_ALL": "C", "PCMK_service": "pacemaker-fenced"}
SHELL = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
# a run that is longer than that is past every bound, and is ended
LONGEST_RUN = 75.0


@dataclass(frozen=True)
class AgentRun:
    """How a run of the agent ended. started, ended: seconds since the epoch; seconds: wall time."""

    status: int
    out: str
    err: str
    started: float
    ended: float
    seconds: float


@contextlib.contextmanager
def esxi(*vms: Any, **switches: Any) -> Iterator[Host]:
    """A simulated host that runs as long as the block does; arguments as Host's."""
    with Host(vms=vms, **switches) as host:
        yield host


def fence(host: Host, action: str, plug: str | None = None, agent: Path = AGENT,
          service: bool = True, **options: Any) -> AgentRun:
    """One run of the agent against a host.

    service: in the environment Pacemaker gives, where the library takes all time limits away.
    options: by their names on stdin, such as missing_as_off.
    """
    with tempfile.TemporaryDirectory(prefix="fence_esxi-") as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(host.host_key_line() + "\n")
        given = {"action": action, "ip": host.address, "ipport": host.port,
                 "username": host.login.user, "password": host.login.password,
                 "known_hosts": known_hosts, "plug": plug, **options}
        lines = "".join("%s=%s\n" % pair for pair in given.items() if pair[1] is not None)
        return _run(agent, lines, SERVICE if service else SHELL)


def _run(agent: Path, stdin: str, environment: dict[str, str]) -> AgentRun:
    started, clock = time.time(), time.monotonic()
    try:
        done = subprocess.run([str(agent)], input=stdin, env=environment, capture_output=True,
                              encoding="utf-8", errors="replace", timeout=LONGEST_RUN, check=False)
        status, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired as late:
        status, out = -9, _text(late.stdout)
        err = _text(late.stderr) + "(ended after %d s)\n" % LONGEST_RUN
    return AgentRun(status, out, err, started, time.time(), time.monotonic() - clock)


def _text(captured: Any) -> str:
    return captured.decode("utf-8", "replace") if isinstance(captured, bytes) else captured or ""

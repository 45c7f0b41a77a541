"""How the tests of this folder call the agent, and what they compare its messages with."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from esxi_sim import Host
from fence_runner import PASSWORD, Fence, Node, Run

MESSAGES = Path(__file__).parents[1] / "data" / "messages"


class WayIn(Node):
    """Calls the agent with all that it needs to list the VMs of a host."""

    def start(self, host: Host | None, way: str = "typed", *, ssh_options: str = "",
              own_files: str | None = None, **parameters: object) -> Fence:  # fmt: skip
        """Start to list the VMs of the host. A parameter that is None is left out.

        own_files: other ssh_options in the place of those that keep ssh to the test's folder.
        """
        everything: dict[str, object] = {
            "ip": host.address if host else "192.0.2.1",
            "ipport": host.port if host else None,
            "username": "root",
            "password": PASSWORD,
            "action": "list",
            "ssh_options": f"{own_files or self.ssh_options} {ssh_options}",
        }
        everything.update(parameters)
        given = {name: value for name, value in everything.items() if value is not None}
        return Fence(way, **given)  # type: ignore[arg-type]

    def try_to(self, host: Host | None, way: str = "typed", **parameters: object) -> Run:
        """List the VMs of the host, whatever comes of it."""
        return self.start(host, way, **parameters).end()

    def log_in(self, host: Host, way: str = "typed", **parameters: object) -> Run:
        """List the VMs of the host; it must work, without a warning."""
        run = self.try_to(host, way, **parameters)
        assert (run.status, run.stdout) == (0, "node1,1\n"), run.stderr
        assert run.stderr == "" or "verbose" in parameters
        return run

    def fail(self, host: Host | None, way: str = "typed", **parameters: object) -> Run:
        """List the VMs of the host; it must fail, with nothing on standard output."""
        run = self.try_to(host, way, **parameters)
        assert (run.status, run.stdout) == (1, ""), run.stderr
        return run

    def new_key(self, kind: str, passphrase: str = "") -> Path:
        """A new key pair, "rsa", "ecdsa" or "ed25519", in the test's folder."""
        path = self.folder / f"id_{kind}"
        size = ["-b", "2048"] if kind == "rsa" else []
        keygen = ["ssh-keygen", "-q", "-t", kind, *size, "-a", "1", "-N", passphrase, "-f", path]
        subprocess.run(keygen, check=True)
        return path

    def says(self, run: Run, message: str, host: Host | None = None, port: int = 0) -> None:
        """The agent said one line, which is the one stored (see says_line)."""
        lines = [line for line in run.log.splitlines() if line]
        self.says_line("\n".join(lines), message, host, port)
        assert len(lines) == 1

    def says_line(self, line: str, message: str, host: Host | None = None, port: int = 0) -> None:
        """The line is the one in tests/data/messages (see the README there)."""
        line = line.replace(str(self.folder), "FOLDER")
        line = line.replace("Connection reset by", "Connection closed by")
        port = host.port if host else port
        if port:
            line = line.replace(str(port), "PORT")
        if os.environ.get("FENCE_ESXI_REWRITE"):
            (MESSAGES / f"{message}.txt").write_text(line + "\n", encoding="utf-8")
        assert line == self.stored(message)

    @staticmethod
    def stored(message: str) -> str:
        """The line stored under that name."""
        return (MESSAGES / f"{message}.txt").read_text(encoding="utf-8").rstrip("\n")


@contextmanager
def mute_port() -> Iterator[int]:
    """A port of this machine where nobody ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def full_port() -> Iterator[int]:
    """A port of this machine that drops who knocks, as a firewall does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        callers = [socket.socket() for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for caller in callers:
            caller.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine where nobody listens, and nobody else will."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]

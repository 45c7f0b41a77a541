"""A node: a Linux machine made of namespaces, with a power supply and a network cable."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from .room import IN_ROOM, PATH, Room

#: The program a simulated ESXi host runs when the power of a VM changes.
POWER_HOOK = str(IN_ROOM / "power_hook.sh")


@dataclass(frozen=True)
class Result:
    """How a command ended in a node."""

    argv: tuple[str, ...]
    status: int
    output: str
    errors: str

    @property
    def text(self) -> str:
        """Everything it printed."""
        return self.output + self.errors


@dataclass
class Node:
    """`name` is its host name, its name in the cluster, and that of its VM if nothing else is said.

    number: the last part of its addresses.
    """

    room: Room
    name: str
    number: int

    @property
    def address(self) -> str:
        """Its address in the cluster's network."""
        return f"192.168.33.{self.number}"

    def prepare(self, switch: str) -> None:
        """Give the node an empty disk and its settings; to be done once, before power_on.

        switch: the bridge in the room that its cable leads to.
        """
        self._write("address", self.address)
        self._write("mac", f"00:50:56:00:33:{self.number:02}")
        self._write("switch", switch)
        for directory in ("disk", "work", "root"):
            self.room.path(f"nodes/{self.name}/{directory}").mkdir()

    def power_on(self) -> None:
        """Press the button. The node needs some seconds until it is in the cluster."""
        self._power("on")

    def power_off(self) -> None:
        """Pull the plug: every process of the node is gone when this returns."""
        self._power("off")

    def is_running(self) -> bool:
        """Whether the node's process 1 lives."""
        return self._power("state") == "on\n"

    def pull_cable(self) -> None:
        """Take the node off the network; it keeps running."""
        self._write("unplugged", "")
        self.room.run("ip", "link", "set", f"v-{self.name}", "down")

    def plug_cable(self) -> None:
        """The opposite of pull_cable; fine also while the node is off."""
        self.room.path(f"nodes/{self.name}/unplugged").unlink(missing_ok=True)
        if self.is_running():
            self.room.run("ip", "link", "set", f"v-{self.name}", "up")

    def command(self, *argv: str, env: tuple[str, ...] = ("HOME=/root",)) -> list[str]:
        """The command line that runs argv in the node, from outside of the room."""
        pid = self.room.path(f"nodes/{self.name}/pid").read_text().split()[0]
        enter = ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", "--wdns=/",
                 "env", "-i", f"PATH={PATH}", "LANG=C.UTF-8", *env, *argv]  # fmt: skip
        return self.room.command(*enter)

    def run(self, *argv: str, stdin: str = "", timeout: float = 60) -> Result:
        """Run a command as root in the node and wait for its end. Never raises for its failure."""
        if not self.is_up():
            return Result(argv, 255, "", f"{self.name} is off\n")
        done = subprocess.run(
            self.command(*argv), input=stdin, capture_output=True, text=True, timeout=timeout
        )
        return Result(argv, done.returncode, done.stdout, done.stderr)

    def type(self, line: str) -> Result:
        """What an admin gets who types that line in a shell on the node."""
        return self.run("bash", "-c", line)

    def do(self, line: str) -> str:
        """The same, but it must end well: what it printed."""
        done = self.type(line)
        assert done.status == 0, f"{line!r} on {self.name} ended with {done.status}:\n{done.text}"
        return done.text

    def is_up(self) -> bool:
        """Whether commands can be run in it: before that its mounts are still the machine's."""
        try:
            pid = self.room.path(f"nodes/{self.name}/pid").read_text().split()[0]
        except (FileNotFoundError, IndexError):
            return False
        return self.room.file_of(pid, "/run/t3-node").exists()

    def signal(self, signal: str, program: str) -> None:
        """Send a signal to a program of the node, e.g. signal("STOP", "corosync")."""
        self.do(f"kill -{signal} $(pidof {program})")

    def install_agent(self, agent: str, name: str = "fence_esxi") -> None:
        """Put a program into the node's own /usr/sbin, as an admin would."""
        script = 'cat >"$0.new" && chmod 755 "$0.new" && mv "$0.new" "$0"'
        done = self.run("sh", "-c", script, f"/usr/sbin/{name}", stdin=agent)
        assert done.status == 0, done

    def log(self) -> str:
        """Pacemaker's log on the node's disk; readable also while the node is off."""
        path = self.room.path(f"nodes/{self.name}/disk/var/log/pacemaker/pacemaker.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def boots(self) -> int:
        """How often it was booted so far."""
        return sum(line.endswith(" boot") for line in self.console().splitlines())

    def console(self) -> str:
        """What the node printed while it started."""
        path = self.room.path(f"nodes/{self.name}/console.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _write(self, path: str, content: str) -> None:
        self.room.write(f"nodes/{self.name}/{path}", content)

    def _power(self, order: str) -> str:
        return self.room.run("bash", str(IN_ROOM / "power.sh"), self.name, order)

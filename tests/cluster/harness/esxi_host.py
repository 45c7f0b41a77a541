"""A simulated ESXi host in the room: the machine a node's VM runs on, reached over real ssh."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from esxi_sim.control import ask

from .node import POWER_HOOK
from .room import ROOM, Room
from .waiting import wait_for

LIB = Path(__file__).parents[3] / "lib"
PASSWORD = "XXXXXXXX"
#: The host commands that only look; whatever else a host is told is a change.
LOOKS = re.compile(
    r"vim-cmd vmsvc/(getallvms|power\.getstate \d+|get\.summary \d+|message \d+)"
    r"|(esxcli|localcli) vm process list|ps|readlink .*|grep .*"
)
#: How a change is named in `changes()`: "power.off", "kill -t soft".
CHANGE = re.compile(r"vmsvc/(power\.\w+) (\d+)|vm process (kill -t \w+)")


@dataclass
class EsxiHost:
    """A host at `address`; `vms` maps the name of each of its VMs to the node it is, or "".

    Where its VMs are nodes it has a switch for them, which an uplink joins to the bridge `lan`.
    The host itself is reached on `lan`.
    """

    room: Room
    address: str
    vms: dict[str, str]
    release: str = "6.7"
    registered: list[str] = field(default_factory=list, init=False)
    pid: int = field(default=0, init=False)

    @property
    def _home(self) -> str:
        return f"esxi-{self.address}"

    @property
    def number(self) -> str:
        """The last part of its address."""
        return self.address.rpartition(".")[2]

    @property
    def switch(self) -> str:
        """The bridge its VMs are attached to."""
        return f"vswitch-{self.number}"

    @property
    def _uplink(self) -> str:
        return f"uplink-{self.number}"

    def add_switch(self) -> None:
        """Make the switch and its uplink."""
        port = f"port-{self.number}"
        self.room.run("ip", "link", "add", self.switch, "up", "type", "bridge")
        self.room.run("ip", "link", "add", self._uplink, "up", "master", "lan",
                      "type", "veth", "peer", "name", port)  # fmt: skip
        self.room.run("ip", "link", "set", port, "up", "master", self.switch)

    def cut(self, cut: bool) -> None:
        """Nobody reaches the host itself any more, or again."""
        order = "del" if cut else "add"
        self.room.run("ip", "address", order, f"{self.address}/24", "dev", "lan")

    def cut_switch(self, cut: bool) -> None:
        """The VMs' way to everything outside of the host is dead, or well again."""
        self.room.run("ip", "link", "set", self._uplink, "down" if cut else "up")

    def isolate_switch(self, isolated: bool) -> None:
        """The VMs do not reach those of other isolated switches, but still all ESXi hosts."""
        switch = "on" if isolated else "off"
        self.room.run("bridge", "link", "set", "dev", self._uplink, "isolated", switch)

    def start(self) -> None:
        """Start it and wait until it answers. All its VMs are powered on, with Vmid 14."""
        self._name_nodes(self.vms)
        self.registered = list(self.vms)
        vms = [{"name": name, "vmid": 14 + at} for at, name in enumerate(self.vms)]
        self.room.write(f"{self._home}/vms.json", json.dumps(vms))
        home = f"{ROOM}/{self._home}"
        self.pid = self.room.start(
            "env", f"PYTHONPATH={LIB}", sys.executable, "-m", "esxi_sim",
            "--release", self.release, "--listen", self.address, "--port", "22",
            "--vms", f"{home}/vms.json", "--password", PASSWORD,
            "--power-hook", POWER_HOOK, "--control", f"{home}/control",
            log=f"{self._home}/log",
        )  # fmt: skip
        control = self.room.path(f"{self._home}/control")
        wait_for(f"{self.address} is up: {self.log()}", control.exists, within=15, every=0.05)

    def stop(self) -> None:
        """End it, as pulling its plug would; what its VMs are is not touched."""
        self.room.run("kill", "-KILL", str(self.pid))

    def runs(self, vms: dict[str, str], **details: str) -> None:
        """From now on its VMs are these, powered on; `details` as uuid="..." for all of them."""
        for name in list(self.registered):
            self.retire(name)
        for name, node in vms.items():
            self.add_vm(name, node, **details)

    def add_vm(self, name: str, node: str = "", **details: str) -> None:
        """One VM more, powered on."""
        self._name_nodes({name: node})
        self._ask("add", vm={"name": name, **details})
        self.registered.append(name)

    def retire(self, name: str) -> None:
        """The VM is off and no longer registered; the node it was lives on."""
        self._name_nodes({name: ""})
        log = self.room.path("power.log")
        told = f" {name} = : off\n"
        before = log.read_text().count(told) if log.exists() else 0
        if self.power_of(name) != "off":
            self.set_vm(name, power="off")
            wait_for(
                f"the power of {name} is off",
                lambda: log.exists() and log.read_text().count(told) > before,
                within=10,
                every=0.05,
            )
        self._ask("unregister", vm=name)
        self.registered.remove(name)

    def set(self, **settings: Any) -> None:
        """Set a fault or switch of the host, e.g. set(hostd="hung")."""
        self._ask("set", what=[["", name, value] for name, value in settings.items()])

    def set_vm(self, vm_name: str, **settings: Any) -> None:
        """Set a fault or the power of one VM, e.g. set_vm("t3022cent", off="ignored")."""
        self._ask("set", what=[[vm_name, name, value] for name, value in settings.items()])

    def invalidate(self, vm_name: str) -> None:
        """hostd loses its configuration, while it runs on."""
        self._ask("invalidate", vm=vm_name)

    def power_of(self, vm_name: str) -> str:
        """Whether the VM is really "on", "off" or "suspended", whatever anyone says."""
        return next(vm["power"] for vm in self._ask("vms") if vm["name"] == vm_name)

    def start_afresh(self) -> None:
        """Its own VMs again, all on, its switch well, and nothing in the record."""
        self.cut_switch(False)
        if self.registered != list(self.vms):
            self.runs(self.vms)
        for name in self.vms:
            if self.power_of(name) != "on":
                self.set_vm(name, power="on")
        self.forget()

    def forget(self) -> None:
        """Empty the record."""
        self._ask("clear")

    def record(self) -> list[str]:
        """Every command the host ran, in order."""
        return self._ask("commands")

    def failed_logins(self) -> int:
        """How often a password or key was refused."""
        return int(self._ask("logins")["refused"])

    def dropped(self) -> int:
        """How many connections came to no verdict: dropped, or still silent."""
        logins = self._ask("logins")
        return int(logins["connections"] - logins["accepted"] - logins["refused"])

    def changes(self, node: str = "") -> list[str]:
        """The commands among them that change something: ["power.off", "power.on"].

        With a node's name without those that concern the VM of another one.
        """
        others = {
            str(vm["vmid"]) for vm in self._ask("vms") if node and self._node_of(vm["name"]) != node
        }
        changes = []
        for line in self.record():
            change = CHANGE.search(line)
            of_another = change and change[2] in others
            if not LOOKS.fullmatch(line) and not of_another:
                changes.append((change[1] or change[3]) if change else line)
        return changes

    def log(self) -> str:
        """What the simulator itself printed."""
        path = self.room.path(f"{self._home}/log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _node_of(self, name: str) -> str:
        return self.room.path(f"vms/{name}").read_text()

    def _name_nodes(self, vms: dict[str, str]) -> None:
        for name, node in vms.items():
            self.room.write(f"vms/{name}", node)

    def _ask(self, do: str, **details: Any) -> Any:
        return ask(str(self.room.path(f"{self._home}/control")), {"do": do, **details})

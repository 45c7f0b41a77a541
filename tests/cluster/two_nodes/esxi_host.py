"""A simulated ESXi host in the room: the machine a node's VM runs on, reached over real ssh."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .node import POWER_HOOK, vm_of
from .room import ROOM, Room
from .waiting import wait_for

LIB = Path(os.environ.get("ESXI_SIM_LIB") or Path(__file__).parents[3] / "lib")
PASSWORD = "XXXXXXXX"


@dataclass
class EsxiHost:
    """A host at `address` whose VMs are nodes: `vms` maps a VM's name to the node it is."""

    room: Room
    address: str
    vms: dict[str, str]
    release: str = "6.7"
    pid: int = field(default=0, init=False)

    @property
    def _home(self) -> str:
        return f"esxi-{self.address}"

    def start(self) -> None:
        """Start it and wait until ssh answers. All its VMs are powered on."""
        for vm_name, node in self.vms.items():
            vm_of(self.room, vm_name, node)
        self.room.write(f"{self._home}/record", "")
        vms = [argument for name in self.vms for argument in ("--vm", name)]
        self.pid = self.room.start(
            "env", f"PYTHONPATH={LIB}", sys.executable, "-m", "esxi_sim",
            "--release", self.release, "--listen", self.address, "--port", "22", *vms,
            "--password", PASSWORD, "--power-hook", POWER_HOOK,
            "--record", f"{ROOM}/{self._home}/record", "--control", f"{ROOM}/{self._home}/control",
            log=f"{self._home}/log",
        )  # fmt: skip
        wait_for(f"sshd of {self.address}", self.is_listening, within=15, every=0.05)

    def stop(self) -> None:
        """End it, as pulling its plug would; its VMs' nodes are not touched."""
        script = 'kill -9 "$0"; while kill -0 "$0" 2>/dev/null; do sleep 0.05; done'
        self.room.run("sh", "-c", script, str(self.pid))

    def is_listening(self) -> bool:
        listening = self.room.run("ss", "-Hltn", "src", f"{self.address}:22")
        return bool(listening.strip())

    def record(self) -> list[str]:
        return self.room.path(f"{self._home}/record").read_text().splitlines()

    def log(self) -> str:
        return self.room.path(f"{self._home}/log").read_text()

"""A real Pacemaker cluster of two nodes, t3021cent and t3022cent, in a room of its own."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from .esxi_host import PASSWORD, EsxiHost
from .node import Node
from .room import Room
from .userland import check_usable, root_of
from .waiting import ClusterView, wait_for

#: Time the corosync.conf gives a silent node, plus what a VM needs until its kernel runs: a node
#: that is back before the others have noticed its absence is fenced a second time.
BIOS_SECONDS = 4.0

#: The address of each simulated ESXi host and the node that is its VM.
ESXI_HOSTS = {"192.168.33.12": "t3021cent", "192.168.33.10": "t3022cent"}


class TwoNodes:
    """The cluster: two nodes, the switch between them, and what an admin can ask of it."""

    def __init__(self, room: Room):
        self.room = room
        self.t3021cent = Node(room, "t3021cent", "192.168.33.21", "00:50:56:00:33:21")
        self.t3022cent = Node(room, "t3022cent", "192.168.33.22", "00:50:56:00:33:22")
        self.nodes = [self.t3021cent, self.t3022cent]
        self.hosts = {
            node: EsxiHost(room, address, {node: node}) for address, node in ESXI_HOSTS.items()
        }

    @classmethod
    def build(cls, agent: Path, suite: str | None = None, *, detached: bool = False) -> TwoNodes:
        """Make the room, its switch and the two nodes with `agent` installed, still powered off."""
        check_usable(suite)
        room = Room.open(detached=detached)
        try:
            cluster = cls(room)
            cluster._prepare(agent, root_of(suite))
        except BaseException:
            room.close()
            raise
        return cluster

    def _prepare(self, agent: Path, root: Path) -> None:
        room = self.room
        room.write("lowerdir", str(root))
        self.set_bios_seconds(BIOS_SECONDS)
        room.write("secrets/agent", agent.read_bytes())
        room.write("secrets/corosync.authkey", os.urandom(256), mode=0o600)
        room.write("secrets/pacemaker.authkey", os.urandom(4096), mode=0o600)
        # Without an address of its own a bridge takes one of its ports', another one after each
        # boot of a node, and the other node would talk to the old one for half a minute.
        room.run("ip", "link", "add", "vswitch0", "address", "00:50:56:00:33:01", "type", "bridge")
        for address in ESXI_HOSTS:
            room.run("ip", "address", "add", f"{address}/24", "dev", "vswitch0")
        room.run("ip", "link", "set", "vswitch0", "up")
        for node in self.nodes:
            node.prepare()

    def set_bios_seconds(self, seconds: float) -> None:
        """How long a VM takes from power.on until its kernel runs."""
        self.room.write("bios_seconds", str(seconds))

    def cut_nodes_from_each_other(self) -> None:
        """Both nodes still reach the ESXi hosts, but not each other; stays so over reboots."""
        for node in self.nodes:
            node.isolate(True)

    def join_nodes(self) -> None:
        """The opposite of cut_nodes_from_each_other."""
        for node in self.nodes:
            node.isolate(False)

    def close(self) -> None:
        """End everything, leaving nothing."""
        self.room.close()

    def power_on(self) -> None:
        """Switch on both ESXi hosts, then both nodes."""
        for host in self.hosts.values():
            host.start()
        for node in self.nodes:
            node.power_on()

    def host_of(self, node: Node) -> EsxiHost:
        """The ESXi host whose VM the node is."""
        return self.hosts[node.name]

    def start_afresh(self) -> None:
        """Both hosts well, both nodes online, nothing configured, nothing in the history."""
        self.set_bios_seconds(BIOS_SECONDS)
        self.join_nodes()
        for node in self.nodes:
            node.plug_cable()
            if not node.is_running():
                node.power_on()
        for host in self.hosts.values():
            host.start_afresh()
        self.wait_until_whole()
        self.t3021cent.do("crm_attribute --type crm_config --name stonith-action --delete")
        for section in ("constraints", "resources"):
            self.t3021cent.do(f"cibadmin --replace --scope {section} --xml-text '<{section}/>'")
        wait_for("no devices", lambda: not self.view(self.t3021cent).devices(), within=10)
        self.t3021cent.do("crm_resource --cleanup")
        self.forget()

    def other(self, node: Node) -> Node:
        """The node that is not this one."""
        return self.t3022cent if node is self.t3021cent else self.t3021cent

    def view(self, node: Node) -> ClusterView:
        """What crm_mon says on that node."""
        return ClusterView(node.run("crm_mon", "-1", "--output-as=xml", "--include=all").output)

    def sees_all_online(self, node: Node) -> bool:
        """Whether both nodes are full members in the eyes of that one."""
        view = self.view(node)
        return all(view.is_online(each.name) for each in self.nodes)

    def is_whole(self) -> bool:
        """Whether both nodes are full members in the eyes of both."""
        return all(self.sees_all_online(node) for node in self.nodes)

    def create_devices(self, rs_stonith_01: str = "", rs_stonith_02: str = "") -> None:
        """One device for each node, kept off that node; the strings are further parameters."""
        who = f"username=root password={PASSWORD}"
        for line in (
            f"pcs stonith create rs-stonith-01 fence_esxi ip=192.168.33.10 {who} {rs_stonith_01}",
            f"pcs stonith create rs-stonith-02 fence_esxi ip=192.168.33.12 {who} {rs_stonith_02}",
            "pcs constraint location rs-stonith-01 avoids t3022cent",
            "pcs constraint location rs-stonith-02 avoids t3021cent",
        ):
            self.t3021cent.do(line)
        self.wait_until_started("rs-stonith-01", "rs-stonith-02")
        self.forget()

    def forget(self) -> None:
        """Empty the record of both ESXi hosts and the cluster's fencing history."""
        for host in self.hosts.values():
            host.forget()
        self.t3021cent.do("stonith_admin --cleanup --history '*'")

    def shots_at(self, node: Node) -> int:
        """How often the other node has fenced this one, as its fencing history says.

        One `pcs stonith fence` may lead to two: when Pacemaker hears that the node is lost before
        it hears that the node was fenced, it has it fenced on its own account too.
        """
        events = self.view(self.other(node)).fence_events()
        return sum(e["target"] == node.name and e["status"] == "success" for e in events)

    def was_rebooted(self, node: Node) -> bool:
        """Whether its ESXi host was told power.off and power.on for each shot, and nothing else."""
        shots = self.shots_at(node)
        changes = self.host_of(node).changes()
        return shots > 0 and changes == ["power.off", "power.on"] * shots

    def power_log(self) -> str:
        """When the power of which node went off and on."""
        path = self.room.path("power.log")
        return path.read_text() if path.exists() else ""

    def wait_until_monitored(self, *devices: str, within: float = 30) -> None:
        """Wait until a recurring monitor of each device has passed."""
        for device in devices:
            wait_for(
                f"a recurring monitor of {device} passes",
                partial(self._monitored, device),
                within,
            )

    def _monitored(self, device: str) -> bool:
        return self.view(self.t3021cent).recurring_monitor_passed(device)

    def wait_until_whole(self, within: float = 45) -> None:
        """Wait until both nodes are full members in the eyes of both."""
        wait_for("both nodes online", self.is_whole, within)

    def wait_until_offline(self, node: Node, within: float = 30) -> None:
        """Wait until the other node knows for certain that this one is down."""
        survivor = self.other(node)
        wait_for(
            f"{node.name} OFFLINE in {survivor.name}'s eyes",
            lambda: self.view(survivor).is_offline(node.name),
            within,
        )

    def wait_until_booted(self, node: Node, times: int, within: float = 30) -> None:
        """Wait until the node has been booted so often in all."""
        wait_for(f"{node.name} boots again", lambda: node.boots() == times, within)

    def wait_until_started(self, *devices: str, within: float = 30) -> None:
        """Wait until the fence devices are Started."""
        for device in devices:
            wait_for(
                f"{device} Started",
                partial(self._started_on, device),
                within,
            )

    def _started_on(self, device: str) -> str:
        return self.view(self.t3021cent).started_on(device)

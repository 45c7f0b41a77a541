"""A real Pacemaker cluster, its nodes VMs of simulated ESXi hosts, in a room of its own."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from string import Template

from .esxi_host import PASSWORD, EsxiHost
from .node import Node
from .room import Room
from .userland import check_usable, root_of
from .waiting import ClusterView, wait_for

#: Time the corosync.conf gives a silent node, plus what a VM needs until its kernel runs: a node
#: that is back before the others have noticed its absence is fenced a second time.
BIOS_SECONDS = 4.0

#: The address of each simulated ESXi host and the nodes that are its VMs.
Layout = dict[str, list[str]]
TWO_NODES: Layout = {"192.168.33.12": ["t3021cent"], "192.168.33.10": ["t3022cent"]}
FOUR_NODES: Layout = {
    "192.168.33.12": ["t3021cent", "t3023cent"],
    "192.168.33.10": ["t3022cent", "t3024cent"],
}
COROSYNC = Template(Path(__file__).with_name("corosync.conf").read_text())
COROSYNC_NODE = "    node {{\n        name: {}\n        nodeid: {}\n        ring0_addr: {}\n    }}"


class Cluster:
    """The cluster: nodes, switches, ESXi hosts, and what an admin can ask of it."""

    def __init__(self, room: Room):
        layout: Layout = json.loads(room.path("layout.json").read_text())
        self.room = room
        names = sorted(name for vms in layout.values() for name in vms)
        self.nodes = [Node(room, name, 21 + at) for at, name in enumerate(names)]
        self.esxi_hosts = [
            EsxiHost(room, address, {name: name for name in vms}) for address, vms in layout.items()
        ]

    @classmethod
    def build(
        cls,
        agent: Path,
        suite: str | None = None,
        layout: Layout = TWO_NODES,
        *,
        detached: bool = False,
    ) -> Cluster:
        """Make the room, its switches and the nodes with `agent` installed, still powered off."""
        check_usable(suite)
        room = Room.open(detached=detached)
        try:
            room.write("layout.json", json.dumps(layout))
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
        room.write("files/agent", agent.read_bytes())
        room.write("files/corosync.authkey", os.urandom(256), mode=0o600)
        room.write("files/pacemaker.authkey", os.urandom(4096), mode=0o600)
        room.write("files/corosync.conf", self._corosync_conf())
        room.write("files/hosts", self._names())
        # Without an address of its own a bridge takes one of its ports', another one after each
        # boot of a node, and the nodes would talk to the old one for half a minute.
        room.run("ip", "link", "add", "lan", "address", "00:50:56:00:33:01", "type", "bridge")
        # The first address of an interface takes the others with it when it goes.
        room.run("ip", "address", "add", "192.168.33.1/24", "dev", "lan")
        for host in self.esxi_hosts:
            host.cut(False)
            host.add_switch()
        room.run("ip", "link", "set", "lan", "up")
        for node in self.nodes:
            node.prepare(self.host_of(node).switch)

    def _corosync_conf(self) -> str:
        # Half of the votes is no majority: without a tie-breaker two of four would not go on.
        return COROSYNC.substitute(
            nodes="\n".join(
                COROSYNC_NODE.format(node.name, at, node.address)
                for at, node in enumerate(self.nodes, 1)
            ),
            tie="two_node" if len(self.nodes) == 2 else "auto_tie_breaker",
        )

    def _names(self) -> str:
        """The nodes' /etc/hosts."""
        names = {host.address: f"esxi{host.number}" for host in self.esxi_hosts}
        names |= {node.address: node.name for node in self.nodes}
        return "127.0.0.1 localhost\n" + "".join(f"{a} {name}\n" for a, name in names.items())

    def node(self, name: str) -> Node:
        """The node of that name; KeyError where there is none."""
        return {node.name: node for node in self.nodes}[name]

    @property
    def t3021cent(self) -> Node:
        """The node an admin types on, if nothing else is said."""
        return self.node("t3021cent")

    @property
    def t3022cent(self) -> Node:
        """The node that is shot, if nothing else is said."""
        return self.node("t3022cent")

    def set_bios_seconds(self, seconds: float) -> None:
        """How long a VM takes from power.on until its kernel runs."""
        self.room.write("bios_seconds", str(seconds))

    def cut_hosts_from_each_other(self) -> None:
        """The VMs of one host reach no VM of another, but still all ESXi hosts themselves."""
        for host in self.esxi_hosts:
            host.isolate_switch(True)

    def join_hosts(self) -> None:
        """The opposite of cut_hosts_from_each_other."""
        for host in self.esxi_hosts:
            host.isolate_switch(False)

    def close(self) -> None:
        """End everything, leaving nothing."""
        self.room.close()

    def power_on(self) -> None:
        """Switch on the ESXi hosts, then the nodes."""
        for host in self.esxi_hosts:
            host.start()
        for node in self.nodes:
            node.power_on()

    def host_of(self, node: Node) -> EsxiHost:
        """The ESXi host whose VM the node is."""
        return next(host for host in self.esxi_hosts if node.name in host.vms)

    def start_afresh(self) -> None:
        """All hosts well, all nodes online, nothing configured, nothing in the history."""
        self.set_bios_seconds(BIOS_SECONDS)
        self.join_hosts()
        for node in self.nodes:
            node.plug_cable()
            if not node.is_running():
                node.power_on()
        for host in self.esxi_hosts:
            host.start_afresh()
        self.wait_until_whole()
        # what is taken away while it runs, or is being started, may run on as an orphan
        self.t3021cent.do("crm_attribute --type crm_config --name stop-all-resources --update true")
        self.t3021cent.run("crm_resource", "--wait", "--timeout=40s")
        for section in ("constraints", "resources"):
            self.t3021cent.do(f"cibadmin --replace --scope {section} --xml-text '<{section}/>'")
        wait_for("no devices", lambda: not self.view(self.t3021cent).devices(), within=60)
        for name in ("stop-all-resources", "stonith-action"):
            self.t3021cent.do(f"crm_attribute --type crm_config --name {name} --delete")
        # on a busy machine Pacemaker does one thing after another, fencing included
        self.t3021cent.do("crm_attribute --type crm_config --name load-threshold --update 10000%")
        self.t3021cent.do("crm_resource --cleanup")
        self.forget()

    def other(self, node: Node) -> Node:
        """The first node that is not this one."""
        return next(each for each in self.nodes if each is not node)

    def view(self, node: Node) -> ClusterView:
        """What crm_mon says on that node."""
        return ClusterView(node.run("crm_mon", "-1", "--output-as=xml", "--include=all").output)

    def sees_all_online(self, node: Node) -> bool:
        """Whether all nodes are full members in the eyes of that one."""
        view = self.view(node)
        return all(view.is_online(each.name) for each in self.nodes)

    def is_whole(self) -> bool:
        """Whether all nodes are full members in the eyes of all."""
        return all(self.sees_all_online(node) for node in self.nodes)

    def create_devices(self, rs_stonith_01: str = "", rs_stonith_02: str = "") -> None:
        """One device for each node, kept off that node; the strings are further parameters."""
        who = f"username=root password={PASSWORD}"
        for line in (
            f"pcs stonith create rs-stonith-01 fence_esxi ip=192.168.33.10 {who} {rs_stonith_01}",
            f"pcs stonith create rs-stonith-02 fence_esxi ip=192.168.33.12 {who} {rs_stonith_02}",
            "crm_resource --resource rs-stonith-01 --ban --node t3022cent",
            "crm_resource --resource rs-stonith-02 --ban --node t3021cent",
        ):
            self.t3021cent.do(line)
        self.wait_until_started("rs-stonith-01", "rs-stonith-02")
        self.forget()

    def forget(self) -> None:
        """Empty the record of the ESXi hosts and the cluster's fencing history."""
        for host in self.esxi_hosts:
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
        changes = self.host_of(node).changes(node.name)
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
        """Wait until all nodes are full members in the eyes of all."""
        wait_for("all nodes online", self.is_whole, within)

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

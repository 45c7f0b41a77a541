"""The cluster by hand: one command brings it up and leaves it, one removes every trace."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .cluster import TWO_NODES, Cluster, Layout
from .esxi_host import PASSWORD
from .room import Room, RoomError, start_time
from .userland import Unusable

#: Remembers the room between two commands: pid and start time of its first process.
STATE = Path(os.environ.get("FENCE_ESXI_CLUSTER", "/run/fence_esxi-cluster"))
AGENT = Path(__file__).parents[3] / "agents" / "esxi" / "fence_esxi.py"
#: Time to type pcs status and see a fenced node OFFLINE before it is back.
BIOS_SECONDS_BY_HAND = 15.0
TERM = f"TERM={os.environ.get('TERM', 'dumb')}"
ME = "tests/cluster/cluster.sh"


def running_room() -> Room | None:
    """The room left by `up`, if it is still there."""
    try:
        pid, started = STATE.read_text().split()
        if start_time(int(pid)) == started:
            return Room(int(pid))
    except (OSError, ValueError):
        pass
    return None


def what_next(cluster: Cluster) -> str:
    """What may be tried with that cluster: two nodes as the guide has them, more by themselves."""
    admin, victim = (node.name for node in cluster.nodes[:2])
    lines = []
    for number, host in enumerate(reversed(cluster.esxi_hosts), 1):
        device = f"rs-stonith-{number:02}"
        lines.append(f"exec {admin} pcs stonith create {device} fence_esxi ip={host.address} \\\n"
                     f"        username=root password={PASSWORD} "
                     f"pcmk_host_list={','.join(host.vms)}")  # fmt: skip
        if len(cluster.nodes) == 2:
            lines += [
                f"exec {admin} pcs constraint location {device} avoids {vm}" for vm in host.vms
            ]
    lines += [
        f"exec {admin} pcs status",
        f"exec {admin} pcs stonith fence {victim}",
        f"exec {admin}                    (a shell on the node)",
        "record                            (what the ESXi hosts were told)",
        f"unplug {victim}; {ME} plug {victim}",
        "down                              (removes every trace)",
    ]
    return "Try:\n" + "\n".join(f"    {ME} {line}" for line in lines)


def layout_of(words: list[str]) -> Layout:
    """The layout in words such as "192.168.33.10=t3022cent,t3024cent"."""
    layout = {}
    for word in words:
        address, _, nodes = word.partition("=")
        layout[address] = nodes.split(",")
    return layout or TWO_NODES


def up(agent: Path, suite: str | None, layout: Layout) -> int:
    """Bring the cluster up, all hosts and nodes, and leave it."""
    room = running_room()
    if room:
        print(f"The cluster is up already.\n{what_next(Cluster(room))}")
        return 0
    began = time.monotonic()
    cluster = Cluster.build(agent, suite, layout, detached=True)
    try:
        STATE.write_text(f"{cluster.room.pid} {start_time(cluster.room.pid)}\n")
        cluster.set_bios_seconds(BIOS_SECONDS_BY_HAND)
        cluster.power_on()
        cluster.wait_until_whole()
    except BaseException:
        cluster.close()
        STATE.unlink(missing_ok=True)
        raise
    print(f"All nodes are online after {time.monotonic() - began:.1f} s:")
    for host in cluster.esxi_hosts:
        print(f"    {', '.join(host.vms)} on the simulated ESXi host {host.address}")
    print(what_next(cluster))
    return 0


def down() -> int:
    """End the cluster and remove every trace of it."""
    room = running_room()
    if room:
        room.close()
    STATE.unlink(missing_ok=True)
    print("The cluster is gone." if room else "There was no cluster.")
    return 0


def main() -> int:
    """Do what the command line says; the exit status."""
    parser = argparse.ArgumentParser(prog=ME, description=__doc__)
    orders = parser.add_subparsers(dest="order", required=True)
    order_up = orders.add_parser("up", help="bring the cluster up and leave it for playing")
    order_up.add_argument("--suite", help="run another Debian suite's programs in the nodes")
    order_up.add_argument("--agent", type=Path, default=AGENT, help="default: %(default)s")
    order_up.add_argument(
        "layout", nargs="*", metavar="HOST=NODE,NODE", help="an ESXi host 192.168.33.N and its VMs"
    )
    orders.add_parser("down", help="remove every trace of it")
    orders.add_parser("status", help="show pcs status, or say that there is no cluster")
    orders.add_parser("record", help="show the commands the ESXi hosts were told")
    for name, text in (
        ("exec", "run a command in a node, or a shell"),
        ("on", "press a node's power button"),
        ("off", "cut a node's power"),
        ("plug", "put a node's network cable back"),
        ("unplug", "pull a node's network cable"),
    ):
        order = orders.add_parser(name, help=text)
        order.add_argument("node")
        if name == "exec":
            text = "words as they are, or one line for a shell"
            order.add_argument("command", nargs=argparse.REMAINDER, help=text)
    args = parser.parse_args()

    if args.order == "up":
        return up(args.agent, args.suite, layout_of(args.layout))
    if args.order == "down":
        return down()
    room = running_room()
    if room is None:
        print(f"There is no cluster: {ME} up", file=sys.stderr)
        return 1
    return play(Cluster(room), args)


def play(cluster: Cluster, args: argparse.Namespace) -> int:
    """Do something with the running cluster."""
    if args.order == "record":
        for host in cluster.esxi_hosts:
            print(f"{host.address}:")
            print("".join(f"    {line}\n" for line in host.record()))
        return 0
    if args.order == "status":
        up_nodes = [node for node in cluster.nodes if node.is_up()]
        if up_nodes:
            print(up_nodes[0].run("pcs", "status").text)
        return 0 if up_nodes else 1
    names = [node.name for node in cluster.nodes]
    if args.node not in names:
        print(f"There is no node {args.node!r}, only {', '.join(names)}.", file=sys.stderr)
        return 2
    node = cluster.node(args.node)
    if args.order == "exec":
        if not node.is_up():
            print(f"{node.name} is off, or still starting.", file=sys.stderr)
            return 1
        words = args.command or ["bash", "-i"]
        if len(words) == 1:
            words = ["bash", "-c", words[0]]
        command = node.command(*words, env=("HOME=/root", TERM))
        os.execvp(command[0], command)
    orders = {
        "on": node.power_on,
        "off": node.power_off,
        "plug": node.plug_cable,
        "unplug": node.pull_cable,
    }
    orders[args.order]()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unusable, RoomError, AssertionError) as trouble:
        sys.exit(f"cluster: {trouble}")

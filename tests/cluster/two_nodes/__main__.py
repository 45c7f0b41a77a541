"""The cluster by hand: one command brings it up and leaves it, one removes every trace."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from .cluster import ESXI_HOSTS, TwoNodes
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
WHAT_NEXT = f"""\
Try:
    {ME} exec t3021cent pcs stonith create rs-stonith-01 fence_esxi ip=192.168.33.10 \\
        username=root password={PASSWORD}
    {ME} exec t3021cent pcs stonith create rs-stonith-02 fence_esxi ip=192.168.33.12 \\
        username=root password={PASSWORD}
    {ME} exec t3021cent pcs constraint location rs-stonith-01 avoids t3022cent
    {ME} exec t3021cent pcs constraint location rs-stonith-02 avoids t3021cent
    {ME} exec t3021cent pcs status
    {ME} exec t3021cent pcs stonith fence t3022cent
    {ME} exec t3021cent                    (a shell on the node)
    {ME} record                            (what the ESXi hosts were told)
    {ME} unplug t3022cent; {ME} plug t3022cent
    {ME} down                              (removes every trace)"""


def running_room() -> Room | None:
    """The room left by `up`, if it is still there."""
    try:
        pid, started = STATE.read_text().split()
        if start_time(int(pid)) == started:
            return Room(int(pid))
    except (OSError, ValueError):
        pass
    return None


def up(agent: Path, suite: str | None) -> int:
    """Bring the cluster up, both hosts and both nodes, and leave it."""
    if running_room():
        print(f"The cluster is up already.\n{WHAT_NEXT}")
        return 0
    began = time.monotonic()
    cluster = TwoNodes.build(agent, suite, detached=True)
    try:
        STATE.write_text(f"{cluster.room.pid} {start_time(cluster.room.pid)}\n")
        cluster.set_bios_seconds(BIOS_SECONDS_BY_HAND)
        cluster.power_on()
        cluster.wait_until_whole()
    except BaseException:
        cluster.close()
        STATE.unlink(missing_ok=True)
        raise
    print(f"t3021cent and t3022cent are online after {time.monotonic() - began:.1f} s,")
    print("on the simulated ESXi hosts 192.168.33.12 and 192.168.33.10.")
    print(WHAT_NEXT)
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
        order.add_argument("node", choices=sorted(ESXI_HOSTS.values()))
        if name == "exec":
            order.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()

    if args.order == "up":
        return up(args.agent, args.suite)
    if args.order == "down":
        return down()
    room = running_room()
    if room is None:
        print(f"There is no cluster: {ME} up", file=sys.stderr)
        return 1
    return play(TwoNodes(room), args)


def play(cluster: TwoNodes, args: argparse.Namespace) -> int:
    """Do something with the running cluster."""
    if args.order == "record":
        for host in cluster.hosts.values():
            print(f"{host.address}:")
            print("".join(f"    {line}\n" for line in host.record()))
        return 0
    if args.order == "status":
        up_nodes = [node for node in cluster.nodes if node.is_up()]
        if up_nodes:
            print(up_nodes[0].run("pcs", "status").text)
        return 0 if up_nodes else 1
    node = {each.name: each for each in cluster.nodes}[args.node]
    if args.order == "exec":
        if not node.is_up():
            print(f"{node.name} is off, or still starting.", file=sys.stderr)
            return 1
        command = node.command(*(args.command or ["bash", "-i"]), env=("HOME=/root", TERM))
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

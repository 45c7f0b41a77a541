"""Four nodes on two hosts: the switch of one host dies, and two nodes are gone at once."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from guide import Page, blocks_of, type_as_told
from harness.cluster import FOUR_NODES, Cluster
from harness.node import Node
from harness.waiting import wait_for

PAGE = Page("docs/in-the-cluster.md")
BYSTANDER = "web-1"  # a third VM of the host, no node of the cluster


@pytest.fixture(scope="module")
def running_four(pytestconfig: pytest.Config, agent: Path) -> Iterator[Cluster]:
    cluster = Cluster.build(agent, pytestconfig.getoption("suite"), FOUR_NODES)
    try:
        began = time.monotonic()
        cluster.power_on()
        cluster.wait_until_whole()
        print(f"four nodes are online after {time.monotonic() - began:.1f} s")
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def four(running_four: Cluster) -> Cluster:
    """Four nodes online, with the devices of the page."""
    running_four.start_afresh()
    admin = running_four.t3021cent
    for block in blocks_of(PAGE, "four nodes"):
        if block.mark == "four nodes" or is_before_3(admin):
            type_as_told(admin, block.text)
    # Pacemaker does not fence a node that runs nothing and is lost together with the DC.
    admin.do("pcs resource create work ocf:pacemaker:Dummy clone")
    running_four.wait_until_started("rs-stonith-01", "rs-stonith-02")
    wait_for("each node has work", lambda: works(running_four) == 4, within=30)
    running_four.forget()
    return running_four


def works(cluster: Cluster) -> int:
    """On how many nodes the clone runs."""
    found = cluster.view(cluster.t3021cent).root.findall(".//clone/resource[@role='Started']")
    return len(found)


def is_before_3(node: Node) -> bool:
    """Whether the node has a Pacemaker 2."""
    return node.do("pacemakerd --version").startswith("Pacemaker 2.")


def fenced(cluster: Cluster) -> set[str]:
    """The names of all that were fenced, as a survivor has it."""
    events = cluster.view(cluster.t3021cent).fence_events()
    return {event["target"] for event in events if event["status"] == "success"}


def cut_and_wait(cluster: Cluster, victims: list[Node], more: str = "") -> float:
    """The switch of their host dies: seconds until the last of them, and `more`, is fenced."""
    everybody = {victim.name for victim in victims} | ({more} if more else set())
    print(cluster.t3021cent.do("crmadmin --dc_lookup"))
    cluster.host_of(victims[0]).cut_switch(True)
    began = time.monotonic()
    wait_for("all are fenced", lambda: fenced(cluster) >= everybody, within=90, every=0.1)
    return time.monotonic() - began


def come_back(cluster: Cluster, victims: list[Node], boots: list[int]) -> None:
    """The switch is mended, and the nodes join again, each booted once and by nobody else."""
    host = cluster.host_of(victims[0])
    host.cut_switch(False)
    cluster.wait_until_whole()
    for victim, before in zip(victims, boots):
        assert host.changes(victim.name) == ["power.off", "power.on"]
        assert victim.boots() == before + 1
    assert cluster.host_of(cluster.t3021cent).changes() == []
    assert host.failed_logins() == 0


@pytest.mark.slow
def test_both_nodes_behind_a_dead_switch_are_fenced_in_one_go(four: Cluster) -> None:
    victims = [four.node("t3022cent"), four.node("t3024cent")]
    survivors = [four.node("t3021cent"), four.node("t3023cent")]
    boots = [victim.boots() for victim in victims]
    logs = {node.name: len(node.log()) for node in survivors}
    four.host_of(victims[0]).set(latency=1.0)  # so that an agent takes longer than to start two
    print(f"both fenced {cut_and_wait(four, victims):.1f} s after the cut")
    # both agents were started before the first of them was done
    for node in survivors:
        log = node.log()[logs[node.name] :]
        steps = re.findall(r"(Requesting fencing|was terminated).*", log)
        if "Requesting fencing" in steps:  # this one is the coordinator
            assert steps[:2] == ["Requesting fencing"] * 2, steps
    come_back(four, victims, boots)


@contextmanager
def strangers_at(cluster: Cluster, address: str) -> Iterator[None]:
    """Three connections to the host's sshd that say nothing, as a scanner's."""
    line = f"exec 3<>/dev/tcp/{address}/22 4<>/dev/tcp/{address}/22 5<>/dev/tcp/{address}/22"
    strangers = subprocess.Popen(
        cluster.t3021cent.command("bash", "-c", f"{line}; echo there; read"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert strangers.stdout is not None
    assert strangers.stdout.readline() == "there\n"
    yield
    strangers.communicate("go\n")


@pytest.mark.slow
def test_three_agents_at_a_host_that_drops_connections_leave_nobody_unfenced(
    four: Cluster,
) -> None:
    victims = [four.node("t3022cent"), four.node("t3024cent")]
    host, admin = four.host_of(victims[0]), four.t3021cent
    boots = [victim.boots() for victim in victims]
    host.add_vm(BYSTANDER)
    create = f"pcs stonith create rs-web fence_esxi ip={host.address} username=root"
    admin.do(f"{create} password=XXXXXXXX pcmk_host_list={BYSTANDER}")
    four.wait_until_started("rs-web")
    four.forget()
    host.set(max_startups="3:50:10")
    with strangers_at(four, host.address):
        before = host.dropped()
        third = subprocess.Popen(admin.command("pcs", "stonith", "fence", BYSTANDER))
        seconds = cut_and_wait(four, victims, BYSTANDER)
        assert third.wait(90) == 0
        assert sorted(host.changes()) == ["power.off"] * 3 + ["power.on"] * 3
        for _ in range(5):  # of two logins one is dropped, but by chance
            if host.dropped() > before:
                break
            admin.do(f"pcs stonith fence {BYSTANDER}")
        dropped = host.dropped() - before
    host.set(max_startups="")
    print(f"all three fenced {seconds:.1f} s after the cut, {dropped} connections dropped")
    assert dropped > 0
    come_back(four, victims, boots)

"""A node whose VM may be on either of two hosts: it is fenced when both hosts have answered."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from guide import Page, blocks_of, type_as_told
from harness.cluster import Cluster
from harness.waiting import wait_for


@pytest.fixture
def either(cluster: Cluster) -> Iterator[Cluster]:
    """Two nodes, with the devices and levels of the page."""
    admin = cluster.t3021cent
    for block in blocks_of(Page("docs/in-the-cluster.md"), "either host"):
        type_as_told(admin, block.text)
    cluster.wait_until_started("rs-stonith-01", "rs-stonith-02")
    cluster.forget()
    yield cluster
    admin.do("pcs stonith level clear")


@pytest.mark.timeout(200)
def test_it_is_fenced_on_the_one_and_on_the_other(either: Cluster) -> None:
    admin, victim = either.t3021cent, either.t3022cent
    home, other = either.host_of(victim), either.host_of(admin)
    for runs, looks in ((home, other), (other, home)):
        if runs is other:  # moved over by hand
            home.retire(victim.name)
            other.add_vm(victim.name, victim.name)
            either.wait_until_whole()
            either.forget()
        assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
        either.wait_until_offline(victim)
        changes = runs.changes(victim.name)
        assert changes == ["power.off", "power.on"] * (len(changes) // 2)
        assert changes
        assert looks.changes() == []
        either.wait_until_whole()


def test_it_is_fenced_where_both_hosts_say_that_it_is_not_there(either: Cluster) -> None:
    victim = either.t3022cent
    either.host_of(victim).retire(victim.name)
    victim.power_off()
    wait_for("it is fenced", lambda: either.shots_at(victim), within=60)
    either.wait_until_offline(victim)
    assert [host.changes() for host in either.esxi_hosts] == [[], []]


@pytest.mark.timeout(200)
def test_it_is_not_fenced_while_one_host_is_dead(either: Cluster) -> None:
    admin, victim = either.t3021cent, either.t3022cent
    dead = either.host_of(admin)
    dead.cut(True)
    refused = admin.type("pcs stonith fence t3022cent")
    assert refused.status == 1
    assert "unable to fence 't3022cent'" in refused.text
    assert either.shots_at(victim) == 0
    complaints = [line for line in admin.log().splitlines() if "ERROR: " in line]
    assert f"@{dead.address} " in complaints[-1]
    print(admin.log()[-9000:])
    dead.cut(False)
    wait_for("it is fenced", lambda: either.shots_at(victim), within=60)
    either.wait_until_whole()

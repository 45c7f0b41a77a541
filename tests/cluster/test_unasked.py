"""Nobody types anything: a node is lost, and the survivor fences it."""

import pytest
from harness.cluster import Cluster


def test_a_node_whose_cable_is_pulled_is_fenced(cluster: Cluster) -> None:
    victim = cluster.t3022cent
    cluster.create_devices()
    boots = victim.boots()
    victim.pull_cable()
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    victim.plug_cable()
    cluster.wait_until_whole()
    assert victim.boots() > boots


def test_a_node_that_hangs_is_fenced(cluster: Cluster) -> None:
    victim = cluster.t3021cent
    cluster.create_devices()
    boots = victim.boots()
    victim.signal("STOP", "corosync")
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    cluster.wait_until_whole()
    assert victim.boots() > boots


def test_split_brain_exactly_one_node_survives(
    cluster: Cluster, pytestconfig: pytest.Config
) -> None:
    """Two nodes are cut from each other; the one that is shot with a delay shoots first."""
    favourite, other = cluster.t3021cent, cluster.t3022cent
    cluster.create_devices(rs_stonith_02="pcmk_delay_base=5s")
    for _ in range(pytestconfig.getoption("--split-brain-rounds")):
        cluster.wait_until_started("rs-stonith-01", "rs-stonith-02")
        cluster.forget()
        boots = favourite.boots(), other.boots()
        assert favourite.is_running()
        assert other.is_running()
        cluster.cut_hosts_from_each_other()
        cluster.wait_until_booted(other, boots[1] + 1)
        assert favourite.is_running()
        # Back and still cut off it has no quorum, so it does not shoot.
        cluster.join_hosts()
        cluster.wait_until_whole()
        assert favourite.boots() == boots[0]
        assert cluster.was_rebooted(other)
        assert cluster.host_of(favourite).changes() == []

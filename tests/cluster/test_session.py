"""The session of an admin who gives fence_esxi to the cluster, keeps each device off the node it is
to shoot, and shoots. Two more shots follow: one that leaves the node off, one the other way.
"""

from harness.cluster import Cluster
from harness.waiting import wait_for

#: Letter for letter what the guide says: one device with the old parameter names, one with the new.
CREATE = """\
pcs stonith create rs-stonith-01 fence_esxi ipaddr=192.168.33.10 login=root passwd="XXXXXXXX"
pcs stonith create rs-stonith-02 fence_esxi ip=192.168.33.12 username=root password="XXXXXXXX"
pcs constraint location rs-stonith-01 avoids t3022cent
pcs constraint location rs-stonith-02 avoids t3021cent
"""


def test_the_admin_sets_up_fencing_and_shoots_a_node(cluster: Cluster) -> None:
    admin, victim = cluster.t3021cent, cluster.t3022cent
    host = cluster.host_of(victim)

    assert "fence_esxi - " in admin.do("pcs stonith describe fence_esxi")
    for line in CREATE.splitlines():
        admin.do(line)
    assert admin.do("pcs stonith cleanup") == "Cleaned up all resources on all nodes\n"

    config = admin.do("pcs stonith config")
    assert "ipaddr=192.168.33.10" in config
    assert "ip=192.168.33.12" in config
    constraints = admin.do("pcs constraint")
    assert "rs-stonith-01" in constraints
    assert "rs-stonith-02" in constraints

    cluster.wait_until_started("rs-stonith-01", "rs-stonith-02")
    assert cluster.view(admin).started_on("rs-stonith-01") == "t3021cent"
    assert cluster.view(admin).started_on("rs-stonith-02") == "t3022cent"
    status = admin.do("pcs status")
    assert "Started t3021cent" in status
    assert "Started t3022cent" in status
    cluster.wait_until_monitored("rs-stonith-01", "rs-stonith-02")
    # Nobody told the devices which nodes they can shoot: the fencer has it from the agent's list.
    assert "rs-stonith-01" in admin.do("stonith_admin --list t3022cent")
    assert "rs-stonith-02" in victim.do("stonith_admin --list t3021cent")
    assert host.changes() == []

    boots = victim.boots()
    cluster.set_bios_seconds(8)  # time enough to type pcs status before the node is back
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    wait_for(
        "t3022cent OFFLINE in pcs status",
        lambda: "OFFLINE: [ t3022cent ]" in admin.do("pcs status"),
        within=10,
    )
    assert host.changes()[:2] == ["power.off", "power.on"]
    assert cluster.was_rebooted(victim)
    assert cluster.host_of(admin).changes() == []
    cluster.wait_until_whole()
    assert victim.boots() > boots
    assert "reboot of t3022cent successful" in admin.do("pcs stonith history")
    cluster.wait_until_started("rs-stonith-01", "rs-stonith-02")


def test_a_node_that_is_fenced_with_off_stays_off(cluster: Cluster) -> None:
    admin, victim = cluster.t3021cent, cluster.t3022cent
    cluster.create_devices()
    # What the cluster does by itself, too: it may find the node lost before it hears why.
    admin.do("pcs property set stonith-action=off")
    assert admin.do("pcs stonith fence t3022cent --off") == "Node: t3022cent fenced\n"
    cluster.wait_until_offline(victim)
    assert not victim.is_running()
    assert cluster.host_of(victim).changes() == ["power.off"]

    by_hand = "fence_esxi --ip=192.168.33.10 --username=root --password=XXXXXXXX -n t3022cent"
    assert admin.type(f"{by_hand} -o status").text == "Status: OFF\n"
    assert admin.do(f"{by_hand} -o on") == "Success: Powered ON\n"
    cluster.wait_until_whole()
    assert cluster.host_of(victim).changes() == ["power.off", "power.on"]


def test_the_other_node_can_shoot_too(cluster: Cluster) -> None:
    admin, victim = cluster.t3022cent, cluster.t3021cent
    cluster.create_devices()
    assert admin.do("pcs stonith fence t3021cent") == "Node: t3021cent fenced\n"
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    assert cluster.host_of(admin).changes() == []
    cluster.wait_until_whole()

"""A cluster that was configured for the old script, fence_ESXi."""

from harness.cluster import Cluster

#: What the old script's device looks like; it ran with these parameters for years.
OLD_DEVICE = (
    'pcs stonith create old fence_ESXi ipaddr=192.168.33.10 login=root passwd="XXXXXXXX" '
    "pcmk_host_list=t3022cent"
)


def test_it_keeps_working_when_fence_esxi_takes_over_the_old_name(
    cluster: Cluster, liar: str
) -> None:
    admin, victim = cluster.t3021cent, cluster.t3022cent
    for node in cluster.nodes:
        node.install_agent(liar, "fence_ESXi")  # stands for whatever script had that name
    admin.do(OLD_DEVICE)
    cluster.wait_until_started("old")
    before = admin.do("cibadmin --query --scope configuration")

    for node in cluster.nodes:
        node.do("ln -sf fence_esxi /usr/sbin/fence_ESXi")
    assert admin.do("pcs stonith cleanup") == "Cleaned up all resources on all nodes\n"
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    cluster.wait_until_whole()
    cluster.wait_until_started("old")
    assert admin.do("cibadmin --query --scope configuration") == before
    for node in cluster.nodes:
        node.do("rm /usr/sbin/fence_ESXi")

"""How a device knows which virtual machine is which node, where the names differ."""

from harness.cluster import Cluster

UUID = "564d36cf-6988-c91d-0f5f-a62628d46553"


def test_a_node_whose_vm_has_another_name_is_found_through_the_host_map(cluster: Cluster) -> None:
    admin, victim = cluster.t3021cent, cluster.t3022cent
    host = cluster.host_of(victim)
    host.runs({"web-1": "t3022cent"})
    cluster.create_devices(rs_stonith_01='pcmk_host_map="t3022cent:web-1"')
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    cluster.wait_until_whole()


def test_a_vm_name_with_a_blank_is_reached_through_its_uuid(cluster: Cluster) -> None:
    admin, victim = cluster.t3021cent, cluster.t3022cent
    host = cluster.host_of(victim)
    host.runs({"web server (1)": "t3022cent"}, uuid=UUID)
    cluster.create_devices(rs_stonith_01=f'pcmk_host_map="t3022cent:{UUID}"')
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    cluster.wait_until_offline(victim)
    assert cluster.was_rebooted(victim)
    cluster.wait_until_whole()

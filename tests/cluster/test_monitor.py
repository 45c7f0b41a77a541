"""What a monitor says of a host that lets the agent in and shows it nothing."""

from harness.cluster import Cluster
from harness.esxi_host import PASSWORD, EsxiHost

ADDRESS = "192.168.33.111"


def test_a_host_that_shows_no_vm_is_a_warning_in_the_log_and_no_failure(cluster: Cluster) -> None:
    admin = cluster.t3021cent
    host = EsxiHost(cluster.room, ADDRESS, {"unreadable": ""})
    host.cut(False)
    host.start()
    host.invalidate("unreadable")
    admin.do(f"pcs stonith create blind fence_esxi ip={ADDRESS} username=root password={PASSWORD} "
             "pcmk_host_list=unreadable")  # fmt: skip
    cluster.wait_until_started("blind")
    assert any(
        f"WARNING: {ADDRESS}: VMs listed: 0, skipped: 1, running: 1;" in node.log()
        for node in cluster.nodes
    )
    host.stop()
    host.cut(True)

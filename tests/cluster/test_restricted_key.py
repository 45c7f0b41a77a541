"""The cluster fences with keys that can do nothing else; no password is in its configuration."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.cluster import Cluster

TOOL = Path(__file__).parents[2] / "agents" / "esxi" / "esxi-fence-key"
KEY = "/root/.ssh/fence_esxi"


def restricted(public_key: str, vm_name: str, folder: Path) -> str:
    """The line of authorized_keys that lets this key fence that VM and nothing else."""
    file = folder / "key.pub"
    file.write_text(public_key)
    return subprocess.run(
        [TOOL, "--key", file, "--vm", vm_name], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture
def keyed(cluster: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Both nodes have a key of their own, which each host restricts to the VM it runs."""
    for node in cluster.nodes:
        node.do(f"mkdir -p /root/.ssh; ssh-keygen -q -t ecdsa -N '' -f {KEY}")
    for node in cluster.nodes:
        lines = [restricted(each.do(f"cat {KEY}.pub"), node.name, tmp_path)
                 for each in cluster.nodes]
        cluster.host_of(node).set(authorized_keys="".join(lines))
    yield cluster
    for node in cluster.nodes:
        node.do("rm -rf /root/.ssh")
        cluster.host_of(node).set(authorized_keys="")


def test_a_node_is_fenced_with_a_restricted_key(keyed: Cluster) -> None:
    admin, victim = keyed.t3021cent, keyed.t3022cent
    keyed.create_devices()
    for device in ("rs-stonith-01", "rs-stonith-02"):
        admin.do(f"pcs stonith update {device} identity_file={KEY} password=")
    keyed.wait_until_started("rs-stonith-01", "rs-stonith-02")
    assert "password" not in admin.do("pcs stonith config")
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    keyed.wait_until_offline(victim)
    assert keyed.was_rebooted(victim)
    keyed.wait_until_whole()
    another = f"fence_esxi --ip=192.168.33.12 --username=root --identity-file={KEY} -n web -o off"
    keyed.host_of(admin).add_vm("web")
    refused = admin.type(another)
    assert refused.status == 1
    assert "this key may not power web" in refused.text
    assert keyed.host_of(admin).power_of("web") == "on"

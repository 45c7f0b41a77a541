"""The password is in a file of each node, not in the cluster's configuration."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from guide import Page, blocks_of
from harness.cluster import Cluster
from harness.esxi_host import PASSWORD

SECRET = "Nobody-reads-this-1"
KEY = "/root/.ssh/id_ecdsa"
SSHD = Path(__file__).with_name("data") / "node_sshd.py"
#: Where the configuration, its backups and the logs are.
PLACES = "/var/lib/pacemaker/cib /var/lib/pacemaker/pengine /var/lib/pcsd /var/log"


@pytest.fixture
def trusting(cluster: Cluster) -> Iterator[Cluster]:
    """Both hosts have the password SECRET; root of each node reaches the other one by ssh."""
    for node in cluster.nodes:
        node.do(f"mkdir -p -m 700 /root/.ssh; ssh-keygen -q -t ecdsa -N '' -f {KEY}")
    keys = "".join(node.do(f"cat {KEY}.pub") for node in cluster.nodes)
    daemons = []
    for node in cluster.nodes:
        node.run("tee", "/root/.ssh/authorized_keys", stdin=keys)
        sshd = [sys.executable, str(SSHD), node.address, KEY, "/root/.ssh/authorized_keys"]
        daemons.append(subprocess.Popen(node.command(*sshd), stdout=subprocess.PIPE, text=True))
        assert daemons[-1].stdout.readline() == "listening\n"  # type: ignore[union-attr]
    for host in cluster.esxi_hosts:
        host.set(password=SECRET)
    yield cluster
    for daemon in daemons:
        daemon.kill()
    for node in cluster.nodes:
        node.do("rm -rf /root/.ssh /var/lib/pacemaker/lrm/secrets")
    for host in cluster.esxi_hosts:
        host.set(password=PASSWORD)


def test_a_node_is_fenced_with_a_secret(trusting: Cluster) -> None:
    admin, victim = trusting.t3021cent, trusting.t3022cent
    (block,) = blocks_of(Page("docs/in-the-cluster.md"), "secret")
    for line in block.text.replace("\\\n", "").splitlines():
        done = admin.run("bash", "-c", line, stdin=f"{SECRET}\n")
        assert done.status == 0, done.text
    trusting.wait_until_started("rs-stonith-01")
    trusting.forget()
    # whichever node runs it has the secret
    for node in trusting.nodes:
        assert node.do("cat /var/lib/pacemaker/lrm/secrets/rs-stonith-01/password") == f"{SECRET}\n"
    assert admin.do("pcs stonith fence t3022cent") == "Node: t3022cent fenced\n"
    trusting.wait_until_offline(victim)
    assert trusting.was_rebooted(victim)
    trusting.wait_until_whole()
    for node in trusting.nodes:
        assert node.type(f"grep -rl {SECRET} {PLACES}").text == ""
        assert "password=lrm://" in node.do("pcs stonith config")

"""Mistakes that pcs catches before the cluster has a device that cannot work."""

import pytest
from harness.cluster import Cluster

CREATE = "pcs stonith create rs fence_esxi "


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("username=root password=XXXXXXXX", "'ip'"),
        ("ip=192.168.33.10 password=XXXXXXXX", "username"),
        ("ip=192.168.33.10 username=root passwort=XXXXXXXX", "'passwort'"),
        ("ip=192.168.33.10 username=root password=XXXXXXXX hostt=x", "'hostt'"),
    ],
    ids=["no address", "no user name", "misspelt password", "unknown parameter"],
)
def test_create_is_refused(cluster: Cluster, parameters: str, complaint: str) -> None:
    refused = cluster.t3021cent.type(CREATE + parameters)
    assert refused.status == 1
    assert complaint in refused.errors
    assert cluster.view(cluster.t3021cent).devices() == []


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("ip=192.168.33.10 password=XXXXXXXX ipport=70000", "ipport="),
        ("ip=192.168.33.10 password=XXXXXXXX ssh_options='-o \"User'", "ssh_options"),
        ("ip=192.168.33.10", "password"),
        ("ip=-oProxyCommand=true password=XXXXXXXX", "ip="),
        ("ip=192.168.33.10 identity_file=/root/.ssh/nosuchkey", "/root/.ssh/nosuchkey"),
    ],
    ids=["port", "ssh options", "no password", "an address that is an option", "key file"],
)
def test_what_can_never_log_in_is_refused_without_a_login(
    cluster: Cluster, parameters: str, complaint: str
) -> None:
    """validate-all says it. From 0.12 on pcs asks it in any case, but then only warns."""
    refused = cluster.t3021cent.type(f"{CREATE} username=root {parameters} --agent-validation")
    assert refused.status == 1
    assert complaint in refused.errors.partition("ERROR: ")[2]
    host = cluster.host_of(cluster.t3022cent)
    assert (host.record(), host.failed_logins()) == ([], 0)


def test_a_device_that_could_log_in_is_created_without_a_login(cluster: Cluster) -> None:
    cluster.t3021cent.do(
        f"{CREATE} ip=192.168.33.10 username=root password=WRONG --disabled --agent-validation"
    )
    host = cluster.host_of(cluster.t3022cent)
    assert (host.record(), host.failed_logins()) == ([], 0)


def test_an_agent_that_is_not_installed_is_refused(cluster: Cluster) -> None:
    refused = cluster.t3021cent.type("pcs stonith create rs fence_esx ip=192.168.33.10")
    assert refused.status == 1
    assert "fence_esx" in refused.errors

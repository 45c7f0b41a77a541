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


def test_an_agent_that_is_not_installed_is_refused(cluster: Cluster) -> None:
    refused = cluster.t3021cent.type("pcs stonith create rs fence_esx ip=192.168.33.10")
    assert refused.status == 1
    assert "fence_esx" in refused.errors

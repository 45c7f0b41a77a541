"""Hosts to log in to, and a folder of its own for each test's keys and known hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from esxi_sim import Host
from fence_runner import PASSWORD
from way_in import WayIn


@pytest.fixture
def esxi() -> Iterator[Callable[..., Host]]:
    """Starts hosts with the VM node1, and stops them after the test."""
    hosts = []

    def start(release: str = "6.7", **switches: object) -> Host:
        switches.setdefault("password", PASSWORD)
        hosts.append(Host(release=release, vms=["node1"], **switches).start())
        return hosts[-1]

    yield start
    for host in hosts:
        host.stop()


@pytest.fixture
def host(esxi: Callable[..., Host]) -> Host:
    """A host like most."""
    return esxi()


@pytest.fixture
def way_in(tmp_path: Path) -> WayIn:
    """Calls the agent with all that it needs; see WayIn."""
    return WayIn(tmp_path)

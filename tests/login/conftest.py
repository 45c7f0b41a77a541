"""Hosts to log in to, and a folder of its own for each test's keys and known hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from esxi_sim import Host
from way_in import WayIn


@pytest.fixture
def host(esxi: Callable[..., Host]) -> Host:
    """A host like most."""
    return esxi()


@pytest.fixture
def way_in(tmp_path: Path) -> WayIn:
    """Calls the agent with all that it needs; see WayIn."""
    return WayIn(tmp_path)

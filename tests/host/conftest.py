"""Simulated hosts, and the agent run against them by the real ssh client."""

import contextlib
import hashlib
import os
import pathlib
import re

import pytest
from esxi_sim import Host
from running import Fence

# Holds a blank and what a shell would read, and is like nothing the agent says.
PASSWORD = "Geheim $HOME 'n 1!"
DATA = pathlib.Path(__file__).resolve().parents[1] / "data/host"


def pytest_configure(config):
    """One test of each kind is marked: together they take a few seconds."""
    config.addinivalue_line("markers", "quick: a test of the agent on a host for `make check`")


@pytest.fixture(scope="session")
def log_folder(tmp_path_factory):
    """Where the agent's output is kept: $FENCE_ESXI_LOGS, else a temporary folder."""
    chosen = os.environ.get("FENCE_ESXI_LOGS")
    folder = pathlib.Path(chosen) if chosen else tmp_path_factory.mktemp("logs")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def fence(agent_path, tmp_path, log_folder, request):
    """The agent as a program."""
    readable = re.sub(r"[^\w-]+", "_", request.node.name, flags=re.ASCII)[:80]
    unique = hashlib.sha256(request.node.nodeid.encode("utf-8", "replace")).hexdigest()[:8]
    return Fence(agent_path, tmp_path, log_folder, f"{readable}-{unique}")


@pytest.fixture
def esxi():
    """Starts simulated hosts: esxi(vms=[...], release="6.7", ...); they end with the test."""
    with contextlib.ExitStack() as hosts:
        def start(**settings):
            return hosts.enter_context(Host(**{"password": PASSWORD, **settings}))

        yield start


@pytest.fixture(params=["command line", "Pacemaker"])
def ask(request, fence):
    """ask(host, action, plug, ...): the agent by its command line, and as Pacemaker runs it."""
    return fence if request.param == "command line" else fence.as_pacemaker

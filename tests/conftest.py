"""The agent under test, a file to run and a module to call; and simulated hosts."""

import contextlib
import importlib.util
import os
import pathlib
import signal
import sys

import pytest
from esxi_sim import Host
from fence_runner import PASSWORD

pytest_plugins = ["no_secrets"]

# What a shell starts in the background ignores Ctrl-C, and so would all that is started here.
signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def agent_path():
    """The agent as a program. FENCE_ESXI_AGENT puts another one in its place."""
    return pathlib.Path(os.environ.get("FENCE_ESXI_AGENT", PROJECT / "agents/esxi/fence_esxi.py"))


@pytest.fixture(scope="session")
def agent(agent_path):
    """The agent as a module, its options defined."""
    spec = importlib.util.spec_from_file_location("fence_esxi_under_test", agent_path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    module.define_options()
    return module


@pytest.fixture
def esxi():
    """Starts simulated hosts that end with the test: esxi("6.7", vms=["node1"], ...)."""
    with contextlib.ExitStack() as hosts:
        def start(release="6.7", **settings):
            settings = {"vms": ["node1"], "password": PASSWORD, **settings}
            return hosts.enter_context(Host(release, **settings))

        yield start

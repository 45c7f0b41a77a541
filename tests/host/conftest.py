"""Simulated hosts, and the agent run against them by the real ssh client."""

import contextlib
import pathlib

import pytest
from esxi_sim import Host
from fence_runner import command_line
from running import PASSWORD, Fence

HERE = pathlib.Path(__file__).resolve().parent


def pytest_configure(config):
    config.addinivalue_line("markers", "quick: one of the tests on hosts that `make check` runs")


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """`make check` leaves out what is marked slow: of the tests here, all that are not quick."""
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("quick"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def fence(tmp_path):
    """The agent as a program."""
    return Fence(tmp_path)


@pytest.fixture
def esxi():
    """Starts simulated hosts: esxi(vms=[...], release="6.7", ...); they end with the test."""
    with contextlib.ExitStack() as hosts:
        def start(**settings):
            return hosts.enter_context(Host(**{"password": PASSWORD, **settings}))

        yield start


@pytest.fixture(params=["command line", "Pacemaker"])
def ask(request, fence):
    """ask(host, action, plug, parameter=value): the agent by its command line, and as Pacemaker.

    A parameter that is None is left out; True is a flag.
    """
    def typed(host, action, plug=None, **others):
        return fence.typed(command_line(fence.parameters(host, action, plug, **others)))

    return typed if request.param == "command line" else fence.as_pacemaker

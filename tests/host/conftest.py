"""Simulated hosts, and the agent run against them by the real ssh client."""

import pathlib

import pytest
from fence_runner import Node, command_line

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
    return Node(tmp_path)


@pytest.fixture(params=["command line", "Pacemaker"])
def ask(request, fence):
    """ask(host, action, plug, parameter=value): the agent by its command line, and as Pacemaker.

    A parameter that is None is left out; True is a flag.
    """
    def typed(host, action, plug=None, **others):
        return fence.typed(command_line(fence.parameters(host, action, plug, **others)))

    return typed if request.param == "command line" else fence.as_pacemaker

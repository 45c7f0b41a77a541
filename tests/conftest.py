"""The agent under test: a file to run, and a module to call."""

import importlib.util
import os
import pathlib
import sys

import pytest

pytest_plugins = ["no_secrets"]

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

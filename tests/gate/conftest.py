"""The gate of a restricted key: as the tool prints it, as sshd reads it, in a real busybox ash."""

import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys

import busyboxes
import pytest
from small_host import SmallHost

TOOL = pathlib.Path(os.environ.get("FENCE_ESXI_KEY_TOOL") or
                    pathlib.Path(__file__).resolve().parents[2] / "agents/esxi/esxi-fence-key")


@pytest.fixture(scope="session")
def tool():
    """The tool as a module."""
    loader = importlib.machinery.SourceFileLoader("esxi_fence_key", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    remembered, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = remembered
    return module


@pytest.fixture(scope="session")
def fence_key():
    """fence_key(word, ...): the tool as a program; the finished process."""
    def run(*words, stdin=""):
        return subprocess.run([str(TOOL), *words], capture_output=True, text=True, input=stdin,
                              check=False)

    return run


@pytest.fixture(scope="session")
def gate(tool):
    """gate(word, ...): the one line sshd runs, for the options of the tool."""
    def make(*words):
        return tool.one_line_gate(tool.permit_of(tool.arguments(list(words))))

    return make


@pytest.fixture(scope="session", params=busyboxes.WANTED)
def busybox(request):
    """A busybox of each release; one that cannot be had is skipped, but in CI a failure."""
    try:
        return busyboxes.busybox(request.param)
    except busyboxes.NotThere as reason:
        text = "the busybox of %s cannot be had: %s" % (request.param, reason)
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="session")
def host(busybox):
    """A small host with that busybox."""
    with SmallHost(busybox) as small_host:
        yield small_host

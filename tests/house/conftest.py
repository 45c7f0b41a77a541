"""What the tests of installation and packaging share."""

import shutil

import pytest
from commands import PROJECT


@pytest.fixture
def checkout(tmp_path):
    """A copy of the sources: builds of setuptools write into the tree they are started in."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "COPYING", "README.md"):
        shutil.copy(PROJECT / name, copy)
    shutil.copytree(PROJECT / "agents", copy / "agents", ignore=shutil.ignore_patterns("__pyc*"))
    shutil.copytree(PROJECT / "docs", copy / "docs")
    (copy / "fence_esxi").symlink_to("agents/esxi/fence_esxi.py")
    return copy

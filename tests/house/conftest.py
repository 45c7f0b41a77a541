"""What the tests of installation and packaging share."""

import pathlib
import shutil
import subprocess

import pytest

PROJECT = pathlib.Path(__file__).resolve().parents[2]


def run(*command, cwd=PROJECT, **options):
    """Run a command to its end; the caller looks at returncode, stdout and stderr."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def succeed(*command, **options):
    """Run a command that must succeed; its output is returned."""
    done = run(*command, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


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

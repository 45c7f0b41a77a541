"""make install and uninstall."""

import stat

import pytest
from commands import PROGRAMS, PROJECT, run, succeed

AGENT = PROJECT / "agents/esxi/fence_esxi.py"


@pytest.fixture
def destination(tmp_path):
    """An empty root to install into."""
    return tmp_path / "root"


def make(target, destination, prefix="/usr"):
    return run("make", "--no-print-directory", target, f"DESTDIR={destination}", f"PREFIX={prefix}")


def put_sibling(destination, name, first_line):
    sbin = destination / "usr/sbin"
    sbin.mkdir(parents=True, exist_ok=True)
    (sbin / name).write_bytes(first_line + b"\n")


def installed_interpreter(destination):
    assert make("install", destination).returncode == 0
    (interpreter,) = {
        (destination / "usr/sbin" / name).read_text().splitlines()[0].split()[0]
        for name in PROGRAMS
    }
    return interpreter


def files_in(destination):
    return sorted(
        str(path.relative_to(destination)) for path in destination.rglob("*") if not path.is_dir()
    )


def test_install_puts_the_programs_and_their_man_pages(destination):
    assert make("install", destination).returncode == 0
    assert files_in(destination) == [
        *[f"usr/sbin/{name}" for name in PROGRAMS],
        *[f"usr/share/man/man8/{name}.8" for name in PROGRAMS],
    ]


def test_the_installed_agent_is_a_file_of_its_own(destination):
    make("install", destination)
    agent = destination / "usr/sbin/fence_esxi"
    assert not agent.is_symlink()
    assert stat.S_IMODE(agent.stat().st_mode) == 0o755
    assert agent.read_bytes() == AGENT.read_bytes()


def test_the_installed_programs_run(destination):
    make("install", destination)
    output = succeed(destination / "usr/sbin/fence_esxi", "-o", "metadata")
    assert '<resource-agent name="fence_esxi"' in output
    assert "usage: esxi-fence-key" in succeed(destination / "usr/sbin/esxi-fence-key", "--help")


def test_prefix_is_honoured(destination):
    assert make("install", destination, prefix="/usr/local").returncode == 0
    assert (destination / "usr/local/sbin/fence_esxi").is_file()
    assert (destination / "usr/local/share/man/man8/fence_esxi.8").is_file()


def test_uninstall_leaves_no_file(destination):
    make("install", destination)
    assert make("uninstall", destination).returncode == 0
    assert files_in(destination) == []


def test_interpreter_of_the_siblings_is_taken(destination):
    put_sibling(destination, "fence_apc", b"#!/usr/libexec/platform-python -tt")
    assert installed_interpreter(destination) == "#!/usr/libexec/platform-python"


def test_interpreter_of_most_siblings_is_taken(destination):
    put_sibling(destination, "fence_apc", b"#!/usr/libexec/platform-python -tt")
    put_sibling(destination, "fence_ipmilan", b"#!/usr/libexec/platform-python -tt")
    put_sibling(destination, "fence_own", b"#!/opt/own/bin/python3")
    assert installed_interpreter(destination) == "#!/usr/libexec/platform-python"


@pytest.mark.parametrize(
    "first_line",
    [
        b"#!/usr/bin/python2 -tt",
        b"#!/bin/bash",
        b"#!/usr/bin/env python3",
        b"\x7fELF\x00\xff\xfe",
        b"",
    ],
)
def test_interpreter_stays_when_the_sibling_is_no_example(destination, first_line):
    put_sibling(destination, "fence_other", first_line)
    assert installed_interpreter(destination) == "#!/usr/bin/python3"


def test_the_old_script_is_no_example(destination):
    put_sibling(destination, "fence_ESXi", b"#!/opt/old/bin/python3")
    assert installed_interpreter(destination) == "#!/usr/bin/python3"


def test_install_leaves_the_old_script_alone(destination):
    put_sibling(destination, "fence_ESXi", b"#!/usr/bin/python2 the old script")
    make("install", destination)
    make("uninstall", destination)
    assert b"the old script" in (destination / "usr/sbin/fence_ESXi").read_bytes()

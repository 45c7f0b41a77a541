"""make install, uninstall, and the old script's name."""

import stat

import pytest
from commands import PROJECT, run, succeed

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
    agent, key_tool = (
        (destination / "usr/sbin" / name).read_text().splitlines()[0].split()[0]
        for name in ("fence_esxi", "esxi-fence-key")
    )
    assert agent == key_tool
    return agent


def files_in(destination):
    return sorted(
        str(path.relative_to(destination)) for path in destination.rglob("*") if not path.is_dir()
    )


def test_install_puts_both_programs_and_their_man_pages(destination):
    assert make("install", destination).returncode == 0
    assert files_in(destination) == [
        "usr/sbin/esxi-fence-key",
        "usr/sbin/fence_esxi",
        "usr/share/man/man8/esxi-fence-key.8",
        "usr/share/man/man8/fence_esxi.8",
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


def test_compat_is_a_link_to_the_agent(destination):
    make("install", destination)
    assert make("install-compat", destination).returncode == 0
    link = destination / "usr/sbin/fence_ESXi"
    assert link.is_symlink()
    assert link.resolve() == (destination / "usr/sbin/fence_esxi").resolve()


def test_compat_twice_changes_nothing(destination):
    make("install", destination)
    make("install-compat", destination)
    assert make("install-compat", destination).returncode == 0


def test_compat_does_not_overwrite_the_old_script(destination):
    put_sibling(destination, "fence_ESXi", b"the old script")
    make("install", destination)
    done = make("install-compat", destination)
    old = destination / "usr/sbin/fence_ESXi"
    assert done.returncode != 0
    assert f"mv {old} {old}.old" in done.stderr
    assert old.read_bytes() == b"the old script\n"


def test_compat_does_not_overwrite_a_broken_link(destination):
    make("install", destination)
    old = destination / "usr/sbin/fence_ESXi"
    old.symlink_to("/nowhere/fence_ESXi")
    assert make("install-compat", destination).returncode != 0
    assert str(old.readlink()) == "/nowhere/fence_ESXi"


def test_compat_without_the_agent_is_refused(destination):
    done = make("install-compat", destination)
    assert done.returncode != 0
    assert "make install" in done.stderr


def test_uninstall_compat_removes_our_link_only(destination):
    make("install", destination)
    make("install-compat", destination)
    assert make("uninstall-compat", destination).returncode == 0
    assert not (destination / "usr/sbin/fence_ESXi").is_symlink()
    assert (destination / "usr/sbin/fence_esxi").is_file()


def test_uninstall_compat_leaves_the_old_script(destination):
    put_sibling(destination, "fence_ESXi", b"the old script")
    assert make("uninstall-compat", destination).returncode != 0
    assert (destination / "usr/sbin/fence_ESXi").read_bytes() == b"the old script\n"


def test_uninstall_does_not_leave_a_dangling_name(destination):
    """A cluster configured for fence_ESXi would be without its agent, and nobody told."""
    make("install", destination)
    make("install-compat", destination)
    done = make("uninstall", destination)
    assert done.returncode != 0
    assert "uninstall-compat" in done.stderr
    assert (destination / "usr/sbin/fence_esxi").is_file()

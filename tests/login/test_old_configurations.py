"""Configurations written for the old script, fence_ESXi, keep working."""

import pytest

OLD_PROMPT = ":~]"
OLD_SSH_OPTIONS = "-2 -o StrictHostKeyChecking=no"


@pytest.mark.parametrize("way", ["typed", "stdin", "pacemaker"])
def test_old_names_and_options_work(host, way_in, way):
    run = way_in.log_in(
        host, way, ip=None, username=None, password=None,
        ipaddr=host.address, login="root", passwd=host.login.password,
        cmd_prompt=OLD_PROMPT, ssh_options=OLD_SSH_OPTIONS,
    )  # fmt: skip
    assert run.stderr == ""


@pytest.mark.parametrize("command", ["/bin/sh -i", "-- /bin/sh -i", "exec sh", "reboot"])
def test_a_remote_command_has_no_effect(host, way_in, command):
    way_in.log_in(host, ssh_options=f"{OLD_SSH_OPTIONS} {command}")


@pytest.mark.parametrize("options", ["-t", "-tt", "-T", "-x", "-a", "-C", "-4", "-e ~", "-v", "-q",
                                     "-vvv", "-o RequestTTY=force"])  # fmt: skip
def test_options_people_give_ssh_do_no_harm(host, way_in, options):
    way_in.log_in(host, ssh_options=options)


def test_the_parameter_secure_changes_nothing(host, way_in):
    way_in.log_in(host, "pacemaker", secure=1)
    way_in.log_in(host, "pacemaker", secure=0)

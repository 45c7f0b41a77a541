"""What the agent says about itself, without a host."""

import os
import pathlib
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import pytest
from fence_runner import said

SCHEMA = pathlib.Path("/usr/share/cluster/relaxng/metadata.rng")
NAMES_OLD_AND_NEW = {"ip", "ipaddr", "ipport", "username", "login", "password", "passwd",
                     "password_script", "passwd_script", "identity_file", "plug", "port",
                     "ssh_options", "inet4_only", "inet6_only", "missing_as_off", "cmd_prompt",
                     "command_prompt", "known_hosts", "no_kill", "delay", "separator",
                     "plug_separator", "disable_timeout", "login_timeout", "shell_timeout",
                     "power_timeout", "power_wait", "retry_on", "debug_file", "verbose"}
ACTIONS = {"on", "off", "reboot", "status", "list", "list-status", "monitor", "metadata",
           "manpage", "validate-all"}


@pytest.fixture
def metadata(fence):
    """The metadata, as text."""
    run = fence.typed(["-o", "metadata"])
    assert (run.status, run.stderr) == (0, "")
    return run.stdout


@pytest.mark.quick
def test_the_metadata_is_valid(metadata):
    checked = subprocess.run(["xmllint", "--noout", "--relaxng", SCHEMA, "-"], input=metadata,
                             capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_the_metadata_is_the_same_however_it_is_asked_for(fence, metadata):
    assert said(fence.piped(["action=metadata"])) == (metadata, 0)
    if fence.library_has("manpage"):
        assert said(fence.typed(["--action", "manpage"])) == (metadata, 0)
    assert said(fence.typed(["-o", "meta-data"])) == (metadata, 0)


@pytest.mark.quick
def test_the_metadata_names_every_parameter_and_action(fence, metadata):
    root = ElementTree.fromstring(metadata)
    parameters = {each.get("name"): each for each in root.iter("parameter")}
    missing = NAMES_OLD_AND_NEW - set(parameters)
    later = ("plug_separator", "disable_timeout")
    assert missing == {name for name in later if not fence.library_has(name)}
    actions = ACTIONS - (set() if fence.library_has("manpage") else {"manpage"})
    assert {each.get("name") for each in root.iter("action")} >= actions
    for parameter in parameters.values():
        assert parameter.findtext("shortdesc")


def test_old_names_are_marked_as_old_ones(metadata):
    parameters = {each.get("name"): each for each in ElementTree.fromstring(metadata).iter(
        "parameter")}
    for old, new in {"ipaddr": "ip", "login": "username", "passwd": "password",
                     "port": "plug"}.items():
        assert parameters[new].get("obsoletes") == old
        assert parameters[old].get("deprecated") == "1"


@pytest.mark.quick
@pytest.mark.parametrize("words", [["-h"], ["--help"]])
def test_help_names_the_options(fence, words):
    run = fence.typed(words)
    assert (run.status, run.stderr) == (0, "")
    assert run.stdout.startswith("Usage:")
    for option in ("--ip=", "--username=", "--password=", "--plug=", "--known-hosts=", "--no-kill",
                   "--missing-as-off", "--identity-file="):
        assert option in run.stdout


@pytest.mark.quick
@pytest.mark.parametrize("words", [["-V"], ["--version"]])
def test_the_version_is_one_line(fence, words):
    run = fence.typed(words)
    assert (run.status, run.stderr) == (0, "")
    assert re.match(r"[^\n]+\n\Z", run.stdout)


@pytest.mark.parametrize("plug", ["node1", "nobody"])
def test_validate_all_asks_no_host(esxi, ask, plug):
    host = esxi(vms=["node1"])
    assert said(ask(host, "validate-all", plug)) == ("", 0)
    assert host.connections_seen == 0


@pytest.mark.parametrize("missing", ["ip", "username", "password", "plug"])
@pytest.mark.parametrize("action", ["validate-all", "status"])
def test_a_missing_parameter_is_told(esxi, fence, action, missing):
    host = esxi(vms=["node1"])
    parameters = {"plug": "node1"}
    parameters[missing] = None
    run = fence.as_pacemaker(host, action, **parameters)
    assert said(run) == ("", 1)
    words = {"ip": "fence address", "username": "login name", "password": "password",
             "plug": "plug"}
    assert words[missing] in run.stderr
    assert host.connections_seen == 0


def test_lists_and_monitor_need_no_plug(esxi, fence):
    host = esxi(vms=["node1"])
    for action in ("list", "list-status", "monitor"):
        assert fence.as_pacemaker(host, action).status == 0


def test_the_documentation_asks_no_host(esxi, fence):
    host = esxi(vms=["node1"])
    for action in ("metadata", "manpage") if fence.library_has("manpage") else ("metadata",):
        assert fence.as_pacemaker(host, action, "node1").status == 0
    for word in ("-h", "-V"):
        assert fence(host, "off", "node1", word).status == 0
    assert host.connections_seen == 0


@pytest.fixture
def with_the_agent_in_sbin(agent_path, tmp_path):
    """Runs a command where /usr/sbin/fence_esxi is the agent, in a mount namespace of its own."""
    room = tmp_path / "room"
    room.mkdir()
    script = f"""set -e
        mount -t tmpfs none {room}
        mkdir {room}/upper {room}/work
        cp {agent_path} {room}/upper/fence_esxi
        chmod 755 {room}/upper/fence_esxi
        mount -t overlay none -o lowerdir=/usr/sbin,upperdir={room}/upper,workdir={room}/work \\
            /usr/sbin
        exec "$@" """
    namespace = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])

    def run(*command):
        return subprocess.run([*namespace, "sh", "-c", script, "sh", *command],
                              capture_output=True, text=True, check=False, timeout=60)

    return run


def test_pcs_describes_the_agent(with_the_agent_in_sbin):
    done = with_the_agent_in_sbin("pcs", "stonith", "describe", "fence_esxi")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("fence_esxi - Fence agent for VMs on VMware ESXi")
    assert "Display name of the VM" in done.stdout
    assert not pathlib.Path("/usr/sbin/fence_esxi").exists()


def test_stonith_admin_reads_and_validates_the_agent(with_the_agent_in_sbin, metadata):
    done = with_the_agent_in_sbin("stonith_admin", "--metadata", "--agent", "fence_esxi")
    assert done.returncode == 0, done.stderr
    assert 'name="fence_esxi"' in done.stdout
    valid = with_the_agent_in_sbin(
        "stonith_admin", "--validate", "--agent", "fence_esxi", "--option", "ip=192.0.2.1",
        "--option", "username=root", "--option", "password=x", "--option", "plug=node1")
    assert valid.returncode == 0, valid.stdout + valid.stderr

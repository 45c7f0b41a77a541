"""Every way to tell the agent what it needs to know."""

import subprocess

import pytest
from case_files import DATA
from esxi_sim import VM, BadAnswer
from fence_runner import MARKER, PASSWORD, said


@pytest.fixture
def host(esxi):
    """Two VMs that run."""
    return esxi(vms=["node1", "node2"])


def with_key(tmp_path, kind, passphrase=""):
    """A new key: the path of its private half and the text of its public one."""
    bits = {"rsa": "2048", "ecdsa": "256"}[kind]
    path = tmp_path / f"id_{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", passphrase, "-f", path],
                   check=True)
    return path, path.with_suffix(".pub").read_text()


# -- names of parameters


@pytest.mark.quick
@pytest.mark.parametrize("names", [
    ["ip", "username", "password", "plug"], ["ipaddr", "login", "passwd", "port"],
    ["ip", "login", "password", "port"], ["ipaddr", "username", "passwd", "plug"],
], ids="+".join)
def test_old_and_new_names_work_on_stdin_in_any_mixture(host, fence, names):
    values = zip(names, [host.address, "root", PASSWORD, "node1"])
    lines = [f"{name}={value}" for name, value in values]
    lines += [f"ipport={host.port}", f"ssh_options={fence.ssh_options}", "action=off"]
    assert said(fence.piped(lines)) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["node1"]


def test_the_order_on_stdin_does_not_matter(host, fence):
    lines = ["port=node1", f"passwd={PASSWORD}", f"ssh_options={fence.ssh_options}", "action=off",
             f"ipport={host.port}", "login=root", f"ipaddr={host.address}", "nodename=t3022cent"]
    assert said(fence.piped(lines)) == ("Success: Powered OFF\n", 0)


def test_the_short_options_work(host, fence):
    words = ["-a", host.address, "-u", str(host.port), "-l", "root", "-p", PASSWORD, "-o", "off",
             "-n", "node1", f"--ssh-options={fence.ssh_options}"]
    assert said(fence.typed(words)) == ("Success: Powered OFF\n", 0)


def test_the_default_action_is_a_reboot(host, fence):
    assert said(fence.as_pacemaker(host, action=None, plug="node1")) == ("Success: Rebooted\n", 0)


def test_the_options_of_the_old_script_still_work(host, fence):
    run = fence.as_pacemaker(host, "off", "node1", cmd_prompt=":~]", secure="1",
                             ssh_options="-2 " + fence.ssh_options)
    assert said(run) == ("Success: Powered OFF\n", 0)


def test_a_parameter_that_nobody_knows_is_ignored(host, fence):
    run = fence.as_pacemaker(host, "status", "node1", no_such_parameter=PASSWORD)
    assert said(run) == ("Status: ON\n", 0)
    assert "no_such_parameter" in run.stderr
    assert PASSWORD not in run.stderr


# -- who logs in


def test_a_password_script_gives_the_password(host, ask, tmp_path):
    script = tmp_path / "password"
    script.write_text(f'#!/bin/sh\ncat <<"end"\n{PASSWORD}\nend\n')
    script.chmod(0o700)
    assert said(ask(host, "status", "node1", password=None, password_script=str(script))) == (
        "Status: ON\n", 0)


def test_a_password_script_that_prints_no_utf8_is_told_so(host, fence, tmp_path):
    script = tmp_path / "password"
    script.write_text("#!/bin/sh\nprintf 'h\\344x'\n")
    script.chmod(0o700)
    run = fence.as_pacemaker(host, "status", "node1", password=None, password_script=str(script),
                             verbose="1")
    assert run.status == 1
    assert "ERROR: what password_script prints is not UTF-8" in run.stderr
    assert "e4" not in run.stderr


@pytest.mark.parametrize("passphrase", ["", f"{MARKER} word"], ids=["no passphrase", "passphrase"])
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_an_identity_file_logs_in(host, ask, tmp_path, kind, passphrase):
    key, public = with_key(tmp_path, kind, passphrase)
    host.login.authorized_keys = public
    run = ask(host, "off", "node1", identity_file=str(key), password=passphrase or None)
    assert said(run) == ("Success: Powered OFF\n", 0)
    assert [attempt.method for attempt in host.login_tries] == ["publickey"]


def test_a_user_other_than_root_may_log_in(esxi, ask):
    host = esxi(vms=["node1"], user="fencer")
    assert said(ask(host, "off", "node1")) == ("Success: Powered OFF\n", 0)
    assert {attempt.user for attempt in host.login_tries} == {"fencer"}


def test_the_host_asks_for_one_password_only_once_for_each_run(host, ask):
    assert ask(host, "reboot", "node1").status == 0
    assert (host.logins, host.connections_seen, len(host.login_tries)) == (1, 1, 1)


# -- where to


def test_inet4_only_reaches_an_ipv4_address_and_inet6_only_does_not(host, ask):
    assert said(ask(host, "status", "node1", inet4_only=True)) == ("Status: ON\n", 0)
    refused = ask(host, "status", "node1", inet6_only=True)
    assert said(refused) == ("", 1)
    assert host.connections_seen == 1


def test_inet6_only_reaches_an_ipv6_address_and_inet4_only_does_not(esxi, ask):
    host = esxi(vms=["node1"], listen="::1")
    assert said(ask(host, "status", "node1", inet6_only=True)) == ("Status: ON\n", 0)
    assert said(ask(host, "off", "node1")) == ("Success: Powered OFF\n", 0)
    assert said(ask(host, "status", "node1", inet4_only=True)) == ("", 1)


def test_ssh_options_are_given_to_ssh(host, ask, fence, tmp_path):
    options = f"{fence.ssh_options} -o LogLevel=DEBUG1 -E '{tmp_path}/ssh log'"
    assert said(ask(host, "status", "node1", ssh_options=options)) == ("Status: ON\n", 0)
    assert "Authenticated to" in (tmp_path / "ssh log").read_text()


def test_a_host_key_is_remembered_where_ssh_options_say(host, ask, fence):
    ask(host, "status", "node1")
    known = (fence.folder / "known_hosts").read_text()
    assert host.host_key_line().split()[2] in known


# -- how


def test_a_delay_comes_before_off_and_before_the_login(host, ask):
    run = ask(host, "off", "node1", delay="2")
    assert said(run) == ("Success: Powered OFF\n", 0)
    assert run.seconds >= 2


def test_a_delay_comes_even_where_nothing_else_is_right(fence):
    run = fence.piped(["action=reboot", "ip=127.0.0.1", "ipport=1", "login=x", "passwd=x", "port=x",
                       "delay=2"])
    assert said(run) == ("", 1)
    assert run.seconds >= 2


@pytest.mark.parametrize("action", ["status", "on", "monitor", "list"])
def test_a_delay_concerns_off_and_reboot_only(host, fence, action):
    plug = "node1" if action in ("status", "on") else None
    run = fence.as_pacemaker(host, action, plug, delay="30")
    assert run.status == 0
    assert run.seconds < 20


def test_a_separator_separates_name_and_vmid_in_lists(host, ask):
    assert said(ask(host, "list", separator=";")) == ("node1;1\nnode2;2\n", 0)
    assert said(ask(host, "list-status", separator="|")) == (
        "node1|1|on\nnode2|2|on\n", 0)


def test_a_comma_in_plug_means_several_vms(esxi, ask):
    host = esxi(vms=["node1", "node2", "node3"])
    assert said(ask(host, "off", "node1,node2")) == ("Success: Powered OFF\n", 0)
    assert {event.name for event in host.power_events} == {"node1", "node2"}
    assert said(ask(host, "status", "node1,node3")) == ("Status: ON\n", 0)
    assert said(ask(host, "status", "node1,node2")) == ("Status: OFF\n", 2)
    assert said(ask(host, "on", "node1,node2")) == ("Success: Powered ON\n", 0)


def test_a_name_with_a_comma_can_be_given(esxi, ask, fence):
    uuid = "564d36cf-6988-c91d-0f5f-a62628d46553"
    host = esxi(vms=[VM("node,1", uuid=uuid), "node", "1"])
    if not fence.library_has("plug_separator"):
        assert said(ask(host, "off", uuid)) == ("Success: Powered OFF\n", 0)
        assert [event.name for event in host.power_events] == ["node,1"]
        return
    assert said(ask(host, "off", "node,1", plug_separator=";")) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["node,1"]
    assert said(ask(host, "off", "node;1", plug_separator=";")) == ("Success: Powered OFF\n", 0)
    assert {event.name for event in host.power_events} == {"node,1", "node", "1"}


@pytest.mark.parametrize(("action", "changes"), [("off", ["off"]), ("reboot", ["off", "on", "on"])])
def test_of_several_plugs_one_may_be_off_already(esxi, ask, action, changes):
    host = esxi(vms=[VM("node1", power="off"), VM("node2"), VM("node3")])
    words = {"off": "Success: Powered OFF\n", "reboot": "Success: Rebooted\n"}
    assert said(ask(host, action, "node1,node2")) == (words[action], 0)
    assert [event.new for event in host.power_events] == changes
    assert host.vm("node3").power == "on"


def test_of_several_plugs_an_unknown_one_keeps_all_of_them_on(esxi, ask):
    host = esxi(vms=["node1", "node2"])
    run = ask(host, "off", "node1,nobody")
    assert said(run) == ("", 1)
    assert '"nobody"' in run.stderr
    assert host.power_events == []


@pytest.mark.parametrize("value", ["1", "yes", "on", "true"])
def test_missing_as_off_calls_a_missing_vm_off(host, fence, value):
    assert said(fence.as_pacemaker(host, "status", "gone", missing_as_off=value)) == (
        "Status: OFF\n", 2)


@pytest.mark.parametrize("value", [None, "0", "no", "off", "false"])
def test_without_missing_as_off_a_missing_vm_is_an_error(host, fence, value):
    run = fence.as_pacemaker(host, "off", "gone", missing_as_off=value)
    assert said(run) == ("", 1)
    assert '"gone"' in run.stderr


def test_missing_as_off_works_as_a_flag_for_every_action(host, fence):
    assert said(fence(host, "off", "gone", "--missing-as-off")) == ("Success: Already OFF\n", 0)
    assert said(fence(host, "status", "gone", "--missing-as-off")) == ("Status: OFF\n", 2)
    assert said(fence(host, "on", "gone", "--missing-as-off")) == ("", 1)
    assert said(fence(host, "off", "node1", "--missing-as-off")) == ("Success: Powered OFF\n", 0)


def test_missing_as_off_is_refused_where_the_host_cannot_read_all_of_its_vms(host, fence):
    host.faults.invalid_vms = [2]
    run = fence.as_pacemaker(host, "off", "gone", missing_as_off="1")
    assert said(run) == ("", 1)
    assert "missing_as_off cannot be used" in run.stderr


def test_missing_as_off_is_refused_where_a_vm_of_that_name_still_runs(host, fence):
    block = (DATA / "host/unregistered process.txt").read_text()
    host.faults.bad_answers.append(
        BadAnswer("vm process list", kind="text", text=block, status=0, times=9))
    run = fence.as_pacemaker(host, "status", "gone", missing_as_off="1")
    assert said(run) == ("", 1)
    assert "missing_as_off cannot be used" in run.stderr


@pytest.mark.parametrize("value", ["0", "1"])
def test_disable_timeout_changes_nothing_when_all_is_well(host, ask, fence, value):
    value = {"disable_timeout": value} if fence.library_has("disable_timeout") else {}
    assert said(ask(host, "off", "node1", **value)) == (
        "Success: Powered OFF\n", 0)


@pytest.mark.parametrize("level", ["-v", "-vv", "--verbose-level=2"])
def test_verbose_runs_tell_what_was_asked_and_never_the_password(host, fence, level):
    if not fence.library_has("verbose_level"):
        level = "-v"
    run = fence(host, "off", "node1", level, f"--debug-file={fence.folder}/debug")
    assert said(run) == ("Success: Powered OFF\n", 0)
    for told in (run.stderr, fence.debug_log()):
        assert "vim-cmd vmsvc/getallvms" in told
        assert PASSWORD not in told


def test_quiet_silences_the_agent(host, fence):
    run = fence(host, "off", "nobody", "--quiet")
    assert (*said(run), run.stderr) == ("", 1, "")

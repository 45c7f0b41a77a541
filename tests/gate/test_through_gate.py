"""The agent on a simulated host, let in by a restricted key; and others who try that key."""

import os
import signal
import subprocess
import time
from collections import Counter

import gated
import pytest
from esxi_sim import VM, Host, VMFaults
from fence_runner import Fence
from small_host import request_for

UUID = "564d36cf-6988-c91d-0f5f-a62628d46553"


@pytest.fixture
def esxi():
    """A host with a node of ours, another VM that is none of our business, and one that is off."""
    vms = ["t3021cent", VM("payroll"), VM("spare", power="off"), VM("it's", uuid=UUID)]
    with Host(release="6.7", vms=vms) as host:
        yield host


class Gated:
    """The agent with a restricted key. limits: options of the tool; without, the key is for
    t3021cent and spare.
    """

    def __init__(self, host, folder, *limits):
        self.host = host
        self.folder = folder
        self.key = gated.new_key(folder)
        limits = limits or ("--vm=t3021cent", "--vm=spare")
        host.login.authorized_keys = gated.line_of(self.key, *limits) + "\n"
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(host.host_key_line() + "\n")

    def fence(self, action, plug=None, way="pacemaker", **more):
        """Run the agent."""
        options = {"ip": self.host.address, "ipport": self.host.port, "username": "root",
                   "identity_file": self.key, "known_hosts": self.known_hosts, "action": action}
        if plug is not None:
            options["port"] = plug
        return Fence(way, **options, **more).end()

    def ssh_words(self, *words, program="ssh"):
        """Another program of OpenSSH with the same key."""
        port = "-P" if program in ("sftp", "scp") else "-p"
        return [program, "-F", "none", port, str(self.host.port), "-i", str(self.key),
                "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                "-o", "UserKnownHostsFile=%s" % self.known_hosts, *words]

    def ssh(self, *words, text=b"", program="ssh"):
        """Run it; the finished process."""
        return subprocess.run(self.ssh_words(*words, program=program), input=text, check=False,
                              capture_output=True, timeout=20)


@pytest.fixture
def key(esxi, tmp_path):
    """The key that most tests use."""
    return Gated(esxi, tmp_path)


# --- every action --------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["typed", "stdin", "pacemaker"])
def test_every_action_works_unchanged(key, esxi, way):
    said = [key.fence(action, plug, way=way) for action, plug in (
        ("monitor", None), ("status", "t3021cent"), ("off", "t3021cent"), ("status", "t3021cent"),
        ("on", "t3021cent"), ("reboot", "t3021cent"), ("status", "payroll"))]
    assert [(run.status, run.stdout) for run in said] == [
        (0, ""), (0, "Status: ON\n"), (0, "Success: Powered OFF\n"), (2, "Status: OFF\n"),
        (0, "Success: Powered ON\n"), (0, "Success: Rebooted\n"), (0, "Status: ON\n")]
    assert key.fence("list", way=way).stdout.splitlines() == [
        "t3021cent,1", "payroll,2", "spare,3", "it's,4"]
    assert esxi.vm("payroll").powered_off_times == 0


def test_list_status_reads_the_vmx_files_through_the_gate(key, esxi):
    esxi.vm("it's").power = "suspended"
    assert key.fence("list-status").stdout.splitlines() == [
        "t3021cent,1,on", "payroll,2,on", "spare,3,off", "it's,4,UNKNOWN"]


@pytest.mark.parametrize("plug", [UUID, UUID.upper(), UUID.replace("-", "")])
def test_a_uuid_as_plug_and_in_the_key(esxi, tmp_path, plug):
    key = Gated(esxi, tmp_path, "--uuid", UUID)
    assert key.fence("off", plug).stdout == "Success: Powered OFF\n"
    assert esxi.vm("it's").power == "off"
    assert "may not power t3021cent: not in its list" in key.fence("off", "t3021cent").log


def test_a_vm_registered_anew_is_still_the_same_vm(key, esxi):
    esxi.reregister(esxi.vm("t3021cent"))
    assert key.fence("reboot", "t3021cent").stdout == "Success: Rebooted\n"


def test_another_vm_under_the_old_vmid_is_not(key, esxi):
    """The key knows no Vmids."""
    vmid = esxi.vm("t3021cent").vmid
    esxi.unregister(esxi.vm("t3021cent"))
    esxi.add_vm(VM("newcomer", vmid=vmid))
    done = key.ssh("root@127.0.0.1", text=request_for(b"vim-cmd vmsvc/power.off %d" % vmid))
    assert b"this key may not power newcomer: not in its list\n" in done.stdout
    assert esxi.vm("newcomer").power == "on"


def test_each_power_command_costs_one_host_command_more_and_nothing_else_does(key, esxi):
    def commands():
        for action in ("status", "off", "on"):
            esxi.clear_record()
            assert key.fence(action, "t3021cent").status == 0
            yield Counter(esxi.commands)

    through_the_gate = list(commands())
    esxi.login.authorized_keys = key.key.with_suffix(".pub").read_text()
    without = list(commands())
    assert [one - other for one, other in zip(through_the_gate, without)] == [
        Counter(), Counter(["vim-cmd vmsvc/get.summary 1"]),
        Counter(["vim-cmd vmsvc/get.summary 1"])]
    assert [one - other for one, other in zip(without, through_the_gate)] == [Counter()] * 3


# --- the ladder ----------------------------------------------------------------------------------

@pytest.mark.slow
def test_the_whole_ladder_is_climbed_through_the_gate(key, esxi):
    esxi.vm("t3021cent").faults = VMFaults(off="ignored", kill_needs="force")
    run = key.fence("off", "t3021cent")
    assert run.stdout == "Success: Powered OFF\n"
    killed = [command for command in esxi.commands if " kill " in command]
    assert [command.split()[5] for command in killed] == ["soft", "hard", "force"]
    assert esxi.vm("payroll").powered_off_times == 0


@pytest.mark.slow
def test_a_kill_by_localcli_does_not_need_hostd(key, esxi):
    esxi.set_hostd("hung")
    run = key.fence("off", "t3021cent")
    assert run.stdout == "Success: Powered OFF\n"
    assert "localcli vm process kill -t soft" in " ".join(esxi.commands)
    assert esxi.vm("t3021cent").power == "off"
    assert esxi.vm("payroll").power == "on"


@pytest.mark.slow
def test_notes_that_imitate_a_summary_do_not_save_a_vm(key, esxi):
    """power.off is not let through, as anybody may have written the notes; the kill is."""
    esxi.vm("t3021cent").note = (
        'x", \n   }, \n   config = (vim.vm.Summary.ConfigSummary) {\n      name = "payroll", \n')
    assert key.fence("off", "t3021cent").stdout == "Success: Powered OFF\n"
    assert [command for command in esxi.commands if "power.off" in command] == []
    assert [(event.name, event.new) for event in esxi.power_events] == [("t3021cent", "off")]


# --- refusals ------------------------------------------------------------------------------------

@pytest.mark.parametrize("action", ["off", "reboot"])
def test_another_vm_is_refused_with_the_reason(key, esxi, action):
    run = key.fence(action, "payroll")
    assert run.status == 1
    assert "this key may not power payroll: not in its list" in run.log
    assert esxi.vm("payroll").power == "on"


def test_another_vm_is_not_switched_on(key, esxi):
    esxi.vm("payroll").power = "off"
    run = key.fence("on", "payroll")
    assert run.status == 1
    assert "this key may not power payroll: not in its list" in run.log
    assert esxi.vm("payroll").power == "off"


def test_a_key_to_read_only_powers_nothing(esxi, tmp_path):
    key = Gated(esxi, tmp_path, "--read-only")
    assert key.fence("monitor").status == 0
    assert key.fence("status", "t3021cent").stdout == "Status: ON\n"
    run = key.fence("off", "t3021cent")
    assert run.status == 1
    assert "this key may not power a VM: it was made to read only" in run.log
    assert esxi.vm("t3021cent").power == "on"


@pytest.mark.slow
def test_a_key_without_the_kill_rungs_kills_nothing(esxi, tmp_path):
    key = Gated(esxi, tmp_path, "--vm=t3021cent", "--no-kill")
    esxi.vm("t3021cent").faults = VMFaults(off="ignored")
    run = key.fence("off", "t3021cent")
    assert run.status == 1
    assert "this key may not kill the process of a VM: the kill rungs are switched off" in run.log
    assert not [command for command in esxi.commands if " kill " in command]


# --- other uses of the key -----------------------------------------------------------------------

@pytest.mark.parametrize("words", [
    ["touch /pwned"], ["vim-cmd", "vmsvc/power.off", "2"], ["sh"], ["-T", "sh"], [],
    ["-A", "sh"], ["scp -t /"]])  # fmt: skip
def test_whatever_else_is_asked_for_the_gate_answers(key, esxi, words):
    options = [word for word in words if word.startswith("-")]
    command = [word for word in words if not word.startswith("-")]
    done = key.ssh(*options, "root@127.0.0.1", *command, text=request_for(b"touch /pwned"))
    assert b"this key may not run that\n\n7a91.1 77\n" in done.stdout
    assert not (esxi.root.path / "pwned").exists()
    assert esxi.commands == []


@pytest.mark.parametrize("program", ["sftp", "scp"])
def test_no_file_is_transferred(key, esxi, tmp_path, program):
    (tmp_path / "file").write_text("x")
    words = {"sftp": ["root@127.0.0.1"], "scp": [str(tmp_path / "file"), "root@127.0.0.1:/pwned"]}
    done = key.ssh(*words[program], text=b"put %s/file /pwned\n" % os.fsencode(tmp_path),
                   program=program)
    assert done.returncode != 0
    assert not (esxi.root.path / "pwned").exists()


def test_no_terminal_is_given(key, esxi):
    done = key.ssh("-tt", "root@127.0.0.1", "sh", text=request_for(b"touch /pwned"))
    assert b"PTY allocation request failed" in done.stderr
    assert not (esxi.root.path / "pwned").exists()


def test_no_port_is_forwarded(key):
    done = key.ssh("-W", "127.0.0.1:%d" % key.host.port, "root@127.0.0.1")
    assert b"SSH-2.0" not in done.stdout


def test_the_gate_ends_when_the_client_goes(key, esxi):
    client = subprocess.Popen(key.ssh_words("root@127.0.0.1", "x"), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    assert client.stdout.readline() == b"fence_esxi-ready-2\n"
    assert processes_in(esxi)
    client.send_signal(signal.SIGKILL)
    client.wait()
    wait_until(lambda: not processes_in(esxi))


def test_the_gate_ends_with_its_input(key, esxi):
    done = key.ssh("root@127.0.0.1", "x", text=request_for(b"vim-cmd vmsvc/power.getstate 1"))
    assert done.stdout == (
        b"fence_esxi-ready-2\n\n7a91.2 0\nRetrieved runtime info\nPowered on\n\n7a91.1 0\n")
    wait_until(lambda: not processes_in(esxi))


def processes_in(host):
    """The processes that run on a host."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and os.readlink("/proc/%s/root" % entry) == str(host.root.path):
                found.append(int(entry))
        except OSError:
            continue
    return found


def wait_until(condition, seconds=10):
    """Wait for something that is to come at once."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

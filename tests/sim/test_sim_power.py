"""The power of the VMs: what obeys, what does not, and what the host tells afterwards."""

import time

import pytest
from esxi_sim import VM, VMFaults
from esxi_sim.storage import vmx_path

OFF, ON, STATE = ("vim-cmd vmsvc/power.%s 1" % what for what in ("off", "on", "getstate"))
KILL = "esxcli vm process kill -t %s -w %d"


def test_off_and_on_are_recorded_with_their_cause(start_host, client_of):
    host = start_host("node1", "node2")
    first_world = host.vm("node1").world_id
    answer = client_of(host)("%s; %s; %s; %s" % (OFF, STATE, ON, STATE))
    assert answer.stdout.decode().splitlines() == [
        "Powering off VM:", "Retrieved runtime info", "Powered off",
        "Powering on VM:", "Retrieved runtime info", "Powered on"]
    assert host.commands == [OFF, STATE, ON, STATE]
    assert [entry.status for entry in host.record] == [0, 0, 0, 0]
    assert all(entry.started <= entry.ended for entry in host.record)
    assert [(e.name, e.vmid, e.old, e.new, e.cause) for e in host.power_events] == [
        ("node1", 1, "on", "off", OFF), ("node1", 1, "off", "on", ON)]
    assert host.vm("node1").powered_off_times == 1
    assert host.vm("node1").world_id != first_world
    assert host.vm("node2").power == "on"
    host.clear_record()
    assert (host.commands, host.power_events, host.logins) == ([], [], 0)


@pytest.mark.parametrize(("release", "said"), [
    ("5.5", b"(vim.fault.InvalidState) {\n   dynamicType"),
    ("6.0", b"Power off failed\n"),
    ("8.0", b"Power off failed: (vim.fault.InvalidState) {\n   faultCause"),
])
def test_a_refused_off_announces_itself_and_fails(start_host, client_of, release, said):
    host = start_host(VM("node1", faults=VMFaults(off="refused")), release=release)
    answer = client_of(host)(OFF)
    assert answer.stdout == b"Powering off VM:\n"
    assert answer.stderr.startswith(said)
    assert answer.returncode == 1
    assert host.vm("node1").power == "on"


def test_an_ignored_off_looks_like_success(start_host, client_of):
    host = start_host(VM("node1", faults=VMFaults(off="ignored")))
    answer = client_of(host)(OFF)
    assert (answer.stdout, answer.stderr, answer.returncode) == (b"Powering off VM:\n", b"", 0)
    assert host.vm("node1").power == "on"
    assert host.power_events == []


@pytest.mark.parametrize("blocks", [True, False])
def test_a_late_off_comes_after_its_time(start_host, client_of, wait_until, blocks):
    host = start_host(VM("node1", faults=VMFaults(off="late", off_blocks=blocks,
                                                 off_seconds=0.5 if blocks else 3.0)))
    client_of(host)(OFF)
    assert (host.vm("node1").power == "off") is blocks
    wait_until(lambda: host.vm("node1").power == "off")


@pytest.mark.parametrize(("mood", "power"), [("hangs", "on"), ("hangs_after", "off")])
def test_a_hanging_off_says_nothing_until_killed(start_host, client_of, wait_until, mood, power):
    host = start_host(VM("node1", faults=VMFaults(off=mood)))
    answer = client_of(host)("timeout 0.3 %s; exit $?" % OFF)
    assert answer.returncode == 143
    assert host.vm("node1").power == power
    assert host.record[0].ended is None


def test_autostart_switches_it_on_again_so_often_and_no_more(start_host, client_of, wait_until):
    host = start_host(VM("node1", faults=VMFaults(autostart=0.1)))
    client_of(host)(OFF)
    wait_until(lambda: host.vm("node1").power == "on")
    assert host.power_events[-1].cause == "autostart"
    client_of(host)(OFF)
    time.sleep(0.3)
    assert host.vm("node1").power == "off"


@pytest.mark.parametrize("needed", ["soft", "hard", "force", "never"])
def test_only_a_strong_enough_kill_works(start_host, client_of, needed):
    host = start_host(VM("node1", faults=VMFaults(kill_needs=needed)))
    world = host.vm("node1").world_id
    kinds = ["soft", "hard", "force"]
    client = client_of(host)
    for kind in kinds:
        client(KILL % (kind, world))
        strong_enough = needed != "never" and kinds.index(kind) >= kinds.index(needed)
        assert (host.vm("node1").power == "off") is strong_enough
    assert [event.new for event in host.power_events] == ["off"] * (needed != "never")


@pytest.mark.parametrize("options", ["-t soft -w {}", "-t=soft -w={}", "--type soft --world-id {}",
                                     "--type=soft --world-id={}"])
@pytest.mark.parametrize("program", ["esxcli", "localcli"])
def test_every_spelling_of_the_kill_options(start_host, client_of, program, options):
    host = start_host("node1")
    client_of(host)("%s vm process kill %s" % (program, options.format(host.vm("node1").world_id)))
    assert host.vm("node1").power == "off"


def test_hostd_may_notice_a_kill_late(start_host, client_of, wait_until):
    host = start_host(VM("node1", faults=VMFaults(stale_seconds=3.0)))
    client = client_of(host)
    answer = client(KILL % ("soft", host.vm("node1").world_id)
                    + "; %s; localcli vm process list" % STATE)
    assert answer.stdout == b"Retrieved runtime info\nPowered on\n"
    assert host.vm("node1").power == "off"
    wait_until(lambda: b"Powered off" in client(STATE).stdout)


def test_a_question_refuses_off_and_holds_on_until_answered(start_host, client_of, wait_until):
    host = start_host(VM("node1", faults=VMFaults(question=True)), release="7.0")
    client = client_of(host)
    refused = client(OFF)
    assert refused.returncode == 1
    assert b"question pending:  'msg.uuid.altered:This virtual machine might" in refused.stderr
    host.vm("node1").power = "off"
    assert client("vim-cmd vmsvc/message 1").stdout == b"No message.\n"
    assert client("timeout 0.3 %s; exit $?" % ON).returncode == 143
    asked = client("vim-cmd vmsvc/message 1; vim-cmd vmsvc/message 1 0 2").stdout
    assert asked.endswith(b"2. I _copied it (I _copied it) [default]\n")
    assert host.vm("node1").power == "on"


@pytest.mark.parametrize(("mood", "status", "power"), [("obeyed", 0, "off"),
                                                       ("refused", 1, "suspended")])
def test_off_of_a_suspended_vm(start_host, client_of, mood, status, power):
    host = start_host(VM("node1", power="suspended", faults=VMFaults(suspended_off=mood)))
    assert client_of(host)(OFF).returncode == status
    assert host.vm("node1").power == power


@pytest.mark.parametrize(("mood", "status"), [("fails", 1), ("ignored", 0)])
def test_an_on_that_does_not_start(start_host, client_of, mood, status):
    host = start_host(VM("node1", power="off", faults=VMFaults(on=mood)))
    answer = client_of(host)(ON)
    assert answer.stdout == b"Powering on VM:\n"
    assert answer.returncode == status
    assert host.vm("node1").power == "off"


def test_a_busy_vm_refuses(start_host, client_of):
    host = start_host(VM("node1", faults=VMFaults(busy=True)), release="8.0")
    answer = client_of(host)(OFF)
    assert b'msg = "Operation failed since another task is in progress."' in answer.stderr
    assert host.vm("node1").power == "on"


def test_getstate_can_say_anything(start_host, client_of):
    host = start_host(VM("node1", faults=VMFaults(getstate=b"\xff(Powered off)\n",
                                                  getstate_status=3)))
    answer = client_of(host)(STATE)
    assert (answer.stdout, answer.returncode) == (b"\xff(Powered off)\n", 3)


def test_the_vmx_file_tells_a_suspended_vm(start_host, client_of):
    host = start_host("node1", VM("db", power="suspended"), VM("crx", datastore=""))
    client = client_of(host)
    look = "grep -H checkpoint /dev/null /vmfs/volumes/datastore1/*/*.vmx"
    found = client(look).stdout.decode()
    assert found == '/vmfs/volumes/datastore1/db/db.vmx:checkpoint.vmState = "db.vmss"\n'
    host.vm("db").power = "off"
    assert client(look).stdout.decode().endswith(':checkpoint.vmState = ""\n')
    listed = client("cat '%s'" % vmx_path(host.vm("crx"))).stdout.decode()
    assert 'displayName = "crx"' in listed


def test_a_hook_is_told_in_order_and_does_not_hold_up_the_host(start_host, client_of, wait_until):
    told = []

    def slow_hook(name, power):
        time.sleep(1.0)
        told.append((name, power))

    host = start_host("node1", power_hook=slow_hook)
    begun = time.monotonic()
    host.vm("node1").power = "off"
    host.vm("node1").power = "on"
    assert time.monotonic() - begun < 1.0
    wait_until(lambda: told == [("node1", "off"), ("node1", "on")])


def test_a_reregistered_vm_has_a_new_vmid(start_host, client_of):
    host = start_host("node1", "node2")
    host.after_commands(1, lambda: host.reregister(host.vm("node1")))
    answer = client_of(host)("%s; %s" % (STATE, STATE))
    assert answer.stdout.startswith(b"Retrieved runtime info\nPowered on\n(vim.fault.NotFound)")
    assert host.vm("node1").vmid == 3
    assert host.vm_by_id(3).name == "node1"

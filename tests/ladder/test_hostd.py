"""hostd hangs, is down or recovers: what only localcli can do then, and what nobody can know."""

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, run, succeeds, was_cut
from esxi_sim import VM


@BOTH_WAYS
@pytest.mark.parametrize("action", ["off", "reboot"])
def test_hostd_is_hung_before_the_first_command(action, real):
    with a_host(real=real, host={"hostd": "hung"}) as host:
        done = succeeds(host, action, {"off": "Success: Powered OFF",
                                       "reboot": "Success: Rebooted"}[action])
        assert kills(host) == ["localcli soft"]
        assert power_commands(host) == [] or action == "reboot"
        assert was_cut(host)
        assert "its process is gone from two lists" in done.stderr


@pytest.mark.parametrize("after", [0, 2])
def test_the_first_kill_is_sent_within_12_seconds(after):
    with a_host() as host:
        host.after_commands(after, lambda: host.set_hostd("hung"))
        started = host.clock.now
        succeeds(host, "off", "Success: Powered OFF")
        first = next(entry for entry in host.record if "kill" in entry.line)
        assert first.started - started < 12


def test_hostd_is_down_and_the_vm_runs():
    with a_host(host={"hostd": "down"}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["localcli soft"]
        assert host.vm("node1").power == "off"


def test_hostd_fails_late():
    with a_host(host={"hostd": "late_failure"}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


@BOTH_WAYS
def test_hostd_is_down_and_only_force_works(real):
    with a_host(real=real, kill_needs="force", host={"hostd": "down"}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["localcli soft", "localcli hard", "localcli force"]


def test_hostd_is_down_and_the_node_is_alone_on_the_host():
    with a_host(host={"hostd": "down"}) as host:
        host.vm("node2").power = "off"
        host.clear_record()
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"
        host.vm("node2").power = "on"
        host.clear_record()


@pytest.mark.parametrize(("hostd", "missing_as_off"), [("hung", None), ("down", None),
                                                       ("down", "1"), ("late_failure", "1")])
def test_hostd_is_silent_and_nobody_knows_the_vm(hostd, missing_as_off):
    """A name that no process bears may be mistyped, or that of a VM which is off: no proof."""
    with a_host(host={"hostd": hostd}) as host:
        done = fails(host, "off", '"node9"', "is not proven off", plug="node9",
                     missing_as_off=missing_as_off)
        assert kills(host) == []
        assert "kill" not in done.stderr


def test_hostd_is_down_and_the_vm_is_off():
    """localcli lists running VMs only: that it lists no node1 does not prove anything."""
    with a_host(power="off", host={"hostd": "down"}) as host:
        fails(host, "off", "is not proven off")
        assert kills(host) == []


def test_hostd_hangs_as_soon_as_the_vm_was_found():
    with a_host() as host:
        host.after_commands(1, lambda: host.set_hostd("hung"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["localcli soft"]


def test_hostd_hangs_as_soon_as_power_off_was_refused():
    with a_host(off="refused", kill_needs="hard") as host:
        host.after_commands(3, lambda: host.set_hostd("hung"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["localcli soft", "localcli hard"]


def test_hostd_recovers_in_a_reboot_and_calls_the_killed_vm_on_a_while():
    with a_host(stale_seconds=6) as host:
        host.set_hostd("hung", recover_after=10)
        succeeds(host, "reboot", "Success: Rebooted")
        assert [event.new for event in host.power_events] == ["off", "on"]


def test_hostd_recovers_while_localcli_is_down():
    with a_host(host={"hostd": "down", "localcli": "down"}) as host:
        host.set_hostd("down", recover_after=12)
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


def test_hostd_is_down_and_two_running_vms_bear_the_name():
    """Which of them the plug means is in hostd's list only: neither is touched."""
    with a_host(host={"hostd": "down"}) as host:
        other = host.add_vm(VM("node1", datastore="datastore2"))
        fails(host, "off", '"node1" is not certain: is it', "Nothing more was killed",
              "world %d" % host.vm_by_id(1).world_id, "world %d" % other.world_id)
        assert kills(host) == []


@pytest.mark.parametrize("off", ["obeyed", "refused"])
def test_two_running_vms_bear_the_name_and_one_is_registered(off):
    """Which of them the plug means is not certain, whatever hostd lists: neither is touched."""
    with a_host(off=off) as host:
        left_behind = VM("node1", datastore="datastore2")
        host.add_vm(left_behind)
        host.unregister(left_behind)
        fails(host, "off", 'which VM is called "node1" is not certain: "node1" (Vmid 1) [data',
              "world %d" % left_behind.world_id, "rename one of them, or use a UUID")
        assert kills(host) == []
        assert power_commands(host) == []
        assert {left_behind.power, host.vm_by_id(1).power} == {"on"}


@BOTH_WAYS
def test_hostd_is_down_on_every_reading_action(real):
    with a_host(real=real, host={"hostd": "down"}) as host:
        for action in ("status", "list", "list-status", "monitor"):
            done = run(host, action, "node1" if action == "status" else None)
            assert (done.status, done.stdout) == (1, "")
            assert "hostd" in done.stderr


@pytest.mark.parametrize("service", [True, False])
@pytest.mark.parametrize("hostd", ["hung", "late_failure"])
@pytest.mark.parametrize("action", ["status", "list", "list-status", "monitor"])
def test_a_reading_ends_in_time_while_hostd_is_silent(action, hostd, service):
    with a_host(host={"hostd": hostd}) as host:
        done = run(host, action, "node1" if action == "status" else None, service=service)
        assert (done.status, done.stdout) == (1, "")
        assert "vim-cmd vmsvc/getallvms" in done.stderr or "hostd" in done.stderr


def test_on_ends_in_time_while_hostd_is_hung():
    with a_host(power="off", host={"hostd": "hung"}) as host:
        fails(host, "on", "vim-cmd vmsvc/getallvms")
        assert host.vm("node1").power == "off"


@BOTH_WAYS
def test_a_reading_succeeds_when_hostd_recovers_in_time(real):
    with a_host(real=real) as host:
        host.set_hostd("hung", recover_after=5)
        assert run(host, "status").stdout == "Status: ON\n"

"""The ladder, rung by rung: each fault of a VM or of power.off, and the verdict it gets."""

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, rounds, succeeds, was_cut
from esxi_sim import VM, BadAnswer, VMFaults


@BOTH_WAYS
def test_a_vm_that_obeys_is_asked_no_more_than_it_takes(real):
    with a_host(real=real, host={"latency": 0.3}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert [sorted(pair) for pair in rounds(host)] == [
            ["localcli vm process list", "vim-cmd vmsvc/getallvms"],
            ["vim-cmd vmsvc/get.summary 1", "vim-cmd vmsvc/power.getstate 1"],
            ["vim-cmd vmsvc/power.off 1"],
            ["localcli vm process list", "vim-cmd vmsvc/power.getstate 1"]]
        assert host.vm("node1").power == "off"


@BOTH_WAYS
def test_off_is_ignored_then_the_softest_kill_is_enough(real):
    with a_host(real=real, off="ignored") as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert power_commands(host) == ["vim-cmd vmsvc/power.off 1"]
        assert kills(host) == ["esxcli soft"]
        assert host.vm("node1").power == "off"


@pytest.mark.parametrize("release", ["5.5", "6.7", "8.0"])
def test_off_is_refused_then_the_softest_kill_is_enough(release):
    with a_host(off="refused", host={"release": release}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft"]
        assert host.vm("node1").power == "off"


def test_a_kill_needs_to_be_hard():
    with a_host(off="ignored", kill_needs="hard") as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft", "esxcli hard"]


def test_only_force_works():
    with a_host(off="ignored", kill_needs="force") as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft", "esxcli hard", "esxcli force"]
        assert host.vm("node1").power == "off"
        assert done.seconds < 25


@BOTH_WAYS
def test_only_force_works_and_the_node_is_started_again(real):
    with a_host(real=real, off="ignored", kill_needs="force") as host:
        succeeds(host, "reboot", "Success: Rebooted")
        assert was_cut(host)
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize(("action", "off"), [("off", "ignored"), ("off", "refused"),
                                             ("reboot", "ignored")])
def test_nothing_works(action, off):
    with a_host(off=off, kill_needs="never") as host:
        done = fails(host, action, '"node1"', "is not proven off", "tried: power.off, "
                     "esxcli kill soft, esxcli kill hard, esxcli kill force")
        assert done.seconds < 45  # a reboot that cannot switch off does not wait for its own 55
        assert host.vm("node1").power == "on"
        assert not was_cut(host)


@BOTH_WAYS
def test_nothing_works_while_hostd_hangs(real):
    with a_host(real=real, kill_needs="never", host={"hostd": "hung"}) as host:
        fails(host, "off", '"node1"', "is not proven off",
              "localcli kill soft, localcli kill hard, localcli kill force")
        assert host.vm("node1").power == "on"


def test_nothing_answers():
    with a_host(host={"hostd": "hung", "localcli": "hung"}) as host:
        fails(host, "off", '"node1"', "is not proven off", "tried: nothing could be sent")
        assert host.vm("node1").power == "on"


def test_power_off_hangs_and_is_done():
    with a_host(off="hangs_after") as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == []
        assert host.vm("node1").powered_off_times == 1
        assert done.seconds < 20


@BOTH_WAYS
def test_power_off_hangs_and_is_not_done(real):
    with a_host(real=real, off="hangs") as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft"]
        assert host.vm("node1").power == "off"
        assert done.seconds < 25


@pytest.mark.parametrize("seconds", [2, 8, 20])
def test_off_comes_late_and_the_vm_cannot_be_killed(seconds):
    with a_host(off="late", off_seconds=seconds, off_blocks=False, kill_needs="never") as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


def test_off_comes_late_and_power_off_waits_for_it():
    with a_host(off="late", off_seconds=20, off_blocks=True, kill_needs="never") as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


def test_the_process_outlives_its_kill_for_a_moment():
    with a_host(off="refused", kill_seconds=2) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft"]


@pytest.mark.parametrize("seconds", [2, 12])
def test_hostd_says_on_for_a_while_after_the_kill(seconds):
    with a_host(off="refused", stale_seconds=seconds) as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert done.seconds > seconds  # not before hostd itself said so
        assert host.vm("node1").power == "off"


def test_another_task_is_in_progress():
    with a_host(busy=True, host={"release": "8.0"}) as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert "Operation failed since another task is in progress." in done.stderr
        assert kills(host) == ["esxcli soft"]


def test_the_vm_is_switched_on_again_right_after_the_off():
    with a_host(autostart=1.0) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert was_cut(host)


def test_the_vm_is_switched_on_again_before_the_off_could_be_seen():
    with a_host(autostart=0.0, autostart_times=1, host={"latency": 0.1}) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


@BOTH_WAYS
def test_a_vm_that_is_off_is_left_alone(real):
    with a_host(real=real, power="off") as host:
        succeeds(host, "off", "Success: Already OFF")
        assert power_commands(host) == []


def test_the_reboot_of_a_vm_that_is_off_starts_it():
    with a_host(power="off") as host:
        succeeds(host, "reboot", "Success: Rebooted")
        assert power_commands(host) == ["vim-cmd vmsvc/power.on 1"]
        assert host.vm("node1").power == "on"


# --- limits, and several plugs -------------------------------------------------------------------


@pytest.mark.parametrize("service", [False, True])
@pytest.mark.parametrize(("power_timeout", "seconds"), [(None, 12), ("3", 3), ("300", 24)])
def test_power_timeout_is_what_a_power_off_is_waited_for(power_timeout, seconds, service):
    """Under Pacemaker too, where the library sets the limits to 0; and time is left for kills."""
    with a_host(off="hangs") as host:
        done = succeeds(host, "off", "Success: Powered OFF", power_timeout=power_timeout,
                        service=service)
        assert seconds <= done.seconds < seconds + 3


def test_one_plug_that_will_not_die_keeps_no_other_on():
    with a_host(off="ignored", kill_needs="never", others=()) as host:
        others = [VM("node2"), VM("node3", faults=VMFaults(off="ignored"))]
        for vm in others:
            host.add_vm(vm)
        done = fails(host, "off", '"node1" (Vmid 1) is not proven off', plug="node1,node2,node3")
        assert [vm.power for vm in others] == ["off", "off"]
        assert "node2" not in done.stderr
        others[0].power = others[1].power = "on"
        fails(host, "off", '"node1" (Vmid 1) is not proven off', plug="node3,node1")
        assert [vm.power for vm in others] == ["on", "off"]
        host.clear_record()


# --- without kills -------------------------------------------------------------------------------


@pytest.mark.parametrize("off", ["ignored", "refused", "hangs"])
def test_no_kill_sends_none_and_fails(off):
    with a_host(off=off) as host:
        done = fails(host, "off", '"node1"', "is not proven off", "tried: power.off;", no_kill="1")
        assert "kill" not in done.stderr
        assert kills(host) == []
        assert {line for line in host.commands if "process" in line} == {
            "localcli vm process list"}
        assert host.vm("node1").power == "on"


@BOTH_WAYS
def test_no_kill_waits_for_a_late_off(real):
    with a_host(real=real, off="late", off_seconds=15, off_blocks=False) as host:
        succeeds(host, "off", "Success: Powered OFF", no_kill="1")
        assert kills(host) == []


def test_no_kill_and_hostd_hangs():
    with a_host(host={"hostd": "hung"}) as host:
        fails(host, "off", '"node1"', "is not proven off", no_kill="1")
        assert kills(host) == []
        assert host.vm("node1").power == "on"


def test_no_kill_0_means_that_kills_are_allowed():
    with a_host(off="refused") as host:
        succeeds(host, "off", "Success: Powered OFF", no_kill="0")
        assert kills(host) == ["esxcli soft"]


# --- power_wait and a power.on that takes its time -----------------------------------------------


@pytest.mark.parametrize("seconds", [10, 18, 25])
def test_power_wait_leaves_time_to_switch_on_again(seconds):
    with a_host() as host:
        succeeds(host, "reboot", "Success: Rebooted", power_wait=str(seconds))
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize("action", ["on", "reboot"])
def test_a_power_on_may_take_longer_than_its_answer(action):
    with a_host(power="off" if action == "on" else "on", on="late", on_seconds=15) as host:
        words = {"on": "Success: Powered ON", "reboot": "Success: Rebooted"}[action]
        succeeds(host, action, words)
        assert host.vm("node1").power == "on"


def test_hostd_may_call_it_off_for_a_moment_after_it_took_the_power_on():
    with a_host(power="off") as host:
        host.faults.bad_answers.append(BadAnswer("power.getstate", "text", after=1, text=(
            "Retrieved runtime info\nPowered off\n")))
        succeeds(host, "on", "Success: Powered ON")


def test_a_power_on_that_changes_nothing_is_told_soon():
    with a_host(power="off", on="ignored") as host:
        assert fails(host, "on", "power.on was taken, and it stays off").seconds < 10

"""What an admin types first, on each release, letter for letter."""

import pytest
from esxi_sim import RELEASES, VM
from fence_runner import said


@pytest.fixture(params=RELEASES)
def host(request, esxi):
    """The host of the first node: one VM, t3022cent, which runs."""
    return esxi(release=request.param, vms=[VM("t3022cent", vmid=14)])


def test_the_first_session_prints_what_it_always_printed(host, fence):
    vm = host.vm("t3022cent")
    assert said(fence(host, "list")) == ("t3022cent,14\n", 0)
    assert said(fence(host, "off", "t3022cent")) == ("Success: Powered OFF\n", 0)
    assert (vm.power, vm.powered_off_times) == ("off", 1)
    assert said(fence(host, "status", "t3022cent")) == ("Status: OFF\n", 2)
    assert said(fence(host, "on", "t3022cent")) == ("Success: Powered ON\n", 0)
    assert (vm.power, vm.powered_on_times) == ("on", 1)
    assert said(fence(host, "status", "t3022cent")) == ("Status: ON\n", 0)


def test_every_other_action_answers_pacemaker(host, fence):
    vm = host.vm("t3022cent")
    assert said(fence.as_pacemaker(host, "monitor")) == ("", 0)
    assert said(fence.as_pacemaker(host, "list-status")) == ("t3022cent,14,on\n", 0)
    assert said(fence.as_pacemaker(host, "on", "t3022cent")) == ("Success: Already ON\n", 0)
    assert host.power_events == []
    assert said(fence.as_pacemaker(host, "reboot", "t3022cent")) == ("Success: Rebooted\n", 0)
    assert (vm.power, vm.powered_off_times, vm.powered_on_times) == ("on", 1, 1)
    assert said(fence.as_pacemaker(host, "off", "t3022cent")) == ("Success: Powered OFF\n", 0)
    assert said(fence.as_pacemaker(host, "off", "t3022cent")) == ("Success: Already OFF\n", 0)
    assert (vm.power, vm.powered_off_times) == ("off", 2)
    assert said(fence.as_pacemaker(host, "list-status")) == ("t3022cent,14,off\n", 0)
    assert said(fence.as_pacemaker(host, "list")) == ("t3022cent,14\n", 0)


def test_a_reboot_of_a_vm_that_is_off_switches_it_on(host, fence):
    host.vm("t3022cent").power = "off"
    host.clear_record()
    assert said(fence.as_pacemaker(host, "reboot", "t3022cent")) == ("Success: Rebooted\n", 0)
    assert [event.new for event in host.power_events] == ["on"]


@pytest.mark.quick
def test_it_is_silent_on_stderr_when_all_is_well(esxi, ask):
    host = esxi(vms=["t3022cent"])
    for action in ("list", "list-status", "monitor"):
        assert ask(host, action).stderr == ""
    for action in ("status", "off", "status", "on", "reboot"):
        assert ask(host, action, "t3022cent").stderr == ""

"""Every power state against every action, as the documentation promises."""

import pytest
from esxi_sim import VM, VMFaults
from fence_runner import said


@pytest.fixture(params=["obeyed", "refused"], ids=["off obeyed", "off refused"])
def suspended(request, esxi):
    """A host with a suspended VM; what power.off does to it is not known for ESXi, so both."""
    return esxi(vms=[VM("node1", power="suspended",
                        faults=VMFaults(suspended_off=request.param)), "node2"])


def test_status_of_a_suspended_vm_is_an_error_that_says_so(suspended, ask):
    run = ask(suspended, "status", "node1")
    assert said(run) == ("", 1)
    assert "suspended" in run.stderr
    assert suspended.power_events == []


def test_on_does_not_resume_a_suspended_vm(suspended, ask):
    run = ask(suspended, "on", "node1")
    assert said(run) == ("", 1)
    assert "suspended" in run.stderr
    assert suspended.power_events == []


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_suspended_vm_counts_as_off_only_once_it_is_powered_off(suspended, fence, action):
    refused = suspended.vm("node1").faults.suspended_off == "refused"
    run = fence.as_pacemaker(suspended, action, "node1")
    if refused:
        assert said(run) == ("", 1)
        assert "suspended" in run.stderr
        assert suspended.power_events == []
    else:
        words = {"off": "Success: Powered OFF\n", "reboot": "Success: Rebooted\n"}
        assert said(run) == (words[action], 0)
        assert suspended.power_events[0].new == "off"
    assert suspended.vm("node2").power == "on"
    assert run.seconds < 55


def test_list_status_calls_a_suspended_vm_unknown(esxi, ask):
    resumed = VM("resumed")
    host = esxi(vms=[VM("asleep", power="suspended"), VM("awake"), VM("dead", power="off"),
                     resumed])
    resumed.power = "suspended"
    resumed.power = "off"
    assert said(ask(host, "list-status")) == (
        "asleep,1,UNKNOWN\nawake,2,on\ndead,3,off\nresumed,4,off\n", 0)


@pytest.mark.parametrize(("action", "power", "words", "changes"), [
    ("status", "on", ("Status: ON\n", 0), []),
    ("status", "off", ("Status: OFF\n", 2), []),
    ("off", "on", ("Success: Powered OFF\n", 0), ["off"]),
    ("off", "off", ("Success: Already OFF\n", 0), []),
    ("on", "off", ("Success: Powered ON\n", 0), ["on"]),
    ("on", "on", ("Success: Already ON\n", 0), []),
    ("reboot", "on", ("Success: Rebooted\n", 0), ["off", "on"]),
    ("reboot", "off", ("Success: Rebooted\n", 0), ["on"]),
])
def test_each_action_in_each_state(esxi, ask, action, power, words, changes):
    host = esxi(vms=[VM("node1", power=power), "node2"])
    assert said(ask(host, action, "node1")) == words
    assert [(event.name, event.new) for event in host.power_events] == [
        ("node1", change) for change in changes]


UNUSABLE = {
    "nothing": "",
    "the caption only": "Retrieved runtime info\n",
    "the state only": "Powered off\n",
    "two states": "Retrieved runtime info\nPowered off\nPowered on\n",
    "other case": "Retrieved runtime info\npowered off\n",
    "a longer line": "Retrieved runtime info\nPowered off (not really)\n",
    "a fault that names a state": (
        '(vim.fault.InvalidPowerState) {\n   existingState = "poweredOff"\n   msg = "The attempted '
        'operation cannot be performed in the current state (Powered off)."\n}\n'),
}


@pytest.mark.parametrize("answer", UNUSABLE)
@pytest.mark.parametrize("action", ["status", "on"])
def test_an_unusable_power_state_is_an_error(esxi, fence, answer, action):
    host = esxi(vms=[VM("node1", power="off", faults=VMFaults(getstate=UNUSABLE[answer]))])
    assert said(fence.as_pacemaker(host, action, "node1")) == ("", 1)


def test_a_state_from_a_command_that_failed_is_not_believed(esxi, fence):
    faults = VMFaults(getstate="Retrieved runtime info\nPowered off\n", getstate_status=1)
    host = esxi(vms=[VM("node1", power="off", faults=faults)])
    assert said(fence.as_pacemaker(host, "status", "node1")) == ("", 1)

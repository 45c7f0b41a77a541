"""A suspended VM, and a VM that waits with a question."""

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, succeeds, was_cut
from esxi_sim import VM, VMFaults

QUESTION = "virtual machine might have been moved or copied"
ANSWER = "answer with: vim-cmd vmsvc/message 1 0 N"


@BOTH_WAYS
def test_suspended_and_off_is_obeyed(real):
    with a_host(real=real, power="suspended") as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


@pytest.mark.parametrize("action", ["off", "reboot"])
@pytest.mark.parametrize("release", ["5.5", "6.7", "8.0"])
def test_suspended_and_off_is_refused(action, release):
    with a_host(power="suspended", suspended_off="refused", host={"release": release}) as host:
        done = fails(host, action, '"node1"', "is not proven off", "it is suspended")
        assert done.seconds < 20  # nothing will change that: it need not take all the time
        assert host.vm("node1").power == "suspended"
        assert "vim-cmd vmsvc/power.on 1" not in host.commands


def test_suspended_at_last_and_then_hostd_hangs():
    """Its process goes with that: the two lists prove nothing any more."""
    with a_host(off="ignored", kill_needs="never") as host:
        host.after_commands(20, lambda: host.suspend(host.vm("node1")))
        host.after_commands(24, lambda: host.set_hostd("hung"))
        fails(host, "off", "is not proven off")


def test_suspended_and_hostd_is_hung():
    """A suspended VM has no process: that there is none does not make it off."""
    with a_host(power="suspended", host={"hostd": "hung"}) as host:
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "suspended"


def test_suspended_and_on_would_resume_a_stale_node():
    with a_host(power="suspended") as host:
        fails(host, "on", '"node1" (Vmid 1) suspended', "stale node")
        assert power_commands(host) == []


def test_suspended_and_reboot_starts_it_afresh():
    with a_host(power="suspended") as host:
        succeeds(host, "reboot", "Success: Rebooted")
        assert was_cut(host)
        assert host.vm("node1").power == "on"


def test_the_status_of_a_suspended_vm_is_an_error():
    with a_host(power="suspended") as host:
        fails(host, "status", "suspended")
        listed = succeeds(host, "list-status", "node1,1,UNKNOWN\nnode2,2,on", plug=None)
        assert listed.stderr == ""


# --- questions -----------------------------------------------------------------------------------


def test_a_question_at_power_on_is_named_and_not_answered():
    with a_host(power="off", question=True) as host:
        fails(host, "on", QUESTION, ANSWER, "1. I _moved it", "2. I _copied it")
        assert not [line for line in host.commands if line.startswith("vim-cmd vmsvc/message 1 ")]
        assert host.vm("node1").power == "off"


def test_a_question_at_power_on_of_another_kind():
    question = ("_vmx7:msg.hbacommon.corruptredo:The redo log of \"node1.vmdk\" is corrupted.\n\n"
                "Do you want to \"retry\" or \"abort\"?\n"
                "0. Retry (Retry)\n1. Abort (Abort) [default]")
    with a_host(power="off", question=question, host={"release": "8.0"}) as host:
        fails(host, "on", 'The redo log of "node1.vmdk" is corrupted.', "0. Retry", "1. Abort")


@BOTH_WAYS
def test_a_question_at_power_on_does_not_undo_a_reboot(real):
    with a_host(real=real) as host:
        def ask():
            host.vm("node1").faults.question = True

        host.after_commands(3, ask)
        done = succeeds(host, "reboot", "Success: Rebooted")
        assert was_cut(host)
        assert host.vm("node1").power == "off"
        assert QUESTION in done.stderr
        assert ANSWER in done.stderr
        assert not [line for line in host.commands if line.startswith("vim-cmd vmsvc/message 1 ")]


def test_a_question_that_refuses_power_off_does_not_stop_the_kill():
    with a_host(question=True) as host:
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft"]


def test_a_question_that_refuses_power_off_is_named_where_nothing_works():
    with a_host(question=True, kill_needs="never") as host:
        fails(host, "off", "is not proven off", QUESTION, ANSWER, "tried: power.off, esxcli kill")


# --- power.on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["hangs", "ignored", "fails"])
def test_power_on_does_not_work(on):
    with a_host(power="off", on=on, host={"release": "8.0"}) as host:
        done = fails(host, "on", '"node1" (Vmid 1) could not be switched on')
        assert ("This host does not support AMD-V." in done.stderr) == (on == "fails")
        assert host.vm("node1").power == "off"


@pytest.mark.parametrize("on", ["hangs", "ignored", "fails"])
def test_power_on_does_not_work_after_a_good_off(on):
    with a_host(on=on) as host:
        done = succeeds(host, "reboot", "Success: Rebooted")
        assert '"node1" (Vmid 1) could not be switched on' in done.stderr
        assert was_cut(host)
        assert host.vm("node1").power == "off"


@pytest.mark.parametrize("action", ["on", "reboot"])
def test_power_on_comes_late(action):
    with a_host(power="off", on="late", on_seconds=8) as host:
        succeeds(host, action, {"on": "Success: Powered ON", "reboot": "Success: Rebooted"}[action])
        assert host.vm("node1").power == "on"


def test_a_late_off_and_then_a_power_on_that_hangs():
    """The longest way to a success: it must still end within the bound of a reboot."""
    with a_host(off="late", off_seconds=20, off_blocks=False, kill_needs="never",
                on="hangs") as host:
        succeeds(host, "reboot", "Success: Rebooted")


def test_on_of_a_vm_that_is_on():
    with a_host() as host:
        succeeds(host, "on", "Success: Already ON")
        assert power_commands(host) == []


def test_two_vms_with_faults_of_their_own():
    """What is wrong with one VM says nothing about the other."""
    with a_host() as host:
        host.add_vm(VM("node3", faults=VMFaults(question=True, off="refused")))
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node3").power == "on"

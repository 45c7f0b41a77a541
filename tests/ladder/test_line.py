"""The connection breaks, falls silent or is refused at each step of an off."""

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, run, succeeds
from esxi_sim import BadAnswer, LineCut

STEPS = ("getallvms", "getstate", "power.off")
CUTS = ("before_run", "before", "middle", "after")


@BOTH_WAYS
@pytest.mark.parametrize("when", CUTS)
@pytest.mark.parametrize("step", STEPS)
def test_the_line_breaks_and_the_vm_is_off_all_the_same(step, when, real):
    with a_host(real=real) as host:
        host.faults.cuts.append(LineCut(step, when=when))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == []
        assert host.vm("node1").powered_off_times == 1
        assert host.logins == 2


def test_the_line_breaks_while_the_agent_only_looks():
    with a_host() as host:
        host.faults.cuts.append(LineCut("getallvms", when="before"))
        assert run(host, "status").stdout == "Status: ON\n"
        assert host.logins == 2


def test_a_key_that_may_not_is_told_at_once():
    with a_host() as host:
        host.faults.bad_answers.append(BadAnswer("power.off", "text", 99, status=77, text=(
            "fence_esxi: this key may not run that\n")))
        done = fails(host, "off", "this key may not")
        assert kills(host) == []
        assert done.seconds < 5


def test_the_line_breaks_right_after_off_was_sent_and_the_off_was_ignored():
    with a_host(off="ignored") as host:
        host.faults.cuts.append(LineCut("power.off", when="before"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["esxcli soft"]
        assert host.vm("node1").power == "off"


def test_the_line_breaks_at_the_kill():
    with a_host(off="refused") as host:
        host.faults.cuts.append(LineCut("kill", when="before_run"))
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


@BOTH_WAYS
@pytest.mark.parametrize("step", [*STEPS, "process list"])
def test_the_session_falls_silent(step, real):
    with a_host(real=real, off="ignored") as host:
        host.faults.cuts.append(LineCut(step, when="silent"))
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"
        assert host.logins > 1


def test_the_line_breaks_at_every_power_off():
    with a_host() as host:
        host.faults.cuts += [LineCut("power.off", when="before_run", nth=n) for n in range(1, 99)]
        done = run(host, "off")
        assert (done.status == 0) == (host.vm("node1").power == "off"), done


def test_the_line_breaks_while_the_node_is_started():
    with a_host() as host:
        host.faults.cuts.append(LineCut("power.on", when="before"))
        succeeds(host, "reboot", "Success: Rebooted")
        assert host.vm("node1").powered_off_times == 1
        assert len(power_commands(host)) >= 2


def test_the_host_hangs_up_on_the_first_login():
    with a_host(real=True) as host:
        host.login.drop_connections = 1
        succeeds(host, "off", "Success: Powered OFF")


@pytest.mark.parametrize("kind", ["empty", "half", "garbage"])
@pytest.mark.parametrize("step", [*STEPS, "process list", "process kill"])
def test_an_answer_is_damaged_once(step, kind):
    with a_host(off="refused" if "process" in step else "obeyed") as host:
        host.faults.bad_answers.append(BadAnswer(step, kind=kind))
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


@pytest.mark.parametrize("kind", ["empty", "half", "garbage"])
def test_no_list_of_processes_is_whole(kind):
    """A list in which the process cannot be seen is no proof that it is gone."""
    with a_host(off="ignored", kill_needs="never", host={"hostd": "hung"}) as host:
        host.faults.bad_answers.append(BadAnswer("localcli vm process list", kind=kind, times=999))
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "on"


def test_the_list_of_processes_goes_empty_after_the_first_look():
    """An empty list is what a host without running VMs prints, but node2 was just there."""
    with a_host(kill_needs="never", host={"hostd": "hung"}) as host:
        def spoil():
            host.faults.bad_answers.append(
                BadAnswer("localcli vm process list", kind="empty", times=3))

        host.after_commands(2, spoil)
        done = run(host, "off")
        assert done.status == 1, done
        assert host.vm("node1").power == "on"

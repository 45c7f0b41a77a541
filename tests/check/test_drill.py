"""The drill: every rung on one VM, and on no other."""

import pytest
from esxi_sim import VM, VMFaults

RUNGS = ["power.off", "esxcli kill soft", "esxcli kill hard", "esxcli kill force",
         "localcli kill soft", "localcli kill hard", "localcli kill force"]


def words(name, again=None):
    return ["--drill", name, "--really-power-off", name if again is None else again]


@pytest.mark.parametrize("found", ["on", "off"])
def test_every_rung_is_climbed_and_the_vm_left_as_it_was(check, world, found):
    host = world([VM("scratch", power=found), VM("scratch2"), VM("other", power="off")])
    outcome = check(host, *words("scratch"))
    assert [name for name in outcome.checks if name in RUNGS] == RUNGS
    assert outcome.remarkable == {}
    assert outcome.notes == ["rungs known to work on this host: " + ", ".join(RUNGS)]
    assert {event.name for event in host.power_events} == {"scratch"}
    assert host.vm("scratch").powered_off_times == 7
    assert host.vm("scratch").power == found
    assert host.vm("scratch2").power == "on"


def test_each_kill_is_what_ended_the_vm(check, world):
    host = world([VM("scratch"), VM("other")])
    check(host, *words("scratch"))
    causes = [event.cause.split(" -w")[0] for event in host.power_events if event.new == "off"]
    assert causes == ["vim-cmd vmsvc/power.off 1"] + [
        "%s vm process kill -t %s" % (tool, how) for tool in ("esxcli", "localcli")
        for how in ("soft", "hard", "force")]


#: faults of the VM, the rung that fails, what its line says
STOPS = {
    "power.off is refused": ({"off": "refused"}, "power.off", "the host did not take it"),
    "power.off is ignored": ({"off": "ignored"}, "power.off", "is not off after"),
    "a soft kill is not enough": ({"kill_needs": "hard"}, "esxcli kill soft", "by hostd, localcli, "
                                  "esxcli, ps"),
    "power.on fails": ({"on": "fails"}, "esxcli kill soft", "could not be switched on"),
    "ps shows it for ever": ({"ps_seconds": 90}, "power.off", "by ps"),
    "hostd believes it is on": ({"stale_seconds": 90}, "esxcli kill soft", "by hostd"),
}


@pytest.mark.parametrize("case", STOPS)
def test_it_stops_at_the_first_thing_that_is_not_as_expected(check, world, case):
    faults, rung, says = STOPS[case]
    host = world([VM("scratch", faults=VMFaults(**faults)), VM("other")])
    outcome = check(host, *words("scratch"))
    assert outcome.status == 1
    assert outcome.checks[rung][0] == "FAIL"
    assert says in outcome.checks[rung][1]
    assert [name for name in outcome.checks if name in RUNGS] == RUNGS[:RUNGS.index(rung) + 1]
    assert "left" in outcome.checks
    left_on = host.vm("scratch").power == "on"
    assert outcome.checks["left"][0] == ("look" if left_on else "FAIL")
    assert {event.name for event in host.power_events} <= {"scratch"}


def test_a_vm_that_was_off_is_left_off_whatever_went_wrong(check, world):
    host = world([VM("scratch", power="off", faults=VMFaults(kill_needs="hard")), "other"])
    outcome = check(host, *words("scratch"))
    assert outcome.checks["esxcli kill soft"][0] == "FAIL"
    assert outcome.checks["left"][0] == "look"
    assert host.vm("scratch").power == "off"


def test_hostds_word_alone_does_not_leave_it_off(check, world):
    scratch = VM("scratch", power="off")
    host = world([scratch, VM("other")])
    host.listeners.append(
        lambda news: host.invalidate(scratch) if getattr(news, "new", None) == "on" else None)
    outcome = check(host, *words("scratch"))
    assert outcome.checks["left"][0] == "FAIL" or scratch.power == "off"


#: how it was found, faults of the VM: what the drill sent is done after it has ended
LATE = {
    "a kill": ("on", {"kill_seconds": 30}),
    "power.off": ("on", {"off": "late", "off_seconds": 45, "off_blocks": False}),
    "power.on": ("off", {"on": "late", "on_seconds": 60}),
}


@pytest.mark.parametrize("case", LATE)
def test_what_may_still_be_done_is_told(check, world, case):
    found, faults = LATE[case]
    host = world([VM("scratch", power=found, faults=VMFaults(**faults)), VM("other")])
    outcome = check(host, *words("scratch"))
    status, text, step = outcome.checks["left"]
    assert (status, step) == ("look", "look at it again in some minutes")
    assert text.endswith(f" is {found}; what was sent last may still be done")
    host.clock.sleep(90)
    assert host.vm("scratch").power != found


@pytest.mark.parametrize(("found", "change"), [("on", "off"), ("off", "on")])
def test_another_vm_that_takes_the_name_meanwhile_is_left_alone(check, world, found, change):
    scratch, other = VM("scratch", power=found), VM("other", power=change)
    host = world([scratch, other])

    def rename(news):
        if getattr(news, "new", None) == change and scratch.name == "scratch":
            host.rename(scratch, "moved")
            host.rename(other, "scratch")

    host.listeners.append(rename)
    outcome = check(host, *words("scratch"))
    assert outcome.checks["left"][0] == "FAIL" or scratch.power == found
    assert {event.serial for event in host.power_events} == {scratch.serial}


#: VMs, the name given, what is said
REFUSED = {
    "no VM of that name": ([VM("node1")], "scratch", "no VM is called"),
    "two of that name": ([VM("scratch"), VM("scratch", datastore="d2")], "scratch", "not certain"),
    "a part of a name": ([VM("scratch1")], "scratch", "no VM is called"),
    "another case": ([VM("Scratch")], "scratch", "no VM is called"),
    "a UUID": ([VM("scratch", uuid="564d36cf-6988-c91d-0f5f-a62628d46553")],
               "564d36cf-6988-c91d-0f5f-a62628d46553", "is no name but the UUID of"),
    "suspended": ([VM("scratch", power="suspended"), VM("node1")], "scratch",
                  "could not be left so"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_a_vm_that_is_not_the_one_named(check, world, case):
    vms, name, says = REFUSED[case]
    host = world(vms)
    outcome = check(host, *words(name))
    assert outcome.checks["drill"][0] == "FAIL"
    assert says in outcome.checks["drill"][1]
    assert host.power_events == []
    assert not any("power.o" in command or "kill" in command for command in host.commands)


@pytest.mark.parametrize("given", [words("scratch", "scratch2"), words("scratch", ""),
                                   ["--drill", "scratch"], ["--really-power-off", "scratch"]])
def test_the_name_has_to_be_given_twice(check, world, given):
    host = world([VM("scratch"), VM("scratch2")])
    with pytest.raises(SystemExit) as refusal:
        check(host, *given)
    assert "must name the same VM" in str(refusal.value)
    assert host.commands == []


def test_it_does_not_begin_where_a_check_has_failed(check, world):
    host = world([VM("scratch")], localcli="down")
    outcome = check(host, *words("scratch"))
    assert outcome.checks["drill"][0] == "FAIL"
    assert host.power_events == []

"""What proves that a VM is off, and what does not, one test each: the table of the class PowerOff.

Every single fault at every command, and what was found by chance, is in tests/campaign.
"""

import re

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, run, succeeds
from esxi_sim import VM, BadAnswer

TWO_WITNESSES = 'is off: hostd says "Powered off", and no process of it runs'
TWO_LISTS = "is off: hostd is silent about it, and its process is gone from two lists"
UNCONFIRMED = 'hostd calls "node1" (Vmid 1) off, which is not proven off'


def without(host, program):
    """From now on the program is not there."""
    host.faults.bad_answers.append(BadAnswer("^" + program, kind="text", times=999, status=127,
                                             text="sh: %s: not found\n" % program))


# --- hostd, the list of processes, and ps --------------------------------------------------------


def test_two_witnesses_after_a_power_off():
    with a_host() as host:
        done = succeeds(host, "off", "Success: Powered OFF", verbose="1")
        assert TWO_WITNESSES in done.stderr


@BOTH_WAYS
@pytest.mark.parametrize("action", ["status", "off"])
def test_of_a_vm_that_was_off_ps_must_say_so_too(action, real):
    with a_host(real=real, power="off") as host:
        done = run(host, action)
        assert done.stdout == {"status": "Status: OFF\n", "off": "Success: Already OFF\n"}[action]
        assert {"ps", "esxcli vm process list"} <= set(host.commands)


@pytest.mark.parametrize("ps", ["absent", "busybox"])
def test_where_the_host_has_no_ps_both_lists_must_agree(ps):
    with a_host(power="off", host={"ps": ps}) as host:
        assert run(host, "status").stdout == "Status: OFF\n"
        host.faults.bad_answers.append(BadAnswer("^esxcli", kind="empty", times=9))
        fails(host, "status", UNCONFIRMED)
        fails(host, "on", UNCONFIRMED)
        assert power_commands(host) == []


@BOTH_WAYS
def test_a_ps_that_hangs_is_as_good_as_none(real):
    with a_host(real=real, power="off", host={"ps": "hung"}) as host:
        assert run(host, "status").stdout == "Status: OFF\n"


def test_ps_sees_a_vm_that_the_list_of_processes_lacks():
    """The list is sound, and it is not whole: the VM that is missing may be any."""
    with a_host(power="off") as host:
        host.faults.bad_answers.append(BadAnswer("^localcli", kind="empty", times=9))
        fails(host, "status", UNCONFIRMED)
        fails(host, "on", UNCONFIRMED)
        assert power_commands(host) == []


@pytest.mark.parametrize("ps", [
    "WID  CID  WorldName\n", "Killed\n", "WID  CID  WorldName\n2  2  init\n\n3  3  ps\n"])
def test_a_damaged_ps_confirms_nothing(ps):
    with a_host(power="off") as host:
        host.faults.bad_answers.append(BadAnswer("^ps", kind="text", text=ps, status=0, times=9))
        fails(host, "status", UNCONFIRMED)


# --- an invalid VM: hostd says "Powered off" of it, and it runs on (facts: 3.2) ------------------


@BOTH_WAYS
@pytest.mark.parametrize("off", ["obeyed", "refused"])
def test_hostd_loses_the_configuration_of_a_vm_that_runs_on(off, real):
    with a_host(real=real, off=off) as host:
        host.after_commands(4, lambda: host.invalidate(host.vm("node1")))
        succeeds(host, "off", "Success: Powered OFF")
        assert len(kills(host)) >= 1
        assert host.vm("node1").power == "off"


def test_hostd_loses_it_and_no_kill_ends_it():
    with a_host(kill_needs="never") as host:
        host.after_commands(4, lambda: host.invalidate(host.vm("node1")))
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "on"


def test_the_status_of_a_vm_that_runs_while_hostd_says_powered_off():
    with a_host(getstate="Retrieved runtime info\nPowered off\n") as host:
        fails(host, "status", '"node1" (Vmid 1)', UNCONFIRMED)
        fails(host, "on", '"node1" (Vmid 1)', UNCONFIRMED)
        assert power_commands(host) == []
        listed = succeeds(host, "list-status", "node1,1,on\nnode2,2,on", plug=None)
        assert listed.stderr == ""


# --- hostd alone ---------------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("when", ["before", "after"])
def test_hostds_word_alone_counts_where_it_has_just_taken_the_power_off(when, real):
    """No sound list of processes is to be had: hostd called the VM on, and took the power.off."""
    with a_host(real=real) as host:
        def spoil():
            without(host, "localcli")
            without(host, "esxcli")
            without(host, "ps")

        if when == "before":
            spoil()
        else:
            host.after_commands(2, spoil)
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").powered_off_times == 1


@pytest.mark.parametrize("action", ["status", "on"])
def test_hostds_word_alone_does_not_count_otherwise(action):
    with a_host(power="off") as host:
        without(host, "localcli")
        without(host, "esxcli")
        fails(host, action, UNCONFIRMED)
        assert power_commands(host) == []


def test_hostds_word_alone_does_not_count_after_a_refusal():
    """It says "Powered off" of what it has lost, too."""
    with a_host(off="refused", refusal_invalidates=True, kill_needs="never") as host:
        without(host, "localcli")
        without(host, "esxcli")
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize("words", ["Power off failed", "(vim.fault.InvalidState) {"])
def test_a_power_off_that_failed_with_exit_status_0_is_not_taken(words):
    """Old releases answer so (facts: 3.1): what hostd says then it may say of a VM it has lost."""
    with a_host(off="refused", refusal_invalidates=True, kill_needs="never") as host:
        host.faults.bad_answers.append(BadAnswer("power.off", kind="text", times=99, status=0,
                                                 text="Powering off VM:\n%s\n" % words))
        without(host, "localcli")
        without(host, "esxcli")
        fails(host, "off", "is not proven off: power.off was refused: ")
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize("localcli", ["hung", "down"])
def test_esxcli_lists_where_localcli_does_not(localcli):
    with a_host(host={"localcli": localcli}) as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").powered_off_times == 1
        assert "esxcli vm process list" in host.commands
        assert host.commands.count("localcli vm process list") == 1
        assert done.seconds < 20


# --- hostd is silent -----------------------------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize("hostd", ["hung", "down"])
@pytest.mark.parametrize("neighbour", ["runs", "is off", "is not there"])
def test_two_lists_prove_it_where_hostd_is_silent(hostd, neighbour, real):
    """For a VM that is alone on its host, too: on a living host ps is never empty."""
    others = {"runs": [VM("node2")], "is off": [VM("node2", power="off")], "is not there": []}
    with a_host(real=real, others=others[neighbour], host={"hostd": hostd}) as host:
        succeeds(host, "off", "Success: Powered OFF", verbose="1")
        assert kills(host) == ["localcli soft"]
        assert host.vm("node1").power == "off"
        kill = [line for line in host.commands if " kill " in line]
        behind = host.commands[host.commands.index(*kill) + 1 :]
        assert behind.count("ps") >= 3
        assert behind.count("localcli vm process list") >= 3


def test_a_list_that_came_beside_a_silent_hostd_counts():
    """The VM is gone from the next list already; that it ran was seen in the first."""
    with a_host(host={"hostd": "hung"}) as host:
        host.after_commands(1, lambda: setattr(host.vm("node1"), "power", "off"))
        succeeds(host, "off", "Success: Powered OFF", verbose="1")
        assert kills(host) == []


@BOTH_WAYS
def test_without_ps_something_must_still_be_listed_that_ran_beside_it(real):
    with a_host(real=real, host={"hostd": "hung", "ps": "absent"}) as host:
        done = succeeds(host, "off", "Success: Powered OFF", verbose="1")
        assert TWO_LISTS in done.stderr


@pytest.mark.parametrize("ps", ["absent", "busybox"])
def test_without_ps_an_empty_list_proves_nothing(ps):
    """It is what a host prints that runs no VM, and what a broken one may print."""
    with a_host(others=(), host={"hostd": "hung", "ps": ps}) as host:
        fails(host, "off", "is not proven off", "no list shows its process is no proof")


def test_ps_shows_the_worlds_for_a_while_longer():
    """Their numbers count, not the list of processes alone."""
    with a_host(ps_seconds=6, host={"hostd": "down"}) as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert done.seconds > 6


@pytest.mark.parametrize("row", ["{cartel}  {cartel}  vmx", "{world}  0  vmm0:node1",
                                 "9999999  {cartel}  vmx-vcpu-0:x", "{world}       vmm0:y"])
def test_any_world_of_its_world_or_cartel_is_still_the_vm(row):
    with a_host(host={"hostd": "down"}) as host:
        vm = host.vm("node1")
        row = row.format(world=vm.process.world, cartel=vm.process.cartel)
        host.faults.bad_answers.append(BadAnswer("^ps", kind="text", times=999, status=0, text=(
            "WID  CID  WorldName\n2  2  init\n%s\n9  9  ps\n" % row)))
        fails(host, "off", "is not proven off")


def test_other_worlds_are_not_the_vm():
    with a_host(host={"hostd": "down"}) as host:
        host.faults.bad_answers.append(BadAnswer("^ps", kind="text", times=999, status=0, text=(
            "WID  CID  WorldName\n2  2  init\n777  777  vmx\n778  0  vmm0:node1\n9  9  ps\n")))
        succeeds(host, "off", "Success: Powered OFF")


def test_ps_shows_the_worlds_for_ever():
    with a_host(ps_seconds=999, host={"hostd": "down"}) as host:
        fails(host, "off", "is not proven off")


def test_a_list_that_lacks_it_once_proves_nothing():
    with a_host(kill_needs="never", host={"hostd": "down"}) as host:
        for program in ("localcli vm process list", "ps"):
            host.faults.bad_answers.append(BadAnswer("^" + program, kind="empty", times=2, after=1))
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "on"


# --- which process ------------------------------------------------------------------------------


@BOTH_WAYS
def test_a_process_on_another_datastore_is_not_killed(real):
    """Name, path below the volume and UUID are the VM's, which does not run: a copy of it does."""
    with a_host(real=real, power="suspended", suspended_off="refused") as host:
        copy = host.copy(host.vm("node1"), "datastore2", running=True, registered=False)
        fails(host, "off", "world %d" % copy.world_id,
              "is not killed: its datastore is not that of")
        assert copy.power == "on"
        assert kills(host) == []


@BOTH_WAYS
def test_a_vc_uuid_is_refused_with_a_sentence(real):
    with a_host(real=real) as host:
        plug = host.vm("node1").vc_uuid
        for action in ("status", "off", "on"):
            fails(host, action, 'is the vc.uuid of "node1"', "give its uuid.bios", plug=plug)
        assert power_commands(host) == []


# --- whose process it is -------------------------------------------------------------------------


@pytest.mark.parametrize("commands", [2, 3, 4])
def test_a_copy_that_took_the_old_name_explains_no_process_away(commands):
    """The process bears the name its VM had before; the copy lies on another datastore."""
    with a_host(off="ignored") as host:
        node = host.vm("node1")
        host.copy(node, "datastore2", registered=True, running=False, name="node1")
        host.rename(node, "new name", process_too=False)
        host.after_commands(commands, lambda: host.invalidate(node))
        fails(host, "off", plug="new name")
        assert node.power == "on"


@pytest.mark.parametrize(("process_too", "state"), [(True, "on"), (False, "UNKNOWN")])
def test_a_path_with_brackets_is_found_among_the_processes(process_too, state):
    folder = "uranium [old] FGT"
    with a_host(others=(VM("uranium", directory=folder, vmx=folder + ".vmx"),)) as host:
        host.rename(host.vm("uranium"), "new name", process_too)
        assert "new name,2,%s\n" % state in run(host, "list-status", plug=None).stdout


def test_hostd_knows_a_vm_whose_uuid_was_edited_while_it_ran():
    """The edited UUID counts from the next start on (facts: 5): power.off needs no process."""
    with a_host() as host:
        show_instead(host, host.vm("node1"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == []


PROCESS = ("\nnode1:\n   World ID: %d\n   Process ID: 0\n   VMX Cartel ID: %d\n   UUID: %s\n"
           "   Display Name: %s\n   Config File: /vmfs/volumes/%s/%s/node1.vmx\n")
UUID = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 01"
VOLUMES = {"datastore1": "c8aeda26-ae3ab462-5a83-e5057947f637",
           "elsewhere": "00000000-00000000-0000-000000000000"}


def show_instead(host, node, uuid=UUID, name="node1", volume="datastore1", times=1,
                 folder="node1", after=0):
    """The next lists of processes, or those after so many, show this one."""
    host.faults.bad_answers.append(BadAnswer("vm process list", "text", times, PROCESS % (
        node.world_id, node.process.cartel, uuid, name, VOLUMES[volume], folder), after=after))


def as_in_a_list(uuid):
    """A UUID as the list of processes prints it."""
    pairs = re.findall("..", uuid.replace("-", ""))
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


def test_its_file_alone_keeps_a_process_from_being_a_strangers():
    """Renamed, its UUID edited, and both not yet in the process; hostd says "Powered off"."""
    with a_host(getstate="Retrieved runtime info\nPowered off\n", others=()) as host:
        show_instead(host, host.vm("node1"), name="before", times=9)
        fails(host, "status", UNCONFIRMED)


def test_no_process_on_another_volume_is_killed_where_hostd_calls_the_vm_on():
    with a_host(off="refused", others=()) as host:
        node = host.vm("node1")
        show_instead(host, node, as_in_a_list(node.uuid), volume="elsewhere", times=99)
        fails(host, "off", "is not killed: its datastore is not that of")
        assert kills(host) == []


def test_no_process_of_another_file_is_killed_where_hostd_calls_the_vm_on():
    """It bears the name and the UUID, and took the place of the VM's own after the first look."""
    with a_host(off="refused", others=()) as host:
        node = host.vm("node1")
        show_instead(host, node, as_in_a_list(node.uuid), folder="clone", times=99, after=1)
        fails(host, "off", "is not certain: is it", "/clone/node1.vmx")
        assert kills(host) == []


def test_a_uuid_needs_no_file_while_the_vm_runs():
    with a_host() as host:
        node = host.vm("node1")
        host.kill_datastore(node.datastore)
        assert run(host, "status", plug=node.uuid).stdout == "Status: ON\n"
        succeeds(host, "off", "Success: Powered OFF", plug=node.uuid)
        assert kills(host) == []


def test_a_running_copy_that_hostd_names_is_not_the_vm():
    """Copied with its UUID, and registered under a name of its own: the process is the copy's."""
    with a_host(power="off") as host:
        host.copy(host.vm("node1"), "datastore2", registered=True, running=True, name="copy")
        assert run(host, "status").stdout == "Status: OFF\n"
        host.rename(host.vm("copy"), "renamed", process_too=False)
        fails(host, "status", UNCONFIRMED)


def test_a_uuid_is_that_of_the_summary_whatever_process_looks_alike():
    """Name and path below the volume are those of node1, which has another UUID."""
    stray = VM("node1", datastore="datastore2", uuid=UUID.replace(" ", ""), registered=False)
    with a_host(others=(stray,)) as host:
        fails(host, "status", plug=stray.uuid)
        fails(host, "off", plug=stray.uuid)
        assert host.vm_by_id(1).power == "on"


def test_no_process_is_killed_that_has_another_uuid():
    with a_host(off="refused", others=()) as host:
        show_instead(host, host.vm("node1"), times=99)
        fails(host, "off", "is not certain: is it")
        assert kills(host) == []


def test_a_damaged_summary_is_asked_for_once_more():
    with a_host() as host:
        host.faults.bad_answers.append(BadAnswer("get.summary", kind="garbage"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == []

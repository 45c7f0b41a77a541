"""What real hosts were seen to do, each a state or a switch of the world (sections of the facts
file in brackets)."""

import re

import pytest
from esxi_sim import VM, BadAnswer, VMFaults, World
from esxi_sim.storage import volume_uuid
from esxi_sim.virtual import VirtualClock, VirtualLine

LIST, STATE, OFF = ("vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/power.getstate 1",
                    "vim-cmd vmsvc/power.off 1")
PROCESSES = "localcli vm process list"
LINK = "/vmfs/volumes/datastore1"
VMX = LINK + "/node1/node1.vmx"
OFF_TEXT = "Retrieved runtime info\nPowered off\n"


def world(*vms, **switches):
    return World(VirtualClock(), vms=vms, **switches)


def ask(world, command, bound=5):
    """(status, text), or None where nothing came in time."""
    answer = VirtualLine(world).ask([command], bound)[0]
    return answer and (answer[0], answer[1].decode())


def names_listed(text):
    return re.findall(r"^   Display Name: (.*)$", text, re.M)


def vmids_listed(text):
    return re.findall(r"^(\d+) ", text, re.M)


# -- process lists (6, 6a) ------------------------------------------------------------------


def test_localcli_begins_with_an_empty_line_and_ends_its_headings_with_a_colon():
    host = world("node1", "a: b:")
    text = ask(host, PROCESSES)[1]
    assert text.startswith("\nnode1:\n   World ID: ")
    assert "\n\na: b::\n   World ID: " in text
    assert not text.endswith("\n\n")
    host.faults.localcli_layout = "closed"
    assert ask(host, PROCESSES)[1] == text + "\n"
    host.faults.localcli_layout = "esxcli"
    assert ask(host, PROCESSES) == ask(host, "esxcli vm process list")


def test_esxcli_keeps_its_own_layout():
    text = ask(world("node1"), "esxcli vm process list")[1]
    assert text.startswith("node1\n   World ID: ")
    assert text.endswith(".vmx\n\n")


def test_no_process_no_text():
    for command in (PROCESSES, "esxcli vm process list"):
        assert ask(world(VM("node1", power="off")), command) == (0, "")


def test_the_cartel_id_follows_no_rule_from_the_world_id():
    text = ask(world(*map(str, range(8))), PROCESSES)[1]
    worlds, cartels = (list(map(int, re.findall(r"%s ID: (\d+)" % which, text)))
                       for which in ("World", "Cartel"))
    gaps = {world - cartel for world, cartel in zip(worlds, cartels)}
    assert len(gaps) > 4
    assert len(set(worlds + cartels)) == 16


def test_world_ids_are_new_at_each_start_unless_they_are_reused():
    for reused in (False, True):
        host = world("node1", reuse_world_ids=reused)
        vm = host.vm("node1")
        first = vm.world_id
        vm.power = "off"
        other = host.add_vm("node2")
        assert (other.world_id == first) is reused
        assert host.inventory.owners[first] is (other if reused else vm)


@pytest.mark.parametrize(("release", "foreign"), [("5.5", ""), ("6.7", "0")])
def test_ps_shows_every_world_by_number(release, foreign):
    host = world("node1", VM("off", power="off"), release=release)
    vm = host.vm("node1")
    status, text = ask(host, "ps")
    lines = text.splitlines()
    assert status == 0
    assert lines[0].split() == ["WID", "CID", "WorldName"]
    column = lines[0].index("CID")
    rows = [(line[:column].strip(), line[column:].split("  ")[0].strip(), line) for line in lines]
    named = {line.rpartition("  ")[2]: (world, cartel) for world, cartel, line in rows}
    assert {"init", "ps", "sh", "idle0"} <= set(named)
    assert named["vmx"] == (str(vm.process.cartel), str(vm.process.cartel))
    assert named["vmm0:node1"] == (str(vm.world_id), foreign)
    assert named["vmx-vcpu-0:node1"][1] == str(vm.process.cartel)
    assert "off" not in text


def test_the_worlds_of_the_login_that_asks_are_the_last_of_ps():
    host = world("node1", "node2")
    host.vm("node2").power = "off"
    whole = ask(host, "ps")[1]
    numbers = [int(line.split()[0]) for line in whole.splitlines()[1:]]
    assert numbers == sorted(set(numbers))
    assert [line.split()[-1] for line in whole.splitlines()[-3:]] == ["sshd", "sh", "ps"]
    host.faults.bad_answers.append(BadAnswer("^ps", "half"))
    half = ask(host, "ps")[1]
    assert "  init\n" in half
    assert "  ps\n" not in half
    assert ask(host, "ps")[1] == whole


def test_ps_of_a_stopped_vm_shows_nothing_of_it_or_does_for_a_while():
    host = world("node1", VM("lingers", faults=VMFaults(ps_seconds=3)))
    for vm in host.vms:
        vm.power = "off"
    assert "node1" not in ask(host, "ps")[1]
    assert "vmm0:lingers" in ask(host, "ps")[1]
    assert names_listed(ask(host, PROCESSES)[1]) == []
    host.clock.sleep(4)
    assert "lingers" not in ask(host, "ps")[1]


def test_ps_has_faults_of_its_own():
    host = world("node1", ps="absent")
    assert ask(host, "ps") == (127, "sh: ps: not found\n")
    host.faults.ps = "hung"
    assert ask(host, "ps") is None
    host.faults.ps = "busybox"
    assert ask(host, "ps")[1].startswith("PID   USER ")
    host.faults.ps = "up"
    assert ask(host, "ps -e") == (1, "ps: invalid option -- 'e'\n")


def test_a_hung_hostd_leaves_the_kernels_words_alone():
    host = world("node1", hostd="hung")
    assert [ask(host, command) is None for command in
            (LIST, "esxcli vm process list", PROCESSES, "ps")] == [True, True, False, False]


# -- datastores and links (6) ---------------------------------------------------------------


def test_the_link_of_a_volume_is_one_relative_step():
    uuid = volume_uuid("datastore1")
    host = world("node1", VM("a", datastore="d: 2"))
    assert ask(host, "readlink " + LINK) == (0, uuid + "\n")
    assert ask(host, "readlink '/vmfs/volumes/d: 2'") == (0, volume_uuid("d: 2") + "\n")
    assert ask(host, "readlink -f " + VMX) == (0, "/vmfs/volumes/%s/node1/node1.vmx\n" % uuid)
    assert ask(host, "readlink -f /vmfs/volumes/%s/x/y" % uuid) == (1, "")
    assert ask(host, "readlink /vmfs/volumes/" + uuid) == (1, "")
    assert ask(host, "readlink " + VMX) == (1, "")
    assert ask(host, "readlink /vmfs/volumes/nowhere") == (1, "")
    assert ask(host, "readlink -f /vmfs/volumes/nowhere") == (0, "/vmfs/volumes/nowhere\n")


def test_a_dead_datastore_blocks_who_looks_at_it_and_not_who_reads_the_link():
    host = world("node1", VM("other", datastore="datastore2"), dead_datastores=["datastore1"])
    by_uuid = VMX.replace("datastore1", volume_uuid("datastore1"))
    for command in ("readlink -f " + LINK, "grep -isHE ^uuid /dev/null " + VMX,
                    "grep -isHE ^uuid /dev/null " + by_uuid):
        assert ask(host, command) is None
    assert ask(host, "readlink " + LINK)[0] == 0
    assert ask(host, "grep -is ^uuid /vmfs/volumes/datastore2/other/other.vmx")[0] == 0
    assert ask(host, LIST)[0] == 0


def test_hostd_may_hang_with_a_datastore():
    host = world("node1")
    host.kill_datastore("datastore1", hostd="hung")
    assert ask(host, LIST) is None
    assert ask(host, "readlink -f " + LINK) is None
    assert names_listed(ask(host, PROCESSES)[1]) == ["node1"]


def test_a_link_that_is_gone_leads_nowhere():
    host = world("node1", gone_links=["datastore1"])
    assert ask(host, "readlink " + LINK) == (1, "")
    assert ask(host, "readlink -f " + LINK) == (0, LINK + "\n")
    assert ask(host, "grep -isHE ^uuid /dev/null " + VMX) == (2, "")
    host.faults.gone_link_answer = "nothing"
    assert ask(host, "readlink -f " + LINK) == (1, "")


def test_grep_speaks_of_the_vmx_files():
    host = world("node1", VM("node2", power="suspended"))
    other = VMX.replace("node1", "node2")
    text = ask(host, "grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null %s %s"
               % (VMX, other))[1]
    assert [line.split(" = ")[0] for line in text.splitlines()] == [
        VMX + ":uuid.bios", VMX + ":vc.uuid", other + ":uuid.bios", other + ":vc.uuid",
        other + ":checkpoint.vmState"]
    assert ask(host, "grep -c . /dev/null " + VMX) == (0, "/dev/null:0\n%s:8\n" % VMX)
    assert ask(host, "grep -l node2 %s %s" % (VMX, other)) == (0, other + "\n")
    assert ask(host, "grep -hn node1 " + VMX) == (0, '4:displayName = "node1"\n')
    assert ask(host, "grep -q nothing " + VMX) == (1, "")
    assert ask(host, "grep x /vmfs/volumes/n.vmx") == (
        2, "grep: /vmfs/volumes/n.vmx: No such file or directory\n")
    host.remove_vmx(host.vm("node1"))
    assert ask(host, "grep -s . " + VMX) == (2, "")


# -- a VM that hostd has lost (1.3, 3.2) ----------------------------------------------------


def test_an_invalid_vm_is_said_to_be_off_while_it_runs():
    host = world("node1", "node2", release="8.0")
    vm = host.vm("node1")
    host.invalidate(vm)
    listed = ask(host, LIST)[1]
    assert listed.startswith("Skipping invalid VM '1'\n")
    assert vmids_listed(listed) == ["2"]
    assert ask(host, STATE) == (0, OFF_TEXT)
    status, text = ask(host, OFF)
    assert (status, vm.power) == (1, "on")
    assert text.startswith("Powering off VM:\nPower off failed: (vim.fault.InvalidState) {")
    assert "   config = (vim.vm.Summary.ConfigSummary) null, " in ask(
        host, "vim-cmd vmsvc/get.summary 1")[1]
    assert names_listed(ask(host, PROCESSES)[1]) == ["node1", "node2"]
    assert ask(host, "localcli vm process kill -t soft -w %d" % vm.world_id)[0] == 0
    assert vm.power == "off"
    host.make_valid(vm)
    assert vmids_listed(ask(host, LIST)[1]) == ["1", "2"]


def test_a_vm_may_turn_invalid_when_power_off_is_refused():
    host = world(VM("node1", faults=VMFaults(off="refused", refusal_invalidates=True)))
    assert ask(host, STATE)[1].endswith("Powered on\n")
    assert ask(host, OFF)[0] == 1
    assert ask(host, STATE) == (0, OFF_TEXT)
    assert host.vm("node1").power == "on"


def test_a_vm_may_turn_invalid_after_so_many_commands():
    host = world("node1")
    host.after_commands(2, lambda: host.invalidate(host.vm("node1")))
    assert [ask(host, STATE)[1].endswith("on\n") for _ in range(3)] == [True, True, False]


def test_a_vm_is_invalid_too_that_is_named_by_its_vmid():
    host = world("node1", invalid_vms=[1])
    assert ask(host, STATE) == (0, OFF_TEXT)
    assert ask(host, OFF)[0] == 1
    assert 'connectionState = "invalid"' in ask(host, "vim-cmd vmsvc/get.runtime 1")[1]


def test_an_invalid_vm_may_have_been_so_from_the_start():
    host = world(VM("node1", invalid=True), VM("node1"), VM("node1", registered=False))
    assert vmids_listed(ask(host, LIST)[1]) == ["2"]
    assert names_listed(ask(host, PROCESSES)[1]) == ["node1"] * 3


# -- questions, suspended VMs, rights (3.2, 7.1) --------------------------------------------


@pytest.mark.parametrize(("release", "begin"), [
    ("5.5", "Powering off VM:\n(vim.fault.QuestionPending) {\n"),
    ("8.0", "Powering off VM:\nPower off failed: (vim.fault.QuestionPending) {\n")])
def test_a_question_refuses_power_off_at_once(release, begin):
    host = world(VM("node1", faults=VMFaults(question="msg.hbacommon.outofspace:There is no more "
                                             "space.\n0. Retry\n1. Cancel")), release=release)
    begun = host.clock.now
    status, text = ask(host, OFF)
    assert (status, host.clock.now, host.vm("node1").power) == (1, begun, "on")
    assert text.startswith(begin)
    assert '   text = "msg.hbacommon.outofspace:There is no more space.\n' in text
    assert ask(host, "esxcli vm process kill --type=force --world-id=%d"
               % host.vm("node1").world_id) == (0, "")
    assert host.vm("node1").power == "off"


@pytest.mark.parametrize(("mood", "power"), [("obeyed", "off"), ("refused", "suspended")])
def test_a_suspended_vm_obeys_power_off_unless_it_is_of_vsphere_4(mood, power):
    host = world(VM("node1", power="suspended", faults=VMFaults(suspended_off=mood)))
    assert "node1" not in ask(host, PROCESSES)[1] + ask(host, "ps")[1]
    ask(host, OFF)
    assert host.vm("node1").power == power


def test_a_user_may_look_but_not_switch():
    host = world("node1", VM("node2", power="off"), release="8.0", read_only=True)
    assert ask(host, LIST)[0] == ask(host, STATE)[0] == ask(host, PROCESSES)[0] == 0
    for command in ("off 1", "on 2", "reset 1", "suspend 1"):
        status, text = ask(host, "vim-cmd vmsvc/power." + command)
        assert status == 1
        assert "failed: (vim.fault.NoPermission) {" in text
    for program in ("esxcli", "localcli"):
        kill = "%s vm process kill -t force -w %d" % (program, host.vm("node1").world_id)
        assert ask(host, kill)[0] == 1
    assert host.power_events == []


# -- get.summary (5a) -----------------------------------------------------------------------


def test_get_summary_has_the_guests_words_before_the_vms_own_and_the_notes_behind_them():
    host = world(VM("node1", note="a\nb", guest_host="liar.example.com"), release="8.0")
    text = ask(host, "vim-cmd vmsvc/get.summary 1")[1]
    marks = ["Listsummary:\n\n(vim.vm.Summary) {\n   vm = 'vim.VirtualMachine:1', \n   runtime = ",
             "      device = (", "      host = ", '      connectionState = "connected", \n',
             '      powerState = "poweredOn", \n', "      question = ",
             "   guest = (vim.vm.Summary.GuestSummary) {\n",
             '      hostName = "liar.example.com", \n',
             "   config = (vim.vm.Summary.ConfigSummary) {\n", '      name = "node1", \n',
             '      vmPathName = "[datastore1] node1/node1.vmx", \n', '      uuid = "564d',
             '      annotation = "a\nb", \n', "   storage = (", "   quickStats = (",
             "      guestHeartbeatStatus = "]
    places = [text.index(mark) for mark in marks]
    assert places == sorted(places)


def test_the_last_field_of_a_block_has_a_comma_up_to_5_x_only():
    old, new = (ask(world("node1", release=release), "vim-cmd vmsvc/get.summary 1")[1]
                for release in ("5.5", "6.7"))
    assert "      ipAddress = <unset>, \n   }, " in old
    assert "      ipAddress = <unset>\n   }, " in new


# -- an administrator in the middle of a run ------------------------------------------------


@pytest.mark.parametrize("seconds", [None, 3])
def test_an_administrator_does_something_in_the_middle(seconds):
    host = world("node1", "node2")
    vm = host.vm("node1")

    def later(action):
        if seconds:
            host.after_seconds(seconds, action)
        else:
            host.after_commands(1, action)

    for action, seen in [
            (lambda: host.rename(vm, "new"), lambda: ask(host, LIST)[1].find(" new ") > 0),
            (lambda: host.suspend(vm), lambda: "Suspended" in ask(host, STATE)[1]),
            (lambda: host.unregister(vm), lambda: vmids_listed(ask(host, LIST)[1]) == ["2"]),
            (lambda: host.register(vm), lambda: vmids_listed(ask(host, LIST)[1]) == ["2", "3"])]:
        assert not seen()
        later(action)
        assert not seen() or not seconds
        host.clock.sleep(5)
        assert seen()


def test_a_renamed_vm_keeps_its_files():
    host = world("node1")
    host.rename(host.vm("node1"), "node9")
    assert "node9   [datastore1] node1/node1.vmx " in ask(host, LIST)[1]
    assert names_listed(ask(host, PROCESSES)[1]) == ["node9"]
    assert 'displayName = "node9"' in ask(host, "grep displayName " + VMX)[1]
    host.rename(host.vm("node9"), "node8", process_too=False)
    assert names_listed(ask(host, PROCESSES)[1]) == ["node9"]


def test_a_copy_has_the_same_uuid_and_the_same_path_on_another_datastore():
    host = world("node1")
    vm = host.vm("node1")
    copies = [host.copy(vm), host.copy(vm, "datastore3", registered=False, running=True)]
    assert {copy.uuid for copy in copies} == {vm.uuid}
    assert "2      node1   [datastore2] node1/node1.vmx " in ask(host, LIST)[1]
    assert vmids_listed(ask(host, LIST)[1]) == ["1", "2"]
    listed = ask(host, PROCESSES)[1]
    assert names_listed(listed) == ["node1", "node1"]
    assert "/%s/node1/node1.vmx" % volume_uuid("datastore3") in listed
    assert len({copy.serial for copy in [vm, *copies]}) == 3


def test_a_vm_started_by_its_file_is_unlisted():
    host = world("node1", VM("hidden", registered=False))
    assert vmids_listed(ask(host, LIST)[1]) == ["1"]
    assert names_listed(ask(host, PROCESSES)[1]) == ["node1", "hidden"]


def test_events_tell_the_vm_whatever_it_is_called():
    host = world("node1")
    vm = host.vm("node1")
    host.rename(vm, "node2")
    host.reregister(vm)
    vm.power = "off"
    event, = host.power_events
    assert (event.name, event.vmid, event.serial) == ("node2", 2, vm.serial)
    assert vm.powered_off_times == 1


def test_notes_may_forge_a_row():
    host = world("node1", "node2")
    target, neighbour = host.vm("node1"), host.vm("node2")
    neighbour.note = "moved\n" + host.forged_row(neighbour, file_of=target)
    lines = ask(host, LIST)[1].splitlines()
    assert len(lines) == 4
    assert lines[3].split()[:4] == ["2", "node2", "[datastore1]", "node1/node1.vmx"]


def test_a_host_holds_1024_vms_and_no_more():
    full = world(*map(str, range(1024)))
    assert len(vmids_listed(ask(full, LIST)[1])) == 1024
    assert ask(full, "ps")[1].count("vmm0:") == len(names_listed(ask(full, PROCESSES)[1])) == 1024
    with pytest.raises(ValueError, match="at most 1024 VMs"):
        world(*map(str, range(1025)))

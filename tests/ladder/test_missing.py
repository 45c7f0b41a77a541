"""A VM that is not in the list, and what missing_as_off makes of it."""

import pytest
from cases import BOTH_WAYS, a_host, fails, kills, power_commands, run, succeeds, was_cut
from esxi_sim import VM, Answer, BadAnswer

# what the option may hold, and whether it means yes
VALUES = {None: False, "0": False, "no": False, "off": False, "false": False, "1": True,
          "yes": True, "true": True}


@pytest.mark.parametrize(("value", "means_yes"), VALUES.items())
@pytest.mark.parametrize("action", ["off", "reboot", "status"])
def test_an_unknown_vm(action, value, means_yes):
    with a_host() as host:
        done = run(host, action, "node9", missing_as_off=value)
        if not means_yes:
            assert (done.status, done.stdout) == (1, "")
            assert 'no VM is called "node9"' in done.stderr
        elif action == "status":
            assert (done.status, done.stdout) == (2, "Status: OFF\n")
        elif action == "off":
            assert (done.status, done.stdout) == (0, "Success: Already OFF\n")
        else:  # it is off, which is what a reboot promises, and there is nothing to switch on
            assert (done.status, done.stdout) == (0, "Success: Rebooted\n")
            assert 'no VM is called "node9"' in done.stderr
        assert power_commands(host) == []
        assert kills(host) == []


def test_a_vm_whose_name_is_a_uuid_while_no_list_of_processes_is_to_be_had():
    name = "564d0000-1111-2222-3333-444455556666"
    with a_host(others=(VM(name),)) as host:
        host.faults.bad_answers += [BadAnswer("process list", "garbage", 99)]
        assert run(host, "status", name).stdout == "Status: ON\n"


def test_a_vmx_that_has_no_vc_uuid_is_read_all_the_same():
    """instanceUuid may be empty (facts: 5)."""
    with a_host(others=[VM("idle%d" % number, power="off") for number in range(9)]) as host:
        host.on_command = lambda argv: Answer("".join(
            '%s:uuid.bios = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 %02d"\n' % (path, number)
            for number, path in enumerate(argv[4:]))) if argv[0] == "grep" else None
        plug = next(vm.uuid for vm in host.inventory.known() if vm.name == "node1")
        assert run(host, "status", plug).stdout == "Status: ON\n"
        assert sum("get.summary" in command for command in host.commands) <= 2


def test_nothing_is_killed_whose_uuid_hostd_does_not_tell():
    with a_host(off="refused") as host:
        host.on_command = lambda argv: Answer(
            'Listsummary:\n\n(vim.vm.Summary) {\n'
            '   config = (vim.vm.Summary.ConfigSummary) {\n      name = "node1", \n'
            '      vmPathName = "[datastore1] node1/node1.vmx", \n      uuid = "", \n'
            '      annotation = "", \n   }, \n}\n') if "vmsvc/get.summary" in argv else None
        fails(host, "off", "is not certain")
        assert kills(host) == []


@pytest.mark.parametrize("kind", ["empty", "garbage", "half", "text"])
@pytest.mark.parametrize("missing_as_off", ["0", "1"])
def test_a_failed_listing_is_never_an_absence(kind, missing_as_off):
    with a_host() as host:
        host.faults.bad_answers.append(
            BadAnswer("getallvms", kind=kind, times=99, text="Connect to localhost failed\n"))
        for plug in ("node1", "node9"):
            done = run(host, "status", plug, missing_as_off=missing_as_off)
            assert done.stdout != "Status: OFF\n", (plug, done)
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize("missing_as_off", ["0", "1"])
def test_a_failed_listing_makes_no_vm_off(missing_as_off):
    with a_host() as host:
        host.faults.bad_answers.append(BadAnswer("getallvms", kind="empty", times=99))
        done = run(host, "off", "node9", missing_as_off=missing_as_off)
        assert (done.status, done.stdout) == (1, "")
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize(("action", "stream"), [("status", "stdout"), ("status", "stderr"),
                                                ("off", "stderr")])
def test_missing_as_off_is_no_help_where_the_host_cannot_read_a_vm(action, stream):
    with a_host(host={"invalid_vms": [77], "invalid_stream": stream}) as host:
        fails(host, action, "node9", plug="node9", missing_as_off="1")


def test_missing_as_off_is_no_help_while_the_process_of_the_vm_runs():
    """Unregistered, yet running: hostd has no row for it, and it writes to its disks."""
    with a_host() as host:
        stray = host.vm("node1")
        host.unregister(stray)
        fails(host, "status", "missing_as_off cannot be used", missing_as_off="1")
        fails(host, "off", "missing_as_off cannot be used", missing_as_off="1")
        assert stray.power == "on"


def test_missing_as_off_is_no_help_while_anything_runs_that_no_row_explains():
    """It may be the VM under another name: renamed, and its process was not (open)."""
    with a_host() as host:
        host.unregister(host.vm("node2"))
        fails(host, "status", "missing_as_off cannot be used", plug="node9", missing_as_off="1")


@pytest.mark.parametrize("action", ["status", "off"])
def test_missing_as_off_believes_no_empty_list_of_processes_alone(action):
    with a_host() as host:
        host.unregister(host.vm("node1"))
        host.faults.bad_answers.append(BadAnswer("esxcli vm process list", kind="empty", times=99))
        fails(host, action, "missing_as_off cannot be used", missing_as_off="1")


def test_missing_as_off_on_a_host_that_runs_nothing():
    with a_host(power="off", others=()) as host:
        done = run(host, "status", "node9", missing_as_off="1")
        assert (done.status, done.stdout) == (2, "Status: OFF\n")


def test_missing_as_off_for_a_uuid_nobody_has():
    with a_host() as host:
        done = run(host, "status", "564d0000-1111-2222-3333-444455556666", missing_as_off="1")
        assert (done.status, done.stdout) == (2, "Status: OFF\n")


# --- the host cannot read the VM it runs ---------------------------------------------------------


@BOTH_WAYS
@pytest.mark.parametrize(("stream", "missing_as_off"), [("stdout", None), ("stderr", None),
                                                        ("stderr", "1")])
def test_the_host_skips_the_vm_as_invalid_while_it_runs(stream, missing_as_off, real):
    with a_host(real=real, host={"invalid_vms": [1], "invalid_stream": stream}) as host:
        succeeds(host, "off", "Success: Powered OFF", missing_as_off=missing_as_off)
        assert kills(host) == ["esxcli soft"]
        assert host.vm("node1").power == "off"


def test_the_host_skips_the_vm_as_invalid_and_then_hostd_hangs():
    with a_host(host={"invalid_vms": [1]}) as host:
        host.after_commands(2, lambda: host.set_hostd("hung"))
        succeeds(host, "off", "Success: Powered OFF")
        assert kills(host) == ["localcli soft"]


@pytest.mark.parametrize("missing_as_off", [None, "1"])
def test_the_host_skips_the_vm_as_invalid_and_no_kill_ends_it(missing_as_off):
    with a_host(kill_needs="never", host={"invalid_vms": [1]}) as host:
        fails(host, "off", "node1", missing_as_off=missing_as_off)
        assert not was_cut(host)


def test_the_host_skips_the_vm_as_invalid_and_kills_are_not_allowed():
    with a_host(host={"invalid_vms": [1]}) as host:
        fails(host, "off", "Skipping invalid VM 1", no_kill="1")
        assert kills(host) == []


# --- the VM moves in the list --------------------------------------------------------------------


@pytest.mark.parametrize("commands", [1, 2, 3])
def test_the_vm_is_registered_anew_between_two_commands(commands):
    with a_host(off="late", off_seconds=1, off_blocks=False) as host:
        host.after_commands(commands, lambda: host.reregister(host.vm("node1")))
        succeeds(host, "off", "Success: Powered OFF")
        assert was_cut(host)


@pytest.mark.parametrize("commands", [1, 2, 3, 4, 5])
def test_the_vm_is_registered_anew_during_a_reboot(commands):
    with a_host() as host:
        host.after_commands(commands, lambda: host.reregister(host.vm("node1")))
        succeeds(host, "reboot", "Success: Rebooted")
        assert was_cut(host)


@BOTH_WAYS
def test_two_vms_of_one_name_are_not_touched(real):
    with a_host(real=real) as host:
        host.add_vm(VM("node1", datastore="datastore2"))
        fails(host, "off", 'which VM is called "node1" is not certain', "Vmid 1", "Vmid 3",
              "datastore2")
        assert power_commands(host) == []
        assert kills(host) == []


def test_one_of_the_name_runs_unlisted_and_the_one_in_the_list_is_off():
    twin = VM("node1", datastore="datastore2", directory="other", registered=False)
    with a_host(power="off", others=(twin,)) as host:
        fails(host, "status", 'which VM is called "node1" is not certain', "(world ")
        fails(host, "off", 'which VM is called "node1" is not certain', "(world ")
        assert kills(host) == []


# --- rows that are not what they seem ------------------------------------------------------------

STALE_ROW = "900    node1   [datastore1] node1/node1.vmx   centos8_64Guest   vmx-13                "


@pytest.mark.parametrize("by_uuid", [False, True])
@pytest.mark.parametrize("what", ["its row twice", "a row of a Vmid nobody has"])
def test_a_row_too_many_does_not_stop_an_off(what, by_uuid):
    with a_host() as host:
        if what == "its row twice":
            host.faults.row_repeats[1] = 2
        else:
            host.faults.extra_rows.append(STALE_ROW)
        plug = host.vm("node1").uuid if by_uuid else "node1"
        succeeds(host, "off", "Success: Powered OFF", plug=plug)
        assert host.vm("node1").power == "off"


def test_a_row_forged_by_a_note_is_not_the_vm():
    note = "2" + STALE_ROW[3:]
    with a_host() as host:
        host.vm("node2").note = "moved here\n" + note
        succeeds(host, "off", "Success: Powered OFF")
        assert host.vm("node1").power == "off"


def test_hostd_goes_down_before_a_row_too_many_is_settled():
    """Which of two rows is the VM's only hostd can say: what runs by that name may be the other."""
    with a_host() as host:
        host.faults.extra_rows.append(STALE_ROW)
        host.after_commands(2, lambda: host.set_hostd("down"))
        fails(host, "off", "hostd does not tell who Vmid 1 is")
        assert kills(host) == []


def test_two_vms_of_one_name_while_one_of_them_gets_a_new_vmid():
    """Its old row is not true any more; that does not make the other one the only one."""
    with a_host() as host:
        host.add_vm(VM("node1", datastore="datastore2"))
        first = host.vm_by_id(1)
        host.after_commands(1, lambda: host.reregister(first))
        fails(host, "off", 'which VM is called "node1" is not certain')
        assert power_commands(host) == []
        assert kills(host) == []

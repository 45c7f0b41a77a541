"""Display names: the VM of exactly that name, and no other, loses its power."""

import json

import pytest
from case_files import DATA
from esxi_sim import VM, Host
from fence_runner import PASSWORD, said

FAMILIES = json.loads((DATA / "host/names.json").read_text(encoding="utf-8"))["names"]
NAMES = [family[0] for family in FAMILIES]
# list and list-status ask one question only, and this name can be read in two ways
TWO_READINGS = "fake   [datastore1] fake/fake.vmx   guest   vmx-13"

# the VM named "12" must not be mistaken for the VM with that Vmid
TAKEN_VMID = VM("Vmid is 12", vmid=12)
RENAMED = [
    VM("renamed", directory="first owner", vmx="first owner.vmx"),
    VM("first owner", directory="renamed", vmx="renamed.vmx"),
    VM("PE1-4_old", datastore="VM_storage", directory="PE1-4", vmx="PE1-4.vmx"),
    VM("PE1-4", datastore="VM_storage", directory="PE1-4_1", vmx="PE1-4.vmx"),
]
STORED_ODDLY = [
    VM("on a datastore with blanks", datastore="my  data store"),
    VM("on a datastore with brackets", datastore="raid [old] 1"),
    VM("on a datastore with a colon", datastore="wtgc-vmbd-01:datastore1"),
    VM("vCLS-6b723342-8292-1962-f970-0422f48bc6ea", datastore="", guest="crxSys1Guest"),
]


def everybody():
    """One VM of each name, all families and special cases together."""
    special = [TAKEN_VMID, *RENAMED, *STORED_ODDLY]
    taken = {vm.name for vm in special}
    names = {name: None for family in FAMILIES for name in family if name not in taken}
    return [VM(name) for name in names] + special


@pytest.fixture(scope="module")
def crowded():
    """A host with all of them, in use by all tests of this file."""
    with Host(vms=everybody(), password=PASSWORD, release="7.0") as host:
        yield host


@pytest.fixture
def host(crowded):
    """That host, everything running, nothing recorded yet."""
    for vm in crowded.vms:
        vm.power = "on"
    crowded.clear_record()
    return crowded


def assert_only_this_went_off(host, name):
    assert [(event.name, event.old, event.new) for event in host.power_events] == [
        (name, "on", "off")]
    assert [vm.name for vm in host.vms if vm.power != "on"] == [name]


@pytest.mark.quick
@pytest.mark.parametrize("name", NAMES)
def test_off_by_name_leaves_the_neighbours_alone(host, fence, name):
    assert said(fence.as_pacemaker(host, "off", name)) == ("Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, name)
    commands = [command.split()[:2] for command in host.commands]
    assert commands.count(["vim-cmd", "vmsvc/power.off"]) == 1


@pytest.mark.parametrize("name", ["web 01", "-dash", "$HOME", "back`id`tick", "ノード2", "Zürich"])
@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_names_from_the_command_line_are_taken_as_they_are(host, fence, name, locale):
    assert said(fence(host, "off", name, LC_ALL=locale)) == ("Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, name)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["ノード2", "Zürich"])
def test_a_python_that_reads_ascii_in_the_c_locale_takes_them_too(host, ask, fence, name):
    # what Python 3.6 does by itself
    fence.within = ["env", "LC_ALL=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"]
    assert said(ask(host, "off", name)) == ("Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, name)
    assert name in ask(host, "list").stdout


@pytest.mark.parametrize("vm", RENAMED + STORED_ODDLY, ids=lambda vm: vm.name)
def test_where_a_vm_is_stored_says_nothing_about_its_name(host, fence, vm):
    assert said(fence.as_pacemaker(host, "off", plug=None, port=vm.name)) == (
        "Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, vm.name)


@pytest.mark.parametrize("name", ["ノード2", "web [x] y", TWO_READINGS])
def test_a_whole_round_works_with_such_a_name(host, fence, name):
    assert said(fence.as_pacemaker(host, "status", name)) == ("Status: ON\n", 0)
    assert said(fence.as_pacemaker(host, "reboot", name)) == ("Success: Rebooted\n", 0)
    assert said(fence.as_pacemaker(host, "off", name)) == ("Success: Powered OFF\n", 0)
    assert said(fence.as_pacemaker(host, "status", name)) == ("Status: OFF\n", 2)
    assert said(fence.as_pacemaker(host, "on", name)) == ("Success: Powered ON\n", 0)


@pytest.mark.parametrize("pad_by_bytes", [False, True], ids=["by characters", "by bytes"])
def test_list_prints_all_of_them_however_the_columns_are_padded(crowded, ask, pad_by_bytes):
    crowded.pad_by_bytes = pad_by_bytes
    try:
        run = ask(crowded, "list")
    finally:
        crowded.pad_by_bytes = False
    assert run.status == 0
    assert rows_of(run) == {f"{vm.name},{vm.vmid}" for vm in crowded.vms if is_clear(vm)}


def test_list_status_tells_the_power_of_all_of_them(host, ask):
    host.vm("Zürich").power = "off"
    host.vm("web [x] y").power = "suspended"
    run = ask(host, "list-status")
    assert run.status == 0
    words = {"on": "on", "off": "off", "suspended": "UNKNOWN"}
    assert rows_of(run) == {
        f"{vm.name},{vm.vmid},{words[vm.power]}" for vm in host.vms if is_clear(vm)}


def rows_of(run):
    """The lines of a list that say something about a VM whose name is clear."""
    return {line for line in run.stdout.splitlines() if not line.startswith("fake")}


def is_clear(vm):
    return not vm.name.startswith("fake")


def test_the_shorter_reading_of_such_a_name_is_another_vm(host, fence):
    assert said(fence.as_pacemaker(host, "off", "fake")) == ("Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, "fake")


@pytest.mark.parametrize("escape_names", [False, True])
@pytest.mark.parametrize(("plug", "name"), [
    ("a/b", "a/b"), ("a%2fb", "a/b"), ("c\\d", "c\\d"), ("c%5cd", "c\\d"),
    ("100%", "100%"), ("100%25", "100%")])
def test_a_name_is_found_as_it_is_and_as_the_host_may_print_it(esxi, fence, escape_names, plug,
                                                               name):
    host = esxi(vms=["a/b", "c\\d", "100%", "ab", "a", "100"], escape_names=escape_names)
    assert said(fence.as_pacemaker(host, "off", plug)) == ("Success: Powered OFF\n", 0)
    assert_only_this_went_off(host, name)


def test_names_are_listed_as_the_host_prints_them(esxi, fence):
    host = esxi(vms=["a/b", "c\\d", "100%"], escape_names=True)
    assert fence.as_pacemaker(host, "list").stdout == "a%2fb,1\nc%5cd,2\n100%25,3\n"
    assert fence.as_pacemaker(host, "list-status").stdout == (
        "a%2fb,1,on\nc%5cd,2,on\n100%25,3,on\n")


@pytest.mark.parametrize("plug", ["a/b", "a%2fb"])
def test_two_vms_whose_names_may_be_spelt_alike_are_refused(esxi, fence, plug):
    """How a host prints such names is not known: which one is meant is not certain."""
    host = esxi(vms=["a/b", "a%2fb"])
    run = fence.as_pacemaker(host, "off", plug)
    assert said(run) == ("", 1)
    assert '"a/b" (Vmid 1)' in run.stderr
    assert '"a%2fb" (Vmid 2)' in run.stderr
    assert host.power_events == []

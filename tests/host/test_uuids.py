"""A UUID as plug, for names that Pacemaker's host map cannot carry."""

import pytest
from esxi_sim import VM
from fence_runner import said

NODE = "564d36cf-6988-c91d-0f5f-a62628d46553"
OTHER = "564d36cf-6988-c91d-0f5f-a62628d46554"
SPELLINGS = {
    "with dashes, as vim-cmd prints it": NODE,
    "with blanks, as esxcli prints it": "56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53",
    "in upper case": NODE.upper(),
    "without separators": NODE.replace("-", ""),
    "with blanks in upper case": "56 4D 36 CF 69 88 C9 1D-0F 5F A6 26 28 D4 65 53",
}


@pytest.fixture
def host(esxi):
    """Four VMs in hard places, one of them with NODE's UUID."""
    return esxi(vms=[VM("my 'quoted' node", uuid=NODE, datastore="raid [1] $HOME"),
                     VM("other", uuid=OTHER), "third", VM("infra", datastore="")])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_uuid_in_any_spelling_fences_its_vm_and_no_other(host, ask, spelling):
    plug = SPELLINGS[spelling]
    assert said(ask(host, "off", plug)) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["my 'quoted' node"]
    assert said(ask(host, "status", plug)) == ("Status: OFF\n", 2)


@pytest.mark.quick
def test_each_action_takes_a_uuid(host, fence):
    assert said(fence.as_pacemaker(host, "status", NODE)) == ("Status: ON\n", 0)
    assert said(fence.as_pacemaker(host, "reboot", NODE)) == ("Success: Rebooted\n", 0)
    assert said(fence.as_pacemaker(host, "off", NODE)) == ("Success: Powered OFF\n", 0)
    assert said(fence.as_pacemaker(host, "off", NODE)) == ("Success: Already OFF\n", 0)
    assert said(fence.as_pacemaker(host, "on", NODE)) == ("Success: Powered ON\n", 0)
    assert {event.name for event in host.power_events} == {"my 'quoted' node"}


def test_a_uuid_that_two_vms_have_is_refused_and_both_are_named(esxi, ask):
    host = esxi(vms=[VM("original", uuid=NODE), VM("copy", uuid=NODE), "third"])
    run = ask(host, "off", NODE)
    assert said(run) == ("", 1)
    assert '"original"' in run.stderr
    assert '"copy"' in run.stderr
    assert host.power_events == []


def test_a_vm_with_a_uuid_for_a_name_and_the_vm_of_that_uuid_are_two(esxi, ask):
    host = esxi(vms=[VM(NODE, uuid=OTHER), VM("real", uuid=NODE)])
    run = ask(host, "off", NODE)
    assert said(run) == ("", 1)
    assert '"real"' in run.stderr
    assert host.power_events == []


@pytest.mark.parametrize("missing_as_off", [None, "0", "1"])
@pytest.mark.parametrize(("action", "as_off"), [("status", ("Status: OFF\n", 2)),
                                                ("off", ("Success: Already OFF\n", 0))])
def test_an_unknown_uuid_is_off_only_with_missing_as_off(host, fence, action, as_off,
                                                         missing_as_off):
    unknown = NODE.replace("53", "99")
    run = fence.as_pacemaker(host, action, unknown, missing_as_off=missing_as_off)
    if missing_as_off == "1":
        assert said(run) == as_off
    else:
        assert said(run) == ("", 1)
        assert unknown in run.stderr
    assert host.power_events == []


def test_a_uuid_cannot_be_missing_while_a_configuration_file_cannot_be_read(host, fence):
    host.remove_vmx(host.vm("third"))
    unknown = NODE.replace("53", "99")
    run = fence.as_pacemaker(host, "status", unknown, missing_as_off="1")
    assert said(run) == ("", 1)
    assert f'which VM is called "{unknown}" is not certain' in run.stderr
    assert "a .vmx file cannot be read to its end; see the datastores" in run.stderr

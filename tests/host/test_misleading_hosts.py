"""What a host prints beside the truth: notes that forge it, foreign bytes, invalid VMs, nothing."""

import pytest
from case_files import DATA
from esxi_sim import VM, BadAnswer
from fence_runner import said

NOTES = sorted((DATA / "host/notes").glob("*.txt"))
DOUBTFUL_NOTES = sorted((DATA / "host/doubtful_notes").glob("*.txt"))


def host_with(esxi, note):
    """node2 has the note; node1 comes before it and node3 behind it in every list."""
    text = note.read_bytes().decode("utf-8", "surrogateescape")
    return esxi(vms=[VM("node1", vmid=1), VM("node2", vmid=2, note=text),
                     VM("node3", vmid=3, power="off")])


@pytest.mark.parametrize("note", NOTES, ids=lambda path: path.stem)
def test_no_note_keeps_a_vm_from_being_fenced(esxi, fence, note):
    host = host_with(esxi, note)
    assert said(fence.as_pacemaker(host, "status", "node3")) == ("Status: OFF\n", 2)
    for name in ("node2", "node1"):
        host.clear_record()
        assert said(fence.as_pacemaker(host, "status", name)) == ("Status: ON\n", 0)
        assert said(fence.as_pacemaker(host, "off", name)) == ("Success: Powered OFF\n", 0)
        assert [(event.name, event.new) for event in host.power_events] == [(name, "off")]


@pytest.mark.parametrize("note", DOUBTFUL_NOTES, ids=lambda path: path.stem)
def test_a_note_that_leaves_a_doubt_never_leads_to_the_wrong_vm(esxi, fence, note):
    """hostd's word on node2 is worth nothing then: only its process can be taken for it."""
    host = host_with(esxi, note)
    assert said(fence.as_pacemaker(host, "status", "node1")) == ("Status: ON\n", 0)
    assert said(fence.as_pacemaker(host, "status", "node3")) == ("Status: OFF\n", 2)
    run = fence.as_pacemaker(host, "status", "node2")
    assert said(run) == ("", 1)
    assert "Vmid 2" in run.stderr
    assert said(fence.as_pacemaker(host, "off", "node2")) == ("Success: Powered OFF\n", 0)
    assert [(event.name, event.new) for event in host.power_events] == [("node2", "off")]


@pytest.mark.parametrize("note", NOTES + DOUBTFUL_NOTES, ids=lambda path: path.stem)
def test_the_lists_show_the_real_vms_whatever_a_note_says(esxi, ask, note):
    host = host_with(esxi, note)
    listed = ask(host, "list")
    assert listed.status == 0
    names = [line.rpartition(",")[0] for line in listed.stdout.splitlines()]
    assert {"node1", "node2", "node3"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("times", [2, 3])
def test_a_row_printed_more_than_once_is_one_vm(esxi, ask, times):
    host = esxi(vms=["node1", "node2"], row_repeats={1: times})
    assert said(ask(host, "off", "node1")) == ("Success: Powered OFF\n", 0)


@pytest.mark.quick
def test_a_vm_that_exists_in_a_note_only_cannot_be_fenced(esxi, ask):
    row = "99     ghost   [datastore1] ghost/ghost.vmx   centos8_64Guest   vmx-13"
    host = esxi(vms=["node1", VM("node2", note="first\n" + row)])
    run = ask(host, "status", "ghost")
    assert said(run) == ("", 1)
    assert host.power_events == []


@pytest.mark.parametrize("invalid_stream", ["stderr", "stdout"])
def test_vms_that_the_host_cannot_read_do_not_hide_the_others(esxi, ask, invalid_stream):
    host = esxi(vms=["node1", "node2"], invalid_vms=[6, 17], invalid_stream=invalid_stream)
    assert said(ask(host, "list")) == ("node1,1\nnode2,2\n", 0)
    assert said(ask(host, "off", "node1")) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["node1"]


@pytest.mark.parametrize("missing_as_off", [None, "1"])
def test_a_missing_vm_may_be_one_that_the_host_cannot_read(esxi, fence, missing_as_off):
    host = esxi(vms=["node1", "node2"], invalid_vms=[6])
    run = fence.as_pacemaker(host, "status", "node3", missing_as_off=missing_as_off)
    assert said(run) == ("", 1)
    assert "Skipping invalid VM 6" in run.stderr


def test_an_empty_inventory_is_no_error(esxi, ask):
    host = esxi(vms=[])
    assert said(ask(host, "list")) == ("", 0)
    assert said(ask(host, "list-status")) == ("", 0)
    assert said(ask(host, "monitor")) == ("", 0)
    run = ask(host, "off", "node1")
    assert said(run) == ("", 1)
    assert '"node1"' in run.stderr


FAILED_LISTINGS = {
    "nothing": BadAnswer("getallvms", kind="empty", times=9),
    "nothing, and a failure": BadAnswer("getallvms", kind="empty", times=9, status=1),
    "half of it": BadAnswer("getallvms", kind="half", times=9),
    "garbage": BadAnswer("getallvms", kind="garbage", times=9),
    "a table, and a failure": BadAnswer("getallvms", kind="text", times=9, status=1, text=(
        "Vmid   Name   File   Guest OS   Version   Annotation\n")),
    "a failed login": BadAnswer("getallvms", kind="text", times=9, status=255, text=(
        "Failed to login: Invalid response code: 400 Bad Request\n")),
    "out of memory": BadAnswer("getallvms", kind="text", times=9, status=134, text=(
        "terminate called after throwing an instance of 'std::bad_alloc'\n"
        "  what():  std::bad_alloc\nAborted\n")),
}


@pytest.mark.parametrize("listing", FAILED_LISTINGS)
@pytest.mark.parametrize("action", ["list", "list-status", "monitor"])
def test_a_failed_listing_is_an_error_and_never_an_empty_host(esxi, fence, listing, action):
    bad = FAILED_LISTINGS[listing]
    host = esxi(vms=["node1", "node2"])
    host.faults.bad_answers.append(BadAnswer(bad.command, bad.kind, 9, bad.text, bad.status))
    run = fence.as_pacemaker(host, action)
    assert said(run) == ("", 1)
    assert 'gave no usable answer to "vim-cmd vmsvc/getallvms"' in run.stderr
    assert "hostd may hang" in run.stderr


@pytest.mark.parametrize("listing", ["nothing", "half of it", "garbage"])
def test_a_failed_listing_never_makes_a_vm_missing(esxi, fence, listing):
    bad = FAILED_LISTINGS[listing]
    host = esxi(vms=["node1", "node2"])
    host.faults.bad_answers.append(BadAnswer(bad.command, bad.kind, 9, bad.text, bad.status))
    run = fence.as_pacemaker(host, "status", "node2", missing_as_off="1")
    assert said(run) == ("", 1)


@pytest.mark.parametrize("listing", ["nothing", "half of it", "garbage"])
def test_a_listing_that_fails_once_is_asked_for_again(esxi, fence, listing):
    bad = FAILED_LISTINGS[listing]
    host = esxi(vms=["node1", "node2"])
    host.faults.bad_answers.append(BadAnswer(bad.command, bad.kind, 1, bad.text, bad.status))
    assert said(fence.as_pacemaker(host, "list")) == ("node1,1\nnode2,2\n", 0)


def test_a_listing_that_fails_does_not_keep_off_from_the_truth(esxi, fence):
    host = esxi(vms=["node1", "node2"])
    host.faults.bad_answers.append(BadAnswer("getallvms", kind="half"))
    assert said(fence.as_pacemaker(host, "off", "node2")) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["node2"]

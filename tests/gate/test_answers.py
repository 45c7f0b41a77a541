"""What the gate answers to what it allows, and where the host itself is the one that says no."""

import pytest

GREP = rb"grep -isHE '^(uuid\.bios|vc\.uuid|checkpoint\.vmstate) *=' /dev/null"


@pytest.fixture
def ask(host, gate):
    """ask(command): the gate's answer and the exit status."""
    def ask(command):
        output = host.talk(gate("--vm", "t3021cent"), b"TAG " + command + b"\n")
        assert output.startswith(b"fence_esxi-ready\n")
        text, _, end = output[len(b"fence_esxi-ready\n"):].rpartition(b"\nTAG ")
        return text, int(end)

    return ask


@pytest.mark.parametrize(("sent", "path"), [
    (b"'/vmfs/volumes/datastore1'", b"/vmfs/volumes/datastore1"),
    (b"'/vmfs/volumes/data*'", b"/vmfs/volumes/data*"),
    (b"'/vmfs/volumes/$HOME `x` \"y\" ;z'", b"/vmfs/volumes/$HOME `x` \"y\" ;z"),
    (b"'/vmfs/volumes/a  b [c] ?'", b"/vmfs/volumes/a  b [c] ?"),
    (b"'/vmfs/volumes/it'\\''s'", b"/vmfs/volumes/it's"),
    (b"'/vmfs/volumes/'\\'''\\''two'\\'''", b"/vmfs/volumes/''two'"),
    (b"'/vmfs/volumes/back\\slash\\\\'", b"/vmfs/volumes/back\\slash\\\\"),
    ("'/vmfs/volumes/é Á 日本'".encode(), "/vmfs/volumes/é Á 日本".encode()),
    (b"'/vmfs/volumes/\x81\x82\x88\xff'", b"/vmfs/volumes/\x81\x82\x88\xff")])
def test_a_path_arrives_as_it_was_quoted(ask, sent, path):
    assert ask(b"readlink -f " + sent) == (path + b"\n", 0)


def test_values_of_vmx_files_are_read(ask):
    text, status = ask(GREP + b" '/vmfs/volumes/datastore1/vm1/vm1.vmx'"
                       b" '/vmfs/volumes/datastore1/it'\\''s a vm/a.vmx' '/vmfs/volumes/none.vmx'")
    assert status in (0, 2)  # of grep, which could not read the third
    assert text.splitlines() == [
        b'/vmfs/volumes/datastore1/vm1/vm1.vmx:'
        b'uuid.bios = "56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53"',
        b"/vmfs/volumes/datastore1/it's a vm/a.vmx:"
        b'uuid.bios = "56 4d 00 00 00 00 00 00-00 00 00 00 00 00 00 40"',
        b'/vmfs/volumes/datastore1/it\'s a vm/a.vmx:checkpoint.vmState = "a.vmss"']


@pytest.mark.parametrize("vmid", [b"998", b"999"])
def test_a_fault_instead_of_a_summary_is_passed_on_and_is_no_refusal(ask, vmid):
    """998: with exit status 0, which nobody has shown to be impossible (facts: 2)."""
    text, status = ask(b"vim-cmd vmsvc/power.off " + vmid)
    assert text.startswith(b"(vim.fault.NotFound) {")
    assert status == 1


@pytest.mark.parametrize(("command", "which"), [
    (b"vim-cmd vmsvc/power.off 6", b"Vmid 6"),
    (b"esxcli vm process kill -t soft -w 2102", b"world 2102")])
def test_a_vm_that_cannot_be_told_is_no_refusal_either(ask, command, which):
    """The agent goes on to the list of processes, where notes are not shown."""
    text, status = ask(command)
    assert (text, status) == (which + b": which VM that is cannot be settled; "
                              b"look for notes that imitate the host\n", 1)


@pytest.mark.parametrize("world", [b"7", b"210", b"2101000"])
def test_a_process_that_is_gone_is_no_refusal(ask, world):
    """It may have ended since the agent saw it."""
    text, status = ask(b"esxcli vm process kill -t soft -w " + world)
    assert (text, status) == (b"no process has the world ID " + world + b"\n", 1)


def test_a_list_of_processes_that_fails_is_passed_on(host, ask):
    host.break_processes(True)
    try:
        text, status = ask(b"localcli vm process kill -t soft -w 2101")
    finally:
        host.break_processes(False)
    assert (text, status) == (b"Connect to localhost failed: Connection failure", 1)


@pytest.mark.parametrize(("command", "refusal"), [
    (b"vim-cmd vmsvc/power.off 2", b"power t3022cent: not in its list"),
    (b"vim-cmd vmsvc/power.on 17", b"power $(touch /pwned): not in its list"),
    (b"esxcli vm process kill -t soft -w 2103", b"kill payroll: not in its list"),
    (b"readlink -f '/etc'", b"read that"), (b"ls", b"run that")])
def test_a_refusal_is_one_line_in_the_words_the_agent_knows(ask, command, refusal):
    assert ask(command) == (b"this key may not " + refusal + b"\n", 77)


@pytest.mark.parametrize(("limit", "command", "refusal"), [
    ("--read-only", b"vim-cmd vmsvc/power.off 1", b"power a VM: it was made to read only"),
    ("--no-kill", b"esxcli vm process kill -t soft -w 2101",
     b"kill the process of a VM: the kill rungs are switched off")])
def test_a_refusal_names_the_limit_of_the_key(host, gate, limit, command, refusal):
    words = [limit] if limit == "--read-only" else ["--vm", "t3021cent", limit]
    output = host.talk(gate(*words), b"TAG " + command + b"\n")
    assert output == b"fence_esxi-ready\nthis key may not " + refusal + b"\n\nTAG 77\n"


def test_a_shell_whose_read_has_no_limit_serves_too(host, gate):
    """The statement that finds out is made to fail."""
    script = gate("--vm", "t3021cent").replace("read -r -n 70000 line", "read -r -Z 70000 line")
    output = host.talk(script, b"TAG vim-cmd vmsvc/power.off 1\n")
    assert output == b"fence_esxi-ready\nPowering a VM:\n\nTAG 0\n"

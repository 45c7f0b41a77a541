"""What the gate answers to what it allows, and where the host itself is the one that says no."""

import os
import re
import subprocess
import time

import pytest
from small_host import ANSWERS, as_localcli, request_for

GREP = b"grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null"
READY = b"fence_esxi-ready-2\n"
UNSETTLED = b"%s: which VM that is cannot be settled; look for notes that imitate the host"


@pytest.fixture(params=[1, 2])
def ask(request, host, gate):
    """ask(command, word...): the answer and the exit status, by a key made with these options, in
    either place of a request.
    """
    def ask(command, *words):
        script = gate(*(words or ("--vm", "t3021cent")))
        if request.param == 1:
            sent, start, end = request_for(command), READY + b"\n7a91.2 0\n", b"\n7a91.1 "
        else:
            sent, start, end = request_for(b"", command), READY, b"\n7a91.2 "
        output = host.talk(script, sent)
        assert output.startswith(start)
        text, _, status = output[len(start):].rpartition(end)
        return text, int(status.split()[0])

    return ask


# --- pairs --------------------------------------------------------------------------------------

def test_the_second_answer_comes_first_and_both_are_framed(host, gate):
    output = host.talk(gate("--vm", "t3021cent"), request_for(
        b"vim-cmd vmsvc/power.getstate 1", b"ps", b"0a") + request_for(b"", b"", b"0b"))
    assert output == (
        READY + b"WID    CID    WorldName\n\n0a.2 0\n"
        b"Retrieved runtime info\nPowered on\n\n0a.1 0\n\n0b.2 0\n\n0b.1 0\n")


def test_two_refusals_are_two_answers(host, gate):
    output = host.talk(gate("--vm", "t3021cent"), request_for(b"ls", b"vim-cmd vmsvc/power.off 2"))
    assert output == (READY + b"this key may not power t3022cent: not in its list\n\n7a91.2 77\n"
                      b"this key may not run that\n\n7a91.1 77\n")


def test_where_the_first_one_hangs_the_second_one_has_arrived(host, gate):
    with host.changed("hung"):
        process = host.start(gate("--vm", "t3021cent"))
        started = time.monotonic()
        process.stdin.write(request_for(b"vim-cmd vmsvc/getallvms", b"localcli vm process list"))
        process.stdin.close()
        lines = []
        while lines[-1:] != [b"7a91.2 0\n"]:
            lines.append(process.stdout.readline())
            assert time.monotonic() < started + 3
        rest = process.stdout.read()
    assert time.monotonic() > started + 4
    process.wait()
    assert rest.endswith(b"\n7a91.1 0\n")


def test_the_end_of_the_input_in_a_request_runs_nothing(host, gate):
    host.record()
    whole = request_for(b"vim-cmd vmsvc/getallvms", b"ps")
    for length in range(len(whole)):
        assert host.talk(gate("--read-only"), whole[:length]) == READY
    assert host.record() == []


# --- what is read -------------------------------------------------------------------------------

@pytest.mark.parametrize(("sent", "name"), [
    (b"datastore", b"datastore"), (b"data*", b"data*"),
    (b"$HOME `x` \"y\" ;z", b"$HOME `x` \"y\" ;z"), (b"a  b [c] ?", b"a  b [c] ?"),
    (b"it'\\''s", b"it's"), (b"'\\'''\\''two'\\''", b"''two'"),
    (b"back\\slash\\\\", b"back\\slash\\\\"), ("é Á 日本".encode(), "é Á 日本".encode()),
    (b"\x81\x82\x88\xff", b"\x81\x82\x88\xff"), (b"..a", b"..a"), (b"a..", b"a..")])
def test_a_volume_arrives_as_it_was_quoted(ask, host, sent, name):
    """Its link is read, not where that leads, which may be a dead datastore."""
    link = os.fsencode(host.path / "vmfs/volumes") + b"/" + name
    os.symlink(b"eca5bd35-3a696585", link)
    try:
        answer = ask(b"readlink '/vmfs/volumes/" + sent + b"'")
    finally:
        os.unlink(link)
    assert answer == (b"eca5bd35-3a696585\n", 0)


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


# --- failures that are no refusals ----------------------------------------------------------------

@pytest.mark.parametrize("command", [
    b"power.off 998", b"power.off 999", b"power.on 999", b"get.summary 999"])
def test_a_fault_instead_of_a_summary_is_passed_on_and_is_no_refusal(ask, command):
    """998: with exit status 0, which nobody has shown to be impossible (facts: 2)."""
    text, status = ask(b"vim-cmd vmsvc/" + command)
    assert text.startswith(b"(vim.fault.NotFound) {")
    assert status == 1


@pytest.mark.parametrize(("command", "which"), [
    (b"vim-cmd vmsvc/power.off 6", b"Vmid 6"),
    *((b"%s vm process kill -t soft -w %d" % (tool, world), b"world %d" % world)
      for tool in (b"esxcli", b"localcli")
      for world in (2102, 2105, 2114, 2117, 2118, 2119, 2121, 2122))])
def test_a_vm_that_cannot_be_told_is_no_refusal_either(ask, command, which):
    """The agent goes on to the list of processes, where notes are not shown."""
    assert ask(command) == (UNSETTLED % which, 1)


@pytest.mark.parametrize("world", [b"7", b"210", b"2101000"])
def test_a_process_that_is_gone_is_no_refusal(ask, world):
    """It may have ended since the agent saw it."""
    text, status = ask(b"esxcli vm process kill -t soft -w " + world)
    assert (text, status) == (b"no process has the world ID " + world, 1)


def test_a_list_of_processes_that_fails_is_passed_on(host, ask):
    with host.changed("down"):
        text, status = ask(b"localcli vm process kill -t soft -w 2101")
    assert (text, status) == (b"Connect to localhost failed: Connection failure", 1)


# --- the rows of the list, in either layout -------------------------------------------------------

ROW = """\
{name}
   World ID: {world}
   Process ID: 0
   VMX Cartel ID: 2100
   UUID: 56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 5{world}
   Display Name: {name}
   Config File: /vmfs/volumes/58f72d53-3d2f86ee/{name}/{name}.vmx
"""
ROWS = [ROW.format(name=name, world=world) for name, world in (("a", 1), ("b: c", 2), ("d", 3))]
REORDERED = "".join(line for row in ROWS for line in
                    [*row.splitlines(True)[:2], *row.splitlines(True)[:1:-1]])


@pytest.mark.parametrize("key", ["--vm=b: c", "--uuid=564d36cf-6988-c91d-0f5f-a62628d46552"])
@pytest.mark.parametrize("text", [
    "\n".join(ROWS) + "\n", "".join(ROWS), REORDERED, as_localcli("\n".join(ROWS) + "\n"),
    as_localcli("".join(ROWS))],
    ids=["esxcli", "no empty lines", "reordered", "localcli", "localcli, no empty lines"])
def test_a_row_is_read_by_its_keys(host, ask, text, key):
    with host.changed("host/localcli.txt", text.encode()):
        statuses = [ask(b"localcli vm process kill -t hard -w %d" % world, key)[1]
                    for world in (1, 2, 3)]
    assert statuses == [77, 0, 77]


def test_the_case_of_a_uuid_does_not_count(host, ask):
    key = "--uuid=564d36cf-6988-c91d-0f5f-a62628d46553"
    for file, command in (("summaries/1-the-listed-VM.txt", b"vim-cmd vmsvc/power.off 1"),
                          ("esxcli.txt", b"esxcli vm process kill -t soft -w 2101")):
        text = (ANSWERS / file).read_bytes()
        with host.changed("host/" + file, re.sub(b"(56 ?4)d", rb"\1D", text)):
            assert ask(command, key)[1] == 0


def test_a_list_cut_off_anywhere_in_the_row_kills_nothing(host, gate):
    """What is left of a name may be another one's."""
    text = as_localcli("\n".join(ROWS[:2]).replace("b: c", "ab"))
    end = text.rindex("   Config File: ") + len("   Config File: ")
    host.record()
    sent = request_for(b"localcli vm process kill -t hard -w 2")
    for length in range(text.index("World ID: 2"), end):
        with host.changed("host/localcli.txt", text[:length].encode()):
            host.talk(gate("--vm=ab", "--vm=a"), sent)
    assert not [words for words in host.record() if b"kill" in words]


# --- refusals -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("command", "refusal"), [
    (b"vim-cmd vmsvc/power.off 2", b"power t3022cent: not in its list"),
    (b"vim-cmd vmsvc/power.on 17", b"power $(touch /pwned): not in its list"),
    (b"esxcli vm process kill -t soft -w 2103", b"kill payroll: not in its list"),
    (b"readlink '/etc'", b"read that"), (b"ls", b"run that")])
def test_a_refusal_is_one_line_in_the_words_the_agent_knows(ask, command, refusal):
    assert ask(command) == (b"this key may not " + refusal + b"\n", 77)


@pytest.mark.parametrize(("words", "command", "refusal"), [
    (["--read-only"], b"vim-cmd vmsvc/power.off 1", b"power a VM: it was made to read only"),
    (["--vm=t3021cent", "--no-kill"], b"esxcli vm process kill -t soft -w 2101",
     b"kill the process of a VM: the kill rungs are switched off")])
def test_a_refusal_names_the_limit_of_the_key(ask, words, command, refusal):
    assert ask(command, *words) == (b"this key may not " + refusal + b"\n", 77)


def test_a_shell_whose_read_has_no_limit_serves_too(host, gate):
    """The statement that finds out is made to fail."""
    script = gate("--vm", "t3021cent").replace("read -r -n 70000", "read -r -Z 70000")
    output = host.talk(script, request_for(b"vim-cmd vmsvc/power.off 1"))
    assert output == READY + b"\n7a91.2 0\nPowering a VM:\n\n7a91.1 0\n"


def test_dash_serves_too(gate, tmp_path):
    """Whose read has no limit, and whose echo is another."""
    summary = ANSWERS / "summaries/1-the-listed-VM.txt"
    vim_cmd = tmp_path / "vim-cmd"
    vim_cmd.write_text("#!/bin/sh\ncase $1 in *summary) cat '%s' ;; *) echo $* ;; esac" % summary)
    vim_cmd.chmod(0o755)
    done = subprocess.run(
        ["dash", "-c", gate("--vm", "t3021cent").replace("PATH=/bin:", "PATH=%s:/bin:" % tmp_path)],
        input=request_for(b"vim-cmd vmsvc/power.off 1", b"readlink '/vmfs/volumes/a/b'"),
        capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (
        READY + b"this key may not read that\n\n7a91.2 77\nvmsvc/power.off 1\n\n7a91.1 0\n", b"")

"""The host's own faults: hostd, latency, the line, spoilt answers, strange listings."""

import time

import pytest
from esxi_sim import VM, Answer, BadAnswer, LineCut, VMFaults

LIST, STATE = "vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/power.getstate 1"
PROCESSES = "localcli vm process list"


def test_hung_hostd_hangs_all_but_localcli(start_host, client_of):
    host = start_host("node1", hostd="hung")
    client = client_of(host)
    assert client("timeout 0.3 %s; exit $?" % LIST).returncode == 143
    assert client("timeout 0.3 esxcli vm process list; exit $?").returncode == 143
    assert b"node1" in client(PROCESSES).stdout
    host.faults.localcli = "hung"
    assert client("timeout 0.3 %s; exit $?" % PROCESSES).returncode == 143


def test_hostd_fails_late(start_host, client_of):
    host = start_host("node1", hostd="late_failure", hostd_silence=0.3)
    begun = time.monotonic()
    answer = client_of(host)(LIST)
    assert time.monotonic() - begun > 0.3
    assert answer.stderr.startswith(b"Failed to login: ")
    assert (answer.stdout, answer.returncode) == (b"", 1)


def test_hostd_recovers_after_a_time_or_some_commands(start_host, client_of, wait_until):
    host = start_host("node1")
    client = client_of(host)
    host.set_hostd("down", recover_after_commands=2)
    statuses = client("for i in 1 2 3; do %s >/dev/null 2>&1; echo $?; done" % LIST).stdout
    assert statuses == b"1\n1\n0\n"
    host.set_hostd("down", recover_after=0.2)
    wait_until(lambda: host.faults.hostd == "up")


def test_commands_that_hung_may_be_carried_out_later(start_host, client_of):
    host = start_host("node1", hostd="hung", hung_calls_resume=True)
    host.after_seconds(0.3, lambda: host.set_hostd("up"))
    assert client_of(host)(STATE).stdout.endswith(b"Powered on\n")


def test_latency_of_all_or_of_some_commands(start_host, client_of):
    host = start_host("node1", latency={"getstate": 0.5})
    client = client_of(host)
    client("%s; %s" % (LIST, STATE))
    listing, state = (entry.ended - entry.started for entry in host.record)
    assert listing < state
    assert state >= 0.5


@pytest.mark.parametrize(("when", "ran", "seen"), [
    ("before_run", False, b""), ("before", True, b""), ("middle", True, b"Retrieved runtime"),
    ("after", True, b"Retrieved runtime info\nPowered on\n")])
def test_the_line_is_cut(start_host, client_of, when, ran, seen):
    host = start_host("node1", cuts=[LineCut("getstate|power.off", when=when, nth=2)])
    client = client_of(host)
    assert client(STATE).returncode == 0
    answer = client(STATE)
    assert (answer.returncode, answer.stdout) == (255, seen)
    host.faults.cuts = [LineCut("power.off", when=when)]
    client("vim-cmd vmsvc/power.off 1")
    assert (host.vm("node1").power == "off") is ran
    assert client(LIST).returncode == 0


@pytest.mark.parametrize(("when", "noticed"), [("silent", False), ("dead", True)])
def test_the_line_falls_silent(start_host, client_of, wait_until, when, noticed):
    host = start_host("node1", cuts=[LineCut("getstate", when=when)])
    process = client_of(host).start(STATE + "; echo done", "-o", "ServerAliveInterval=1",
                                    "-o", "ServerAliveCountMax=1")
    wait_until(lambda: host.commands)
    if noticed:
        assert process.wait(20) == 255
    else:
        time.sleep(2.5)
        assert process.poll() is None
    process.terminate()
    assert process.communicate()[0] == b""


@pytest.mark.parametrize(("kind", "printed"), [
    ("empty", b""), ("half", b"Retrieved runtime"), ("text", b"so?\n")])
def test_spoilt_answers_last_for_their_number(start_host, client_of, kind, printed):
    host = start_host("node1", bad_answers=[BadAnswer("getstate", kind, times=2, text="so?\n")])
    client = client_of(host)
    assert [client(STATE).stdout for _ in range(3)] == [
        printed, printed, b"Retrieved runtime info\nPowered on\n"]


def test_garbage_is_no_utf8(start_host, client_of):
    host = start_host("node1", bad_answers=[BadAnswer("getallvms", "garbage", status=4)])
    answer = client_of(host)(LIST)
    with pytest.raises(UnicodeDecodeError):
        answer.stdout.decode()
    assert answer.returncode == 4


def test_invalid_vms_have_no_row(start_host, client_of):
    host = start_host("node1", "node2", invalid_vms=[2, 7])
    answer = client_of(host)(LIST)
    assert answer.stderr == b"Skipping invalid VM '2'\nSkipping invalid VM '7'\n"
    assert b"node1" in answer.stdout
    assert b"node2" not in answer.stdout
    host.faults.invalid_stream = "stdout"
    assert client_of(host)(LIST).stdout.startswith(b"Skipping invalid VM '2'\n")


def test_rows_may_come_twice_and_out_of_nowhere(start_host, client_of):
    host = start_host("node1", row_repeats={1: 2}, extra_rows=["9      stale   [x] y/y.vmx"])
    lines = client_of(host)(LIST).stdout.decode().splitlines()
    assert lines[1] == lines[2]
    assert lines[3] == "9      stale   [x] y/y.vmx"


def test_notes_spill_onto_the_next_lines(start_host, client_of):
    host = start_host(VM("node1", note="one\n1      forged   [d] f/f.vmx   x   vmx-13   "))
    assert len(client_of(host)(LIST).stdout.splitlines()) == 3


def test_bytes_that_are_no_utf8_come_through(start_host, client_of):
    host = start_host(VM("caf\udce9", note="\udcff"), "ノード2")
    listed = client_of(host)(LIST).stdout
    assert b"caf\xe9" in listed
    assert "ノード2".encode() in listed
    assert b"caf\xe9" in client_of(host)("cat /vmfs/volumes/datastore1/*/*.vmx").stdout


def test_a_user_without_rights(start_host, client_of):
    host = start_host("node1", permission_denied=True)
    answer = client_of(host)(LIST)
    assert b"Permission to perform this operation was denied." in answer.stderr
    assert answer.returncode == 1


def test_no_esxi_shell_at_all(start_host, client_of):
    host = start_host("node1", vim_cmd_absent=True)
    assert client_of(host)(LIST).stderr == b"sh: vim-cmd: not found\n"
    host.set_vim_cmd_absent(False)
    assert client_of(host)(LIST).returncode == 0


@pytest.mark.parametrize("command", ["vim-cmd vmsvc/nonsense", "vim-cmd vmsvc/power.off",
                                     "vim-cmd vmsvc/power.off node1", "esxcli vm process burn",
                                     "esxcli vm process kill -t soft", "localcli",
                                     "esxcli vm process kill -t kindly -w 1",
                                     "esxcli vm process kill -t soft -w 1"])
def test_wrong_commands_fail_with_words(start_host, client_of, command):
    host = start_host("node1")
    answer = client_of(host)(command)
    assert answer.returncode != 0
    assert answer.stdout + answer.stderr
    assert host.power_events == []


def test_a_hook_may_answer_instead(start_host, client_of):
    host = start_host("node1")
    host.on_command = lambda argv: Answer("out\n", "err\n", 7) if "getstate" in argv[1] else None
    answer = client_of(host)(STATE)
    assert (answer.stdout, answer.stderr, answer.returncode) == (b"out\n", b"err\n", 7)
    assert client_of(host)(LIST).returncode == 0


def test_a_full_host_is_listed_fast(start_host, client_of):
    host = start_host(*["vm%04d" % number for number in range(1024)])
    answer = client_of(host)(LIST)
    assert len(answer.stdout.splitlines()) == 1025
    assert host.record[0].ended - host.record[0].started < 3.0
    assert len(client_of(host)(PROCESSES).stdout.splitlines()) == 1024 * 8


def test_faults_combine(start_host, client_of, wait_until):
    vm = VM("node1", faults=VMFaults(off="ignored", kill_needs="force", kill_seconds=0.2,
                                     autostart=0.3))
    host = start_host(vm, latency=0.05)
    world = vm.world_id
    client_of(host)("vim-cmd vmsvc/power.off 1; esxcli vm process kill -t force -w %d" % world)
    wait_until(lambda: [event.new for event in host.power_events] == ["off", "on"])
    assert vm.world_id != world

"""10,000 good commands, bad ones and noise, in pairs through one gate, in each busybox."""

import os
import random

import pytest
from small_host import forbidden, request_for
from test_attacks import answers_in

PAIRS = 5000
SEED = int(os.environ.get("FENCE_GATE_SEED", "20261122"))

VMIDS = [b"1", b"1", b"1", b"2", b"3", b"5", b"9", b"12", b"17", b"21", b"101", b"999"]
WORLDS = [b"2101", b"2101", b"2102", b"2103", b"2112", b"2130", b"21010", b"7"]
NUMBERED = [b"vim-cmd vmsvc/power.off %s", b"vim-cmd vmsvc/power.on %s",
            b"vim-cmd vmsvc/power.getstate %s", b"vim-cmd vmsvc/get.summary %s",
            b"vim-cmd vmsvc/message %s"]
KILLS = [b"%s vm process kill -t %s -w %%s" % (tool, how) for tool in (b"esxcli", b"localcli")
         for how in (b"soft", b"hard", b"force")]
PLAIN = [b"vim-cmd vmsvc/getallvms", b"esxcli vm process list", b"localcli vm process list", b"ps",
         b"readlink '/vmfs/volumes/datastore1'", b"readlink '/vmfs/volumes/it'\\''s'",
         b"grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null "
         b"'/vmfs/volumes/datastore1/vm1/vm1.vmx' '/vmfs/volumes/datastore1/it'\\''s a vm/a.vmx'"]
PIECES = [b";", b"|", b"&", b"&&", b"$(touch /pwned)", b"`touch /pwned`", b">/pwned", b"'", b'"',
          b"\\", b"\\n", b"$", b"*", b"?", b"[0-9]", b"(", b")", b"{", b"}", b"#", b"~", b"!", b"-",
          b"--", b"=", b"%", b"../", b"/", b" ", b"  ", b"\t", b"\r", b"\v", b"\0", b"\x1b[6n",
          b"\x80", b"\x81", b"\x82", b"\x88", b"\xff", "é".encode(), "Á".encode(), "٢".encode(),
          b"0", b"1", b"2", b"t3021cent", b"vim-cmd", b"-w 2103", b"esac", b"done", b"status=0"]


def _command(choice):
    kind = choice.random()
    if kind < 0.05:
        return bytes(choice.randrange(256) for _ in range(choice.randrange(60))).replace(b"\n", b"")
    command = _good(choice)
    if kind < 0.12:
        return command
    if kind < 0.2:  # the end of one behind the start of another
        other = _good(choice)
        return command[: choice.randrange(len(command))] + other[choice.randrange(len(other)) :]
    for _ in range(choice.randrange(1, 4)):
        command = _changed(command, choice)
    return command


def _good(choice):
    kind = choice.random()
    if kind < 0.6:
        return choice.choice(NUMBERED) % choice.choice(VMIDS)
    if kind < 0.8:
        return choice.choice(KILLS) % choice.choice(WORLDS)
    return choice.choice(PLAIN)


def _changed(command, choice):
    place = choice.randrange(len(command) + 1)
    how = choice.randrange(6)
    if how == 0:
        return command[:place] + choice.choice(PIECES) + command[place:]
    if how == 1:
        return command + choice.choice(PIECES)
    if how == 2:
        return command[:place] + command[place + 1 :]
    if how == 3:
        return command[:place] + bytes([choice.choice(range(11, 256))]) + command[place + 1 :]
    if how == 4:
        return command.replace(choice.choice([b" ", b"1", b"2", b"'", b"/"]),
                               choice.choice(PIECES))
    return choice.choice(PIECES) + command


@pytest.mark.slow
def test_no_command_of_10000_touches_another_vm_or_runs_anything_else(host, gate):
    choice = random.Random(SEED)
    data = b"".join(request_for(_command(choice), _command(choice), b"%04x" % number)
                    for number in range(PAIRS))
    data += request_for(b"vim-cmd vmsvc/power.off 1")
    before = host.files()
    host.record()
    output = host.talk(gate("--vm", "t3021cent"), data, timeout=110)
    commands = host.record()
    assert not forbidden(commands)
    assert host.files() == before
    assert b"CANARY" not in output
    assert b"syntax error" not in output
    assert output.endswith(b"\n7a91.1 0\n")
    assert len(answers_in(data, output)) > 1.9 * PAIRS  # of the noise, some is empty
    assert_the_good_lines_ran(commands)


def assert_the_good_lines_ran(commands):
    """So that nothing was forbidden because nothing ran."""
    powered = [words for words in commands if words[1:2] == [b"vmsvc/power.off"]]
    killed = [words for words in commands if words[3:4] == [b"kill"]]
    asked = [words for words in commands if words[1:2] == [b"vmsvc/get.summary"]]
    assert len(powered) > 20
    assert len(killed) > 20
    assert len(asked) > 200

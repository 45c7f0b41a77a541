"""Attempts to talk the gate round, written by hand: attacks/, one file each.

    # what is tried            (first line)
    key: words                 options of the tool; else --vm t3021cent
    env: NAME=value            the environment the gate is started in
    send: command              a line, with a tag put in front
    raw: bytes                 sent as they are
    runs: command              what the host must have run in the end, in this order, and no more
    status: number             an exit status that does no harm; else, if nothing ran, it is 77

\\xNN and \\n are bytes, {text*N} is text N times.
"""

import pathlib
import re
from collections import namedtuple

import pytest
from small_host import forbidden

ATTACKS = sorted((pathlib.Path(__file__).parent / "attacks").glob("*.txt"))
Attack = namedtuple("Attack", "key environment data runs statuses")


def load(file):
    """The Attack in a file."""
    key, environment, data, runs, statuses = ["--vm", "t3021cent"], {}, b"", [], {"77"}
    for line in file.read_text().rstrip("\n").split("\n")[1:]:
        kind, _, text = line.partition(": ")
        if kind == "key":
            key = text.split()
        elif kind == "env":
            name, _, environment[name] = text.partition("=")
        elif kind == "send":
            data += b"TAG%d " % data.count(b"\n") + decoded(text) + b"\n"
        elif kind == "raw":
            data += decoded(text)
        elif kind == "runs":
            runs.append(text)
        elif kind == "status":
            statuses.add(text)
        else:
            raise ValueError("%s: %s" % (file, line))
    return Attack(key, environment, data, runs, statuses)


def decoded(text):
    """The bytes a text of a file stands for."""
    repeated = re.sub(r"\{(.*?)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    return repeated.encode("latin-1").decode("unicode_escape").encode("latin-1")


def test_there_are_enough_attacks():
    assert len(ATTACKS) >= 60


@pytest.mark.parametrize("file", ATTACKS, ids=lambda file: file.stem)
def test_attack(file, host, gate):
    attack = load(file)
    before = host.files()
    host.record()
    output = host.talk(gate(*attack.key), attack.data, environment=attack.environment)
    commands = host.record()
    assert [b" ".join(words).decode("utf-8", "replace") for words in commands] == attack.runs
    level = {"--read-only": "list", "--no-kill": "power"}.get(attack.key[-1], "kill")
    assert not forbidden(commands, level)
    assert host.files() == before
    assert output.startswith(b"fence_esxi-ready\n")
    assert b"CANARY" not in output
    paths = re.findall(rb"(?m)^/.*", output)
    assert all(path.startswith(b"/vmfs/volumes/datastore1") for path in paths)
    assert b"syntax error" not in output
    if not attack.runs:
        ends = re.findall(r"\n[A-Za-z0-9]{1,64} ([0-9]+)(?=\n)", output.decode("latin-1"))
        assert set(ends) <= attack.statuses
    assert_each_line_is_answered(attack.data, output)


def assert_each_line_is_answered(data, output):
    """Every whole line has one answer or one refusal, unless a line past the limit ended it all."""
    tags = [line.split(b" ")[0] for line in data.replace(b"\0", b"").split(b"\n")[:-1]]
    if any(len(line) >= 70000 for line in data.split(b"\n")):
        assert output.endswith(b"this key may not send a line that long\n")
        return
    proper = [tag for tag in tags if re.fullmatch(rb"[A-Za-z0-9]{1,64}", tag)]
    ends = re.findall(rb"\n(%s) [0-9]+(?=\n)" % rb"|".join(set(proper) or [b"none"]), output)
    assert ends == proper

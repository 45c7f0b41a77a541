"""Attempts to talk the gate round, written by hand: attacks/, one file each.

    # what is tried            (first line)
    key: words                 options of the tool; else --vm t3021cent
    env: NAME=value            the environment the gate is started in
    send: command              a request for it alone, tried in the first place and in the second
    with: command              sent beside the last one, in the second place
    raw: bytes                 sent as they are, in a session of their own
    runs: command              what the host must have run in the end, in this order, and no more
    status: number             an exit status that does no harm; else, if nothing ran, it is 77

\\xNN and \\n are bytes, {text*N} is text N times. Of a pair's commands either may run first.
"""

import itertools
import pathlib
import re
from collections import namedtuple

import pytest
from small_host import forbidden, request_for

ATTACKS = sorted((pathlib.Path(__file__).parent / "attacks").glob("*.txt"))
Attack = namedtuple("Attack", "key environment sessions runs statuses")
LIMIT = 70000


def load(file, place):
    """The Attack in a file, its commands in that place of their requests."""
    key, environment, pairs, sessions = ["--vm", "t3021cent"], {}, [], []
    runs, statuses = [], {b"77"}
    for line in file.read_text().rstrip("\n").split("\n")[1:]:
        kind, _, text = line.partition(": ")
        if kind == "key":
            key = text.split()
        elif kind == "env":
            name, _, environment[name] = text.partition("=")
        elif kind == "send":
            pairs.append([b"", b""])
            pairs[-1][place - 1] = decoded(text)
        elif kind == "with":
            pairs[-1][1] = decoded(text)
        elif kind == "raw":
            sessions.append(decoded(text))
        elif kind == "runs":
            runs.append(text)
        elif kind == "status":
            statuses.add(text.encode())
        else:
            raise ValueError("%s: %s" % (file, line))
    sessions.append(b"".join(request_for(*pair, tag=b"%04x" % number)
                             for number, pair in enumerate(pairs)))
    return Attack(key, environment, sessions, runs, statuses)


def decoded(text):
    """The bytes a text of a file stands for."""
    repeated = re.sub(r"\{(.*?)\*(\d+)\}", lambda m: m.group(1) * int(m.group(2)), text)
    return repeated.encode("latin-1").decode("unicode_escape").encode("latin-1")


def has(kind, file):
    """Whether there is a line of that kind in a file."""
    return "\n%s: " % kind in file.read_text()


CASES = [(file, 1) for file in ATTACKS]
CASES += [(file, 2) for file in ATTACKS if has("send", file) and not has("with", file)]


def test_there_are_enough_attacks():
    assert len(ATTACKS) >= 130
    assert len(CASES) >= 240


@pytest.mark.parametrize(("file", "place"), CASES,
                         ids=["%s-%d" % (file.stem, place) for file, place in CASES])
def test_attack(file, place, host, gate):
    attack = load(file, place)
    script = gate(*attack.key)
    before = host.files()
    host.record()
    outputs = [host.talk(script, data, environment=attack.environment) for data in attack.sessions]
    commands = host.record()
    in_order = sorted if has("with", file) else list
    ran = [b" ".join(words).decode("utf-8", "replace") for words in commands]
    assert in_order(ran) == in_order(attack.runs)
    level = {"--read-only": "list", "--no-kill": "power"}.get(attack.key[-1], "kill")
    assert not forbidden(commands, level)
    assert host.files() == before
    for data, output in zip(attack.sessions, outputs):
        assert output.startswith(b"fence_esxi-ready-2\n")
        assert b"CANARY" not in output
        assert b"syntax error" not in output
        paths = re.findall(rb"(?m)^/.*", output)
        assert all(path.startswith(b"/vmfs/volumes/datastore1") for path in paths)
        statuses = {status for _, status in answers_in(data, output)}
        assert attack.runs or statuses <= attack.statuses


def answers_in(data, output):
    """[(command, status), ...] for what was sent: each request has two answers, the second one's
    first, until what is no request ends the session. Nothing is answered to no command.
    """
    lines = data.replace(b"\0", b"").split(b"\n")[:-1]
    requests = [lines[start : start + 3] for start in range(0, len(lines) - 2, 3)]
    good = list(itertools.takewhile(is_request, requests))
    assert output.endswith(b"this key may not ask like that\n") == (len(good) < len(requests))
    tags = rb"|".join({tag for tag, _, _ in good} or {b"none"})
    ends = re.findall(rb"\n((?:%s)\.[12]) ([0-9]+)(?=\n)" % tags, output)
    assert [end for end, _ in ends] == [
        b"%s.%d" % (tag, place) for tag, _, _ in good for place in (2, 1)]
    commands = [command for _, one, two in good for command in (two, one)]
    answers = list(zip(commands, [status for _, status in ends]))
    assert {status for command, status in answers if not command} <= {b"0"}
    return [(command, status) for command, status in answers if command]


def is_request(lines):
    """Whether three lines are a request."""
    tag, one, two = lines
    return re.fullmatch(rb"[0-9a-f]{1,64}", tag) and max(len(one), len(two)) < LIMIT

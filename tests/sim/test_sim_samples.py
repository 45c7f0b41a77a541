"""Each file of tests/data/sim is one captured answer: the simulated host prints the same bytes.

A file begins with lines `# key: value`: release, source, vms and faults (JSON) and the command;
below `---` is what the command prints, stderr among stdout.
"""

import json
from pathlib import Path

import pytest
from esxi_sim.control import set_value, vm_from_dict

SAMPLES = sorted((Path(__file__).parent.parent / "data/sim").glob("*.txt"))


def read_sample(file):
    """The head of a sample as a dictionary, and its text."""
    head, text = file.read_text(encoding="utf-8").split("---\n", 1)
    pairs = (line[2:].split(": ", 1) for line in head.splitlines())
    return dict(pairs), text


def without_blanks_at_line_ends(text):
    return "".join(line.rstrip(" ") + "\n" for line in text.splitlines())


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_prints_what_was_captured(file, start_host, client_of):
    head, expected = read_sample(file)
    host = start_host(*map(vm_from_dict, json.loads(head["vms"])), release=head["release"])
    for fault, value in json.loads(head.get("faults", "{}")).items():
        set_value(host, "", fault, value)
    answer = client_of(host)(head["command"] + " 2>&1")
    printed = answer.stdout.decode()
    for made_up, captured in json.loads(head.get("replace", "{}")).items():
        printed = printed.replace(made_up, captured)
    if "compare" in head:
        printed, expected = map(without_blanks_at_line_ends, (printed, expected))
    assert printed == expected
    assert answer.returncode == int(head.get("status", "0"))


def test_each_sample_names_its_source():
    assert len(SAMPLES) > 30
    assert all(read_sample(file)[0]["source"] for file in SAMPLES)

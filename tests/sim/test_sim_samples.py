"""Each file of tests/data/sim is one captured answer: the simulated host prints the same bytes.

A file begins with lines `# key: value`: release, source, vms and faults (JSON) and the command;
below `---` is what the command prints, stderr among stdout. `replace` (JSON) puts the captured
numbers in place of the simulated ones, `keep` is a pattern of the lines that are compared,
`compare` says what is not: blanks at line ends, or the width of blanks.
"""

import json
import re
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


def without_the_width_of_blanks(text):
    return re.sub(r" +", " ", text)


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
    kept = re.compile(head.get("keep", ""))
    printed = "".join(line for line in printed.splitlines(keepends=True) if kept.search(line))
    if "compare" in head:
        loosely = {"without blanks at line ends": without_blanks_at_line_ends,
                   "without the width of blanks": without_the_width_of_blanks}[head["compare"]]
        printed, expected = map(loosely, (printed, expected))
    assert printed == expected
    assert answer.returncode == int(head.get("status", "0"))


def test_each_sample_names_its_source():
    assert len(SAMPLES) > 30
    assert all(read_sample(file)[0]["source"] for file in SAMPLES)

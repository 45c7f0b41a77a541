"""What a host printed, the simulated host prints to the byte: the texts that have a `command`.

Such a case of tests/data/answers is set up by the `release` (or several), the `vms` and the
`faults` (JSON) of its head, and ends with its `status`. `replace` (JSON) puts the captured numbers
in place of the simulated ones, `keep` is a pattern of the lines that are compared, `compare` says
what is not: blanks at line ends, or the width of blanks.
"""

import re

import pytest
from case_files import cases
from esxi_sim.control import set_value, vm_from_dict

SAMPLES = [(case, release) for case in cases("answers") if "command" in case.head
           for release in case.head["release"].split()]  # fmt: skip


def without_blanks_at_line_ends(text):
    return "".join(line.rstrip(" ") + "\n" for line in text.splitlines())


def without_the_width_of_blanks(text):
    return re.sub(r" +", " ", text)


@pytest.mark.parametrize(("case", "release"), SAMPLES, ids=str)
def test_prints_what_was_captured(case, release, start_host, client_of):
    host = start_host(*map(vm_from_dict, case.value("vms")), release=release)
    for fault, value in case.value("faults", {}).items():
        set_value(host, "", fault, value)
    answer = client_of(host)(case.head["command"] + " 2>&1")
    printed = answer.stdout.decode()
    for made_up, captured in case.value("replace", {}).items():
        printed = printed.replace(made_up, captured)
    kept = re.compile(case.head.get("keep", ""))
    printed = "".join(line for line in printed.splitlines(keepends=True) if kept.search(line))
    expected = case.text
    if "compare" in case.head:
        loosely = {"without blanks at line ends": without_blanks_at_line_ends,
                   "without the width of blanks": without_the_width_of_blanks}[case.head["compare"]]
        printed, expected = map(loosely, (printed, expected))
    assert printed == expected
    assert answer.returncode == int(case.head.get("status", "0"))


def test_there_are_samples():
    assert len(SAMPLES) > 30

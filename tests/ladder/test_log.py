"""What the log says of each step, whole: tests/data/ladder holds one text for each case.

`python tests/ladder/test_log.py` writes the texts anew, to be read before they are committed.
"""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "lib")]

from cases import a_host, run  # noqa: E402

TEXTS = TESTS / "data/ladder"

# the text's name, what is asked of the agent, and the host
CASES = {
    "off-obeyed-verbose": ({"action": "off", "verbose": "1"}, {}),
    "off-refused-then-soft": ({"action": "off"}, {"off": "refused", "host": {"release": "8.0"}}),
    "off-refused-then-soft-verbose": ({"action": "off", "verbose": "1"}, {"off": "refused"}),
    "off-ignored-then-force": ({"action": "off"}, {"off": "ignored", "kill_needs": "force"}),
    "off-hangs": ({"action": "off"}, {"off": "hangs"}),
    "hostd-hung": ({"action": "off"}, {"host": {"hostd": "hung"}}),
    "hostd-down": ({"action": "reboot"}, {"host": {"hostd": "down"}}),
    "suspended-and-refused": ({"action": "off"},
                              {"power": "suspended", "suspended_off": "refused"}),
    "question-at-on": ({"action": "on"}, {"power": "off", "question": True}),
    "power-on-hangs-in-reboot": ({"action": "reboot"}, {"on": "hangs"}),
    "unknown-vm": ({"action": "off", "plug": "node9"}, {}),
}


def log_of(name, real=False):
    """The log of a case with repeated lines left out."""
    asked, faults = CASES[name]
    with a_host(real=real, **faults) as host:
        lines = run(host, **asked).log.splitlines(keepends=True)
    return "".join(line for last, line in zip(["", *lines], lines) if line != last)


@pytest.mark.parametrize("name", CASES)
def test_the_log_says_what_was_done_and_what_proved_it(name):
    assert log_of(name) == (TEXTS / (name + ".txt")).read_text()


@pytest.mark.parametrize("name", ["off-obeyed-verbose", "hostd-hung", "power-on-hangs-in-reboot"])
def test_the_log_says_the_same_end_to_end(name):
    assert log_of(name, real=True) == (TEXTS / (name + ".txt")).read_text()


if __name__ == "__main__":
    for each in sys.argv[1:] or CASES:
        (TEXTS / (each + ".txt")).write_text(log_of(each))

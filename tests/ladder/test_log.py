"""What the log says of each step, whole: tests/data/ladder holds one text for each case.

`python tests/ladder/test_log.py` writes the texts anew, to be read before they are committed.
"""

import copy
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent / "lib")]

from cases import a_host, run  # noqa: E402
from esxi_sim import VM, BadAnswer, LineCut  # noqa: E402

TEXTS = TESTS / "data/ladder"



def without(*programs):
    """Answers of a host that lacks programs."""
    return [BadAnswer("^" + program, kind="text", times=999, status=127,
                      text="sh: %s: not found\n" % program) for program in programs]


def with_a_running_copy(host):
    """The name of a VM of which a copy runs that hostd does not know."""
    host.copy(host.vm("node1"), "datastore2", running=True, registered=False)
    return "node1"


POWERED_OFF = "Retrieved runtime info\nPowered off\n"
TWIN = VM("node1", datastore="datastore2", vmid=7)
UNKNOWN = "564d0000-1111-2222-3333-444455556666"

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
    "unknown-vm-where-one-cannot-be-read": ({"action": "off", "plug": "node9"},
                                            {"host": {"invalid_vms": [77]}}),
    "missing-as-off-refused": ({"action": "status", "plug": "node9", "missing_as_off": "1"},
                               {"host": {"invalid_vms": [77]}}),
    "vc-uuid": ({"action": "off", "plug": lambda host: host.vm("node1").vc_uuid}, {}),
    "uuid-where-a-file-cannot-be-read": ({"action": "status", "plug": UNKNOWN},
                                         {"host": {"dead_datastores": ["datastore1"]}}),
    "two-vms-of-one-name": ({"action": "off"}, {"others": ("node2", TWIN)}),
    "two-running-vms-while-hostd-is-down": ({"action": "off"},
                                            {"others": ("node2", TWIN), "host": {"hostd": "down"}}),
    "a-copy-runs-in-its-place": ({"action": "off", "plug": with_a_running_copy},
                                 {"power": "suspended", "suspended_off": "refused"}),
    "nothing-works": ({"action": "off"}, {"off": "ignored", "kill_needs": "never"}),
    "nothing-answers": ({"action": "off"}, {"host": {"hostd": "hung", "localcli": "hung"}}),
    "no-kill": ({"action": "off", "no_kill": "1"}, {"off": "refused"}),
    "question-at-off": ({"action": "off"}, {"question": True, "kill_needs": "never"}),
    "alone-without-ps": ({"action": "off"},
                         {"others": (), "host": {"hostd": "hung", "ps": "absent"}}),
    "off-by-one-witness": ({"action": "status"}, {"getstate": POWERED_OFF}),
    "suspended": ({"action": "on"}, {"power": "suspended"}),
    "state-is-nonsense": ({"action": "status"}, {"getstate": "Powering off\n"}),
    "status-while-hostd-is-down": ({"action": "status"}, {"host": {"hostd": "down"}}),
    "list-is-damaged": ({"action": "list", "plug": None}, {"host": {"bad_answers": [
        BadAnswer("getallvms", kind="half", times=9)]}}),
    "list-status-without-processes": ({"action": "list-status", "plug": None}, {"host": {
        "bad_answers": without("localcli", "esxcli")}}),
    "neither-list-is-whole": ({"action": "status"}, {"host": {
        "invalid_vms": [77], "bad_answers": without("localcli", "esxcli")}}),
    "monitor-sees-no-vm": ({"action": "monitor", "plug": None},
                           {"host": {"invalid_vms": [1, 2]}}),
    "monitor-sees-nothing-run": ({"action": "monitor", "plug": None}, {
        "host": {"invalid_vms": [77]}, "power": "off", "others": ()}),
    "of-two-plugs-one-stays-on": ({"action": "off", "plug": "node1,node3"}, {
        "off": "ignored", "kill_needs": "never", "others": (VM("node3", power="off"),)}),
    "line-breaks": ({"action": "off"}, {"host": {"cuts": [LineCut("getallvms", when="before")]}}),
    "line-breaks-twice": ({"action": "status"}, {"host": {"cuts": [
        LineCut("getallvms", when="before", times=9)]}}),
}
# what ssh has a part in; the others need no process and no ssh, but a few show that this is so
END_TO_END = {"line-breaks", "line-breaks-twice"}
BOTH = {"off-obeyed-verbose", "hostd-hung", "power-on-hangs-in-reboot"}


def log_of(name, real):
    """The log of a case with repeated lines left out."""
    asked, faults = copy.deepcopy(CASES[name])
    with a_host(real=real, **faults) as host:
        if callable(asked.get("plug")):
            asked["plug"] = asked["plug"](host)
        lines = run(host, **asked).log.splitlines(keepends=True)
    return "".join(line for last, line in zip(["", *lines], lines) if line != last)


@pytest.mark.parametrize("name", sorted(CASES.keys() - END_TO_END))
def test_the_log_says_what_was_done_and_what_proved_it(name):
    assert log_of(name, real=False) == (TEXTS / (name + ".txt")).read_text()


@pytest.mark.parametrize("name", sorted(END_TO_END | BOTH))
def test_the_log_says_it_end_to_end(name):
    assert log_of(name, real=True) == (TEXTS / (name + ".txt")).read_text()


if __name__ == "__main__":
    for each in sys.argv[1:] or CASES:
        (TEXTS / (each + ".txt")).write_text(log_of(each, each in END_TO_END))

"""power.getstate answers nonsense: what it says is off only when it says exactly that."""

import pytest
from cases import a_host, fails, kills, run, succeeds
from esxi_sim.releases import RELEASES
from esxi_sim.texts import invalid_power_state

ANSWERS = {
    "nothing": "",
    "the caption only": "Retrieved runtime info\n",
    "half a word": "Retrieved runtime info\nPowered of",
    "the state only": "Powered off\n",
    "the state before the caption": "Powered off\nRetrieved runtime info\n",
    "two states": "Retrieved runtime info\nPowered on\nPowered off\n",
    "another case": "Retrieved runtime info\npowered off\n",
    "a longer line": "Retrieved runtime info\nPowered off soon\n",
    "an unknown state": "Retrieved runtime info\nPowering off\n",
    "a fault that names a state, 5.5": invalid_power_state(RELEASES["5.5"], "off", "off"),
    "a fault that names a state, 8.0": invalid_power_state(RELEASES["8.0"], "off", "off"),
    "a fault with the state on a line of its own":
        '(vim.fault.InvalidPowerState) {\n   msg = "in the current state\nPowered off\n"\n}\n',
    "bytes that are no text": b"\xff\xfePowered off\x00\n",
}
# each of these takes the whole 45 s
SOME = ("nothing", "half a word", "a fault that names a state, 5.5",
        "a fault with the state on a line of its own")


@pytest.mark.parametrize("answer", [ANSWERS[which] for which in SOME], ids=SOME)
def test_it_is_not_off_because_getstate_talks_nonsense(answer):
    with a_host(off="ignored", kill_needs="never", getstate=answer) as host:
        fails(host, "off", "is not proven off")
        assert host.vm("node1").power == "on"


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_the_processes_tell_where_getstate_talks_nonsense(answer):
    with a_host(off="ignored", getstate=answer) as host:
        done = succeeds(host, "off", "Success: Powered OFF")
        assert kills(host)[0].endswith("soft")
        assert host.vm("node1").power == "off"
        assert "its process is gone from two lists" in done.stderr


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_status_knows_no_state_where_getstate_talks_nonsense(answer):
    with a_host(getstate=answer) as host:
        done = fails(host, "status", "Vmid 1", "hostd")
        assert ": }" not in done.stderr  # the end of get.summary, which is not what is wrong


def test_the_right_words_with_a_failed_exit_status_prove_nothing():
    with a_host(off="ignored", kill_needs="never", getstate="Retrieved runtime info\nPowered off\n",
                getstate_status=1) as host:
        fails(host, "off", "is not proven off")
        assert run(host, "status").status == 1

"""A power state or a list of processes is whole, or it is nothing."""

import pytest
from case_files import text_of
from esxi_texts import process_block
from hypothesis import example, given
from hypothesis import strategies as st

NAMES = st.text(
    st.characters(exclude_characters="\n\r", codec=None), min_size=1, max_size=20
).filter(lambda name: name == name.strip(" "))

STATES = {"on": "Powered on", "off": "Powered off", "suspended": "Suspended"}


@pytest.mark.parametrize("state", STATES)
def test_half_a_state_is_no_state(agent, state):
    """Cut anywhere, the answer says the whole word or nothing."""
    text = text_of(f"answers/getstate/{state}")
    whole = len(text.rstrip("\n"))
    for cut in range(len(text) + 1):
        read = agent.parse_power_state(agent.Answer(0, text[:cut]))
        assert read == (state if cut >= whole else None), text[:cut]


@given(text=st.text(st.characters(exclude_characters="\n\r")))
def test_only_the_state_line_counts(agent, text):
    """Whatever else stands on the line behind the caption is not a state."""
    read = agent.parse_power_state(agent.Answer(0, f"Retrieved runtime info\n{text}\n"))
    assert (read is None) == (text.strip() not in STATES.values())


@pytest.mark.parametrize("status", [1, 2, 126, 127, 137, 255])
@pytest.mark.parametrize("state", STATES)
def test_a_failed_command_tells_no_state(agent, state, status):
    text = text_of(f"answers/getstate/{state}")
    assert agent.parse_power_state(agent.Answer(status, text)) is None


def localcli_block(world, name, path):
    """One running VM as localcli lists it: an empty line first, a colon behind the heading."""
    first, rest = process_block(world, name, path).split("\n", 1)
    return "\n" + first + ":\n" + rest[:-1]


LAYOUTS = pytest.mark.parametrize("block", [process_block, localcli_block])


@LAYOUTS
def test_half_a_list_never_lacks_a_process_that_was_begun(agent, block):
    """Cut anywhere, the list is None or exactly the blocks that are whole.

    A cut between two blocks, or before the first, leaves a text a host could have printed: no
    parser can tell. That is why the session, not the parser, proves that an answer is complete,
    and why a second program has to agree.
    """
    first = block("2557323", "db", "/vmfs/volumes/5f/db/db.vmx")
    text = first + block("77", "web", "/vmfs/volumes/5f/web/web.vmx")
    processes = agent.parse_processes(agent.Answer(0, text))
    assert [process.world for process in processes] == ["2557323", "77"]
    # where a block's last field, and the empty lines around it, end
    ends = {0: 0, len(first): 1, len(text): 2}
    ends |= {1: 0, len(first) + 1: 1} if text.startswith("\n") else {
        len(first) - 1: 1, len(text) - 1: 2}
    for cut in range(len(text) + 1):
        read = agent.parse_processes(agent.Answer(0, text[:cut]))
        expected = processes[: ends[cut]] if cut in ends else None
        assert read == expected, text[:cut]


@LAYOUTS
@given(names=st.lists(NAMES, max_size=4), files=st.lists(NAMES, min_size=4, max_size=4))
@example(names=["a", "b:", "World ID: 7"], files=["x", "y", "z", ""])
def test_any_name_and_any_file_is_read_exactly(agent, block, names, files):
    vms = list(enumerate(zip(names, files, strict=False), 100))
    text = "".join(block(n, name, f"/vmfs/volumes/5f/{file}.vmx") for n, (name, file) in vms)
    processes = agent.parse_processes(agent.Answer(0, text))
    assert [tuple(process[:4]) for process in processes] == [
        (str(n), str(n - 1), name, f"/vmfs/volumes/5f/{file}.vmx") for n, (name, file) in vms]


@LAYOUTS
@given(data=st.data())
def test_a_line_lost_inside_a_block_is_noticed(agent, block, data):
    blocks = [block(str(n), f"vm{n}", f"/vmfs/volumes/5f/{n}.vmx") for n in (5, 6, 7)]
    lines = "".join(blocks).splitlines(keepends=True)
    lost = data.draw(st.sampled_from(range(len(lines))))
    read = agent.parse_processes(agent.Answer(0, "".join(lines[:lost] + lines[lost + 1 :])))
    # without its UUID a process is still told by its name, its file and its numbers
    assert read is None or [process.name for process in read] == ["vm5", "vm6", "vm7"]


@pytest.mark.parametrize("answer", [None, (1, ""), (137, "Killed\n"), (0, "Connection failed\n")])
def test_no_answer_and_a_failed_one_are_no_list(agent, answer):
    assert agent.parse_processes(answer and agent.Answer(*answer)) is None


# --- ps ------------------------------------------------------------------------------------------


def test_half_of_ps_is_nothing_or_lacks_what_is_always_there(agent):
    """Cut anywhere before ps itself, which is the youngest there and so the last."""
    text = "WID    CID    WorldName\n66104  66104  init\n68125  68125  vmx\n67103  67103  ps\n"
    for cut in range(len(text)):
        assert agent.parse_worlds(agent.Answer(0, text[:cut])) is None, text[:cut]
    assert len(agent.parse_worlds(agent.Answer(0, text))) == 3


def test_a_ps_that_hangs_is_no_witness(agent):
    assert agent.parse_worlds(None) == []


@given(names=st.lists(NAMES, max_size=4))
def test_a_name_takes_no_number_from_ps(agent, names):
    rows = [("66104", "66104", "init"), ("9001", "9001", "ps"), ("200", "200", "vmx")]
    rows += [(str(n), "200", "vmx-vcpu-0:" + name) for n, name in enumerate(names, 201)]
    text = "WID  CID  WorldName\n" + "".join("%s  %s  %s\n" % row for row in rows)
    assert agent.parse_worlds(agent.Answer(0, text)) == rows

"""A power state or a list of processes is whole, or it is nothing."""

import pytest
from case_files import text_of
from esxi_texts import process_block
from hypothesis import given
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


def test_half_a_list_never_lacks_a_process_that_was_begun(agent):
    """Cut anywhere, the list is None or exactly the blocks that are whole.

    A cut between two blocks, or before the first, leaves a text a host could have printed: no
    parser can tell. That is why the session, not the parser, proves that an answer is complete.
    """
    first = text_of("answers/processes/one-running")
    text = first + process_block("77", "web", "/vmfs/volumes/5f/web/web.vmx")
    processes = agent.parse_processes(agent.Answer(0, text))
    assert [process.world for process in processes] == ["2557323", "77"]
    # a block is whole with the end of its last field's line; the empty line only closes it
    whole = {0: 0, len(first) - 1: 1, len(first): 1, len(text) - 1: 2, len(text): 2}
    for cut in range(len(text) + 1):
        read = agent.parse_processes(agent.Answer(0, text[:cut]))
        expected = processes[: whole[cut]] if cut in whole else None
        assert read == expected, text[:cut]


@given(names=st.lists(NAMES, max_size=4), files=st.lists(NAMES, min_size=4, max_size=4))
def test_any_name_and_any_file_is_read_exactly(agent, names, files):
    blocks = [
        process_block(number, name, f"/vmfs/volumes/5f/{file}.vmx")
        for number, (name, file) in enumerate(zip(names, files, strict=False), 100)
    ]
    processes = agent.parse_processes(agent.Answer(0, "".join(blocks)))
    assert [(process.name, process.path) for process in processes] == [
        (name, f"/vmfs/volumes/5f/{file}.vmx") for name, file in zip(names, files, strict=False)
    ]


@given(data=st.data())
def test_a_line_lost_inside_a_block_is_noticed(agent, data):
    blocks = [process_block(str(n), f"vm{n}", f"/vmfs/volumes/5f/{n}.vmx") for n in (5, 6, 7)]
    lines = "".join(blocks).splitlines(keepends=True)
    lost = data.draw(st.sampled_from(range(len(lines))))
    read = agent.parse_processes(agent.Answer(0, "".join(lines[:lost] + lines[lost + 1 :])))
    assert read is None or len(read) == 3

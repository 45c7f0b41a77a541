"""Which VMs the agent sees in any table a host may print, however hostile names and notes are."""

import contextlib

import pytest
from esxi_texts import inventory_table
from hypothesis import example, given
from hypothesis import strategies as st

# what a name is put together from: what the table itself is made of comes first
PIECES = st.sampled_from([
    "   ", "  ", " ", "[", "]", "[] ", "[ds] ", ".vmx", ".vmtx", "vmx-13", "/", "12", "1", "Vmid",
    "Skipping invalid VM '3'", "Powered off", "web", "db", "x", ":", "-", "'", '"', "\\", "$(x)",
    "%2f", "\t", "\r", "\x0b", "\x85", "\u2028", "\u3000", "ü", "日本", "\udcff", "\x00",
])  # fmt: skip
WORDS = st.lists(PIECES, min_size=1, max_size=6).map("".join)
# blanks at the ends are padding in the table, and an \r at the end of a line belongs to the line
NAMES = WORDS.map(str.strip).filter(bool)
NOTE_LINES = st.one_of(
    WORDS,
    st.builds(
        "{}   {}   [ds] {}/x.vmx   guest   vmx-9{}".format,
        st.integers(1, 30),
        NAMES,
        NAMES,
        st.sampled_from(["", "   ", "   note"]),
    ),
    st.just("Vmid   Name   File   Guest OS   Version   Annotation"),
)
NOTES = st.lists(NOTE_LINES, max_size=3).map("\n".join)
FILES = st.builds("[{}] {}.vmx".format, st.one_of(st.just(""), NAMES), NAMES)


@st.composite
def tables(draw):
    """Rows of a host with up to five VMs: as on a host, no Vmid stands twice."""
    vmids = draw(st.lists(st.integers(1, 30), max_size=5, unique=True))
    return [
        (str(vmid), draw(NAMES), draw(FILES), "guest", "vmx-13", draw(NOTES))
        for vmid in sorted(vmids, key=str)
    ]


def parse(agent, text, status=0):
    return agent.parse_inventory(agent.Answer(status, text))


@given(table=tables())
@example(table=[("1", "a  [b] c", "[ds] x.vmx", "guest", "vmx-13", "")])
@example(table=[("1", "a   [b", "[ds] x.vmx", "guest", "vmx-13", "")])
@example(table=[("1", "a", "[ds] x.vmx   y/x.vmx", "guest", "vmx-13", "")])
@example(table=[("1", "a", "[ds] x.vmx", "guest", "vmx-13", "n   [ds] y.vmx   guest   vmx-9")])
def test_a_row_is_read_exactly_or_flagged(agent, table):
    inventory = parse(agent, inventory_table(table))
    for vmid, name, file, *_ in table:
        read = [row for row in inventory.rows if row.vmid == vmid]
        assert read, "a registered VM is missing"
        sure = [row for row in read if not row.doubtful]
        assert len(sure) <= 1
        for row in sure:
            assert (row.names, row.file) == ([name], file)
        # settling a doubtful row starts from the names it may have
        assert any(name in row.names for row in read)


@given(table=tables())
def test_only_a_note_can_add_a_row(agent, table):
    """A forged row that nothing contradicts stays in: its Vmid is none that hostd knows."""
    inventory = parse(agent, inventory_table([(*row[:5], "") for row in table]))
    assert [row.vmid for row in inventory.rows] == [row[0] for row in table]


@given(table=tables(), status=st.integers(1, 255))
def test_a_status_that_is_not_0_is_no_list(agent, table, status):
    with pytest.raises(agent.HostdFailed):
        parse(agent, inventory_table(table), status)


@given(table=tables(), data=st.data())
def test_a_list_cut_inside_a_line_is_no_list(agent, table, data):
    """(A list cut between two lines cannot be told from a shorter one: find looks twice.)"""
    text = inventory_table(table)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    if cut.endswith("\n"):
        cut = cut[:-1]
    with pytest.raises(agent.HostdFailed):
        parse(agent, cut)


@given(text=st.one_of(st.text(), st.lists(st.one_of(NOTE_LINES, st.text())).map("\n".join)),
       status=st.integers(0, 255))
def test_no_text_breaks_a_parser(agent, text, status):
    answer = agent.Answer(status, text)
    with contextlib.suppress(agent.HostdFailed):
        for row in agent.parse_inventory(answer).rows:
            agent.vmx_paths(row.file)
            agent.describe_row(row)
    assert agent.parse_power_state(answer) in (None, "on", "off", "suspended")
    agent.parse_processes(answer)
    agent.parse_summary(answer)
    agent.parse_question(answer)
    agent.parse_vmx_values(answer)
    agent.is_unknown_vmid(answer)
    assert "\n" not in agent.reason_in(answer)
    agent.describe(answer)


def test_a_thousand_vms_take_no_time(agent):
    rows = [
        (str(n), f"vm {n} [x]", f"[ds [{n}]] vm {n}/vm {n}.vmx", "guest", "vmx-13", "n " * 300)
        for n in range(1, 1025)
    ]
    inventory = parse(agent, inventory_table(sorted(rows)))
    assert len(inventory.rows) == 1024
    assert not any(row.doubtful for row in inventory.rows)

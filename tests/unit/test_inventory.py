"""Which VMs the agent sees in any table a host may print, however hostile names and notes are."""

import time

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
def test_each_vm_is_found_by_its_name(agent, table):
    """And a line is no VM's of another Vmid: what else it is read as, get.summary decides."""
    inventory = parse(agent, inventory_table(table))
    for vmid, name, *_ in table:
        assert vmid in [row.vmid for row in inventory.rows(name)]
        assert vmid in [row.vmid for row in inventory.rows()]


@given(table=tables())
def test_only_a_note_can_add_a_row(agent, table):
    """A forged row that nothing contradicts stays in: its Vmid is none that hostd knows."""
    inventory = parse(agent, inventory_table([(*row[:5], "") for row in table]))
    assert [row.vmid for row in inventory.rows()] == [row[0] for row in table]
    assert inventory.complete or "Skipping" in str(table)


@given(name=NAMES, other=NAMES)
@example(name="web", other="web-old")
@example(name="a.*", other="abc")
@example(name="DB", other="db")
@example(name="12", other="1")
def test_a_name_is_never_found_by_another_one(agent, name, other):
    inventory = parse(agent, inventory_table([("7", name, "[ds] x.vmx", "guest", "vmx-13", "")]))
    found = [row for row in inventory.rows(other) if row.file == "[ds] x.vmx"]
    assert bool(found) == bool(agent.spellings(other) & {name, " " + name})


@pytest.mark.parametrize(("line", "damaged"), [
    ("vmx-13 ", "vm     "), ("7      web", "x      web"), ("7      web", "7      ")])
def test_a_line_that_resembles_a_row_makes_the_list_incomplete(agent, line, damaged):
    """What it hides may be the VM that somebody calls missing."""
    text = inventory_table([("7", "web", "[ds] x.vmx", "guest", "vmx-13", ""),
                            ("8", "db", "[ds] y.vmx", "guest", "vmx-13", "")])
    assert parse(agent, text).complete
    assert line in text
    assert not parse(agent, text.replace(line, damaged, 1)).complete


@given(table=tables(), status=st.integers(1, 255))
def test_a_status_that_is_not_0_is_no_list(agent, table, status):
    assert parse(agent, inventory_table(table), status) is None


@given(table=tables(), data=st.data())
def test_a_list_cut_inside_a_line_is_no_list(agent, table, data):
    """(A list cut between two lines cannot be told from a shorter one: what runs is asked too.)"""
    text = inventory_table(table)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    if cut.endswith("\n"):
        cut = cut[:-1]
    assert parse(agent, cut) is None


@given(text=st.one_of(st.text(), st.lists(st.one_of(NOTE_LINES, st.text())).map("\n".join)),
       status=st.integers(0, 255))
def test_no_text_breaks_a_parser(agent, text, status):
    answer = agent.Answer(status, text)
    inventory = agent.parse_inventory(answer)
    for row in inventory.rows() if inventory else []:
        agent.vmx_paths(row.file)
    assert agent.parse_power_state(answer) in (None, "on", "off", "suspended")
    agent.parse_processes(answer)
    agent.parse_worlds(answer)
    agent.parse_summary(answer)
    assert "\n" not in agent.reason_in(answer)


def test_a_thousand_vms_take_no_time(agent):
    rows = [
        (str(n), f"vm {n} [x]", f"[ds [{n}]] vm {n}/vm {n}.vmx", "guest", "vmx-13", "n " * 300)
        for n in range(1, 1025)
    ]
    started = time.monotonic()
    inventory = parse(agent, inventory_table(sorted(rows)))
    assert len(inventory.rows()) == 1024
    assert len(inventory.rows("vm 512 [x]")) == 1
    assert inventory.complete
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("line", [
    "1 " + "[" * 3000, "1   " + "a   [" * 800, "1 a   [ds] " + "x.vmx   " * 800,
    "1 a   [" + "] " * 2000 + "x.vmx   g", "1 " + "x   [] .vmx   " * 200, " " * 5000, "9" * 5000,
])  # fmt: skip
def test_no_line_is_slow_to_read(agent, line):
    """Notes and names are written by others."""
    text = "Vmid   Name   File   Guest OS   Version   Annotation\n" + line + "\n"
    started = time.monotonic()
    parse(agent, text).rows()
    parse(agent, text).rows("a")
    assert time.monotonic() - started < 2

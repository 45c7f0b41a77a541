"""Every text in tests/data is read as the .json beside it says: a new file is a new test."""

import re

import esxi_texts
import pytest
from esxi_texts import answer_of, names_of


def read_inventory(agent, answer):
    try:
        inventory = agent.parse_inventory(answer)
    except agent.HostdFailed as refusal:
        return {"refused": str(refusal)}
    rows = [{key: value for key, value in row._asdict().items() if key != "line"}
            for row in inventory.rows]
    return {"rows": rows, "skipped": inventory.skipped, "complete": inventory.complete}


@pytest.mark.parametrize("name", names_of("inventory"))
def test_inventory(agent, name):
    answer, expected = answer_of(agent, "inventory", name)
    assert read_inventory(agent, answer) == expected


@pytest.mark.parametrize("name", names_of("power_state"))
def test_power_state(agent, name):
    answer, expected = answer_of(agent, "power_state", name)
    assert agent.parse_power_state(answer) == expected


@pytest.mark.parametrize("name", names_of("processes"))
def test_processes(agent, name):
    answer, expected = answer_of(agent, "processes", name)
    processes = agent.parse_processes(answer)
    read = None if processes is None else [dict(process._asdict()) for process in processes]
    assert read == expected


@pytest.mark.parametrize("name", names_of("faults"))
def test_fault(agent, name):
    answer, expected = answer_of(agent, "faults", name)
    assert {
        "reason": agent.reason_in(answer),
        "fault": agent.fault_in(answer),
        "unknown_vmid": agent.is_unknown_vmid(answer),
    } == expected


@pytest.mark.parametrize("name", names_of("questions"))
def test_question(agent, name):
    answer, expected = answer_of(agent, "questions", name)
    question = agent.parse_question(answer)
    assert (None if question is None else dict(question._asdict())) == expected


@pytest.mark.parametrize("name", names_of("summaries"))
def test_summary(agent, name):
    answer, expected = answer_of(agent, "summaries", name)
    assert agent.parse_summary(answer)[0] == expected


@pytest.mark.parametrize("name", names_of("vmx"))
def test_vmx(agent, name):
    answer, expected = answer_of(agent, "vmx", name)
    assert [list(value) for value in agent.parse_vmx_values(answer)] == expected


@pytest.mark.parametrize("kind", esxi_texts.KINDS)
def test_every_text_says_where_it_comes_from(kind):
    texts = names_of(kind)
    assert texts
    assert texts == sorted(path.stem for path in (esxi_texts.DATA / kind).glob("*.json"))
    for name in texts:
        case = esxi_texts.description(kind, name)
        assert set(case) <= {"source", "status", "expected"}, name
        assert re.match(r"(the .* is )?(CONFIRMED|INFERRED|[Dd]ocumented|made up)", case["source"])


def test_the_table_rule_gives_what_esxi_9_printed():
    """The rule the other tests write their tables by, held against a real host (facts: 1.1)."""
    vm = "vCLS-6b723342-8292-1962-f970-0422f48bc6ea"
    row = ("1698", vm, f"[] /var/run/crx/infra/{vm}/{vm}.vmx", "crxSys1Guest", "vmx-21", "")
    captured = esxi_texts.text_of("inventory", "esxi-9.0-no-datastore")
    assert esxi_texts.inventory_table([row]) == captured

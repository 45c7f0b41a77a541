"""Every text in tests/data is read as the .json beside it says: a new file is a new test."""

import re

import esxi_texts
import pytest
from esxi_texts import answer_of, names_of


def as_dicts(rows):
    return None if rows is None else [dict(row._asdict()) for row in rows]


@pytest.mark.parametrize("name", names_of("inventory"))
def test_inventory(agent, name):
    answer, expected = answer_of(agent, "inventory", name)
    inventory = agent.parse_inventory(answer)
    if expected is None:
        assert inventory is None
        return
    assert as_dicts(inventory.rows()) == expected["rows"]
    assert (inventory.skipped, inventory.complete) == (expected["skipped"], expected["complete"])
    # the line of a VM can be read as a row of that VM, whatever else it may be read as
    called = {row["name"]: [other for other in expected["rows"] if other["name"] == row["name"]]
              for row in expected["rows"]}
    for each, rows in {**called, **expected.get("called", {})}.items():
        assert as_dicts(inventory.rows(each)) == rows, each


@pytest.mark.parametrize("name", names_of("power_state"))
def test_power_state(agent, name):
    answer, expected = answer_of(agent, "power_state", name)
    assert agent.parse_power_state(answer) == expected


@pytest.mark.parametrize("name", names_of("processes"))
def test_processes(agent, name):
    answer, expected = answer_of(agent, "processes", name)
    assert as_dicts(agent.parse_processes(answer)) == expected


@pytest.mark.parametrize("name", names_of("worlds"))
def test_worlds(agent, name):
    answer, expected = answer_of(agent, "worlds", name)
    worlds = agent.parse_worlds(answer)
    assert (None if worlds is None else [list(world) for world in worlds]) == expected


@pytest.mark.parametrize("name", names_of("faults"))
def test_fault(agent, name):
    answer, expected = answer_of(agent, "faults", name)
    assert {
        "reason": agent.reason_in(answer),
        "unknown_vmid": bool(agent.NOT_FOUND.search(answer.text)),
    } == expected


@pytest.mark.parametrize("name", names_of("questions"))
def test_question(agent, host_that_answers, name):
    answer, expected = answer_of(agent, "questions", name)
    vm = agent.VM("7", "web", "[ds] web/web.vmx", None)
    assert host_that_answers(answer).question_of(vm) == expected


@pytest.mark.parametrize("name", names_of("summaries"))
def test_summary(agent, name):
    answer, expected = answer_of(agent, "summaries", name)
    told = agent.parse_summary(answer)
    assert (told and dict(zip(("name", "file", "uuid"), told, strict=True))) == expected


@pytest.mark.parametrize("name", names_of("vmx"))
def test_vmx(agent, host_that_answers, name):
    answer, expected = answer_of(agent, "vmx", name)
    values = host_that_answers(answer).vmx_values([agent.Row("1", "a", "[ds] a/a.vmx")])
    assert [[*key, value] for key, value in values.items()] == expected


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

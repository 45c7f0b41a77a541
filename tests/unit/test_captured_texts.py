"""Every text in tests/data/answers is read as its head says: a new file is a new test.

    # source: where the text comes from: CONFIRMED, INFERRED, documented, or made up
    # status: the exit status of the command that printed it, 0 where it is not given
    # READING: what the agent must make of it, as JSON

A READING is a function of the agent that takes an Answer, or one of READINGS; "at N" behind it
gives another exit status, words in parentheses are handed over too. A text that has a `command` is
what the simulated host prints as well: tests/sim/test_sim_samples.py.
"""

import json
import re
import types

import pytest
from case_files import cases
from esxi_texts import inventory_table

CASES = cases("answers")
READING = re.compile(r"(\w+)(?:\((.+)\))?(?: at (\d+))?")
OTHER_KEYS = {"source", "status", "release", "vms", "faults", "command", "replace", "keep",
              "compare"}  # fmt: skip


def question_of(agent, answer):
    """What the agent says of a question that a VM waits with, once a power command got nowhere."""
    answers = iter([None, answer])
    host = types.SimpleNamespace(ask=lambda *_, **__: [next(answers)], _limits={"power": 1})
    told = agent.EsxiHost.switch(host, agent.VM("1", "web", "[ds] web.vmx", None), "on")
    return told if told != "power.on: no answer in time" else ""


def vmx_values(agent, answer):
    """What the agent reads out of configuration files, by the answer to its grep."""
    rows = [agent.Row("1", "web", "[ds] web.vmx")]
    return agent.EsxiHost.vmx_values(host_that_answers(answer), rows)


def rows_called(agent, answer, name):
    """The rows of a list that may be a VM of that name."""
    return agent.parse_inventory(answer).rows(name)


READINGS = {reading.__name__: reading for reading in (question_of, vmx_values, rows_called)}


def host_that_answers(answer):
    """Stands for the agent's host, where every question has the same answer."""
    return types.SimpleNamespace(ask=lambda *_, **__: [answer])


def as_data(agent, value):
    """A value of the agent in the form of JSON."""
    if isinstance(value, agent.Inventory):
        return {"rows": as_data(agent, value.rows()), "skipped": value.skipped,
                "complete": value.complete}  # fmt: skip
    if isinstance(value, dict):
        return [[*key, item] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [as_data(agent, item) for item in value]
    return value


@pytest.mark.parametrize(
    ("case", "reading"),
    [pytest.param(case, key, id=f"{case}, {key}") for case in CASES for key in case.head
     if key not in OTHER_KEYS],
)  # fmt: skip
def test_it_is_read_as_its_head_says(agent, case, reading):
    name, words, status = READING.fullmatch(reading).groups()
    answer = agent.Answer(int(status or case.head.get("status", "0")), case.text)
    more = [json.loads(words)] if words else []
    if name in READINGS:
        read = READINGS[name](agent, answer, *more)
    else:
        read = getattr(agent, name)(answer, *more)
    assert as_data(agent, read) == case.value(reading)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_is_read_by_somebody_and_says_where_it_comes_from(case):
    assert "command" in case.head or set(case.head) - OTHER_KEYS
    form = r"(the .* is )?(CONFIRMED|INFERRED|documented|made up)"
    assert re.match(form, case.head["source"])


def test_the_table_rule_gives_what_esxi_9_printed():
    """The rule the other tests write their tables by, held against a real host (facts: 1.1)."""
    vm = "vCLS-6b723342-8292-1962-f970-0422f48bc6ea"
    row = ("1698", vm, f"[] /var/run/crx/infra/{vm}/{vm}.vmx", "crxSys1Guest", "vmx-21", "")
    (captured,) = [case for case in CASES if case.name == "getallvms/esxi-9.0-no-datastore"]
    assert inventory_table([row]) == captured.text

"""Plugs that name no VM, or more than one: an error that helps, and nothing touched."""

import json
import re

import pytest
from case_files import DATA
from esxi_sim import VM
from fence_runner import said

NO_SUCH = json.loads((DATA / "host/no_such_plugs.json").read_text(encoding="utf-8"))["plugs"]


@pytest.fixture
def host(esxi):
    """The host that no_such_plugs.json speaks of."""
    return esxi(vms=["node1", "node10", "web 01", VM("Vmid is 15", vmid=15), "$(reboot)", "x*z"])


def assert_untouched(host):
    assert host.power_events == []
    assert [line for line in host.commands if re.search(r"power\.(?!getstate)|kill", line)] == []


def shown(text):
    """How an error message shows a plug: on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@pytest.mark.parametrize("case", NO_SUCH, ids=lambda case: case["what"])
@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_plug_that_names_no_vm_is_an_error_that_names_it(host, fence, case, action):
    run = fence(host, action, case["plug"])
    assert said(run) == ("", 1)
    assert f'"{shown(case["plug"])}"' in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert "-o list shows the names" in run.stderr
    assert_untouched(host)


@pytest.mark.parametrize("action", ["status", "on", "off"])
def test_each_action_refuses_an_unknown_vm_under_pacemaker_too(host, fence, action):
    run = fence.as_pacemaker(host, action, "nobody")
    assert said(run) == ("", 1)
    assert '"nobody"' in run.stderr
    assert_untouched(host)


@pytest.mark.parametrize("plug", ["", " ", "   "])
def test_an_empty_plug_is_refused_before_the_login(host, ask, plug):
    run = ask(host, "off", plug)
    assert said(run) == ("", 1)
    assert "plug" in run.stderr
    assert host.connections_seen == 0


def test_a_plug_of_4_kb_is_refused_in_a_short_sentence(host, fence):
    run = fence(host, "off", "node1" * 800)
    assert said(run) == ("", 1)
    assert "node1node1" in run.stderr
    assert len(run.stderr) < 500
    assert_untouched(host)


def test_a_second_line_on_stdin_is_no_part_of_the_plug(host, fence):
    run = fence.as_pacemaker(host, "off", "node\nvim-cmd vmsvc/power.off 15")
    assert said(run) == ("", 1)
    assert_untouched(host)


def test_bytes_that_are_no_text_name_no_vm(host, ask):
    run = ask(host, "off", "node1\udcff")
    assert said(run) == ("", 1)
    assert_untouched(host)


@pytest.mark.parametrize("action", ["status", "off", "on", "reboot"])
def test_two_vms_of_one_name_are_refused_and_both_are_named(esxi, ask, action):
    host = esxi(vms=[VM("twin", vmid=3, datastore="ssd"), VM("twin", vmid=7, datastore="tape"),
                     VM("single", vmid=9)])
    run = ask(host, action, "twin")
    assert said(run) == ("", 1)
    assert '"twin" (Vmid 3) [ssd] twin/twin.vmx' in run.stderr
    assert '"twin" (Vmid 7) [tape] twin/twin.vmx' in run.stderr
    assert run.stderr.count('"twin" (') == 2  # no VM is named twice
    assert_untouched(host)


def test_a_vm_beside_two_of_one_name_is_fenced(esxi, ask):
    host = esxi(vms=[VM("twin"), VM("twin", power="off"), VM("single")])
    assert said(ask(host, "off", "single")) == ("Success: Powered OFF\n", 0)
    assert [event.name for event in host.power_events] == ["single"]


def test_the_lists_show_two_vms_of_one_name_on_one_line(esxi, ask):
    host = esxi(vms=[VM("twin", vmid=3), VM("twin", vmid=7, datastore="tape"),
                     VM("single", vmid=9, power="off")])
    assert said(ask(host, "list")) == ("twin,3+7\nsingle,9\n", 0)
    assert said(ask(host, "list-status")) == ("twin,3+7,UNKNOWN\nsingle,9,off\n", 0)
    host.vm_by_id(7).power = "off"
    assert "twin,3+7,UNKNOWN\n" in ask(host, "list-status").stdout

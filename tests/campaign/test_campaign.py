"""The first schedules of the campaign, the exhaustive small world, and proof that they see."""

import logging
from pathlib import Path

import pytest

from campaign import end_to_end, virtual
from campaign.cuttable import is_cuttable
from campaign.generator import schedule_of, schedules
from campaign.mutants import MUTANTS, mutated, schedule_that_catches
from campaign.oracle import Run, judge
from campaign.run import compare, random_jobs, simulate
from campaign.schedule import Schedule
from campaign.shrink import shrunk
from campaign.small_world import cases
from campaign.tellable import failure_of, is_tellable

SEED, COUNT, IN_BOTH_WAYS = 1, 5000, 24
FOUND = sorted((Path(__file__).parent / "found").glob("*.json"))


@pytest.fixture(scope="module")
def theatre():
    """The agent, to be tried out in virtual time."""
    yield virtual.Theatre(virtual.load())
    logging.disable(logging.NOTSET)


def shown(tally):
    """What failed, for a message that can be replayed."""
    return tally.offending[:5] + tally.failed[:5]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_random_schedules_and_the_same_seed_gives_the_same_verdicts():
    tally = simulate(random_jobs(SEED, COUNT), 2)
    assert not tally.offending, shown(tally)
    assert tally.is_enough, shown(tally)
    assert tally.cuttable > COUNT // 6
    again = simulate(random_jobs(SEED, 500), 1)
    assert again.digest == simulate(random_jobs(SEED, 500), 2).digest


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_single_fault_at_every_command():
    tally = simulate([("single", case) for case in cases()], 2)
    assert not tally.offending, shown(tally)
    assert tally.is_enough, shown(tally)


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.stem)
def test_what_an_agent_once_did_wrong(file, theatre):
    line = file.read_text().splitlines()[-1]
    verdict = theatre.try_out(Schedule.from_json(line))
    assert not verdict.offences
    assert not failure_of(verdict)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_both_ways_of_running_say_the_same():
    todo = [schedule for schedule in schedules(SEED, IN_BOTH_WAYS) if end_to_end.can_run(schedule)]
    assert compare(todo, 12)[0] == []


@pytest.mark.parametrize("way", ["in virtual time", "end to end"])
def test_what_follows_from_a_command_after_the_verdict_is_seen(way, theatre):
    schedule = Schedule(vm={"autostart": 0.5})
    try_out = theatre.try_out if way == "in virtual time" else end_to_end.try_out
    assert [event[1] for event in try_out(schedule).events] == ["off", "on"]


@pytest.mark.parametrize("bug", MUTANTS)
def test_an_agent_with_a_bug_does_wrong_where_the_agent_does_not(bug, theatre):
    schedule = schedule_that_catches(bug)
    assert virtual.Theatre(virtual.load(mutated(bug), "buggy")).try_out(schedule).offences
    assert not theatre.try_out(schedule).offences


# -- the campaign itself --------------------------------------------------------------------------


def test_a_schedule_comes_back_from_its_line():
    for schedule in schedules(SEED, 300):
        assert Schedule.from_json(schedule.to_json()).to_json() == schedule.to_json()
    assert schedule_of(SEED, 7) == schedule_of(SEED, 7) == list(schedules(SEED, 1, start=7))[0]
    assert schedule_of(SEED, 7) != schedule_of(SEED + 1, 7)


class Liar:
    """An agent that says "off" at once and does nothing."""

    def try_out(self, schedule):
        stage = virtual.Stage(schedule)
        world = virtual.World(virtual.VirtualClock(), schedule.release, stage.vms)
        powers = {vm.serial: vm.power for vm in world.inventory.known()}
        run = Run(0, "Success: Powered OFF", "", 1000.0, 1000.0, 0.0)
        return judge(stage, [run], world, powers)


def test_a_lie_is_shrunk_to_what_it_takes():
    lie = Liar().try_out(Schedule(number=7, plug="uuid", neighbours=4, bad=[("", "half", 2, 3)]))
    assert lie.kinds == "F"
    assert shrunk(lie, Liar().try_out).schedule.to_json() == "{}"


@pytest.mark.parametrize(("line", "is_lie"), [
    ('{}', True),
    ('{"power": "off"}', False),
    ('{"power": "suspended"}', True),
    ('{"power": "suspended", "invalid": true}', False),
    ('{"plug": "unknown"}', True),
    ('{"plug": "unknown", "missing_as_off": "no"}', True),
    ('{"plug": "unknown", "missing_as_off": "1"}', False),
    ('{"plug": "vc_uuid", "missing_as_off": "1"}', True),
    ('{"plug": "name,neighbour", "power": "off"}', True),
])
def test_what_counts_as_a_lie(line, is_lie):
    assert bool(Liar().try_out(Schedule.from_json(line)).false_successes) == is_lie


@pytest.mark.parametrize(("line", "expected"), [
    ('{}', True),
    ('{"action": "status"}', False),
    ('{"plug": "unknown"}', False),
    ('{"plug": "unknown,name", "missing_as_off": "1"}', True),
    ('{"twin": "registered"}', False),
    ('{"invalid": true}', False),
    ('{"vm": {"off": "refused"}}', True),
    ('{"vm": {"off": "refused", "kill_needs": "never"}}', False),
    ('{"vm": {"off": "refused"}, "no_kill": true}', False),
    ('{"vm": {"off": "late", "off_seconds": 9.0, "kill_needs": "never"}}', True),
    ('{"hostd": "down"}', True),
    ('{"hostd": "down", "neighbours": 0}', True),
    ('{"hostd": "down", "neighbours": 0, "host": {"ps": "busybox"}}', False),
    ('{"hostd": "down", "no_kill": true}', False),
    ('{"hostd": "down", "host": {"localcli": "down"}}', False),
    ('{"hostd": "down", "hostd_seconds": 9.0, "host": {"localcli": "down"}}', True),
    ('{"hostd": "down", "power": "off"}', False),
    ('{"host": {"localcli": "hung"}}', True),
    ('{"power": "suspended", "vm": {"suspended_off": "refused"}}', False),
    ('{"bad": [["getstate", "empty", 99]]}', False),
    ('{"bad": [["getstate", "empty", 2]]}', True),
    ('{"vm": {"autostart": 0.5}}', True),
    ('{"vm": {"autostart": 0.5, "autostart_times": 2}}', False),
    ('{"logins": ["refused"]}', False),
    ('{"host": {"read_only": true}}', False),
])
def test_what_counts_as_a_vm_that_could_be_cut(line, expected):
    assert is_cuttable(Schedule.from_json(line)) == expected


@pytest.mark.parametrize(("line", "expected"), [
    ('{"action": "status"}', True),
    ('{"action": "status", "power": "off", "plug": "uuid"}', True),
    ('{"action": "status", "power": "suspended"}', False),
    ('{"action": "status", "bad": [["^grep", "half", 1]]}', False),
    ('{"action": "status", "hostd": "down", "hostd_after": 3}', False),
    ('{"action": "status", "plug": "unknown"}', False),
    ('{"action": "status", "plug": "unknown", "missing_as_off": "1"}', True),
    ('{"action": "status", "host": {"ps": "absent"}, "logins": ["busy"]}', True),
    ('{"action": "status", "host": {"read_only": true}}', True),
    ('{"action": "on", "host": {"read_only": true}, "power": "off"}', False),
    ('{"action": "on", "power": "off"}', True),
    ('{"action": "on", "power": "off", "vm": {"on": "late"}}', True),
    ('{"action": "on", "power": "off", "vm": {"on": "late", "on_seconds": 40}}', False),
    ('{"action": "list-status", "power": "suspended"}', True),
    ('{"action": "list-status", "datastore": "dead"}', False),
    ('{"action": "list", "datastore": "dead"}', True),
    ('{"action": "reboot"}', True),
    ('{"action": "reboot", "vm": {"off": "late"}}', False),
    ('{}', False),
])
def test_what_has_to_be_told(line, expected):
    assert is_tellable(Schedule.from_json(line)) == expected


@pytest.mark.parametrize("line", [
    '{"action": "status", "power": "off"}', '{"action": "on", "power": "off"}',
    '{"action": "list-status"}', '{"action": "list"}'])
def test_who_says_yes_and_does_nothing_has_told_nothing(line):
    verdict = Liar().try_out(Schedule.from_json(line))
    verdict.events = []
    assert failure_of(verdict) == "not told"

"""A few dozen schedules of the campaign, and proof that its judge notices a faulty agent."""

import pytest

from campaign.generator import schedule_of, schedules
from campaign.run import MUTANTS, mutant_of, report, run_all
from campaign.schedule import Schedule, is_cuttable
from campaign.trial import try_out

# the first of those `make campaign` goes through
SEED, COUNT, AT_ONCE = 1, 32, 16
BUGS = sorted(file.stem for file in MUTANTS.glob("*.patch"))


def test_a_few_dozen_schedules():
    verdicts = list(run_all(schedules(SEED, COUNT), AT_ONCE))
    assert len(verdicts) == COUNT
    assert not [report(verdict) for verdict in verdicts if verdict.offences]
    assert not [report(each) for each in verdicts if each.cuttable and not each.succeeded]
    assert sum(verdict.cuttable for verdict in verdicts) > COUNT // 3


@pytest.mark.parametrize("bug", BUGS)
def test_the_judge_catches_an_agent_with_a_bug(bug, tmp_path):
    schedule = Schedule.from_json((MUTANTS / (bug + ".json")).read_text())
    assert try_out(schedule, mutant_of(bug, tmp_path)).false_successes
    assert not try_out(schedule).offences


def test_a_schedule_comes_back_from_its_line():
    for schedule in schedules(SEED, 300):
        assert Schedule.from_json(schedule.to_json()).to_json() == schedule.to_json()
    assert schedule_of(SEED, 7) == schedule_of(SEED, 7)
    assert schedule_of(SEED, 7) != schedule_of(SEED + 1, 7)


@pytest.mark.parametrize(("line", "expected"), [
    ('{}', True),
    ('{"action": "status"}', False),
    ('{"plug": "unknown"}', False),
    ('{"twin": "registered"}', False),
    ('{"vm": {"off": "refused"}}', True),
    ('{"vm": {"off": "refused", "kill_needs": "never"}}', False),
    ('{"vm": {"off": "refused"}, "no_kill": true}', False),
    ('{"vm": {"off": "late", "off_seconds": 19.0, "kill_needs": "never"}}', True),
    ('{"hostd": "down"}', True),
    ('{"hostd": "down", "no_kill": true}', False),
    ('{"hostd": "down", "host": {"localcli": "down"}}', False),
    ('{"hostd": "down", "hostd_seconds": 9.0, "host": {"localcli": "down"}}', True),
    ('{"hostd": "down", "power": "off"}', False),
    ('{"power": "suspended", "vm": {"suspended_off": "refused"}}', False),
    ('{"bad": [["getstate", "empty", 99]]}', False),
    ('{"vm": {"autostart": 0.5}}', True),
    ('{"vm": {"autostart": 0.5, "autostart_times": 2}}', False),
    ('{"hostd": "down", "hostd_after": 3}', True),
    ('{"hostd": "down", "hostd_after": 3, "neighbours": 0}', False),
])
def test_what_counts_as_a_vm_that_could_be_cut(line, expected):
    assert is_cuttable(Schedule.from_json(line)) == expected

"""Where `make mutants` changes the agent; it runs this, since only it has the tool for that."""

import difflib

from campaign.mutation import mutants

TEXT = """LIMIT = 5
# --- 1. What the host says ---
def is_on(answer):
    return answer.status == 0 and "on" in answer.text
# --- 2. The session ---
def is_open(line):
    return line.status == 0
# --- 4. The ladder ---
for kind in KILLS:
    kill(kind)
"""


def test_only_the_rooms_that_decide_are_changed_one_place_at_a_time():
    found = mutants(TEXT)
    assert {mutant.line for mutant in found} == {4, 9}
    for mutant in found:
        changed = [line for line in difflib.ndiff(TEXT.split("\n"), mutant.source(TEXT).split("\n"))
                   if line[0] == "-"]
        assert changed == ["- " + TEXT.split("\n")[mutant.line - 1]]


def test_a_mutant_is_what_its_operator_says():
    sources = {mutant.operator.split("/")[1]: mutant.source(TEXT) for mutant in mutants(TEXT)}
    assert "answer.status != 0 and" in sources["ReplaceComparisonOperator_Eq_NotEq"]
    assert "answer.status == 0 or" in sources["ReplaceAndWithOr"]
    assert "for kind in []:" in sources["ZeroIterationForLoop"]

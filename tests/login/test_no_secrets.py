"""The search for passwords at the end of the suite finds them, and then the suite fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fence_runner import MARKER

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("said", "status", "hits"),
    [("logged in to 127.0.0.1", 0, 0), (f"a line\nsent: {MARKER}!\nthe end", 1, 1)],
)
def test_a_suite_fails_when_the_agent_said_a_password(tmp_path, said, status, hits):
    test = "from fence_runner import keep_for_search\n\n\ndef test():\n"
    (tmp_path / "test_it.py").write_text(f"{test}    keep_for_search({said!r})\n")
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}:{TESTS.parent}/lib"}
    environment.pop("FENCE_ESXI_LOGS", None)
    pytest_run = [sys.executable, "-m", "pytest", "-p", "no_secrets", "--rootdir=.", "test_it.py"]
    suite = subprocess.run(
        pytest_run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert suite.returncode == status, suite.stdout
    assert "1 passed" in suite.stdout
    assert f"passwords in 1 logs of the agent: {hits}" in suite.stdout

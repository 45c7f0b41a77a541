"""make demo: what it shows, and that it leaves nothing behind."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from commands import PROJECT

SEED_SESSION = [
    ("-o list", "t3022cent,14", 0),
    ("-o off -n t3022cent", "Success: Powered OFF", 0),
    ("-o status -n t3022cent", "Status: OFF", 2),
    ("-o on -n t3022cent", "Success: Powered ON", 0),
    ("-o status -n t3022cent", "Status: ON", 0),
    ("-o reboot -n t3022cent", "Success: Rebooted", 0),
    ("-o off -n 'web 01'", "Success: Powered OFF", 0),
    ("-o list-status", "t3022cent,14,on", 0),
    ("-o off -n t3023cent", "t3023cent", 1),
]


@pytest.fixture
def demo(tmp_path):
    """The demo, started; its temporary files go to tmp_path."""
    process = subprocess.Popen(
        [sys.executable, PROJECT / "tools/demo"],
        env=dict(os.environ, TMPDIR=str(tmp_path)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def commands_shown(output):
    """Triples of what was typed, what was printed, and the exit status."""
    shown = re.findall(r"^# fence_esxi (.*)\n((?:.*\n)*?)\[exit status (\d+)\]$", output, re.M)
    return [(typed, printed, int(status)) for typed, printed, status in shown]


def processes_of_session(session):
    """Processes that the demo started and that still run."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "-s", str(session)], capture_output=True, text=True
    )
    return listed.stdout


def test_the_demo_shows_the_session(demo, tmp_path):
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 0, output
    shown = commands_shown(output)
    assert len(shown) == len(SEED_SESSION)
    for (typed, printed, status), (expected_end, expected, expected_status) in zip(
        shown, SEED_SESSION, strict=True
    ):
        assert typed.endswith(expected_end)
        assert expected in printed
        assert status == expected_status, typed
    assert "  web 01: on -> off\n" in output
    assert list(tmp_path.iterdir()) == []
    assert processes_of_session(demo.pid) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_can_be_stopped(demo, tmp_path, number):
    for line in demo.stdout:
        if "-o off" in line:
            break
    os.killpg(demo.pid, number)
    rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    assert list(tmp_path.iterdir()) == []
    time.sleep(0.2)  # a killed ssh needs a moment to be gone
    assert processes_of_session(demo.pid) == ""

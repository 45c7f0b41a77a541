"""make demo: what it shows, and that it leaves nothing behind."""

import os
import pathlib
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


def processes_with(folder):
    """Processes that the demo started and that still run: their environment names its folder."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={folder}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes())
        except OSError:  # another user's, or gone meanwhile
            continue
    return found


def wait_until_nothing_is_left(folder):
    """A killed ssh needs a moment to be gone."""
    end = time.monotonic() + 10
    while processes_with(folder) and time.monotonic() < end:
        time.sleep(0.1)
    assert processes_with(folder) == []
    assert list(folder.iterdir()) == []


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
    check = output.partition("# esxi-fence-check ")[2].partition("[exit status 0]")[0]
    assert check.endswith("\nfence_esxi understands this host\n")
    assert {line.split()[0] for line in check.splitlines()[1:-2]} == {"ok"}
    wait_until_nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGINT, 0), (signal.SIGINT, 0.1), (signal.SIGINT, 0.3), (signal.SIGTERM, 0.2)],
)
def test_the_demo_can_be_stopped(demo, tmp_path, number, seconds):
    """In the agent's start, in its login, in the midst of its work."""
    for line in demo.stdout:
        if "-o off" in line:
            break
    time.sleep(seconds)
    os.killpg(demo.pid, number)
    rest, _ = demo.communicate(timeout=30)
    assert demo.returncode == 130, rest
    assert "Traceback" not in rest
    wait_until_nothing_is_left(tmp_path)

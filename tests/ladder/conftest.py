"""Tests marked `waits` spend tens of seconds waiting, so many of them run at the same time.

The first one that is due starts all that are selected, in threads; each then waits for its own.
The workers of pytest-xdist share them: who makes a test's folder runs it, and leaves the outcome
there.
"""

import hashlib
import os
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

AT_ONCE = 24  # in each worker
SECONDS_BETWEEN_STARTS = 0.2  # so that starting processes does not disturb what is timed
_start_gate = threading.Lock()
_outcomes = pytest.StashKey()


def pytest_configure(config):
    config.addinivalue_line("markers", "waits: runs at the same time as the others of its kind")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    if not pyfuncitem.get_closest_marker("waits"):
        return None
    outcomes = _outcomes_of(pyfuncitem.session)
    outcome = outcomes / _key(pyfuncitem) / "outcome"
    while not outcome.exists():
        time.sleep(0.1)
    failure = outcome.read_text()
    if failure:
        pytest.fail(failure, pytrace=False)
    return True


def _outcomes_of(session):
    """The folder of the outcomes of this run of pytest; whoever asks first starts the tests."""
    if _outcomes not in session.stash:
        run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or "alone-%d" % os.getpid()
        folder = Path(tempfile.gettempdir()) / ("fence_esxi-ladder-" + run)
        folder.mkdir(exist_ok=True)
        session.stash[_outcomes] = folder
        pool = ThreadPoolExecutor(AT_ONCE)
        for item in session.items:
            if item.get_closest_marker("waits"):
                pool.submit(_run_if_nobody_does, item, folder / _key(item))
    return session.stash[_outcomes]


def _key(item):
    return hashlib.sha256(item.nodeid.encode()).hexdigest()[:32]


def _run_if_nobody_does(item, place):
    try:
        place.mkdir()
    except FileExistsError:
        return
    with _start_gate:
        time.sleep(SECONDS_BETWEEN_STARTS)
    try:
        item.obj(**(item.callspec.params if hasattr(item, "callspec") else {}))
        failure = ""
    except BaseException:  # noqa: BLE001 - told by the test that waits for it
        failure = traceback.format_exc()
    (place / "new").write_text(failure)
    (place / "new").rename(place / "outcome")

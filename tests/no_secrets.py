"""A pytest plugin: no password of the tests stands in anything the agent said in the whole run.

The runner of the agent keeps what it said in a folder, $FENCE_ESXI_LOGS; at the end of the run
the folder is searched. One hit fails the run.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from fence_runner import MARKER

#: The passwords of tests and simulated hosts. MARKER stands in all the others.
SECRETS = (MARKER, "VMware1!", "XXXXXXXX")


def secrets_in(folder: Path) -> list[str]:
    """ "file: line" for each line of the logs in folder that holds a password."""
    hits = []
    for log in sorted(folder.iterdir()):
        for line in log.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            if any(secret in line for secret in SECRETS):
                hits.append(f"{log.name}: {line}")
    return hits


class NoSecrets:
    """The search, in the process that has started all others."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fence_esxi-logs-"))
        os.environ["FENCE_ESXI_LOGS"] = str(self.folder)
        self._logs = 0
        self._hits: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self._logs = len(list(self.folder.iterdir()))
        self._hits = secrets_in(self.folder)
        if self._hits:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        shutil.rmtree(self.folder)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminalreporter.line(f"passwords in {self._logs} logs of the agent: {len(self._hits)}")
        for hit in self._hits:
            terminalreporter.line(hit, red=True)


def pytest_configure(config: pytest.Config) -> None:
    if "FENCE_ESXI_LOGS" not in os.environ:
        config.pluginmanager.register(NoSecrets())

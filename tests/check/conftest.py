"""esxi-fence-check as a module, let loose on simulated hosts in virtual time."""

import contextlib
import io
import json
import logging
import os
import pathlib
import sys
import types
from dataclasses import dataclass

import pytest
from esxi_sim.virtual import LineBroken, VirtualClock, VirtualLine
from esxi_sim.world import World

# FENCE_ESXI_CHECK puts another one in its place
TOOL = pathlib.Path(os.environ.get("FENCE_ESXI_CHECK") or
                    pathlib.Path(__file__).resolve().parents[2] / "agents/esxi/esxi-fence-check")
PASSWORD = "hUsh7Qx-of-the-host"
LOGIN = ["--ip=192.168.33.10", f"--password={PASSWORD}", "--known-hosts=/root/.ssh/esxi_hosts"]


@pytest.fixture(scope="session")
def tool():
    """The tool as a module, with the agent in it."""
    module = types.ModuleType("esxi_fence_check")
    module.__file__ = str(TOOL)
    exec(compile(TOOL.read_text(encoding="utf-8"), str(TOOL), "exec"), module.__dict__)
    return module


@dataclass
class Outcome:
    """What came of a run: exit status, {name of a check: (status, text, step)} and the notes."""

    status: int
    checks: dict
    verdict: str
    notes: list

    @property
    def remarkable(self):
        """{name: status} of the checks that are not ok."""
        return {name: status for name, (status, _, _) in self.checks.items() if status != "ok"}


class Session:
    """The agent's session with a world in virtual time; see the agent's Session."""

    def __init__(self, agent, world):
        self._agent, self._world, self._line = agent, world, None

    def open(self, bound):
        self._world.clock.sleep(0.3)
        self._line = VirtualLine(self._world, keepalive=24.0)

    def ask(self, commands, bound):
        try:
            answers = self._line.ask(list(commands), bound)
        except LineBroken:
            raise self._agent.SessionLost("the connection broke") from None
        return [answer and self._agent.Answer(answer[0], answer[1].decode(
            "utf-8", "surrogateescape")) for answer in answers]

    def close(self):
        if self._line is not None:
            self._line.close()


@pytest.fixture
def check(tool, monkeypatch):
    """check(world, "--plug=node1", ...): the Outcome of the tool with these words."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])

    def run(world, *words, user="root"):
        monkeypatch.setattr(sys, "argv", ["esxi-fence-check"])
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            status = tool.report(
                *tool.arguments([*LOGIN, "--username=" + user, "--json", *words]),
                session=lambda login: Session(tool.agent, world), clock=world.clock)
        told = json.loads(said.getvalue())
        assert told["status"] == status
        checks = {each["name"]: (each["status"], each["text"], each["step"])
                  for each in told["checks"]}
        for text in [told["verdict"], *(text for each in checks.values() for text in each)]:
            assert "Traceback" not in text
            assert "internal error" not in text
        return Outcome(status, checks, told["verdict"], told["notes"])

    return run


@pytest.fixture
def world():
    """world(["node1", ...], release="6.7", hostd="hung", ...): a host in virtual time."""
    return lambda vms, release="6.7", **switches: World(VirtualClock(), release, vms, **switches)

"""Run the agent's own code against a world in virtual time, some hundred schedules a second."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import greenlet
from esxi_sim.virtual import LineBroken, VirtualClock, VirtualLine
from esxi_sim.world import World

from .oracle import WATCHED_ON, Run, Verdict, judge
from .schedule import Schedule
from .stage import Stage

PROJECT = Path(__file__).resolve().parents[2]
# FENCE_ESXI_AGENT puts another one in its place
AGENT = Path(os.environ.get("FENCE_ESXI_AGENT", PROJECT / "agents/esxi/fence_esxi.py"))
# seconds the process of the agent takes to start and to end, beside its work
START_AND_END = 0.5
LOGIN, BUSY, SLOW_LOGIN, REFUSED = 0.3, 0.1, 15.0, 2.0


def load(source: Optional[str] = None, name: str = "fence_esxi_in_virtual_time") -> Any:
    """The agent as a module with its options defined; source: its text, None: the file's."""
    spec = importlib.util.spec_from_file_location(name, AGENT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if source is None:
        source = AGENT.read_text(encoding="utf-8")
    exec(compile(source, str(AGENT), "exec"), module.__dict__)
    module.define_options()
    return module


class Theatre:
    """Where one agent, loaded once, is tried out with schedule after schedule.

    aloud: print each command and each change of power on stderr, as they happen.
    """

    def __init__(self, module: Any, aloud: bool = False):
        self.module = module
        self._aloud = aloud
        self._library = sys.modules[module.fence_action.__module__]
        self._voices = _Voices()
        self._options: Dict[str, Dict[str, Any]] = {}

    def try_out(self, schedule: Schedule) -> Verdict:
        """Run the agent, or two of them, through a schedule and judge the result."""
        stage = Stage(schedule)
        clock = VirtualClock()
        world = World(clock, schedule.release, stage.vms, **schedule.host)
        stage.set(world)
        self._library.time = clock  # it waits power_wait seconds, 0 or not
        if self._aloud:
            world.listeners.append(lambda news: print("%6.1f s  %s" % (
                clock.now - 1000, "%s: exit status %s" % (news.line, news.status)
                if hasattr(news, "line") else news), file=sys.stderr))
        powers = {vm.serial: vm.power for vm in world.inventory.known()}
        logins = iter(schedule.logins)
        runs: Dict[int, Run] = {}

        def run(number: int, action: str, later: float) -> None:
            if later:
                clock.sleep(later)
            runs[number] = self._run(stage, world, action, logins)

        if schedule.second is None:
            run(0, schedule.action, 0.0)
        else:
            clock.together(lambda: run(0, schedule.action, 0.0),
                           lambda: run(1, *schedule.second))
        clock.sleep(WATCHED_ON)
        return judge(stage, [runs[number] for number in sorted(runs)], world, powers)

    def _run(self, stage: Stage, world: World, action: str, logins: Iterator[str]) -> Run:
        started, crash = world.clock.monotonic(), ""
        with self._voices.listening() as said:
            try:
                status = self._carry_out(self.options_of(stage, action), world, logins)
            except self.module.FenceError as error:
                logging.error("%s", error)
                status = 1
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else 1
            except Exception:  # the agent says of it that it is an internal error
                status, crash = 1, traceback.format_exc()
        ended = world.clock.monotonic()
        return Run(status or 0, "".join(said), crash, started, ended,
                   ended - started + START_AND_END)

    def _carry_out(self, options: Dict[str, Any], world: World, logins: Iterator[str]) -> int:
        def session(_login: Any) -> Session:
            return Session(self.module, world, logins)

        return self.module.carry_out(options, session=session, clock=world.clock)

    def options_of(self, stage: Stage, action: str) -> Dict[str, Any]:
        """The agent's options as the fencing library hands them over."""
        schedule = stage.schedule
        if action not in self._options:
            self._options[action] = self._checked_options(action)
        options = dict(self._options[action])
        if action in ("list", "list-status", "monitor"):
            del options["--plug"]
        else:
            options["--plug"] = stage.plug()
        if schedule.missing_as_off is not None:
            options["--missing-as-off"] = schedule.missing_as_off
        if schedule.no_kill:
            options["--no-kill"] = "1"
        if schedule.service:  # what the library does under Pacemaker
            options["--power-timeout"] = options["--shell-timeout"] = options["--login-timeout"] = 0
        return options


    def _checked_options(self, action: str) -> Dict[str, Any]:
        words, sys.argv = sys.argv, ["fence_esxi", "--action=" + action, "--ip=esxi", "--quiet",
                                     "--username=root", "--password=x", "--plug=x"]
        handlers = list(logging.getLogger().handlers)
        try:
            device_options = list(self.module.DEVICE_OPTIONS)
            return self.module.check_input(device_options,
                                           self.module.process_input(device_options))
        finally:
            sys.argv = words
            logging.getLogger().handlers[:] = handlers  # without the system log


@functools.lru_cache(maxsize=512)
def _text(printed: bytes) -> str:
    return printed.decode("utf-8", "surrogateescape")


class Session:
    """The agent's session with a world; see the class Session of the agent."""

    def __init__(self, module: Any, world: World, logins: Iterator[str]):
        self._module = module
        self._world = world
        self._logins = logins
        self._line: Optional[VirtualLine] = None

    def open(self, bound: float) -> None:
        """Log in, or fail to, as the schedule says of this login."""
        how = next(self._logins, "ok")
        seconds = {"ok": LOGIN, "busy": BUSY, "slow": SLOW_LOGIN, "lost": LOGIN}.get(how, REFUSED)
        self._world.clock.sleep(min(seconds, bound))
        if seconds > bound:
            raise self._module.LoginFailed("too slow")
        if how not in ("ok", "slow"):
            raise self._module.LoginFailed(how, busy=how == "busy", final=how != "busy")
        self._line = VirtualLine(self._world, keepalive=24.0)

    def ask(self, commands: List[str], bound: float) -> List[Any]:
        """One request of one or two commands."""
        try:
            return self._as_answers(self._line.ask(commands, bound))
        except LineBroken as broken:
            lost = self._module.SessionLost("the connection broke")
            lost.answers = self._as_answers(broken.answers)
            raise lost from None

    def _as_answers(self, answers: List[Any]) -> List[Any]:
        return [answer and self._module.Answer(answer[0], _text(answer[1])) for answer in answers]

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()


class _Voices:
    """Stands for sys.stdout while agents run, and keeps apart what each of them prints."""

    def __init__(self) -> None:
        self._said: Dict[Any, List[str]] = {}

    @contextlib.contextmanager
    def listening(self) -> Iterator[List[str]]:
        """What is printed in the block, by this agent and no other."""
        me, stdout = greenlet.getcurrent(), sys.stdout
        said = self._said[me] = []
        sys.stdout = self
        try:
            yield said
        finally:
            del self._said[me]
            if not self._said:
                sys.stdout = stdout if stdout is not self else sys.__stdout__

    def write(self, text: str) -> None:
        """Called by print()."""
        self._said[greenlet.getcurrent()].append(text)

    def flush(self) -> None:
        """There is nothing to flush."""

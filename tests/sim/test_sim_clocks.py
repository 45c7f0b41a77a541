"""The world cannot tell the clocks apart: the same script gives the same answers on both, and the
world's own modules know neither threads, files, ssh nor time."""

import ast
import asyncio
import shlex
from pathlib import Path

import pytest
from esxi_sim import VM, BadAnswer, VMFaults, World
from esxi_sim.door import carry_out
from esxi_sim.real_clock import RealClock
from esxi_sim.virtual import VirtualClock, VirtualLine

PACKAGE = Path(__file__).parents[2] / "lib/esxi_sim"
# from the bottom up: a module knows those before it alone
WORLD = ["releases", "clock", "faults", "vms", "storage", "texts", "output", "world", "vim_cmd",
         "esxcli", "ps", "files", "door", "virtual"]
SHELL = ["real_clock", "login", "hooks", "calls", "shell_root", "session", "sshd", "host",
         "replay", "control", "cli"]
SCRIPT = [
    "vim-cmd vmsvc/getallvms", "localcli vm process list", "esxcli vm process list", "ps",
    "readlink '/vmfs/volumes/datastore1'", "readlink -f /vmfs/volumes/datastore1",
    "grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null "
    "/vmfs/volumes/datastore1/node1/node1.vmx '/vmfs/volumes/datastore1/no de/no de.vmx'",
    "vim-cmd vmsvc/get.summary 1", "vim-cmd vmsvc/power.off 1", "vim-cmd vmsvc/power.getstate 1",
    "vim-cmd vmsvc/power.off 2", "vim-cmd vmsvc/power.getstate 2",
    "localcli vm process kill -t soft -w 2097175", "localcli vm process kill -t hard -w 2097175",
    "esxcli vm process list", "vim-cmd vmsvc/power.on 1", "ps", "vim-cmd vmsvc/message 3",
    "vim-cmd vmsvc/power.off 3", "vim-cmd vmsvc/power.getstate 9", "vmware -v",
]


def world_on(clock):
    world = World(clock, "8.0", [
        VM("node1", faults=VMFaults(off="late", off_seconds=0.2)),
        VM("no de", faults=VMFaults(off="refused", kill_needs="hard", kill_seconds=0.1)),
        VM("asks", faults=VMFaults(question=True)), VM("left", registered=False)],
        latency=0.02, bad_answers=[BadAnswer("process list", "half", after=2)])
    world.after_commands(10, lambda: world.reregister(world.vm("asks")))
    world.set_hostd("hung", recover_after=0.1)
    world.faults.hung_calls_resume = True
    return world


class _Call:
    """A command nobody puts a shell around."""

    def __init__(self, command):
        self.argv = shlex.split(command)
        self.line, self.session, self.text = " ".join(self.argv), 1, b""

    async def show(self, parts):
        self.text += b"".join(text for _, text in parts)


async def in_real_time():
    clock = RealClock()
    clock.run_on(asyncio.get_running_loop())
    world = world_on(clock)
    answers = []
    for command in SCRIPT:
        call = _Call(command)
        answers.append((await carry_out(world, call), call.text))
    return world, answers


def in_virtual_time():
    world = world_on(VirtualClock())
    line = VirtualLine(world)
    return world, [line.ask([command], 60)[0] for command in SCRIPT]


def test_the_same_script_gives_the_same_answers_on_both_clocks():
    real, answers = asyncio.run(in_real_time())
    virtual, expected = in_virtual_time()
    assert answers == expected
    assert real.commands == virtual.commands
    assert [(e.name, e.new, e.cause) for e in real.power_events] == [
        (e.name, e.new, e.cause) for e in virtual.power_events]
    assert {answer[0] for answer in answers} >= {0, 1}


def imported_by(module):
    """(modules of the package, other modules) that a module imports anywhere in its text."""
    own, foreign = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / (module + ".py")).read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            own |= {node.module} if node.module else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            foreign.add(node.module)
        elif isinstance(node, ast.Import):
            foreign |= {alias.name for alias in node.names}
    return own, foreign


@pytest.mark.parametrize("module", [*WORLD, *SHELL])
def test_a_module_knows_only_those_below_it(module):
    order = [*WORLD, *SHELL]
    own, foreign = imported_by(module)
    assert own <= set(order[:order.index(module)])
    if module in WORLD:
        assert not foreign & {"asyncio", "asyncssh", "threading", "time", "socket", "subprocess",
                              "os", "select"}
    assert {file.stem for file in PACKAGE.glob("*.py")} == {*order, "__init__", "__main__"}

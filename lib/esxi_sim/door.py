"""The one door between the shell of a host and its world: every command goes through it.

Here it is recorded, delayed, spoilt or lost, as the world's faults say, or carried out.
"""

from __future__ import annotations

from typing import Awaitable, Callable, Dict, List, Optional

from . import esxcli, files, ps, vim_cmd
from .faults import BadAnswer, LineCut
from .output import Call, Output, first_half
from .texts import to_bytes
from .world import World

ABSENT_TOGETHER = ("vim-cmd", "esxcli", "localcli")
_HANDSHAKE_FAILURE = ("Failed to login: SSL Exception: The SSL handshake timed out "
                      "local: 127.0.0.1:52713 peer: 127.0.0.1:443.\n")
_GARBAGE = b"\x00\xff\xfe\x80Powered\x1b[31m\xc3\x28 o\xf0\x9f\x92\nff\r\n\xe3\x83"


async def carry_out(world: World, call: Call) -> int:
    """Run one command of the host's shell and print its answer; returns its exit status."""
    name = call.argv[0]
    if name in ABSENT_TOGETHER and world.faults.vim_cmd_absent:
        await call.show([("err", b"sh: %s: not found\n" % name.encode())])
        return 127
    if name in ("readlink", "grep") and not files.understands(call.argv):
        return await call.pass_on()
    entry = world.command_started(call.argv, call.line, call.session)
    status = await _through_faults(world, call)
    world.command_ended(entry, status)
    return status


async def _through_faults(world: World, call: Call) -> int:
    faults = world.faults
    bad, cut = faults.take(call.line)
    if cut and cut.when == "before_run":
        await call.cut([], "before_run")
    latency = faults.latency_of(call.argv, call.line)
    if latency:
        await world.clock.delay(latency)
    output = Output(call, world.clock, held=bool(bad or cut))
    status = await _run_or_not(world, output, call.argv, bad)
    if bad:
        status = await _spoil(output, bad, status)
    if cut:
        await _cut(call, output, cut)
    if output.parts:
        await call.show(output.parts)
    return status


async def _run_or_not(world: World, output: Output, argv: List[str],
                      bad: Optional[BadAnswer]) -> int:
    if bad and bad.kind == "hang":
        return await output.hang()
    if bad and bad.kind == "text":
        output.out(to_bytes(bad.text))
        return 0
    answer = world.on_command(list(argv)) if world.on_command else None
    if answer is not None:
        return output.answer(answer)
    return await _PROGRAMS[argv[0]](world, output, argv[1:])


async def _spoil(output: Output, bad: BadAnswer, status: int) -> int:
    """Do to an answer what the fault says; returns its exit status."""
    if bad.kind == "empty":
        output.parts = []
    elif bad.kind == "half":
        output.parts = first_half(output.parts)
    elif bad.kind == "garbage":
        output.parts = [("out", _GARBAGE)]
    elif bad.kind == "hang_after":
        return await output.hang()
    elif bad.kind != "text":
        raise ValueError("unknown kind of bad answer: %r" % bad.kind)
    return status if bad.status is None else bad.status


async def _cut(call: Call, output: Output, cut: LineCut) -> None:
    """Let through what the cut lets through, then cut."""
    let_through = {"before": [], "silent": [], "dead": [], "middle": first_half(output.parts),
                   "after": output.parts}[cut.when]
    await call.cut(let_through, cut.when)


# -- the programs ------------------------------------------------------------------------


async def _through_hostd(world: World, output: Output, program: str, arguments: List[str]) -> int:
    state = world.hostd_for_next_command()
    if state == "hung":
        if not world.faults.hung_calls_resume:
            return await output.hang()
        while world.faults.hostd != "up":
            await world.clock.delay(0.2)
        state = "up"
    if state == "up":
        return await (vim_cmd if program == "vim-cmd" else esxcli).run(world, output, arguments)
    if state == "late_failure":
        await world.clock.delay(world.faults.hostd_silence)
    if program == "esxcli":
        output.out(world.release.esxcli_down + "\n")
    elif state == "late_failure":
        output.err(_HANDSHAKE_FAILURE)
    else:
        output.err(world.release.vim_cmd_down + "\n")
    return 1


async def _vim_cmd(world: World, output: Output, arguments: List[str]) -> int:
    return await _through_hostd(world, output, "vim-cmd", arguments)


async def _esxcli(world: World, output: Output, arguments: List[str]) -> int:
    return await _through_hostd(world, output, "esxcli", arguments)


async def _localcli(world: World, output: Output, arguments: List[str]) -> int:
    if world.faults.localcli == "hung":
        return await output.hang()
    if world.faults.localcli == "down":
        output.err("Error: Unable to connect to the VMkernel.\n")
        return 1
    return await esxcli.run(world, output, arguments, world.faults.localcli_layout)


async def _vmware(world: World, output: Output, _arguments: List[str]) -> int:
    output.out("VMware ESXi %s build-%s\n" % (world.release.product, world.release.build))
    return 0


async def _hostd(world: World, output: Output, arguments: List[str]) -> int:
    """`/etc/init.d/hostd status`, `restart` (facts: 6)."""
    if arguments == ["restart"]:
        world.set_hostd("up")
        output.out("hostd started.\n")
        return 0
    alive = world.faults.hostd in ("up", "hung", "late_failure")
    output.out("hostd is running.\n" if alive else "hostd is not running.\n")
    return 0 if alive else 3


_PROGRAMS: Dict[str, Callable[[World, Output, List[str]], Awaitable[int]]] = {
    "vim-cmd": _vim_cmd, "esxcli": _esxcli, "localcli": _localcli, "ps": ps.run,
    "readlink": files.readlink, "grep": files.grep, "vmware": _vmware, "hostd": _hostd,
}
PROGRAMS = tuple(_PROGRAMS)

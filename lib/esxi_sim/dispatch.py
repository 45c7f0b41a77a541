"""Carries out one host command: record, latency, hostd's mood, faults, the answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, List, Optional

from . import esxcli, vim_cmd
from .calls import Call
from .faults import BadAnswer, LineCut
from .output import Output, first_half, print_part
from .texts import to_bytes

if TYPE_CHECKING:
    from .host import Host

COUNTED = ("vim-cmd", "esxcli", "localcli")
_HANDSHAKE_FAILURE = ("Failed to login: SSL Exception: The SSL handshake timed out "
                      "local: 127.0.0.1:52713 peer: 127.0.0.1:443.\n")
_GARBAGE = b"\x00\xff\xfe\x80Powered\x1b[31m\xc3\x28 o\xf0\x9f\x92\nff\r\n\xe3\x83"


@dataclass
class HostCommand:
    """One command the host ran. Times in seconds since the epoch; ended and status are None
    while it runs and for ever when it was killed. connection: number of the ssh session."""

    started: float
    argv: List[str]
    connection: int
    ended: Optional[float] = None
    status: Optional[int] = None

    @property
    def line(self) -> str:
        """The command as one line."""
        return " ".join(self.argv)


async def carry_out(host: Host, call: Call) -> int:
    """Run one command of the host's shell and print its answer; returns its exit status."""
    if call.argv[0] not in COUNTED:
        return await _small_command(host, Output(call, gathered=False), call.argv)
    entry = HostCommand(time.time(), call.argv, call.session)
    host.note_command(entry)
    cut = host.faults.take_cut(call.line)
    if cut and cut.when == "before_run":
        return await _cut_line(host, call)
    await asyncio.sleep(host.faults.latency_of(call.line))
    status = await _with_faults(host, call, cut)
    entry.status, entry.ended = status, time.time()
    host.command_ended(entry)
    return status


async def _with_faults(host: Host, call: Call, cut: Optional[LineCut]) -> int:
    bad = host.faults.take_bad_answer(call.line)
    if bad and bad.kind == "text":
        await call.out(to_bytes(bad.text))
        return bad.status or 0
    output = Output(call, gathered=bool(bad or cut))
    status = await _run(host, output, call.argv)
    if bad:
        _spoil(output, bad)
        status = status if bad.status is None else bad.status
    if cut:
        await _deliver_before_cut(host, call, output, cut)
    for stream, text in output.parts:
        await print_part(call, stream, text)
    return status


async def _run(host: Host, output: Output, argv: List[str]) -> int:
    answer = host.on_command(list(argv)) if host.on_command else None
    if answer is not None:
        return await output.answer(answer)
    if argv[0] == "localcli":
        return await _localcli(host, output, argv)
    refused = await _hostd_gate(host, output, argv[0])
    if refused is not None:
        return refused
    program = vim_cmd if argv[0] == "vim-cmd" else esxcli
    return await program.run(host, output, argv[1:])


async def _localcli(host: Host, output: Output, argv: List[str]) -> int:
    if host.faults.localcli == "hung":
        return await output.hang()
    if host.faults.localcli == "down":
        await output.err("Error: Unable to connect to the VMkernel.\n")
        return 1
    return await esxcli.run(host, output, argv[1:])


async def _hostd_gate(host: Host, output: Output, program: str) -> Optional[int]:
    """None: hostd answers; else the exit status of the command that it does not serve."""
    state = host.hostd_for_next_command()
    if state == "up":
        return None
    if state == "hung":
        while not (host.faults.hung_calls_resume and host.faults.hostd == "up"):
            await asyncio.sleep(0.2)
        return None
    if state == "late_failure":
        await asyncio.sleep(host.faults.hostd_silence)
    if program == "esxcli":
        await output.out(host.release.esxcli_down + "\n")
    elif state == "late_failure":
        await output.err(_HANDSHAKE_FAILURE)
    else:
        await output.err(host.release.vim_cmd_down + "\n")
    return 1


def _spoil(output: Output, bad: BadAnswer) -> None:
    if bad.kind == "empty":
        output.parts = []
    elif bad.kind == "half":
        output.parts = first_half(output.parts)
    elif bad.kind == "garbage":
        output.parts = [("out", _GARBAGE)]
    else:
        raise ValueError("unknown kind of bad answer: %r" % bad.kind)


async def _deliver_before_cut(host: Host, call: Call, output: Output, cut: LineCut) -> None:
    """Let through what the cut lets through, then cut."""
    parts = {"before": [], "silent": [], "dead": [], "middle": first_half(output.parts),
             "after": output.parts}[cut.when]
    for stream, text in parts:
        await print_part(call, stream, text)
    if parts:
        await asyncio.sleep(0.05)  # from the shell's pipe through ssh to the client
    if cut.when in ("silent", "dead"):
        host.silence_session(call.session, dead=cut.when == "dead")
        await call.hang()
    await _cut_line(host, call)


async def _cut_line(host: Host, call: Call) -> int:
    host.drop_session(call.session)
    return await call.hang()


async def _small_command(host: Host, output: Output, argv: List[str]) -> int:
    """`vmware -v` and `/etc/init.d/hostd status`; not counted."""
    if argv[0] == "vmware":
        await output.out("VMware ESXi %s build-%s\n" % (host.release.product, host.release.build))
        return 0
    if argv[1:] == ["restart"]:
        host.set_hostd("up")
        await output.out("hostd started.\n")
        return 0
    alive = host.faults.hostd in ("up", "hung", "late_failure")
    await output.out("hostd is running.\n" if alive else "hostd is not running.\n")
    return 0 if alive else 3


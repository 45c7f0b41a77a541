"""The command line: `python3 -m esxi_sim`, or `esxi-sim` where it is installed."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, Callable, List, Optional

from .control import ControlSocket, as_dict, ask, request_from_words, set_value, vm_from_dict
from .host import Host
from .releases import RELEASES
from .replay import replay
from .vms import POWERS, VM

_EXAMPLES = """
examples:
  python3 -m esxi_sim --vm node1 --vm db:off --port 2222
      then: ssh -p 2222 root@127.0.0.1 vim-cmd vmsvc/getallvms     (password VMware1!)
  python3 -m esxi_sim --count 1024 --latency 0.3 --release 8.0
  python3 -m esxi_sim --vm node1 --control /tmp/esxi.sock
      then: python3 -m esxi_sim ctl /tmp/esxi.sock set node1.off=ignored hostd=hung
            python3 -m esxi_sim ctl /tmp/esxi.sock vms | commands | events | logins | clear
All switches and faults are described in README.md beside this program.
"""


def main(argv: Optional[List[str]] = None) -> int:
    """Run a host until SIGTERM or SIGINT, or talk to one (`ctl`). Returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == ["ctl"]:
        return _control(words[1:])
    return _serve(_parser().parse_args(words))


def _program() -> str:
    """How this program was called: by the command that a wheel installs, or as a module."""
    return "esxi-sim" if Path(sys.argv[0]).name == "esxi-sim" else "python3 -m esxi_sim"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(), epilog=_EXAMPLES.replace("python3 -m esxi_sim", _program()),
        description="A simulated standalone VMware ESXi host one can really ssh into.",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--release", choices=sorted(RELEASES), default="6.7", help="of ESXi (default 6.7)")
    add("--listen", metavar="ADDRESS", default="127.0.0.1", help="default 127.0.0.1")
    add("--port", type=int, default=0, help="default 0: a free one, printed at the start")
    add("--vm", metavar="NAME[:STATE]", action="append", default=[],
        help="a VM; STATE is on (default), off or suspended; may be given often")
    add("--vms", metavar="FILE.json", help="a JSON list of VMs: names, or objects (see README.md)")
    add("--count", metavar="N", type=int, default=0, help="N made-up VMs more, up to 1024 in all")
    add("--user", default="root", help="who may log in (default root)")
    add("--password", default="VMware1!", help="default VMware1!")
    add("--password-file", metavar="FILE", help="its first line is the password")
    add("--authorized-keys", metavar="FILE", help="in OpenSSH's format, options are honoured")
    add("--latency", metavar="SECONDS", type=float, default=0.0,
        help="each vim-cmd, esxcli or localcli takes so long")
    add("--set", metavar="[VM.]FIELD=VALUE", action="append", default=[],
        help="a fault or switch from the start on, as for ctl; may be given often")
    add("--power-hook", metavar="PROGRAM", help="run as PROGRAM NAME STATE at each power change")
    add("--replay", metavar="FILE", help="say what a host said: a recording of esxi-fence-check")
    add("--record", metavar="FILE", help="append a JSON line for each host command and power event")
    add("--control", metavar="SOCKET", help="a unix socket for ctl")
    add("--busybox", metavar="FILE",
        help="a static busybox with ash and nc (default: $ESXI_SIM_BUSYBOX, or the one in PATH)")
    return parser


def _vms(options: argparse.Namespace) -> List[VM]:
    vms = [_vm_from_word(word) for word in options.vm]
    if options.vms:
        entries = json.loads(Path(options.vms).read_text(encoding="utf-8"))
        vms += [VM(e) if isinstance(e, str) else vm_from_dict(e) for e in entries]
    vms += [VM("vm%04d" % number) for number in range(1, options.count + 1)]
    return vms


def _vm_from_word(word: str) -> VM:
    name, _, power = word.rpartition(":")
    return VM(name, power=power) if name and power in POWERS else VM(word)


def _password(options: argparse.Namespace) -> str:
    if options.password_file:
        return Path(options.password_file).read_text(encoding="utf-8").split("\n")[0]
    return options.password


def _serve(options: argparse.Namespace) -> int:
    keys = Path(options.authorized_keys).read_text() if options.authorized_keys else ""
    try:
        host = Host(options.release, _vms(options), _password(options), options.listen,
                    options.port, power_program=options.power_hook, latency=options.latency,
                    authorized_keys=keys, user=options.user, busybox=options.busybox)
        if options.replay:
            replay(host, Path(options.replay))
    except (OSError, ValueError) as problem:
        print("esxi_sim: %s" % problem, file=sys.stderr)
        return 2
    if options.record:
        host.listeners.append(_recorder(options.record))
    # A pipe: a handler that sets a threading.Event may wait for a lock its own thread holds.
    end, told = os.pipe()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: os.write(told, b"."))
    try:
        _set_switches(host, options.set, of_vms=False)
        host.start()
        _set_switches(host, options.set, of_vms=True)
        _run_until(end, host, options)
    except (OSError, RuntimeError, ValueError, KeyError) as problem:
        print("esxi_sim: %s" % (problem.args[0] if isinstance(problem, KeyError) else problem),
              file=sys.stderr)
        return 1
    finally:
        host.stop()
    return 0


def _set_switches(host: Host, words: List[str], of_vms: bool) -> None:
    """Set the host's switches before it starts, those of its VMs when there are any."""
    for vm_name, field, value in request_from_words(["set", *words])["what"]:
        if bool(vm_name) == of_vms:
            set_value(host, vm_name, field, value)


def _run_until(end: int, host: Host, options: argparse.Namespace) -> None:
    control = ControlSocket(host, Path(options.control)) if options.control else None
    try:
        address = "[%s]" % host.address if ":" in host.address else host.address
        print("listening on %s:%d" % (address, host.port), flush=True)
        os.read(end, 1)
    finally:
        if control:
            control.close()


def _recorder(path: str) -> Callable[[Any], None]:
    lock = threading.Lock()

    def record(news: Any) -> None:
        line = json.dumps(as_dict(news)) + "\n"
        with lock, open(path, "a", encoding="utf-8") as out:
            out.write(line)

    return record


def _control(words: List[str]) -> int:
    if len(words) < 2:
        print("usage: " + _program() + " ctl SOCKET set [VM.]FIELD=VALUE... | vms | commands | "
              "record | events | logins | clear | unregister VM | reregister VM | invalidate VM | "
              "rename VM NAME | copy VM [FIELD=VALUE...] | add JSON | new-host-key [rsa] | drop",
              file=sys.stderr)
        return 2
    try:
        answer = ask(words[0], request_from_words(words[1:]))
    except (OSError, RuntimeError, ValueError, IndexError) as problem:
        print("esxi_sim: %s" % problem, file=sys.stderr)
        return 1
    if isinstance(answer, list):
        for item in answer:
            print(item if isinstance(item, str) else json.dumps(item))
    elif answer is not None:
        print(json.dumps(answer))
    return 0

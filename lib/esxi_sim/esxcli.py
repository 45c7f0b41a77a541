"""What `esxcli vm process list|kill` and `localcli` of the same do and print (facts: 6)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Dict, List, Optional, Tuple

from .vms import VM, uuid_with_blanks

if TYPE_CHECKING:
    from .host import Host
    from .output import Output

_FIELDS = ("World ID", "Process ID", "VMX Cartel ID", "UUID", "Display Name", "Config File")
_KILLS = ("soft", "hard", "force")


async def run(host: Host, out: Output, arguments: List[str]) -> int:
    """Carry out one esxcli or localcli call."""
    options, words = _split(arguments)
    if words == ["vm", "process", "list"]:
        return await _process_list(host, out, options.get("formatter", "simple"))
    if words == ["vm", "process", "kill"]:
        return await _process_kill(host, out, options)
    await out.out("Error: Unknown command or namespace %s\n" % " ".join(words))
    return 1


_LONG = {"-t": "type", "--type": "type", "-w": "world-id", "--world-id": "world-id",
         "--formatter": "formatter", "--format-param": "format-param"}


def _split(arguments: List[str]) -> Tuple[Dict[str, str], List[str]]:
    """Options and words. `-t soft`, `-t=soft`, `--type soft`, `--type=soft` mean the same."""
    options: Dict[str, str] = {}
    words: List[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        key, equals, value = word.partition("=")
        if key in _LONG:
            options[_LONG[key]] = value if equals else (rest.pop(0) if rest else "")
        elif word.startswith("-"):
            options[word] = ""
        else:
            words.append(word)
    return options, words


def _values(host: Host, vm: VM) -> List[str]:
    world = vm.world_id or 0
    return [str(world), "0", str(world - 1), uuid_with_blanks(vm.uuid), vm.name,
            host.root.vmx_path(vm)]


async def _process_list(host: Host, out: Output, formatter: str) -> int:
    running = host.inventory.running()
    if formatter == "csv":
        await out.out(_as_csv([_values(host, vm) for vm in running]))
        return 0
    blocks = []
    for vm in running:
        fields = "".join("   %s: %s\n" % pair for pair in zip(_FIELDS, _values(host, vm)))
        blocks.append("%s\n%s\n" % (vm.name, fields))
    await out.out("".join(blocks))
    return 0


def _as_csv(rows: List[List[str]]) -> str:
    """open: header and quoting; without rows nothing is printed (facts: 6)."""
    if not rows:
        return ""
    names = [field.replace(" ", "") for field in _FIELDS]
    order = sorted(range(len(names)), key=names.__getitem__)
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator=",\n")
    writer.writerows([[cells[i] for i in order] for cells in [names, *rows]])
    return sink.getvalue()


async def _process_kill(host: Host, out: Output, options: Dict[str, str]) -> int:
    kind, world = options.get("type"), options.get("world-id")
    problem = _wrong_options(kind, world)
    if problem:
        await out.out(problem)
        return 1
    vm = host.inventory.by_world(int(world or 0))
    if vm is None:
        await out.out(host.faults.unknown_world_text.format(world=world) + "\n")
        return 1
    needed = vm.faults.kill_needs
    if needed != "never" and _KILLS.index(kind or "") >= _KILLS.index(needed):
        host.kill_later(vm.faults.kill_seconds, vm, out.cause)
    return 0


def _wrong_options(kind: Optional[str], world: Optional[str]) -> str:
    if kind is None:
        return "Error: Missing required parameter -t|--type\n"
    if world is None:
        return "Error: Missing required parameter -w|--world-id\n"
    if kind not in _KILLS:
        return "Error: Invalid value %s for -t|--type: one of soft, hard, force\n" % kind
    if not world.isdigit():
        return "Error: Invalid value %s for -w|--world-id: not a number\n" % world
    return ""

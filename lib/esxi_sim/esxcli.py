"""What `esxcli vm process list|kill` and `localcli` of the same do and print (facts: 6)."""

from __future__ import annotations

import functools
from typing import Dict, List, Optional, Tuple

from .output import Output
from .storage import vmx_path
from .vms import VM, Process, uuid_with_blanks
from .world import World

_FIELDS = ("World ID", "Process ID", "VMX Cartel ID", "UUID", "Display Name", "Config File")
_BLOCK = "".join("   %s: %%s\n" % field for field in _FIELDS)
_KILLS = ("soft", "hard", "force")


async def run(world: World, out: Output, arguments: List[str], layout: str = "esxcli") -> int:
    """Carry out one esxcli or localcli call; layout: see Faults.localcli_layout."""
    options, words = _split(tuple(arguments))
    if words == ["vm", "process", "list"]:
        _process_list(world, out, options.get("formatter", "simple"), layout)
        return 0
    if words == ["vm", "process", "kill"]:
        return _process_kill(world, out, options)
    out.out("Error: Unknown command or namespace %s\n" % " ".join(words))
    return 1


_LONG = {"-t": "type", "--type": "type", "-w": "world-id", "--world-id": "world-id",
         "--formatter": "formatter", "--format-param": "format-param"}


@functools.lru_cache(maxsize=256)
def _split(arguments: Tuple[str, ...]) -> Tuple[Dict[str, str], List[str]]:
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


def _values(process: Process) -> Tuple[str, ...]:
    vm = process.vm
    return (str(process.world), "0", str(process.cartel), uuid_with_blanks(vm.uuid), process.name,
            vmx_path(vm))


def _process_list(world: World, out: Output, formatter: str, layout: str) -> None:
    """The running VMs. Nothing running: no text at all (facts: 6)."""
    rows = [_values(vm.process) for vm in world.inventory.running() if vm.process]
    if not rows:
        return
    if formatter == "csv":
        out.out(_as_csv(rows))
    elif layout == "esxcli":
        out.out("".join(["%s\n%s\n" % (row[4], _BLOCK % row) for row in rows]))
    else:
        out.out("".join(["\n%s:\n%s" % (row[4], _BLOCK % row) for row in rows])
                + ("\n" if layout == "closed" else ""))


def _as_csv(rows: List[Tuple[str, ...]]) -> str:
    """Alphabetical columns, a comma after the last one too (facts: 11); quoting is open."""
    names = [field.replace(" ", "") for field in _FIELDS]
    order = sorted(range(len(names)), key=names.__getitem__)
    return "".join("".join(_csv_cell(cells[i]) + "," for i in order) + "\n"
                   for cells in [names, *rows])


def _csv_cell(text: str) -> str:
    return '"%s"' % text.replace('"', '""') if set(text) & set(',"\n') else text


def _process_kill(world: World, out: Output, options: Dict[str, str]) -> int:
    kind, number = options.get("type"), options.get("world-id")
    problem = _wrong_options(kind, number)
    if problem:
        out.out(problem)
        return 1
    if world.faults.read_only:
        out.out("Error: Permission to perform this operation was denied.\n")
        return 1
    vm: Optional[VM] = world.inventory.by_world(int(number or 0))
    if vm is None:
        out.out(world.faults.unknown_world_text.format(world=number) + "\n")
        return 1
    needed = vm.faults.kill_needs
    if needed != "never" and _KILLS.index(kind or "") >= _KILLS.index(needed):
        world.kill_later(vm.faults.kill_seconds, vm, out.cause)
    return 0


def _wrong_options(kind: Optional[str], number: Optional[str]) -> str:
    if kind is None:
        return "Error: Missing required parameter -t|--type\n"
    if number is None:
        return "Error: Missing required parameter -w|--world-id\n"
    if kind not in _KILLS:
        return "Error: Invalid value %s for -t|--type: one of soft, hard, force\n" % kind
    if not number.isdigit():
        return "Error: Invalid value %s for -w|--world-id: not a number\n" % number
    return ""

"""readlink and grep, over the links of the datastores and the .vmx files of the VMs.

Of either program only what is asked about these is spoken here, in the words of busybox; the shell
has its own for everything else.
"""

from __future__ import annotations

import functools
import re
from typing import Dict, FrozenSet, List, Optional, Pattern, Set, Tuple

from .output import Output
from .storage import VOLUMES, split_path, vmx_path, vmx_text, volume_uuid
from .vms import VM
from .world import World

_GREP_OPTIONS = set("isHhEFqlcvn")


def understands(argv: List[str]) -> bool:
    """Whether a readlink or grep is one that is carried out here."""
    if argv[0] == "readlink":
        return _readlink_path(argv[1:]) is not None
    options, words = _options_and_words(argv[1:])
    return (options <= _GREP_OPTIONS and len(words) > 1
            and all(path.endswith(".vmx") or path == "/dev/null" for path in words[1:]))


def _options_and_words(arguments: List[str]) -> Tuple[Set[str], List[str]]:
    options: Set[str] = set()
    for number, word in enumerate(arguments):
        if word == "--":
            return options, arguments[number + 1:]
        if not word.startswith("-") or word == "-":
            return options, arguments[number:]
        options |= set(word[1:])
    return options, []


# -- readlink ------------------------------------------------------------------------------


def _readlink_path(arguments: List[str]) -> Optional[str]:
    options, words = _options_and_words(arguments)
    if options <= {"f"} and len(words) == 1 and split_path(words[0]):
        return words[0]
    return None


async def readlink(world: World, out: Output, arguments: List[str]) -> int:
    """`readlink PATH` (one step, the link alone) or `readlink -f PATH` (looks at the target)."""
    path = _readlink_path(arguments) or ""
    volume, rest = split_path(path) or ("", "")
    if "-f" in arguments:
        return await _readlink_f(world, out, path, volume, rest.rstrip("/"))
    if rest or volume not in _links(world):
        return 1
    out.out(volume_uuid(volume) + "\n")
    return 0


def _links(world: World) -> FrozenSet[str]:
    """The names that are links to volumes now."""
    return world.datastores().difference(world.faults.gone_links)


async def _readlink_f(world: World, out: Output, path: str, volume: str, rest: str) -> int:
    if volume in world.faults.gone_links:
        if world.faults.gone_link_answer != "argument":
            return 1
        out.out(path + "\n")
        return 0
    if _blocks(world, path):
        return await out.hang()
    if volume in world.datastores():
        volume = volume_uuid(volume)
    resolved = VOLUMES + volume + ("/" + rest if rest else "")
    folder = resolved.rpartition("/")[0] + "/"
    known = [folder == VOLUMES, *(vmx_path(vm).startswith(folder) for vm in world.vms_on_disk())]
    if not any(known):  # more than the last part of the path is missing
        return 1
    out.out(resolved + "\n")
    return 0


def _blocks(world: World, path: str) -> bool:
    """Whether whoever looks at this path waits for a dead datastore (facts: 6)."""
    dead = world.faults.dead_datastores
    volume = (split_path(path) or ("",))[0]
    return bool(dead) and (volume in dead or volume in map(volume_uuid, dead))


# -- grep ----------------------------------------------------------------------------------


async def grep(world: World, out: Output, arguments: List[str]) -> int:
    """`grep [-isHhEFqlcvn] PATTERN FILE...`."""
    options, words = _options_and_words(arguments)
    pattern = _compiled(words[0], "F" in options, "i" in options)
    files = _files(world)
    name_files = "H" in options or (len(words) > 2 and "h" not in options)
    found, missing = False, False
    for path in words[1:]:
        if _blocks(world, path):
            return await out.hang()
        vm = files.get(_canonical(world, path))
        if vm is None and path != "/dev/null":
            missing = True
            if "s" not in options:
                out.err("grep: %s: No such file or directory\n" % path)
            continue
        lines = _matching(pattern, "v" in options, vm)
        found = found or bool(lines)
        _print(out, options, path, lines, name_files)
    return 2 if missing else 0 if found else 1


def _files(world: World) -> Dict[str, VM]:
    return {vmx_path(vm): vm for vm in world.vms_on_disk()}


def _canonical(world: World, path: str) -> str:
    """The path with its volume's UUID; a link that is gone leads nowhere."""
    parts = split_path(path)
    if parts is None or parts[0] not in world.datastores():
        return path
    if parts[0] in world.faults.gone_links:
        return ""
    return VOLUMES + volume_uuid(parts[0]) + "/" + parts[1]


def _matching(pattern: Pattern[str], inverted: bool, vm: Optional[VM]) -> List[Tuple[int, str]]:
    if vm is None:
        return []
    return [(number, line) for number, line in enumerate(vmx_text(vm).split("\n")[:-1], 1)
            if bool(pattern.search(line)) is not inverted]


def _print(out: Output, options: Set[str], path: str, lines: List[Tuple[int, str]],
           name_files: bool) -> None:
    if "q" in options:
        return
    head = path + ":" if name_files else ""
    if "l" in options:
        out.out(path + "\n" if lines else "")
    elif "c" in options:
        out.out("%s%d\n" % (head, len(lines)))
    else:
        out.out("".join(head + ("%d:" % number if "n" in options else "") + line + "\n"
                        for number, line in lines))


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str, fixed: bool, ignore_case: bool) -> Pattern[str]:
    """The pattern in Python's spelling: no class but [[:space:]] differs in what is used here."""
    text = re.escape(pattern) if fixed else pattern.replace("[[:space:]]", r"\s")
    return re.compile(text, re.IGNORECASE if ignore_case else 0)

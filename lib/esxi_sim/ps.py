"""VMware's own `ps`: every world of the host, read from the VMkernel without hostd (facts: 6a)."""

from __future__ import annotations

import functools
from typing import List, Tuple

from .output import Output
from .releases import Release
from .texts import stored
from .world import World

_HEADER = ("WID", "CID", "WorldName")
# The rows of a running VM with two processors, after its vmx and vmm0: how far from vmm0 the
# number is, whether it belongs to the cartel, what it is called (facts: 6a, 6.5).
_ROWS = (
    (1, False, "NetWorld-VM-%(world)d"), (2, False, "vmast.%(world)d"),
    (3, False, "vmm1:%(name)s"), (4, True, "vmx-vthread-6"), (5, True, "vmx-vthread-7:%(name)s"),
    (8, True, "vmx-mks:%(name)s"), (9, True, "vmx-svga:%(name)s"),
    (10, True, "vmx-vcpu-0:%(name)s"), (11, False, "LSI-%(world)d:0"),
    (13, True, "vmx-vcpu-1:%(name)s"))

# busybox's own, another layout altogether
_BUSYBOX = "PID   USER     TIME  COMMAND\n    1 root      0:03 init\n%5d root      0:00 ps\n"

Row = Tuple[str, str, str]


async def run(world: World, out: Output, arguments: List[str]) -> int:
    """Carry out one `ps`."""
    state = world.faults.ps
    if state == "absent":
        out.err("sh: ps: not found\n")
        return 127
    if state == "hung":
        return await out.hang()
    if state == "busybox":
        out.out(_BUSYBOX % 4711)
        return 0
    if arguments:  # open: usage and status (facts: 6a has the first line)
        out.err("ps: invalid option -- '%s'\n" % arguments[0].lstrip("-"))
        return 1
    processes = tuple((process.world, process.cartel, process.name)
                      for process in world.inventory.worlds_left())
    out.out(_table(processes, world.inventory.next_number, world.release))
    return 0


@functools.lru_cache(maxsize=4096)
def _table(processes: Tuple[Tuple[int, int, str], ...], youngest: int, release: Release) -> str:
    """The whole answer, in the order of the numbers, the worlds of this login last: they are the
    youngest of the host (made up; facts: 6a has no whole list)."""
    rows = [_HEADER, *_other_worlds(release)]
    for process in processes:
        rows += _rows_of(*process, release)
    rows += [(str(number), str(number), name)
             for number, name in enumerate(("sshd", "sh", "ps"), youngest)]
    return _laid_out(rows)


@functools.lru_cache(maxsize=None)
def _other_worlds(release: Release) -> Tuple[Row, ...]:
    rows = [line.split() for line in stored("ps-other-worlds.txt").splitlines()]
    return tuple((world, release.vmm_cartel if cartel == "kernel" else cartel, name)
                 for world, cartel, name in rows)


@functools.lru_cache(maxsize=4096)
def _rows_of(world: int, cartel: int, name: str, release: Release) -> Tuple[Row, ...]:
    words = {"world": world, "name": name.replace("\n", " ")}
    own, foreign = str(cartel), release.vmm_cartel
    return ((own, own, "vmx"), (str(world), foreign, "vmm0:%(name)s" % words),
            *((str(world + distance), own if of_cartel else foreign, title % words)
              for distance, of_cartel, title in _ROWS))


def _laid_out(rows: List[Row]) -> str:
    """A column is as wide as its widest cell; columns are two blanks apart (facts: 6a)."""
    wids, cids, names = zip(*rows)
    layout = "%%-%ds  %%-%ds  %%s" % (max(map(len, wids)), max(map(len, cids)))
    return "\n".join([layout % row for row in zip(wids, cids, names)]) + "\n"

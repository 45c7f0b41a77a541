"""VMware's own `ps`: every world of the host, read from the VMkernel without hostd (facts: 6a)."""

from __future__ import annotations

import functools
from typing import List, Tuple

from .output import Output
from .releases import Release
from .texts import stored
from .vms import Process
from .world import World

_HEADER = ("WID", "CID", "WorldName")
# The rows of a running VM with two processors, after its vmx and vmm0: how far from vmm0 the
# number is, whether it belongs to the cartel, what it is called (facts: 6a, 6.5).
_ROWS = (
    (1, False, "NetWorld-VM-%(world)d"), (2, False, "vmast.%(world)d"),
    (3, False, "vmm1:%(name)s"), (4, True, "vmx-vthread-6"), (5, True, "vmx-vthread-7:%(name)s"),
    (6, True, "vmx-mks:%(name)s"), (7, True, "vmx-svga:%(name)s"),
    (8, True, "vmx-vcpu-0:%(name)s"), (9, False, "LSI-%(world)d:0"),
    (10, True, "vmx-vcpu-1:%(name)s"))

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
    rows = list(_other_worlds(world.release))
    for process in world.inventory.worlds_left():
        rows += _rows_of(process, world.release)
    out.out(_laid_out(rows))
    return 0


@functools.lru_cache(maxsize=None)
def _other_worlds(release: Release) -> Tuple[Row, ...]:
    rows = [line.split() for line in stored("ps-other-worlds.txt").splitlines()]
    return tuple((world, release.vmm_cartel if cartel == "kernel" else cartel, name)
                 for world, cartel, name in rows)


def _rows_of(process: Process, release: Release) -> List[Row]:
    cartel = str(process.cartel)
    words = {"world": process.world, "name": process.name.replace("\n", " ")}
    rows = [(cartel, cartel, "vmx"),
            (str(process.world), release.vmm_cartel, "vmm0:%(name)s" % words)]
    for distance, of_cartel, name in _ROWS:
        rows.append((str(process.world + distance), cartel if of_cartel else release.vmm_cartel,
                     name % words))
    return rows


def _laid_out(rows: List[Row]) -> str:
    """A column is as wide as its widest cell; columns are two blanks apart (facts: 6a)."""
    rows = [_HEADER, *rows]
    wid = max(len(row[0]) for row in rows)
    cid = max(len(row[1]) for row in rows)
    return "".join(["%-*s  %-*s  %s\n" % (wid, w, cid, c, name) for w, c, name in rows])

"""Set a simulated host up as a schedule says, the same for virtual time and for end to end."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

from esxi_sim import VM, BadAnswer, LineCut, VMFaults
from esxi_sim.vms import uuid_hex

from .schedule import NEIGHBOURS, TARGET, UNKNOWN_PLUG, Schedule

CUTS = ("before_run", "before", "middle", "after", "silent", "dead")
SPOILT = ("empty", "half", "garbage", "hang", "hang_after")
# further ways a command ends: what it prints, its exit status; anything else is printed as it is
SAYINGS = {
    "absent": ("sh: this command: not found\n", 127),
    "denied": ("(vim.fault.NoPermission) {\n   msg = \"Permission to perform this operation was "
               "denied.\"\n}\n", 1),
    "not allowed": ("this key may not do that\n", 77),
    "no such VM": ("(vim.fault.NotFound) {\n   faultCause = (vmodl.MethodFault) null, \n"
                   "   faultMessage = <unset>\n   msg = \"Unable to find a VM corresponding to "
                   "\"1\"\"\n}\n", 1),
}
CLONED = "564d4c8e-6344-e889-9560-8d4f008dc749"  # the UUID of two VMs
ROW = "%d      %s   [datastore1] node1/node1.vmx   centos8_64Guest   vmx-13   "
SUMMARY = """moved
   config = (vim.vm.Summary.ConfigSummary) {
      name = "node1",
      template = false,
      vmPathName = "[datastore1] node1/node1.vmx",
      uuid = "%s",
      annotation = "",
   },"""


class Stage:
    """Who is on the host, and whom the agent is asked about.

    vms: all of them, in the order of their registration; target, neighbours, twin: who is who.
    """

    def __init__(self, schedule: Schedule):
        self.schedule = schedule
        self.target = VM(TARGET, power=schedule.power, invalid=schedule.invalid,
                         faults=VMFaults(**schedule.vm))
        self.neighbours = [VM(name) for name in NEIGHBOURS[:schedule.neighbours]]
        before, after = self.neighbours[:schedule.place], self.neighbours[schedule.place:]
        self.vms = [*before, self.target, *after]
        self.twin: Optional[VM] = None
        if schedule.twin in ("registered", "unlisted", "invalid"):
            self.twin = VM(TARGET, datastore="datastore2", registered=schedule.twin != "unlisted",
                           invalid=schedule.twin == "invalid")
            self.vms.append(self.twin)
        elif schedule.twin == "clone":
            self.target.uuid = uuid_hex(CLONED)
            self.twin = VM("node1 clone", datastore="datastore2", uuid=CLONED)
            self.vms.append(self.twin)

    def set(self, world: Any) -> None:
        """Prepare a world or a Host that holds the vms and has the switches of schedule.host."""
        schedule = self.schedule
        if schedule.twin.endswith(("copy", "double")):
            self.twin = _copy(world, self.target, schedule.twin)
        _forge(world, schedule.forged, self.target, self.neighbours)
        for command, what, times, first in schedule.bad:
            _spoil(world.faults, command, what, times, first)
        for what, count in schedule.admin:
            _later(world, count, lambda what=what: self._administer(world, what))
        if schedule.invalid_after is not None:
            _later(world, schedule.invalid_after, lambda: world.invalidate(self.target))
        if schedule.datastore:
            _later(world, schedule.datastore_after, lambda: self._lose_datastore(world))
        if schedule.hostd != "up":
            _later(world, schedule.hostd_after, lambda: world.set_hostd(
                schedule.hostd, recover_after=schedule.hostd_seconds))

    def plug(self) -> str:
        """The plugs as the agent is given them."""
        words = {"name": TARGET, "uuid": self.target.uuid, "vc_uuid": self.target.vc_uuid,
                 "unknown": UNKNOWN_PLUG, "neighbour": NEIGHBOURS[0]}
        return ",".join([words[how] for how in self.schedule.plugs])

    def meant(self) -> Dict[str, Optional[VM]]:
        """The VM that each plug means, None for a plug that is nobody's."""
        return {how: {"unknown": None, "neighbour": (self.neighbours or [None])[0]}.get(
            how, self.target) for how in self.schedule.plugs}

    def _lose_datastore(self, world: Any) -> None:
        if self.schedule.datastore == "dead":
            world.kill_datastore(self.target.datastore)
        else:
            world.faults.gone_links.append(self.target.datastore)

    def _administer(self, world: Any, what: str) -> None:
        """What another administrator may do in the middle of a run."""
        target = self.target
        if what in ("on", "off"):
            target.power = what
        elif what == "suspend":
            world.suspend(target)
        elif what == "rename":
            world.rename(target, "node1 (moved)")
        elif what == "rename process":  # as if the VM was renamed, and its process was not (open)
            if target.process:
                target.process.name = "node1 before"
        elif what == "rename neighbour":
            for neighbour in self.neighbours[:1]:
                world.rename(neighbour, TARGET)
        elif what == "rename neighbour's process":  # as if it was the plug's once (open)
            for neighbour in self.neighbours[:1]:
                if neighbour.process:
                    neighbour.process.name = TARGET
        elif what == "reregister by its process":  # under the name that its process bears
            if target.process:
                target.name = target.process.name
            world.reregister(target)
        elif what in ("copy", "unlisted copy"):
            _copy(world, target, what)
        elif what == "register":
            for vm in [target, self.twin]:
                if vm and not vm.registered:
                    world.register(vm)
        else:
            getattr(world, what)(target)  # unregister, reregister


def _later(world: Any, count: int, action: Any) -> None:
    """Do it once `count` commands were answered, at once where that is 0."""
    if count > 0:
        world.after_commands(count, action)
    else:
        action()


def _copy(world: Any, target: VM, how: str) -> VM:
    return world.copy(target, registered=not how.startswith("unlisted"), running=True,
                      name=None if how.endswith("double") else "node1 copy")


def _spoil(faults: Any, command: str, what: str, times: int, first: int) -> None:
    if what in CUTS:
        faults.cuts.append(LineCut(command, what, first, times))
    elif what in SPOILT:
        faults.bad_answers.append(BadAnswer(command, what, times, after=first - 1))
    else:
        text, status = SAYINGS.get(what, (what, 0))
        faults.bad_answers.append(BadAnswer(command, "text", times, text, status, first - 1))


def _forge(world: Any, how: str, target: VM, neighbours: List[VM]) -> None:
    """Rows that are not what they seem.

    In a note, which spills onto lines of its own in the list of VMs (facts: 1.4): "note", the
    target's row under the neighbour's Vmid; "file", the neighbour's own row with the target's file
    in it; "table", a whole list of VMs in which the target is another one; "summary", the
    configuration section of the target's get.summary.
    "stale": a second row of the target under a Vmid nobody has. "repeat": its row twice.
    """
    if how == "stale":
        world.faults.extra_rows.append(ROW % (900, TARGET))
    elif how == "repeat":
        world.faults.row_repeats[target.vmid or 0] = 2
    elif how and neighbours:
        bearer = neighbours[0]
        vmid = bearer.vmid or 0
        bearer.note = {
            "note": "moved\n" + ROW % (vmid, TARGET),
            "file": "moved\n" + ROW % (vmid, bearer.name),
            "table": "moved\nVmid   Name   File   Guest OS   Version   Annotation\n"
                     + ROW % (900, TARGET) + "\n" + ROW % (vmid, TARGET),
            "summary": SUMMARY % target.uuid,
        }[how]



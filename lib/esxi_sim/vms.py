"""The VMs of the simulated host: what they are, their Vmids, their processes, their power."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional

from .faults import VMFaults

POWERS = ("on", "off", "suspended")


@dataclass(frozen=True)
class PowerEvent:
    """One change of a VM's power. time: seconds since the epoch; cause: who did it."""

    time: float
    name: str
    vmid: int
    old: str
    new: str
    cause: str


def uuid_hex(text: str) -> str:
    """The 32 hexadecimal digits of a UUID in any of its spellings (facts: 5)."""
    digits = re.sub(r"[\s-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise ValueError("not a UUID: %r" % text)
    return digits


def uuid_with_dashes(digits: str) -> str:
    """`564d36cf-6988-c91d-0f5f-a62628d46553`, as vim-cmd writes it (facts: 5)."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def uuid_with_blanks(digits: str) -> str:
    """`56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53`, as esxcli and .vmx do (facts: 5)."""
    pairs = [digits[i:i + 2] for i in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


class VM:
    """One registered VM.

    name: display name, free text. power: "on", "off" or "suspended": the truth, whatever hostd
    says; setting it is what another administrator would do. vmid: given out by the host when
    None. datastore: its name; "" is a VM under /var/run/crx with empty brackets (facts: 1.1).
    directory, vmx: folder and file name, made from the name when None. note: the annotation.
    guest, hardware: the Guest OS and Version columns. uuid: any spelling, made up when None.
    faults: a VMFaults.

    world_id: number of the running process, None when there is none.
    been_suspended: whether its .vmx keeps an (empty) checkpoint.vmState.
    """

    def __init__(self, name: str, power: str = "on", vmid: Optional[int] = None,
                 datastore: str = "datastore1", directory: Optional[str] = None,
                 vmx: Optional[str] = None, note: str = "", guest: str = "centos8_64Guest",
                 hardware: str = "vmx-13", uuid: Optional[str] = None,
                 faults: Optional[VMFaults] = None):
        if power not in POWERS:
            raise ValueError("power is one of %s, not %r" % (", ".join(POWERS), power))
        self.name = name
        self.vmid = vmid
        self.datastore = datastore
        safe_name = _file_name(name)
        self.directory = directory if directory is not None else safe_name
        self.vmx = vmx if vmx is not None else safe_name + ".vmx"
        self.note = note
        self.guest = guest
        self.hardware = hardware
        self.uuid = uuid_hex(uuid) if uuid else ""
        self.faults = faults or VMFaults()
        self.world_id: Optional[int] = None
        self.been_suspended = power == "suspended"
        self.question_asked = False
        self.question_cause = ""
        self.power_generation = 0
        self._power = power
        self._room: Optional[Inventory] = None
        self._stale_until = 0.0

    @property
    def power(self) -> str:
        """The truth about its power: "on", "off" or "suspended"."""
        return self._power

    @power.setter
    def power(self, new: str) -> None:
        if self._room is None:
            self._power = new
        else:
            self._room.change_power(self, new, "another administrator")

    @property
    def hostd_power(self) -> str:
        """What hostd believes: the truth, or "on" for a while after a kill."""
        return "on" if time.monotonic() < self._stale_until else self._power

    @property
    def question_pending(self) -> bool:
        """Whether the VM waits for the answer to a question now."""
        return bool(self.faults.question) and (self.question_asked or self._power == "on")

    @property
    def powered_off_times(self) -> int:
        """How often its power went away since the host was started (or clear_record)."""
        return self._times("off")

    @property
    def powered_on_times(self) -> int:
        """How often it was powered on since the host was started (or clear_record)."""
        return self._times("on")

    def _times(self, new: str) -> int:
        events = self._room.events if self._room else []
        return sum(e.new == new and e.old != new and e.vmid == self.vmid for e in list(events))

    def __repr__(self) -> str:
        return "VM(%r, power=%r, vmid=%r)" % (self.name, self._power, self.vmid)


def _file_name(name: str) -> str:
    safe = name.replace("/", "_").replace("\n", "_")
    while len(safe.encode("utf-8", "surrogateescape")) > 200:
        safe = safe[:-1]
    return safe if safe not in ("", ".", "..") else "vm_" + safe


class Inventory:
    """The registered VMs and everything that happens to their power.

    Safe to use from several threads. on_change is called, under the lock, at each change of
    power with (vm, new); it must be quick.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.vms: Dict[int, VM] = {}
        self._unlisted: List[VM] = []
        self.events: List[PowerEvent] = []
        self.on_change: Callable[[VM, str], None] = lambda vm, new: None
        self._next_vmid = 1
        self._next_world = 2097152

    def register(self, vm: VM) -> int:
        """Take a VM in, under its Vmid or a new one; returns the Vmid."""
        with self.lock:
            if vm.vmid is None:
                while self._next_vmid in self.vms:
                    self._next_vmid += 1
                vm.vmid = self._next_vmid
            elif vm.vmid in self.vms:
                raise ValueError("Vmid %d is taken" % vm.vmid)
            self._next_vmid = max(self._next_vmid, vm.vmid + 1)
            if not vm.uuid:
                seed = "%s %s %s" % (vm.name, vm.vmid, vm.directory)
                vm.uuid = "564d" + hashlib.md5(
                    seed.encode("utf-8", "surrogateescape")).hexdigest()[4:]
            vm._room = self
            if vm.power == "on" and vm.world_id is None:
                self._start_process(vm)
            self.vms[vm.vmid] = vm
            self._unlisted = [other for other in self._unlisted if other is not vm]
            return vm.vmid

    def unregister(self, vm: VM) -> None:
        """Forget a VM. A running process runs on."""
        with self.lock:
            if vm.vmid is not None and self.vms.pop(vm.vmid, None) is not None:
                self._unlisted.append(vm)

    def reregister(self, vm: VM) -> int:
        """Unregister and register again: the VM gets a new Vmid (facts: 1.2)."""
        with self.lock:
            self.unregister(vm)
            vm.vmid = None
            return self.register(vm)

    def listed(self) -> List[VM]:
        """All VMs, sorted by Vmid as a string (facts: 1.2)."""
        with self.lock:
            return sorted(self.vms.values(), key=lambda vm: str(vm.vmid))

    def running(self) -> List[VM]:
        """The VMs that have a process, registered or not, by world ID."""
        with self.lock:
            known = [*self.vms.values(), *self._unlisted]
            found = [vm for vm in known if vm.world_id is not None]
        return sorted(found, key=lambda vm: vm.world_id or 0)

    def by_name(self, name: str) -> VM:
        """The VM of that display name; KeyError when there is none or more than one."""
        with self.lock:
            found = [vm for vm in self.vms.values() if vm.name == name]
        if len(found) != 1:
            raise KeyError("%d VMs are named %r" % (len(found), name))
        return found[0]

    def by_world(self, world: int) -> Optional[VM]:
        """The VM whose process has that world ID, or None."""
        return next((vm for vm in self.running() if vm.world_id == world), None)

    def change_power(self, vm: VM, new: str, cause: str) -> None:
        """Make a VM's power `new`; nothing happens when it is that already."""
        if new not in POWERS:
            raise ValueError("power is one of %s, not %r" % (", ".join(POWERS), new))
        with self.lock:
            old = vm._power
            if old == new:
                return
            vm._power = new
            vm._stale_until = 0.0
            vm.power_generation += 1
            vm.question_asked = False
            vm.been_suspended = vm.been_suspended or new == "suspended"
            if new == "on":
                self._start_process(vm)
            else:
                vm.world_id = None
            self._note(vm, old, new, cause)

    def reset(self, vm: VM, cause: str) -> None:
        """Reset a running VM: same process, the guest starts anew (facts: 3.2)."""
        with self.lock:
            self._note(vm, "on", "reset", cause)

    def kill(self, vm: VM, cause: str) -> None:
        """End a VM's process behind hostd's back; hostd may notice late."""
        with self.lock:
            if vm.power == "on":
                self.change_power(vm, "off", cause)
                vm._stale_until = time.monotonic() + vm.faults.stale_seconds

    def _note(self, vm: VM, old: str, new: str, cause: str) -> None:
        self.events.append(PowerEvent(time.time(), vm.name, vm.vmid or 0, old, new, cause))
        self.on_change(vm, new)

    def _start_process(self, vm: VM) -> None:
        # Worlds of a VM lie close together and are never given out twice (facts: 6).
        self._next_world += 7
        vm.world_id = self._next_world

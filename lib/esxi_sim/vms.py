"""The VMs of the simulated host: what they are, their Vmids, their processes, their power."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional

from .clock import Clock
from .faults import VMFaults

POWERS = ("on", "off", "suspended")
# World ID minus VMX Cartel ID, as seen on real hosts: there is no rule (facts: 6a)
_CARTEL_TO_WORLD = (1, 2, 5, 3, 32, 1, 4, 11, 6, 59)
_ROWS_OF_A_PROCESS = 16


@dataclass(frozen=True)
class PowerEvent:
    """One change of a VM's power. time: of the world's clock; cause: who did it.

    serial: which VM it is, whatever it is called then.
    """

    time: float
    name: str
    vmid: int
    old: str
    new: str
    cause: str
    serial: int = 0


@functools.lru_cache(maxsize=4096)
def uuid_hex(text: str) -> str:
    """The 32 hexadecimal digits of a UUID in any of its spellings (facts: 5)."""
    digits = re.sub(r"[\s-]", "", text).lower()
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise ValueError("not a UUID: %r" % text)
    return digits


def uuid_with_dashes(digits: str) -> str:
    """`564d36cf-6988-c91d-0f5f-a62628d46553`, as vim-cmd writes it (facts: 5)."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


@functools.lru_cache(maxsize=4096)
def uuid_with_blanks(digits: str) -> str:
    """`56 4d 36 cf 69 88 c9 1d-0f 5f a6 26 28 d4 65 53`, as esxcli and .vmx do (facts: 5)."""
    pairs = [digits[i:i + 2] for i in range(0, 32, 2)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])


class Process:
    """The process of a running VM.

    world: its World ID, the world of vmm0; cartel: its VMX Cartel ID, the pid of vmx. There is no
    rule that leads from one to the other (facts: 6a). name: the display name it bears.
    """

    __slots__ = ("world", "cartel", "name", "vm")

    def __init__(self, world: int, cartel: int, name: str, vm: VM):
        self.world = world
        self.cartel = cartel
        self.name = name
        self.vm = vm


class VM:
    """One VM.

    name: display name, free text. power: "on", "off" or "suspended": the truth, whatever hostd
    says; setting it is what another administrator would do. vmid: given out by the host when
    None. datastore: its name; "" is a VM under /var/run/crx with empty brackets (facts: 1.1).
    directory, vmx: folder and file name, made from the name when None. note: the annotation.
    guest, hardware: the Guest OS and Version columns. uuid: the BIOS UUID, any spelling, made up
    when None. guest_host: what the guest calls itself, shown by get.summary. faults: a VMFaults.
    registered: False: hostd does not know it, as one that was started by its file or left behind;
    its process runs all the same (facts: 6a). invalid: hostd has lost its configuration: see
    World.invalidate.

    process: the running Process, None when there is none; world_id: its World ID.
    serial: which VM it is, whatever its name and Vmid. been_suspended: whether its .vmx keeps an
    (empty) checkpoint.vmState. vmx_missing: its file is gone.
    """

    def __init__(self, name: str, power: str = "on", vmid: Optional[int] = None,
                 datastore: str = "datastore1", directory: Optional[str] = None,
                 vmx: Optional[str] = None, note: str = "", guest: str = "centos8_64Guest",
                 hardware: str = "vmx-13", uuid: Optional[str] = None,
                 faults: Optional[VMFaults] = None, guest_host: str = "",
                 registered: bool = True, invalid: bool = False):
        _check_power(power)
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
        self.guest_host = guest_host
        self.registered = registered
        self.invalid = invalid
        self.process: Optional[Process] = None
        self.serial = 0
        self.been_suspended = power == "suspended"
        self.vmx_missing = False
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
    def world_id(self) -> Optional[int]:
        """The World ID of its process, None when there is none."""
        return self.process.world if self.process else None

    @property
    def vc_uuid(self) -> str:
        """vc.uuid, another UUID than the BIOS UUID; its digits (facts: 5)."""
        return "52" + self.uuid[2:]

    @property
    def hostd_power(self) -> str:
        """What hostd believes of a VM that is valid: the truth, or "on" for a while after a
        kill."""
        room = self._room
        return "on" if room and room.clock.monotonic() < self._stale_until else self._power

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
        return sum(e.new == new and e.old != new and e.serial == self.serial
                   for e in list(events))

    def __repr__(self) -> str:
        return "VM(%r, power=%r, vmid=%r)" % (self.name, self._power, self.vmid)


def _check_power(power: str) -> None:
    if power not in POWERS:
        raise ValueError("power is one of %s, not %r" % (", ".join(POWERS), power))


@functools.lru_cache(maxsize=4096)
def _file_name(name: str) -> str:
    safe = name.replace("/", "_").replace("\n", "_")
    while len(safe.encode("utf-8", "surrogateescape")) > 200:
        safe = safe[:-1]
    return safe if safe not in ("", ".", "..") else "vm_" + safe


@functools.lru_cache(maxsize=4096)
def _made_up_uuid(name: str, vmid: Optional[int], directory: str) -> str:
    seed = "%s %s %s" % (name, vmid, directory)
    return "564d" + hashlib.md5(seed.encode("utf-8", "surrogateescape")).hexdigest()[4:]


class Inventory:
    """All VMs, those hostd knows by their Vmids, and everything that happens to their power.

    vms: the registered ones. events: every change of power so far. owners: whose process each
    World ID ever given out was. next_number: of the next world that starts. on_power is called at
    each change of power with (vm, event), on_file with the VM whenever its .vmx has changed; they
    must be quick. reuse_worlds says whether numbers of processes that ended are given out again.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.vms: Dict[int, VM] = {}
        self.events: List[PowerEvent] = []
        self.owners: Dict[int, VM] = {}
        self.on_power: Callable[[VM, PowerEvent], None] = _nothing
        self.on_file: Callable[[VM], None] = _nothing
        self.reuse_worlds: Callable[[], bool] = lambda: False
        self._known: List[VM] = []
        self._dying: List[tuple[Process, float]] = []
        self._freed: List[tuple[int, int]] = []
        self._next_vmid = 1
        self.next_number = 2097158

    # -- who is there ----------------------------------------------------------------------

    def register(self, vm: VM) -> int:
        """Take a VM in, under its Vmid or a new one; returns the Vmid."""
        with self.clock.alone:
            if vm.vmid is None:
                while self._next_vmid in self.vms:
                    self._next_vmid += 1
                vm.vmid = self._next_vmid
            elif vm.vmid in self.vms:
                raise ValueError("Vmid %d is taken" % vm.vmid)
            self._next_vmid = max(self._next_vmid, vm.vmid + 1)
            self._get_to_know(vm)
            vm.registered = True
            self.vms[vm.vmid] = vm
            return vm.vmid

    def add_unlisted(self, vm: VM) -> None:
        """A VM that hostd does not know, as one started by its file (facts: 6a)."""
        with self.clock.alone:
            self._get_to_know(vm)
            vm.registered = False

    def _get_to_know(self, vm: VM) -> None:
        if not vm.uuid:
            vm.uuid = _made_up_uuid(vm.name, vm.vmid, vm.directory)
        if vm._room is None:
            vm._room = self
            self._known.append(vm)
            vm.serial = len(self._known)
        if vm.power == "on" and vm.process is None:
            self._start_process(vm)
        self.on_file(vm)

    def unregister(self, vm: VM) -> None:
        """hostd forgets a VM. A running process runs on."""
        with self.clock.alone:
            if vm.vmid is not None and self.vms.get(vm.vmid) is vm:
                del self.vms[vm.vmid]
            vm.registered = False

    def reregister(self, vm: VM) -> int:
        """Unregister, where it is registered, and register: a new Vmid (facts: 1.2)."""
        with self.clock.alone:
            self.unregister(vm)
            vm.vmid = None
            vm.invalid = False
            return self.register(vm)

    def listed(self) -> List[VM]:
        """The registered VMs, sorted by Vmid as a string (facts: 1.2)."""
        with self.clock.alone:
            return sorted(self.vms.values(), key=lambda vm: str(vm.vmid))

    def known(self) -> List[VM]:
        """All VMs whose files are on the host, registered or not."""
        return list(self._known)

    def by_name(self, name: str) -> VM:
        """The registered VM of that display name; KeyError when there is none or more than one."""
        with self.clock.alone:
            found = [vm for vm in self.vms.values() if vm.name == name]
        if len(found) != 1:
            raise KeyError("%d VMs are named %r" % (len(found), name))
        return found[0]

    # -- processes -------------------------------------------------------------------------

    def running(self) -> List[VM]:
        """The VMs that have a process, registered or not, by World ID."""
        return sorted([vm for vm in self.known() if vm.process is not None],
                      key=lambda vm: vm.world_id or 0)

    def by_world(self, world: int) -> Optional[VM]:
        """The VM whose process has that World ID, or None."""
        return next((vm for vm in self.known() if vm.world_id == world), None)

    def worlds_left(self) -> List[Process]:
        """The processes whose worlds `ps` still shows: the running ones, and those that ended a
        moment ago and linger there (VMFaults.ps_seconds)."""
        now = self.clock.monotonic()
        self._dying = [entry for entry in self._dying if entry[1] > now]
        alive = [vm.process for vm in self.known() if vm.process is not None]
        return sorted(alive + [process for process, _ in self._dying], key=lambda p: p.cartel)

    def _start_process(self, vm: VM) -> None:
        if self._freed and self.reuse_worlds():
            world, cartel = self._freed.pop(0)
        else:
            cartel = self.next_number
            world = cartel + _CARTEL_TO_WORLD[len(self.owners) % len(_CARTEL_TO_WORLD)]
            self.next_number = world + _ROWS_OF_A_PROCESS
        vm.process = Process(world, cartel, vm.name, vm)
        self.owners[world] = vm

    def _end_process(self, vm: VM) -> None:
        process, vm.process = vm.process, None
        if process is None:
            return
        self._freed.append((process.world, process.cartel))
        if vm.faults.ps_seconds > 0:
            self._dying.append((process, self.clock.monotonic() + vm.faults.ps_seconds))

    # -- power -----------------------------------------------------------------------------

    def change_power(self, vm: VM, new: str, cause: str) -> None:
        """Make a VM's power `new`; nothing happens when it is that already."""
        _check_power(new)
        with self.clock.alone:
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
                self._end_process(vm)
            if vm.been_suspended:
                self.on_file(vm)
            self._note(vm, old, new, cause)

    def reset(self, vm: VM, cause: str) -> None:
        """Reset a running VM: same process, the guest starts anew (facts: 3.2)."""
        with self.clock.alone:
            self._note(vm, "on", "reset", cause)

    def kill(self, vm: VM, cause: str) -> None:
        """End a VM's process behind hostd's back; hostd may notice late."""
        with self.clock.alone:
            if vm.power == "on":
                self.change_power(vm, "off", cause)
                vm._stale_until = self.clock.monotonic() + vm.faults.stale_seconds

    def _note(self, vm: VM, old: str, new: str, cause: str) -> None:
        event = PowerEvent(self.clock.now, vm.name, vm.vmid or 0, old, new, cause, vm.serial)
        self.events.append(event)
        self.on_power(vm, event)


def _nothing(*_args: Any) -> None:
    pass

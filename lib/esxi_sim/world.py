"""A world: the VMs of one ESXi host, hostd, its datastores, its faults, and the record of it all.

It knows nothing of ssh, files, threads or wall time; its clock is handed in. What can be said to
it in a shell is in door.py; Host (host.py) puts an ssh server around it, VirtualLine (virtual.py)
a session in virtual time.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from typing import Any, Callable, FrozenSet, Iterable, List, Optional, Tuple, Union

from .clock import Clock, Event
from .faults import CommandHook, Faults
from .releases import RELEASES
from .storage import file_column
from .vms import VM, Inventory, PowerEvent

MAX_VMS = 1024
_AIMED_AT_A_VM = re.compile(r"vim-cmd /?vmsvc/power\.(?!getstate)\w+ (\d+)")
_AIMED_AT_A_WORLD = re.compile(
    r"(?:esxcli|localcli) .*vm process kill .*(?:-w|--world-id)[ =](\d+)")


@dataclass
class HostCommand:
    """One command the host ran. Times of the world's clock; ended and status are None while it
    runs and for ever when it was killed. connection: number of the ssh session. aim: serial of the
    VM that a power command or a kill was meant for by its number, whether or not it was carried
    out; None: of none."""

    started: float
    argv: List[str]
    connection: int
    ended: Optional[float] = None
    status: Optional[int] = None
    aim: Optional[int] = None

    @property
    def line(self) -> str:
        """The command as one line."""
        return " ".join(self.argv)


News = Union[HostCommand, PowerEvent]


class World:
    """One host's VMs and all that happens to them.

    clock: see clock.Clock. release: "5.5", "6.0", "6.7", "7.0", "8.0" or "9.0". vms: VMs or names.
    escape_names: names in tables have / \\ % as %2f %5c %25 (open, facts: 1.4).
    pad_by_bytes: getallvms pads by bytes instead of characters (open, facts: 1.4).
    on_command: called with each argv before anything else; an Answer it returns is printed instead.
    switches: any field of Faults, by its name (hostd="hung", ...).

    faults: the switches, to be set at any time. record: the commands so far. listeners: called
    with each HostCommand that has ended and each PowerEvent.
    """

    def __init__(self, clock: Clock, release: str = "6.7", vms: Iterable[Union[VM, str]] = (),
                 escape_names: bool = False, pad_by_bytes: bool = False,
                 on_command: Optional[CommandHook] = None, **switches: Any):
        unknown = switches.keys() - names_of_faults()
        if unknown:
            raise TypeError("unknown switch: %s" % ", ".join(sorted(unknown)))
        self.clock = clock
        self.release = RELEASES[release]
        self.faults = Faults(**switches)
        self.escape_names = escape_names
        self.pad_by_bytes = pad_by_bytes
        self.on_command = on_command
        self.inventory = Inventory(clock)
        self.inventory.reuse_worlds = lambda: self.faults.reuse_world_ids
        self.inventory.on_power = self._power_changed
        self.record: List[HostCommand] = []
        self.listeners: List[Callable[[News], None]] = []
        self._commands_until: List[Tuple[int, Callable[[], Any]]] = []
        self._hostd_commands: Optional[int] = None
        self._hostd_changes = 0
        self._sessions = 0
        self._register_first([VM(vm) if isinstance(vm, str) else vm for vm in vms])

    def _register_first(self, vms: List[VM]) -> None:
        if len(vms) > MAX_VMS:
            raise ValueError("at most %d VMs" % MAX_VMS)
        taken = {vm.vmid for vm in vms}
        free = 0
        for vm in vms:
            if vm.registered and vm.vmid is None:
                free += 1
                while free in taken:
                    free += 1
                vm.vmid = free
            self.add_vm(vm)

    # -- VMs -------------------------------------------------------------------------------

    @property
    def vms(self) -> List[VM]:
        """The registered VMs."""
        return self.inventory.listed()

    def vm(self, name: str) -> VM:
        """The registered VM of that display name; KeyError when there is none or more than one."""
        return self.inventory.by_name(name)

    def vm_by_id(self, vmid: int) -> VM:
        """The VM of that Vmid; KeyError when there is none."""
        return self.inventory.vms[vmid]

    def find_vm(self, vmid: str) -> Optional[VM]:
        """The VM a command names, or None."""
        return self.inventory.vms.get(int(vmid)) if vmid.isdecimal() and vmid.isascii() else None

    def vms_on_disk(self) -> List[VM]:
        """The VMs, registered or not, whose .vmx is there."""
        return [vm for vm in self.inventory.known() if not vm.vmx_missing]

    def datastores(self) -> FrozenSet[str]:
        """The names of the datastores."""
        return frozenset([vm.datastore for vm in self.inventory.known() if vm.datastore])

    def is_invalid(self, vm: VM) -> bool:
        """Whether hostd has lost the VM's configuration."""
        return vm.invalid or vm.vmid in self.faults.invalid_vms

    def shown_name(self, vm: VM) -> str:
        """The VM's name as vim-cmd prints it."""
        if not self.escape_names:
            return vm.name
        return vm.name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")

    def forged_row(self, vm: VM, vmid: Optional[int] = None, file_of: Optional[VM] = None) -> str:
        """A line that looks like the VM's own row in getallvms, for notes and stray rows.
        vmid, file_of: what it says instead of the VM's own Vmid and file."""
        return "   ".join([str(vm.vmid if vmid is None else vmid).ljust(4), self.shown_name(vm),
                           file_column(file_of or vm), vm.guest, vm.hardware, ""])

    # -- what an administrator does, also in the middle of a run ---------------------------

    def add_vm(self, vm: Union[VM, str]) -> VM:
        """Take a VM in, registered unless it says otherwise."""
        vm = VM(vm) if isinstance(vm, str) else vm
        if vm.registered:
            self.inventory.register(vm)
        else:
            self.inventory.add_unlisted(vm)
        return vm

    def suspend(self, vm: VM) -> None:
        """Suspend a VM; a switched-off one stays off."""
        if vm.power == "on":
            vm.power = "suspended"

    def unregister(self, vm: VM) -> None:
        """Take a VM out of the inventory; its files stay and its process runs on unlisted."""
        self.inventory.unregister(vm)

    def register(self, vm: VM) -> int:
        """Register a VM that is unlisted; returns its new Vmid (facts: 1.2)."""
        return self.inventory.reregister(vm)

    def reregister(self, vm: VM) -> int:
        """Unregister and register a VM: returns its new Vmid (facts: 1.2)."""
        return self.inventory.reregister(vm)

    def rename(self, vm: VM, name: str, process_too: bool = True) -> None:
        """Give a VM another display name; directory and .vmx keep the old one (facts: 1.4).
        process_too: whether its running process shows the new name from now on (open)."""
        with self.clock.alone:
            vm.name = name
            if vm.process and process_too:
                vm.process.name = name
            self.inventory.on_file(vm)

    def copy(self, vm: VM, datastore: str = "datastore2", registered: bool = True,
             running: bool = False, name: Optional[str] = None) -> VM:
        """Copy a VM's files to another datastore: same UUIDs, same paths below the volume
        (facts: 1.4). Returns the copy; name: its display name, None: the same."""
        return self.add_vm(VM(
            vm.name if name is None else name, "on" if running else "off", datastore=datastore,
            directory=vm.directory, vmx=vm.vmx, note=vm.note, guest=vm.guest, hardware=vm.hardware,
            uuid=vm.uuid, registered=registered))

    def invalidate(self, vm: VM) -> None:
        """hostd loses a VM's configuration, as when its datastore fails: "Skipping invalid VM" and
        no row, power.getstate says "Powered off", power commands are refused. Its process runs on
        (facts: 1.3, 3.2)."""
        vm.invalid = True

    def make_valid(self, vm: VM) -> None:
        """hostd finds the VM's configuration again."""
        vm.invalid = False

    def remove_vmx(self, vm: VM) -> None:
        """The VM's .vmx is gone."""
        with self.clock.alone:
            vm.vmx_missing = True
            self.inventory.on_file(vm)

    def kill_datastore(self, datastore: str, hostd: Optional[str] = None) -> None:
        """A datastore answers no more; hostd may hang or fall with it (facts: 6)."""
        if datastore not in self.faults.dead_datastores:
            self.faults.dead_datastores.append(datastore)
        if hostd:
            self.set_hostd(hostd)

    # -- truth and record ------------------------------------------------------------------

    @property
    def commands(self) -> List[str]:
        """The commands so far, as lines of text, in the order they were started."""
        return [entry.line for entry in list(self.record)]

    @property
    def power_events(self) -> List[PowerEvent]:
        """Every change of power so far."""
        return list(self.inventory.events)

    def clear_record(self) -> None:
        """Forget commands and power events so far."""
        self.record.clear()
        self.inventory.events.clear()

    def command_started(self, argv: List[str], line: str, session: int) -> HostCommand:
        """A command starts: its entry in the record."""
        entry = HostCommand(self.clock.now, argv, session, aim=self._aim(line))
        self.record.append(entry)
        return entry

    def _aim(self, line: str) -> Optional[int]:
        vm = None
        if line.startswith("vim-cmd"):
            found = _AIMED_AT_A_VM.match(line)
            vm = self.find_vm(found[1]) if found else None
        elif " kill " in line:
            found = _AIMED_AT_A_WORLD.match(line)
            vm = self.inventory.owners.get(int(found[1])) if found else None
        return vm.serial if vm else None

    def command_ended(self, entry: HostCommand, status: int) -> None:
        """A command is done, its answer printed."""
        entry.status, entry.ended = status, self.clock.now
        self._tell(entry)
        if self._commands_until:
            counted = [(left - 1, action) for left, action in self._commands_until]
            self._commands_until = [entry for entry in counted if entry[0] > 0]
            for left, action in counted:
                if left <= 0:
                    action()

    def _tell(self, news: News) -> None:
        for listener in list(self.listeners):
            listener(news)

    def new_session(self) -> int:
        """The number of one more ssh session."""
        self._sessions += 1
        return self._sessions

    # -- schedules -------------------------------------------------------------------------

    def after_seconds(self, seconds: float, action: Callable[[], Any]) -> None:
        """Do something later."""
        self.clock.call_later(seconds, action)

    def after_commands(self, count: int, action: Callable[[], Any]) -> None:
        """Do something as soon as `count` more commands have been answered."""
        self._commands_until.append((count, action))

    def set_hostd(self, state: str, recover_after: Optional[float] = None,
                  recover_after_commands: Optional[int] = None) -> None:
        """Make hostd "up", "hung", "down" or "late_failure"; up again after so many seconds, or
        after so many more commands have come to it."""
        self.faults.hostd = state
        self._hostd_commands = recover_after_commands
        self._hostd_changes += 1
        change = self._hostd_changes
        if recover_after is not None:
            self.after_seconds(recover_after, lambda: self._recover_hostd(change))

    def _recover_hostd(self, change: int) -> None:
        if self._hostd_changes == change:
            self.set_hostd("up")

    def hostd_for_next_command(self) -> str:
        """hostd's state for a command that has just come to it."""
        state = self.faults.hostd
        if state != "up" and self._hostd_commands is not None:
            if self._hostd_commands <= 0:
                self.set_hostd("up")
                return "up"
            self._hostd_commands -= 1
        return state

    def set_vim_cmd_absent(self, absent: bool) -> None:
        """Take vim-cmd, esxcli and localcli away, or bring them back."""
        self.faults.vim_cmd_absent = absent

    # -- power that changes by itself --------------------------------------------------------

    def change_power_later(self, seconds: float, vm: VM, new: str, cause: str) -> Event:
        """Change a VM's power after a while, unless something else changed it first. The event
        happens at that time."""
        generation = vm.power_generation
        done = self.clock.event()

        def change() -> None:
            if vm.power_generation == generation:
                self.inventory.change_power(vm, new, cause)
            done.set()

        self.clock.call_later(seconds, change)
        return done

    def kill_later(self, seconds: float, vm: VM, cause: str) -> None:
        """End a VM's process after a while, unless something else ended it first."""
        generation = vm.power_generation

        def kill() -> None:
            if vm.power_generation == generation:
                self.inventory.kill(vm, cause)

        if seconds > 0:
            self.clock.call_later(seconds, kill)
        else:
            kill()

    def ask_question(self, vm: VM, cause: str) -> None:
        """The VM asks its question; power.on waits for the answer (facts: 3.2)."""
        vm.question_asked = True
        vm.question_cause = cause

    def answer_question(self, vm: VM, cancel: bool) -> None:
        """A question was answered: a power.on that waited goes on, unless it was cancelled."""
        if vm.question_asked and not cancel and vm.power != "on":
            self.inventory.change_power(vm, "on", vm.question_cause)
        vm.question_asked = False

    def _power_changed(self, vm: VM, event: PowerEvent) -> None:
        self._tell(event)
        faults = vm.faults
        if event.new == "off" and faults.autostart is not None and faults.autostart_times > 0:
            faults.autostart_times -= 1
            generation = vm.power_generation
            self.after_seconds(faults.autostart, lambda: self._autostart(vm, generation))

    def _autostart(self, vm: VM, generation: int) -> None:
        if vm.power_generation == generation:
            self.inventory.change_power(vm, "on", "autostart")


@functools.lru_cache(maxsize=None)
def names_of_faults() -> FrozenSet[str]:
    """The names of the switches a world has."""
    return frozenset(field.name for field in fields(Faults))

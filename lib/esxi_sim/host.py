"""The simulated ESXi host: the one class to use."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import itertools
import threading
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple, Union

from .calls import CallServer
from .dispatch import HostCommand, carry_out
from .faults import CommandHook, Faults
from .hooks import PowerHook, PowerHooks
from .login import Accounts, Login, LoginTry
from .releases import RELEASES
from .session import ShellSession
from .shell_root import ShellRoot, default_busybox
from .sshd import SSHD, new_host_key
from .vms import VM, Inventory, PowerEvent

MAX_VMS = 1024


class Host:
    """A host one can ssh into. Use it as a context manager, or call start() and stop().

    release: "5.5", "6.0", "6.7", "7.0", "8.0" or "9.0". vms: the registered VMs.
    password: of root. listen, port: where; port 0 is a free one.
    hostname: shown in the prompt of an interactive shell.
    power_hook: called with (VM name, new power) at each change; power_program: run so.
    escape_names: names in tables have / \\ % as %2f %5c %25 (open, facts: 1.4).
    pad_by_bytes: getallvms pads by bytes instead of characters (open, facts: 1.4).
    busybox: a statically linked busybox with ash and nc; None: $ESXI_SIM_BUSYBOX, or the one in
    PATH.
    switches: any field of Login or Faults, by its name (lock_after=3, hostd="hung", ...).

    address, port: where it listens. faults, login: switches, to be set while it runs.
    on_command: called with each vim-cmd/esxcli/localcli argv before anything else; an Answer it
    returns is printed instead.
    """

    def __init__(self, release: str = "6.7", vms: Iterable[Union[VM, str]] = (),
                 password: str = "VMware1!", listen: str = "127.0.0.1", port: int = 0,
                 hostname: str = "localhost", power_hook: Optional[PowerHook] = None,
                 power_program: Optional[str] = None, escape_names: bool = False,
                 pad_by_bytes: bool = False, busybox: Optional[str] = None,
                 on_command: Optional[CommandHook] = None, **switches: Any):
        self.release = RELEASES[release]
        self.login = Login(password=password)
        self.faults = Faults()
        self._set_switches(switches)
        self.accounts = Accounts(self.login)
        self.inventory = Inventory()
        self.inventory.on_change = self._power_changed
        self.hooks = PowerHooks(power_hook, power_program)
        self.escape_names = escape_names
        self.pad_by_bytes = pad_by_bytes
        self.busybox = busybox or default_busybox()
        self.on_command = on_command
        self.address = listen
        self.port = port
        self.connections_seen = 0
        self.record: List[HostCommand] = []
        self.sessions: Dict[int, ShellSession] = {}
        self.listeners: List[Callable[[Union[HostCommand, PowerEvent]], None]] = []
        self._hostname = hostname
        self._vms_at_start = [VM(vm) if isinstance(vm, str) else vm for vm in vms]
        if len(self._vms_at_start) > MAX_VMS:
            raise ValueError("at most %d VMs" % MAX_VMS)
        self._commands_until: List[Tuple[int, Callable[[], None]]] = []
        self._hostd_commands: Optional[int] = None
        self._hostd_changes = 0
        self._ready = threading.Event()
        self._failure: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None

    def _set_switches(self, switches: Dict[str, Any]) -> None:
        for place in (self.login, self.faults):
            for field in dataclasses.fields(place):
                if field.name in switches:
                    setattr(place, field.name, switches.pop(field.name))
        if switches:
            raise TypeError("unknown switch: %s" % ", ".join(sorted(switches)))

    # -- start and stop --------------------------------------------------------------------

    def __enter__(self) -> Host:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> Host:
        """Start the host in a thread of its own; returns when it can be logged in to."""
        self._thread = threading.Thread(target=self._run, name="esxi_sim", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure:
            self._thread.join()
            self._thread = None
            raise self._failure
        atexit.register(self.stop)  # for a program that ends without saying stop
        return self

    def stop(self) -> None:
        """End everything that runs on the host and remove its files."""
        thread, self._thread = self._thread, None
        if thread is not None:
            atexit.unregister(self.stop)
            self._loop.call_soon_threadsafe(self._end.set)
            thread.join()
            self.hooks.close()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # handed to start()
            self._failure = failure
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        calls = CallServer(lambda call: carry_out(self, call))
        await calls.start()
        try:
            self.root = ShellRoot(self.busybox, calls.port, calls.token)
            try:
                calls.folder = self.root.path / ".sim"
                self._register_first_vms()
                self.root.set_vim_cmd_absent(self.faults.vim_cmd_absent)
                await self._serve_ssh()
            finally:
                self.root.close()
        finally:
            await calls.close()

    def _register_first_vms(self) -> None:
        taken = {vm.vmid for vm in self._vms_at_start}
        free = (vmid for vmid in itertools.count(1) if vmid not in taken)
        for vm in self._vms_at_start:
            if vm.vmid is None:
                vm.vmid = next(free)
            self.inventory.register(vm)
            self.root.write_vmx(vm)

    async def _serve_ssh(self) -> None:
        self.sshd = SSHD(self)
        try:
            self.port = self.sshd.listen(self.address, self.port)
            self._ready.set()
            await self._end.wait()
        finally:
            await self.sshd.close()
            await asyncio.sleep(0.01)  # lets the closed connections say so

    # -- what a client needs to know -------------------------------------------------------

    def host_key_line(self) -> str:
        """The host's line for a known_hosts file."""
        where = self.address if self.port == 22 else "[%s]:%d" % (self.address, self.port)
        return "%s %s" % (where, self.sshd.key.export_public_key().decode().strip())

    def change_host_key(self, kind: Optional[str] = None) -> None:
        """A new host key, as after a reinstallation; kind: "ecdsa" (default) or "rsa"."""
        self.sshd.key = new_host_key(kind or "ecdsa", fresh=True)

    @property
    def prompt(self) -> str:
        """PS1 of an interactive shell (facts: 7.2)."""
        where = "$(test \"$PWD\" = / && echo '~' || echo \"$PWD\")"  # \\w knows no ~ for /
        if self.release.old_prompt:
            return where + " # "
        return "[%s@%s:%s] " % (self.login.user, self._hostname.partition(".")[0], where)

    @property
    def refuses_ed25519(self) -> bool:
        """Whether ed25519 client keys are refused now."""
        choice = self.login.refuse_ed25519
        return self.release.fips if choice is None else choice

    # -- VMs -------------------------------------------------------------------------------

    @property
    def vms(self) -> List[VM]:
        """The registered VMs."""
        return self.inventory.listed()

    def vm(self, name: str) -> VM:
        """The VM of that display name; KeyError when there is none or more than one."""
        return self.inventory.by_name(name)

    def vm_by_id(self, vmid: int) -> VM:
        """The VM of that Vmid; KeyError when there is none."""
        return self.inventory.vms[vmid]

    def find_vm(self, vmid: str) -> Optional[VM]:
        """The VM a command names, or None."""
        return self.inventory.vms.get(int(vmid)) if vmid.isdecimal() and vmid.isascii() else None

    def add_vm(self, vm: Union[VM, str]) -> VM:
        """Register a VM while the host runs."""
        vm = VM(vm) if isinstance(vm, str) else vm
        self.inventory.register(vm)
        self.root.write_vmx(vm)
        return vm

    def unregister(self, vm: VM) -> None:
        """Take a VM out of the inventory; its files stay and its process runs on unlisted."""
        self.inventory.unregister(vm)

    def reregister(self, vm: VM) -> int:
        """Unregister and register a VM: returns its new Vmid (facts: 1.2)."""
        return self.inventory.reregister(vm)

    def shown_name(self, vm: VM) -> str:
        """The VM's name as vim-cmd prints it."""
        if not self.escape_names:
            return vm.name
        return vm.name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")

    # -- truth and record ------------------------------------------------------------------

    @property
    def commands(self) -> List[str]:
        """The vim-cmd, esxcli and localcli commands so far, as lines of text, in order."""
        return [entry.line for entry in list(self.record)]

    @property
    def power_events(self) -> List[PowerEvent]:
        """Every change of power so far."""
        return list(self.inventory.events)

    @property
    def logins(self) -> int:
        """How many logins were accepted."""
        return self.accounts.count("accepted")

    @property
    def auth_failures(self) -> int:
        """How many passwords were refused, wrong or while locked."""
        return self.accounts.count("wrong", "locked")

    @property
    def login_tries(self) -> List[LoginTry]:
        """Every attempt to log in."""
        return list(self.accounts.tries)

    def clear_record(self) -> None:
        """Forget commands, power events and logins so far (not the account's lock)."""
        self.record.clear()
        self.inventory.events.clear()
        self.accounts.tries.clear()

    def note_command(self, entry: HostCommand) -> None:
        """A command starts."""
        self.record.append(entry)

    def command_ended(self, entry: HostCommand) -> None:
        """A command is done, its answer printed."""
        self._tell(entry)
        due = []
        waiting = []
        for left, action in self._commands_until:
            (due if left <= 1 else waiting).append((left - 1, action))
        self._commands_until = waiting
        for _, action in due:
            action()

    def _tell(self, news: Union[HostCommand, PowerEvent]) -> None:
        for listener in list(self.listeners):
            listener(news)

    # -- schedules -------------------------------------------------------------------------

    def after_seconds(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something later, while the host runs."""
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, action)

    def after_commands(self, count: int, action: Callable[[], None]) -> None:
        """Do something as soon as `count` more host commands have been answered."""
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
        if self._thread:
            self.root.set_vim_cmd_absent(absent)

    # -- sessions --------------------------------------------------------------------------

    def drop_session(self, number: int) -> None:
        """Break the TCP connection of a session."""
        session = self.sessions.get(number)
        if session:
            session.connection.drop()

    def silence_session(self, number: int, dead: bool = False) -> None:
        """From now on nothing comes through a session, in either direction; dead: nor through
        its connection."""
        session = self.sessions.get(number)
        if session:
            session.muted = True
            if dead:
                session.connection.stop_listening()

    def drop_all_sessions(self) -> None:
        """Break the TCP connections of all clients."""
        def drop() -> None:
            for connection in list(self.sshd.connections):
                connection.drop()
        self._loop.call_soon_threadsafe(drop)

    # -- power that changes by itself --------------------------------------------------------

    def change_power_later(self, seconds: float, vm: VM, new: str,
                           cause: str) -> "asyncio.Future[None]":
        """Change a VM's power after a while, unless something else changed it first."""
        generation = vm.power_generation
        done = self._loop.create_future()

        def change() -> None:
            if vm.power_generation == generation:
                self.inventory.change_power(vm, new, cause)
            if not done.done():
                done.set_result(None)

        self._loop.call_later(seconds, change)
        return done

    def kill_later(self, seconds: float, vm: VM, cause: str) -> None:
        """End a VM's process after a while, unless something else ended it first."""
        generation = vm.power_generation

        def kill() -> None:
            if vm.power_generation == generation:
                self.inventory.kill(vm, cause)

        if seconds > 0:
            self._loop.call_later(seconds, kill)
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

    def _power_changed(self, vm: VM, new: str) -> None:
        """Called under the inventory's lock, from whatever thread changed the power."""
        self.hooks.tell(vm.name, new)
        self._tell(self.inventory.events[-1])
        if new == "suspended" or vm.been_suspended:
            self.root.write_vmx(vm)
        faults = vm.faults
        if new == "off" and faults.autostart is not None and faults.autostart_times > 0:
            faults.autostart_times -= 1
            generation = vm.power_generation
            self.after_seconds(faults.autostart, lambda: self._autostart(vm, generation))

    def _autostart(self, vm: VM, generation: int) -> None:
        if vm.power_generation == generation:
            self.inventory.change_power(vm, "on", "autostart")

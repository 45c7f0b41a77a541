"""The simulated ESXi host: a world with a shell and an ssh server around it."""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import threading
from typing import Any, Dict, Iterable, List, Optional, Union

from .calls import CallServer
from .door import carry_out
from .faults import CommandHook
from .hooks import PowerHook, PowerHooks
from .login import Accounts, Login, LoginTry
from .real_clock import RealClock
from .session import Shell, ShellSession
from .shell_root import ShellRoot, default_busybox
from .sshd import SSHD, new_host_key
from .vms import VM, PowerEvent
from .world import News, World


class Host(World):
    """A world one can ssh into. Use it as a context manager, or call start() and stop().

    What it does beyond World: password: of root. listen, port: where; port 0 is a free one.
    hostname: shown in the prompt of an interactive shell.
    power_hook: called with (VM name, new power) at each change; power_program: run so.
    busybox: a statically linked busybox with ash and nc; None: $ESXI_SIM_BUSYBOX, or the one in
    PATH.
    switches: any field of Login or Faults, by its name (lock_after=3, hostd="hung", ...).

    address, port: where it listens. login: switches, to be set while it runs, like faults.
    Everything may be read and set from any thread.
    """

    clock: RealClock

    def __init__(self, release: str = "6.7", vms: Iterable[Union[VM, str]] = (),
                 password: str = "VMware1!", listen: str = "127.0.0.1", port: int = 0,
                 hostname: str = "localhost", power_hook: Optional[PowerHook] = None,
                 power_program: Optional[str] = None, escape_names: bool = False,
                 pad_by_bytes: bool = False, busybox: Optional[str] = None,
                 on_command: Optional[CommandHook] = None, **switches: Any):
        of_login = {field.name: switches.pop(field.name) for field in dataclasses.fields(Login)
                    if field.name in switches}
        super().__init__(RealClock(), release, vms, escape_names, pad_by_bytes, on_command,
                         **switches)
        self.login = Login(**{"password": password, **of_login})
        self.accounts = Accounts(self.login)
        self.hooks = PowerHooks(power_hook, power_program)
        self.listeners.append(self._tell_hooks)
        self.busybox = busybox or default_busybox()
        self.address = listen
        self.port = port
        self._hostname = hostname
        self._ready = threading.Event()
        self._failure: Optional[BaseException] = None
        self._thread: Optional[threading.Thread] = None

    def _tell_hooks(self, news: News) -> None:
        if isinstance(news, PowerEvent):
            self.hooks.tell(news.name, news.new)

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
        self.clock.run_on(self._loop)
        calls = CallServer(lambda call: carry_out(self, call),
                           lambda session, how: self.sshd.cut_line(session, how))
        await calls.start()
        try:
            self.root = ShellRoot(self.busybox, calls.port, calls.token)
            try:
                calls.folder = self.root.path / ".sim"
                self._write_files()
                self.root.set_vim_cmd_absent(self.faults.vim_cmd_absent)
                await self._serve_ssh()
            finally:
                self.inventory.on_file = lambda vm: None
                self.root.close()
        finally:
            await calls.close()

    def _write_files(self) -> None:
        with self.clock.alone:
            for vm in self.inventory.known():
                self.root.write_vmx(vm)
            self.inventory.on_file = self.root.write_vmx

    async def _serve_ssh(self) -> None:
        shell = Shell(self.root, self.busybox, self.release, self.login, self._hostname)
        self.sshd = SSHD(shell, self.accounts, self.new_session)
        try:
            self.port = self.sshd.listen(self.address, self.port)
            self._ready.set()
            await self._end.wait()
        finally:
            await self.sshd.close()
            await asyncio.sleep(0.01)  # lets the closed connections say so

    def set_vim_cmd_absent(self, absent: bool) -> None:
        """Take vim-cmd, esxcli and localcli away, or bring them back."""
        super().set_vim_cmd_absent(absent)
        if self._thread:
            self.root.set_vim_cmd_absent(absent)

    # -- what a client needs to know -------------------------------------------------------

    def host_key_line(self) -> str:
        """The host's line for a known_hosts file."""
        where = self.address if self.port == 22 else "[%s]:%d" % (self.address, self.port)
        return "%s %s" % (where, self.sshd.key.export_public_key().decode().strip())

    def change_host_key(self, kind: Optional[str] = None) -> None:
        """A new host key, as after a reinstallation; kind: "ecdsa" (default) or "rsa"."""
        self.sshd.key = new_host_key(kind or "ecdsa", fresh=True)

    # -- logins and sessions ---------------------------------------------------------------

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

    @property
    def connections_seen(self) -> int:
        """How many connections have come, logged in or not."""
        return self.sshd.connections_seen

    @property
    def sessions(self) -> Dict[int, ShellSession]:
        """The open ssh sessions, by their numbers."""
        return self.sshd.sessions

    def clear_record(self) -> None:
        """Forget commands, power events and logins so far (not the account's lock)."""
        super().clear_record()
        self.accounts.tries.clear()

    def drop_all_sessions(self) -> None:
        """Break the TCP connections of all clients."""
        self._loop.call_soon_threadsafe(self.sshd.drop_all)

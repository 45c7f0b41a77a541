"""The host's sshd: accepts connections, authenticates, opens sessions (facts: 7.1)."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import socket
from typing import Any, Callable, Coroutine, Dict, Optional, Set

import asyncssh

from .login import TALLY_LINE, Accounts
from .session import Shell, ShellSession

# What 8.0.2 offers in FIPS mode (facts: 7.1).
_FIPS_KEX = ("ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
             "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512",
             "diffie-hellman-group18-sha512", "diffie-hellman-group14-sha256")
_FIPS_CIPHERS = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "aes256-ctr", "aes192-ctr",
                 "aes128-ctr")
_FIPS_MACS = ("hmac-sha2-256", "hmac-sha2-512")
_OLD_KEX = ("diffie-hellman-group14-sha1",)


def _new_rsa_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-rsa", key_size=2048)


_kept_rsa_key = functools.lru_cache(maxsize=None)(_new_rsa_key)


def new_host_key(kind: str, fresh: bool = False) -> asyncssh.SSHKey:
    """A host key, "ecdsa" or "rsa". RSA keys are slow to make: a process makes one and keeps it,
    unless a fresh one is wanted."""
    if kind == "ecdsa":
        return asyncssh.generate_private_key("ecdsa-sha2-nistp256")
    return _new_rsa_key() if fresh else _kept_rsa_key()


class Connection(asyncssh.SSHServer):
    """One client's connection: its authentication and its sessions."""

    def __init__(self, sshd: SSHD, number: int):
        self.number = number
        self._login = sshd.shell.login
        self._accounts = sshd.accounts
        self.addresses = ""
        self.user = ""
        self.authenticated = False
        self._sshd = sshd
        self._ssh: Any = None
        self._peer = ""
        self._key_options: Dict[str, Any] = {}
        self._by_key = False
        self._pending_verdict = False
        self._told_of_lock = ""
        self._tasks: Set[asyncio.Future] = set()

    def connection_made(self, conn: Any) -> None:
        self._ssh = conn
        peer = conn.get_extra_info("peername")
        here = conn.get_extra_info("sockname")
        self._peer = peer[0]
        self.addresses = "%s %s %s %s" % (peer[0], peer[1], here[0], here[1])
        self._sshd.connections.add(self)

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._sshd.connections.discard(self)

    def keep(self, work: Coroutine) -> None:
        """Run something for this connection, and hold on to it until it is done."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drop(self) -> None:
        """Break the TCP connection, without a word."""
        self._ssh.abort()

    def stop_listening(self) -> None:
        """Read nothing from the client any more."""
        self._ssh._transport.pause_reading()  # asyncssh has no public way to its transport

    # -- authentication --------------------------------------------------------------------

    def begin_auth(self, username: str) -> bool:
        self.user = username
        if self._login.banner:
            self._ssh.send_auth_banner(self._login.banner)
        return True

    def auth_completed(self) -> None:
        self.authenticated = True
        if self._by_key:
            self._accounts.key_accepted(self.user)

    def password_auth_supported(self) -> bool:
        return self._login.password_method

    async def validate_password(self, username: str, password: str) -> bool:
        return await self._verdict(username, password, "password")

    def kbdint_auth_supported(self) -> bool:
        return self._login.kbdint

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Any:
        return "", "", "", [(self._login.prompt, False)]

    async def validate_kbdint_response(self, username: str, responses: Any) -> Any:
        if not responses:  # the client's answer to a round without questions
            return self._pending_verdict
        accepted = await self._verdict(username, responses[0], "keyboard-interactive")
        login = self._login
        self._pending_verdict = accepted
        if accepted and login.empty_round:
            return "", "", "", []
        if self._told_of_lock:
            return "", self._told_of_lock, "", []
        return accepted

    async def _verdict(self, username: str, password: str, method: str) -> bool:
        login = self._login
        if login.auth_delay:
            await asyncio.sleep(login.auth_delay)
        was_locked = self._accounts.locked
        told = login.locked_answer or ("tally" if self._sshd.shell.release.tally else "denied")
        self._told_of_lock = "" if not was_locked else {
            "message": login.locked_text, "tally": TALLY_LINE}.get(told, "")
        accepted = self._accounts.check_password(username, password, method)
        self._by_key = False
        self._key_options = {}
        if was_locked and told == "disconnect":
            self._ssh.disconnect(asyncssh.DISC_PROTOCOL_ERROR, "Too many authentication failures")
        return accepted

    def public_key_auth_supported(self) -> bool:
        return self._login.publickey

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        options = self._accounts.check_key(username, key, self._peer,
                                               self._sshd.refuses_ed25519)
        self._by_key = options is not None
        self._key_options = dict(options or {})
        return options is not None

    # -- sessions --------------------------------------------------------------------------

    def session_requested(self) -> Any:
        sshd = self._sshd
        session = ShellSession(sshd.shell, self, sshd.new_session(), self._key_options,
                               sshd.sessions)
        return self._ssh.create_server_channel(encoding=None), session


class SSHD:
    """Listens for clients. The switches of the login are looked at for each new connection.

    shell: what their sessions run. new_session: gives out the numbers of the sessions. sessions:
    the open ones. connections_seen: how many have come.
    """

    def __init__(self, shell: Shell, accounts: Accounts, new_session: Callable[[], int]):
        self.shell = shell
        self.accounts = accounts
        self.new_session = new_session
        self.connections: Set[Connection] = set()
        self.connections_seen = 0
        self.sessions: Dict[int, ShellSession] = {}
        self.key = new_host_key(shell.login.host_key)
        self._numbers = itertools.count(1)
        self._chance = random.Random(1)  # the same in every run
        self._listener: Optional[socket.socket] = None
        self._accepting: Optional[asyncio.Task] = None
        self._welcomes: Set[asyncio.Task] = set()

    def listen(self, address: str, port: int) -> int:
        """Start to accept clients; returns the port."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((address, port))
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._accepting = asyncio.ensure_future(self._accept(self._listener))
        return self._listener.getsockname()[1]

    @property
    def refuses_ed25519(self) -> bool:
        """Whether ed25519 client keys are refused now."""
        choice = self.shell.login.refuse_ed25519
        return self.shell.release.fips if choice is None else choice

    def cut_line(self, session: int, how: str) -> None:
        """Break the TCP connection of a session; "silent": nothing comes through the session any
        more, in either direction; "dead": nor through its connection."""
        found = self.sessions.get(session)
        if found is None:
            return
        if how not in ("silent", "dead"):
            found.connection.drop()
            return
        found.muted = True
        if how == "dead":
            found.connection.stop_listening()

    def drop_all(self) -> None:
        """Break the TCP connections of all clients."""
        for connection in list(self.connections):
            connection.drop()

    async def close(self) -> None:
        """Drop all clients and stop listening."""
        if self._accepting:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener:
            self._listener.close()
        for task in list(self._welcomes):
            task.cancel()
        for session in list(self.sessions.values()):
            session.end()
        self.drop_all()
        await asyncio.gather(*self._welcomes, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(listener)
            task = asyncio.ensure_future(self._welcome(client))
            self._welcomes.add(task)
            task.add_done_callback(self._welcomes.discard)

    def _drops(self) -> bool:
        """Whether a new connection is closed before the SSH banner, as MaxStartups does."""
        login = self.shell.login
        if login.drop_connections > 0:
            login.drop_connections -= 1
            return True
        if not login.max_startups:
            return False
        begin, rate, full = map(int, login.max_startups.split(":"))
        waiting = sum(not connection.authenticated for connection in self.connections)
        chance = rate + (100 - rate) * (waiting - begin) / (full - begin)
        return waiting >= begin and self._chance.random() * 100 < chance

    async def _welcome(self, client: socket.socket) -> None:
        login = self.shell.login
        self.connections_seen += 1
        if self._drops():
            client.setblocking(False)
            await asyncio.get_running_loop().sock_sendall(client, login.drop_text.encode())
            client.close()
            return
        try:
            if login.banner_delay:
                await asyncio.sleep(login.banner_delay)
            await asyncssh.run_server(client, options=await self._options())
        except (asyncssh.Error, OSError):
            client.close()  # the client gave up, or shares no algorithm with us
        except asyncio.CancelledError:
            client.close()
            raise

    async def _options(self) -> asyncssh.SSHServerConnectionOptions:
        login, release = self.shell.login, self.shell.release
        key = asyncssh.load_keypairs(self.key)[0]
        choices: Dict[str, Any] = {}
        if release.fips:
            choices = {"kex_algs": _FIPS_KEX, "encryption_algs": _FIPS_CIPHERS,
                       "mac_algs": _FIPS_MACS}
        if login.old_algorithms:
            choices["kex_algs"] = _OLD_KEX
            key.host_key_algorithms = [b"ssh-rsa"]
        return await asyncssh.SSHServerConnectionOptions.construct(
            server_factory=lambda: Connection(self, next(self._numbers)),
            server_host_keys=[key], server_version=login.ssh_version or release.ssh_version,
            login_timeout=0, allow_scp=False, agent_forwarding=False, x11_forwarding=False,
            compression_algs=None, line_editor=False, gss_host=None, rdns_lookup=False, **choices)

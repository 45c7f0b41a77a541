"""Who may log in to the simulated host, how, and what he is told when he may not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional

import asyncssh

# what PAM shows the client of a locked account on 6.x (facts: 7.1)
TALLY_LINE = "/usr/lib/vmware/misc/bin/tally_vob.sh failed: exit code 1"


@dataclass
class Login:
    """The host's sshd and accounts: switches that may be changed while it runs.

    user, password: the account. authorized_keys: text of that file, options and all.
    kbdint, password_method, publickey: which methods are offered (facts: 7.1).
    prompt: of keyboard-interactive. empty_round: a second round without questions follows.
    banner: text sent before authentication.
    drop_connections: how many of the next connections are closed before the SSH banner, as
        MaxStartups does; drop_text: what they are sent first.
    max_startups: "3:50:10", as in sshd_config: where 3 connections have not logged in yet, the next
        is closed so with a chance of 50 in 100, rising to all at 10; "": none.
    banner_delay, auth_delay: seconds before the SSH banner and before each password's verdict.
    lock_after: wrong passwords that lock the account, 0: never; lock_seconds: for how long.
    locked_answer: what a locked account's right password gets: "denied" (as a wrong one), "tally"
        (PAM's line of tally_vob.sh, then denied), "message" (locked_text, then denied) or
        "disconnect"; None: as the release does, "tally" on 6.x (facts: 7.1).
    host_key: "ecdsa" or "rsa". old_algorithms: an old host: only an ssh-rsa (SHA-1) host key
        and diffie-hellman-group14-sha1.
    refuse_ed25519: ed25519 client keys are refused; None: as the release does.
    ssh_version: the SSH banner after `SSH-2.0-`; None: the release's.
    """

    user: str = "root"
    password: str = "VMware1!"
    authorized_keys: str = ""
    kbdint: bool = True
    password_method: bool = False
    publickey: bool = True
    prompt: str = "Password: "
    empty_round: bool = False
    banner: str = ""
    drop_connections: int = 0
    drop_text: str = ""
    max_startups: str = ""
    banner_delay: float = 0.0
    auth_delay: float = 0.0
    lock_after: int = 5
    lock_seconds: float = 900.0
    locked_answer: Optional[str] = None
    locked_text: str = "The account is locked due to failed logins."
    host_key: str = "ecdsa"
    old_algorithms: bool = False
    refuse_ed25519: Optional[bool] = None
    ssh_version: Optional[str] = None


@dataclass(frozen=True)
class LoginTry:
    """One attempt to log in. result: "accepted", "wrong", "locked" or "refused key"."""

    time: float
    user: str
    method: str
    result: str


@dataclass
class Accounts:
    """Checks passwords and keys, keeps count, and locks the account."""

    login: Login
    tries: List[LoginTry] = field(default_factory=list)
    _failures: int = 0
    _locked_until: float = 0.0

    @property
    def locked(self) -> bool:
        """Whether the account is locked now."""
        return time.monotonic() < self._locked_until

    def unlock(self) -> None:
        """Forget the failures so far."""
        self._failures, self._locked_until = 0, 0.0

    def check_password(self, user: str, password: str, method: str) -> bool:
        """Whether this password opens the account now. Counts towards its lock."""
        if self.locked:
            self._failures += 1
            self._note(user, method, "locked")
            return False
        if user == self.login.user and password == self.login.password:
            self._failures = 0
            self._note(user, method, "accepted")
            return True
        self._note(user, method, "wrong")
        self._failures += 1
        if self.login.lock_after and self._failures >= self.login.lock_after:
            self._failures = 0
            self._locked_until = time.monotonic() + self.login.lock_seconds
        return False

    def check_key(self, user: str, key: asyncssh.SSHKey, address: str,
                  refuse_ed25519: bool) -> Optional[Mapping[str, Any]]:
        """The options of the authorized_keys line for this key; None: refused."""
        if user != self.login.user or not self.login.authorized_keys.strip():
            return None
        if refuse_ed25519 and key.get_algorithm() == "ssh-ed25519":
            self._note(user, "publickey", "refused key")
            return None
        try:
            known = asyncssh.import_authorized_keys(self.login.authorized_keys)
        except ValueError:  # no line of the file can be understood
            return None
        return known.validate(key, address, address)

    def key_accepted(self, user: str) -> None:
        """A key login succeeded."""
        self._note(user, "publickey", "accepted")

    def count(self, *results: str) -> int:
        """How many tries ended so."""
        return sum(attempt.result in results for attempt in list(self.tries))

    def _note(self, user: str, method: str, result: str) -> None:
        self.tries.append(LoginTry(time.time(), user, method, result))

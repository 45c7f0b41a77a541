"""A real OpenSSH server whose only user gets the shell of a small host.

The server is the one of this machine's own Debian release, fetched by apt and unpacked, not
installed. It runs in a mount namespace with a passwd of its own, and needs root.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import busyboxes

CACHE = Path(os.environ.get("FENCE_ESXI_CACHE") or Path(__file__).parents[2] / "cache") / "openssh"
FETCH_SECONDS = 120
CONFIG = """\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
AllowAgentForwarding yes
PermitTunnel yes
AcceptEnv *
Subsystem sftp internal-sftp
"""
SHELL = """#!/bin/sh
exec {enter} /bin/sh "$@"
"""
PASSWD = """\
root:x:0:0::/:{folder}/shell
sshd:x:74:65534::/run/sshd:/bin/false
"""
START = """
mount --bind {folder}/passwd /etc/passwd
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
export LD_LIBRARY_PATH={libraries}
exec {sshd} -D -e -f {folder}/sshd_config 2>{folder}/log
"""


def sshd():
    """Path of the server's program, fetched if need be; raises NotThere."""
    if os.geteuid() != 0:
        raise busyboxes.NotThere("a server needs root")
    installed = shutil.which("sshd", path="/usr/sbin")
    program = CACHE / "unpacked/usr/sbin/sshd"
    if installed or program.exists():
        return installed or str(program)
    CACHE.mkdir(parents=True, exist_ok=True)
    _fetch("openssh-server")
    with contextlib.suppress(busyboxes.NotThere):  # a library of newer servers
        _fetch("libwtmpdb0")
    return str(program)


def _fetch(package):
    """Unpack a package of this machine's own release in the cache; raises NotThere."""
    download = "apt-get -q -o APT::Sandbox::User=root download $0 && dpkg-deb -x $0_*.deb unpacked"
    try:
        subprocess.run(["sh", "-c", download, package], cwd=CACHE, capture_output=True, text=True,
                       check=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise busyboxes.NotThere(str(late)) from late
    except subprocess.CalledProcessError as failed:
        raise busyboxes.NotThere(failed.stderr.strip()) from failed


class Server:
    """The server; a context manager. host: a SmallHost. folder: for its files."""

    def __init__(self, program, host, folder):
        self.folder = Path(folder)
        self.host = host
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._program = program
        self._process = None

    def __enter__(self):
        folder = self.folder
        subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", folder / "host_key"],
                       check=True)
        (folder / "authorized_keys").touch()
        config = CONFIG.format(port=self.port, folder=folder) + self._its_helpers()
        (folder / "sshd_config").write_text(config)
        enter = " ".join(self.host.enter)
        (folder / "shell").write_text(SHELL.format(enter=enter))
        (folder / "shell").chmod(0o755)
        (folder / "passwd").write_text(PASSWD.format(folder=folder))
        start = START.format(folder=folder, sshd=self._program, libraries=":".join(
            str(path) for path in CACHE.glob("unpacked/usr/lib/*-linux-gnu*")))
        self._process = subprocess.Popen(["unshare", "--mount", "sh", "-ec", start],
                                         start_new_session=True)
        self._wait()
        return self

    def _its_helpers(self):
        """What newer servers are to be told: where their other programs are, and to bear with us"""
        lines = ""
        for option, name in (("SshdSessionPath", "sshd-session"), ("SshdAuthPath", "sshd-auth")):
            helper = Path(self._program).parents[2] / "usr/lib/openssh" / name
            lines += f"{option} {helper}\n" if helper.exists() else ""
        return lines + "PerSourcePenalties no\n" if lines else ""

    def _wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("sshd does not answer: " + (self.folder / "log").read_text())

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait()

    def let_in(self, line):
        """Make this the only line of the list of keys."""
        (self.folder / "authorized_keys").write_text(line + "\n", encoding="utf-8")

    def words(self, key, *words, program="ssh"):
        """A client of OpenSSH with that key."""
        port = "-P" if program in ("sftp", "scp") else "-p"
        return [program, "-F", "none", port, str(self.port), "-i", str(key),
                "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR",
                "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=%s/known_hosts" % self.folder, *words]

    def run(self, key, *words, text=b"", program="ssh", environment=None):
        """Run it to its end."""
        return subprocess.run(self.words(key, *words, program=program), input=text, timeout=30,
                              capture_output=True, check=False,
                              env={**os.environ, **(environment or {})})

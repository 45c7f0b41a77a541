"""The file system of the simulated host, and the busybox ash that runs in it.

A temporary directory becomes the root of every shell: busybox with only the applets ESXi is
known to have, the datastores with a small real .vmx for each VM, and the host's own commands as
scripts of a few lines that call the simulator back (see calls.py). It is entered by chroot when run
by root, else in a user namespace.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, List, Optional

from .door import ABSENT_TOGETHER
from .storage import VOLUMES, vmx_path, vmx_text, volume_uuid
from .vms import VM

# Applets seen in use on ESXi hosts (facts: 7.3), and those any busybox ash has built in.
APPLETS = """
[ [[ awk basename cat chmod cp cut date dd df dirname du echo egrep env expr false fgrep find
head hostname kill ln ls md5sum mkdir more mv nohup printf pwd rm rmdir sed seq
sleep sort stat stty sync tail tar tee test time timeout touch tr true tty uname uniq uptime usleep
vi wc which xargs
""".split()

_HOST_COMMANDS = (*ABSENT_TOGETHER, "vmware", "ps")
# Called back for what is said of datastores and .vmx files; else they are busybox's.
_FILE_COMMANDS = ("readlink", "grep")
_PREFIX = "esxi_sim_root-"
_PRIVATE = ".sim"  # the simulator's own tools, out of the way of PATH
_NO_USER_NAMESPACE = (
    "cannot make a user namespace: run as root, or allow unprivileged user namespaces "
    "(sysctl kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)")

# One process from the first exec to the last: the script, then busybox nc which connects, then
# the script `call` with the connection as stdin and stdout. Killing it closes the connection.
_HOST_COMMAND = """#!/.sim/busybox sh
exec 3>&1 4>&2 5<&0
exec /.sim/nc 127.0.0.1 {port} -e /.sim/call {name} "$@"
"""
_FILE_COMMAND = _HOST_COMMAND.replace("exec 3", """case "$*" in
    */vmfs/volumes/*|*.vmx*) ;;
    *) exec /.sim/busybox {name} "$@" ;;
esac
exec 3""")
_CALL = """#!/.sim/busybox sh
printf '%s\\0' {token} "$ESXI_SIM_SESSION" $# "$@"
while read -r step; do eval "$step"; echo; done
exit 255
"""


def default_busybox() -> str:
    """The busybox to use when none is named."""
    return os.environ.get("ESXI_SIM_BUSYBOX") or shutil.which("busybox") or "/usr/bin/busybox"


class ShellRoot:
    """The root directory of the host's shells. Make it, `close` it when done.

    busybox: path of a statically linked busybox that has ash and nc.
    """

    def __init__(self, busybox: str, call_port: int, call_token: str):
        remove_leftovers()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self.path.chmod(0o755)
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            self._build(busybox, call_port, call_token)
            self._enter = self._find_entry(busybox)
        except BaseException:
            self.close()
            raise

    def _build(self, busybox: str, call_port: int, call_token: str) -> None:
        for folder in (_PRIVATE, "bin", "dev", "etc/init.d", "tmp", "var/log", "var/run/crx/infra",
                       "vmfs/volumes", "usr/lib/vmware"):
            (self.path / folder).mkdir(parents=True)
        private = self.path / _PRIVATE
        shutil.copyfile(busybox, private / "busybox")
        os.link(private / "busybox", private / "nc")
        shell = self.path / "bin/sh"
        shell.write_bytes(_bare_shell(Path(busybox)))
        for program in (private / "busybox", shell):
            program.chmod(0o755)
        for applet in APPLETS:
            os.link(private / "busybox", self.path / "bin" / applet)
        self._script(_PRIVATE + "/call", _CALL.format(token=call_token))
        for name in _HOST_COMMANDS:
            self._script("bin/" + name, _HOST_COMMAND.format(port=call_port, name=name))
        for name in _FILE_COMMANDS:
            self._script("bin/" + name, _FILE_COMMAND.format(port=call_port, name=name))
        self._script("etc/init.d/hostd", _HOST_COMMAND.format(port=call_port, name="hostd"))
        for device in ("null", "zero", "urandom", "tty"):
            (self.path / "dev" / device).touch()

    def _script(self, name: str, text: str) -> None:
        file = self.path / name
        file.write_text(text)
        file.chmod(0o755)

    def set_vim_cmd_absent(self, absent: bool) -> None:
        """Take vim-cmd, esxcli and localcli away, or put them back: the shell itself says that
        they are not there."""
        for name in ABSENT_TOGETHER:
            shown, hidden = self.path / "bin" / name, self.path / _PRIVATE / name
            if absent and shown.exists():
                shown.rename(hidden)
            elif not absent and hidden.exists():
                hidden.rename(shown)

    def _find_entry(self, busybox: str) -> List[str]:
        """The command prefix that enters the root; the command to run follows it."""
        if os.geteuid() == 0 and self._make_devices():
            return [busybox, "chroot", str(self.path)]
        mounts = "".join("busybox mount -o bind /dev/%s \"$1/dev/%s\" && " % (device, device)
                         for device in ("null", "zero", "urandom", "tty"))
        script = mounts.replace("busybox", "'%s'" % busybox) + 'exec \'%s\' chroot "$@"' % busybox
        unshare = shutil.which("unshare") or "/usr/bin/unshare"
        entry = [unshare, "--map-root-user", "--mount", busybox, "sh", "-c", script, "sh",
                 str(self.path)]
        if os.geteuid() == 0:
            entry.remove("--map-root-user")
        tried = subprocess.run(entry + ["/bin/sh", "-c", "echo entered"], capture_output=True,
                               check=False)
        if tried.stdout != b"entered\n":
            reason = tried.stderr.decode(errors="replace").strip()
            raise RuntimeError("%s (%s)" % (_NO_USER_NAMESPACE, reason))
        return entry

    def _make_devices(self) -> bool:
        """Make real device nodes; False where that is not allowed."""
        try:
            for device in ("null", "zero", "urandom", "tty"):
                node = self.path / "dev" / device
                node.unlink()
                os.mknod(node, stat.S_IFCHR | 0o666, os.stat("/dev/" + device).st_rdev)
                node.chmod(0o666)
            with open(self.path / "dev/null", "wb") as null:
                null.write(b"x")
            return True
        except OSError:
            for device in ("null", "zero", "urandom", "tty"):
                node = self.path / "dev" / device
                if node.exists():
                    node.unlink()
                node.touch()
            return False

    def argv(self, command: List[str]) -> List[str]:
        """The command line that runs `command` inside the root."""
        return self._enter + command

    # -- the VMs' files ------------------------------------------------------------------

    def write_vmx(self, vm: VM) -> None:
        """Write a VM's .vmx as it is now, or take it away where it is gone."""
        file = self._inside(vmx_path(vm))
        if vm.vmx_missing:
            shutil.rmtree(os.path.dirname(file), ignore_errors=True)
            return
        if vm.datastore:
            self._add_datastore(vm.datastore)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        draft = file + b".new"
        with open(draft, "wb") as out:
            out.write(vmx_text(vm).encode("utf-8", "surrogateescape"))
        os.rename(draft, file)

    def _inside(self, path: str) -> bytes:
        return os.fsencode(str(self.path)) + path.encode("utf-8", "surrogateescape")

    def _add_datastore(self, datastore: str) -> None:
        uuid = volume_uuid(datastore)
        os.makedirs(self._inside(VOLUMES + uuid), exist_ok=True)
        link = self._inside(VOLUMES + datastore)
        if not os.path.lexists(link):
            os.symlink(uuid, link)

    # -- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """Remove the directory and everything running in it."""
        _remove(self.path)
        os.close(self._lock)


def remove_leftovers() -> None:
    """Remove the roots of simulators that were killed before they could do it themselves."""
    for path in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        lock = _locked(path)
        if lock is not None:
            if (path / "bin/sh").exists():  # else it is only just being made
                _remove(path)
            os.close(lock)


def _locked(path: Path) -> Optional[int]:
    """A root's lock, which its simulator holds as long as it lives; None: it does live."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except OSError:
        os.close(lock)
        return None


def _remove(path: Path) -> None:
    """Kill whatever still has this directory as its root (a child that left its session), and
    remove it."""
    for process in _processes_rooted_in(str(path)):
        try:
            os.kill(process, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
    shutil.rmtree(os.fsencode(str(path)), ignore_errors=True)


def _processes_rooted_in(path: str) -> List[int]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.readlink("/proc/%s/root" % entry) == path:
                    found.append(int(entry))
            except OSError:
                continue
    return found


_bare_shells: Dict[Path, bytes] = {}


def _bare_shell(busybox: Path) -> bytes:
    """The busybox with no applet but sh.

    Debian's ash prefers its own applets to programs in PATH, so that leaving out the links would
    not hide them. Their names are one sorted table in the file; with every other name spoilt,
    smaller before sh and greater after it, the shell finds only what is in PATH.
    """
    if busybox not in _bare_shells:
        program = busybox.read_bytes()
        names = subprocess.run([busybox, "--list"], capture_output=True, check=True).stdout.split()
        table = b"\0".join(names) + b"\0"
        if program.count(table) != 1 or b"sh" not in names:
            raise RuntimeError("%s: no applet table found, or no sh in it" % busybox)
        spoilt = [name if name == b"sh" else b"\1" * len(name) if name < b"sh"
                  else name[:-1] + b"\x7f" for name in names]
        _bare_shells[busybox] = program.replace(table, b"\0".join(spoilt) + b"\0")
    return _bare_shells[busybox]

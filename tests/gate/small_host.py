"""A root directory with a real busybox ash and four host commands that only keep a record.

The gate runs in it as sshd would start it; what vim-cmd, esxcli, localcli and ps wrote into the
record is the truth about what the gate let through. They answer with the files of small_host/,
which describe a host where all but one VM would like to be taken for that one.
"""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from esxi_sim import shell_root

ANSWERS = Path(__file__).parent / "small_host"
APPLETS = ("awk", "cat", "cut", "echo", "env", "false", "grep", "head", "ls", "printf",
           "readlink", "rm", "sed", "sleep", "test", "touch", "tr", "true", "wc", "xargs")
RECORDER = """#!/bin/sh
printf '%s\\0' "$#" "${0##*/}" "$@" >>/record
if read -r stolen; then printf '%s\\0' 1 stolen "$stolen" >>/record; fi
case "$*" in
    vmsvc/getallvms) [ -f /hung ] && sleep 5; exec cat /host/vms.txt ;;
    vmsvc/get.summary*) cat "/host/summaries/$2"-* 2>/dev/null && exit ;;
    vmsvc/power.getstate*) echo 'Retrieved runtime info'; echo 'Powered on'; exit ;;
    vmsvc/power.*) echo 'Powering a VM:'; exit ;;
    vmsvc/message*) echo 'No message.'; exit ;;
    vm\\ process\\ list) [ -f /down ] || exec cat "/host/${0##*/}.txt"
        echo 'Connect to localhost failed: Connection failure'; exit 1 ;;
    vm\\ process\\ kill*) exit ;;
    '') [ "${0##*/}" = ps ] && echo 'WID    CID    WorldName' && exit ;;
esac
cat /host/unknown.txt >&2
exit 1
"""
HOST_COMMANDS = ("vim-cmd", "esxcli", "localcli", "ps")
# of the one VM that is called "t3021cent"
LISTED_VMIDS = ("1",)
LISTED_WORLDS = ("2101",)


class SmallHost:
    """The root directory; a context manager. busybox: path of a static busybox.

    enter: the words in front of a command that is to run in it.
    """

    def __init__(self, busybox):
        self.path = Path(tempfile.mkdtemp(prefix="fence_gate-"))
        self.path.chmod(0o755)
        for folder in ("bin", "dev", "vmfs/volumes"):
            (self.path / folder).mkdir(parents=True)
        shutil.copyfile(busybox, self.path / "bin/busybox")
        # this one finds programs in PATH only, where Debian's has a ps of its own
        (self.path / "bin/sh").write_bytes(shell_root._bare_shell(Path(busybox)))
        for program in ("busybox", "sh"):
            (self.path / "bin" / program).chmod(0o755)
        for applet in APPLETS:
            os.link(self.path / "bin/busybox", self.path / "bin" / applet)
        for name in HOST_COMMANDS:
            (self.path / "bin" / name).write_text(RECORDER)
            (self.path / "bin" / name).chmod(0o755)
        shutil.copytree(ANSWERS, self.path / "host")
        (self.path / "host/localcli.txt").write_text(
            as_localcli((ANSWERS / "esxcli.txt").read_text()))
        shutil.copytree(ANSWERS / "volumes", self.path / "vmfs/volumes", dirs_exist_ok=True)
        (self.path / "record").touch()
        self.enter = self._find_entry(busybox)

    def _find_entry(self, busybox):
        null = self.path / "dev/null"
        if os.geteuid() == 0:
            os.mknod(null, stat.S_IFCHR | 0o666, os.stat("/dev/null").st_rdev)
            return [busybox, "chroot", str(self.path)]
        null.touch()
        script = '"$1" mount -o bind /dev/null "$2/dev/null"; exec "$1" chroot "$2" "${@:3}"'
        return ["unshare", "--map-root-user", "--mount", "bash", "-c", script, "-", busybox,
                str(self.path)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path, ignore_errors=True)

    def start(self, gate, environment=None):
        """The gate as a process, its stdin, stdout and stderr pipes."""
        return subprocess.Popen([*self.start_words(), gate], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                                env={"PATH": "/bin:/sbin", "HOME": "/", **(environment or {})})

    def start_words(self):
        """The command line that starts a shell of the host; its script is to follow."""
        return [*self.enter, "/bin/sh", "-c"]

    def talk(self, gate, data, timeout=60, environment=None):
        """Everything the gate prints when it is sent these bytes and then the end of the file."""
        process = self.start(gate, environment=environment)
        output, errors = process.communicate(data, timeout=timeout)
        assert errors == b""  # what the host's commands say there belongs to the answer
        return output

    @contextlib.contextmanager
    def changed(self, name, text=b""):
        """Another text in a file, or a file more: "down" fails the lists of processes, "hung"
        keeps getallvms from answering.
        """
        file = self.path / name
        before = file.read_bytes() if file.exists() else None
        file.write_bytes(text)
        try:
            yield
        finally:
            file.unlink()
            if before is not None:
                file.write_bytes(before)

    def record(self):
        """What the host ran since the last call: [[command, argument, ...], ...], as bytes."""
        words = (self.path / "record").read_bytes().split(b"\0")[:-1]
        (self.path / "record").write_bytes(b"")
        commands = []
        while words:
            count = int(words[0])
            commands.append(words[1 : count + 2])
            words = words[count + 2 :]
        return commands

    def files(self):
        """All files of the host, with their sizes, but for the record."""
        return {(str(file.relative_to(self.path)), file.lstat().st_size)
                for file in self.path.rglob("*") if file.name != "record" and not file.is_dir()}


def request_for(one, two=b"", tag=b"7a91"):
    """What the agent sends for two commands."""
    return b"%s\n%s\n%s\n" % (tag, one, two)


def as_localcli(text):
    """A list of processes in localcli's layout: an empty line first, a colon behind headings."""
    return "\n" + re.sub(r"(?=\n   World ID: .*\n   Process ID: )", ":", text)


def forbidden(commands, level="kill"):
    """Those of the recorded commands that a key for the VM "t3021cent" must never run."""
    return [command for command in commands
            if not _is_allowed([word.decode("utf-8", "replace") for word in command], level)]


def _is_allowed(words, level):
    may_power, may_kill = level != "list", level == "kill"
    line = " ".join(words)
    if line in ("vim-cmd vmsvc/getallvms", "esxcli vm process list", "localcli vm process list",
                "ps"):
        return True
    if len(words) == 3 and words[0] == "vim-cmd" and words[2].isascii() and words[2].isdigit():
        if words[1] in ("vmsvc/power.getstate", "vmsvc/get.summary", "vmsvc/message"):
            return True
        return may_power and words[1] in ("vmsvc/power.on", "vmsvc/power.off") \
            and words[2] in LISTED_VMIDS
    if len(words) == 8 and words[1:5] == ["vm", "process", "kill", "-t"]:
        return may_kill and words[5] in ("soft", "hard", "force") and words[6] == "-w" \
            and words[7] in LISTED_WORLDS and words[0] in ("esxcli", "localcli")
    return False

#!/usr/bin/python3 -tt
# Fence agent for virtual machines on VMware ESXi, the free licence included.
#
# Copyright (C) 2026 the fence_esxi authors
# This program is free software: you can redistribute it and/or modify it under the terms of the
# GNU General Public License as published by the Free Software Foundation, either version 3 of the
# License, or (at your option) any later version. It comes without any warranty; see COPYING.
"""Fence agent for virtual machines on VMware ESXi: logs in by SSH and drives vim-cmd.

The file reads from top to bottom as the data flows, in rooms that know only the ones before:
    1. what the host says    pure functions from the host's text to values
    2. the session           one ssh login: ask two commands side by side, get answers in time
    3. the host              which VM a plug means, what its power is, by two witnesses
    4. the ladder            switch a VM off for certain; switch it on
    5. the agent             options, the callbacks of the fencing library, main
"""
import atexit
import binascii
import fcntl
import getopt
import io
import itertools
import locale
import logging
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import termios
import time
from collections import Counter, OrderedDict, namedtuple

STARTED = time.monotonic()
RELEASE = "1.0.0"

sys.path.append("/usr/share/fence")
try:
    from fencing import (
        all_opt,
        atexit_handler,
        check_input,
        fence_action,
        process_input,
        run_delay,
        show_docs,
    )

    import pexpect  # RHEL 9 bundles it with the library, so it comes second
    import pexpect.fdpexpect
except ImportError as missing:
    sys.exit(
        "fence_esxi: the fencing library cannot be loaded (%s); install it: "
        "fence-agents-common on Debian 13, Ubuntu, Fedora and RHEL, fence-agents on Debian 11 "
        "and 12 and on SLES" % missing
    )


class FenceError(Exception):
    """Whatever keeps the agent from a proven result; the text is a sentence for the admin.

    facts: what else is known, kept as attributes; each kind says which.
    """

    def __init__(self, text, **facts):
        super().__init__(text)
        self.__dict__.update(facts)


class BadInput(FenceError):
    """An option cannot be used as it was given."""


class LoginFailed(FenceError):
    """ssh could not log in. final: one more try could cost the account, so there is none.

    busy: the host closed the connection before it asked who is there.
    """

    final = busy = False


class SessionLost(FenceError):
    """The connection broke. answers: what had arrived, None for each command that was cut off."""

    answers = ()


class TimeIsUp(FenceError):
    """The verdict is due: there is no time for one more question."""


class HostdSilent(FenceError):
    """hostd gave no usable answer: it hangs, is down, starting, or out of memory.

    processes: the process list that came all the same, else None. vm: who it was about, if known.
    """

    processes = vm = None


class NotAllowed(FenceError):
    """The host tells this user, or this key, that it may not do that."""


class NoSuchVM(FenceError):
    """The host's list holds no VM of that name or UUID. inventory, processes: where it is not."""

    inventory = processes = None


class AmbiguousVM(FenceError):
    """Several VMs answer to the plug, or which one does cannot be settled."""


class PowerFailed(FenceError):
    """The VM is not in the power state asked for, or nobody can prove that it is."""


# ---------------------------------------------------------------------------------------------
# 1. What the host says
# ---------------------------------------------------------------------------------------------

Answer = namedtuple("Answer", "status text")
# file: "[datastore] path"; line: the whole row as it was printed
Row = namedtuple("Row", "vmid name file line")
# file: path of the configuration file; world, cartel: its numbers in the VMkernel (facts: 6a)
Process = namedtuple("Process", "world cartel name file uuid")
World = namedtuple("World", "wid cid name")
Summary = namedtuple("Summary", "name file uuid")
Question = namedtuple("Question", "qid text choices")

HEADER = re.compile(r" *Vmid +Name +File +Guest OS +Version +Annotation *\Z")
ROW = r"([1-9][0-9]*) +(%s) {3,}(\[.*?\] ?%s) {3,}[^ ]* +vmx-[0-9]+(?: .*)?\Z"
ANY_ROW = re.compile(ROW % (r"[^ ].*?", r".*?\.(?i:vmt?x)"))
ROW_LIKE = re.compile(r"\.vmt?x {3,}", re.IGNORECASE)
SKIPPED = re.compile(r"^Skipping invalid VM '?([0-9]+)'?", re.MULTILINE)
POWER_STATES = {"Powered on": "on", "Powered off": "off", "Suspended": "suspended"}
DENIED = re.compile(r"Permission to perform this operation was denied|vim\.fault\.NoPermission")
# how the forced command of a restricted key words its refusals
KEY_REFUSES = re.compile(r"^this key may not .*$", re.MULTILINE)


def lines_of(text):
    """The lines of an answer. (str.splitlines would also split at characters a name may hold.)"""
    return [line.rstrip("\r") for line in text.split("\n")]


def one_line(text, limit=300):
    """text on one line of at most limit characters, for messages and the log."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def show(name):
    """A plug or display name in quotes, one line, control characters escaped, not endless."""
    short = name if len(name) <= 80 else name[:77] + "..."
    visible = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)
    return '"%s"' % visible


def spellings(name):
    """A display name as the host may print it: / \\ % as they are, or as %2f %5c %25 (facts: 1.4)"""
    plain = re.sub(r"(?i)%(2f|5c|25)", lambda code: chr(int(code.group(1), 16)), name)
    return {name, plain, name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")}


def plain_uuid(text):
    """The 32 hexadecimal digits of a UUID in any spelling, else None (facts: 5)."""
    digits = re.sub(r"[\s{}:-]", "", text).lower()
    return digits if re.match(r"[0-9a-f]{32}\Z", digits) else None


def below_volume(path):
    """A configuration file's path below its volume; some VMs have no volume (facts: 1.1, 6)."""
    return re.sub(r"^/vmfs/volumes/[^/]*/", "", path)


def is_file_of(file, process):
    """Whether "[datastore] path" may be the file of a process, whatever volume that lies on.

    The list names datastores, processes show the volumes' UUIDs (facts: 6), and to ask a datastore
    that is dead which volume it is would never end.
    """
    return file is not None and file.endswith(("] " + below_volume(process.file),
                                               "] " + process.file))


class Inventory:
    """The VMs in an answer to `vim-cmd vmsvc/getallvms` (facts: 1).

    skipped: Vmids of the VMs that the host cannot read. complete: the answer is known to name
    every VM: nothing skipped, no line that resembles a row without being one.
    """

    def __init__(self, text):
        lines = lines_of(text)
        header = next(number for number, line in enumerate(lines) if HEADER.match(line))
        self._lines = lines[header + 1 :]
        self._numbers = Counter(re.match(r"[0-9]*", line).group() for line in self._lines)
        self.skipped = SKIPPED.findall(text)
        strange = [line for line in self._lines if ROW_LIKE.search(line) and not ANY_ROW.match(line)]
        self.complete = not self.skipped and not strange

    def rows(self, name=None, path=None):
        """The lines that can be read as a row, of a VM of this name and path below its volume.

        Names hold blanks and brackets, and notes spill onto lines of their own (facts: 1.4): what
        one line says may be read in several ways, and is nothing to rely on by itself.
        """
        row = ANY_ROW
        if name is not None:
            names = "|".join(re.escape(spelling) for spelling in sorted(spellings(name)))
            row = re.compile(ROW % (names, re.escape(path) if path else r".*?\.(?i:vmt?x)"))
        matches = [row.match(line) for line in self._lines if (path or "") in line]
        return [Row(*found.groups(), line=found.string) for found in matches if found]

    def trusts(self, vmid):
        """Whether a Vmid begins one line only, so that no note can have forged its row."""
        return self._numbers[vmid] == 1 and vmid not in self.skipped


def parse_inventory(answer):
    """The Inventory in an answer to getallvms, None where it is no whole list."""
    whole = answer.status == 0 and answer.text.endswith("\n")
    has_header = any(HEADER.match(line) for line in lines_of(answer.text))
    return Inventory(answer.text) if whole and has_header else None


def parse_power_state(answer):
    """ "on", "off" or "suspended" from an answer to power.getstate, else None (facts: 2).

    Only a whole line right behind the caption counts: a fault text may hold "(Powered off)".
    """
    lines = [line.strip() for line in lines_of(answer.text)]
    states = [number for number, line in enumerate(lines) if line in POWER_STATES]
    if answer.status != 0 or len(states) != 1 or states[0] == 0:
        return None
    if lines[states[0] - 1] != "Retrieved runtime info":
        return None
    return POWER_STATES[lines[states[0]]]


def parse_processes(answer):
    """The running VMs in an answer to `localcli vm process list`, or esxcli's (facts: 6).

    Read by the keys of the rows: the headings of the two tools differ and prove nothing. None
    where the answer is damaged in any place, so that half a list is never read as "it is gone".
    """
    if answer.status != 0 or (answer.text and not answer.text.endswith("\n")):
        return None
    blocks, headings = [], 0
    for line in lines_of(answer.text):
        field = re.match(r"   ([A-Z][\w ]*): ?(.*)\Z", line)
        if field and field.group(1) == "World ID":
            blocks.append({})
        if not field or not blocks:
            headings += bool(line.strip())
        elif field.group(1) in blocks[-1]:
            return None
        else:
            blocks[-1][field.group(1)] = field.group(2)
    processes = [_process(block) for block in blocks]
    worlds = {process.world for process in processes if process}
    return processes if len(worlds) == len(blocks) == headings else None


def _process(block):
    world, cartel = block.get("World ID", ""), block.get("VMX Cartel ID", "")
    file = block.get("Config File", "")
    numbers = re.match(r"[1-9][0-9]* [1-9][0-9]*\Z", "%s %s" % (world, cartel))
    if not numbers or "Display Name" not in block or not re.search(r"(?i)/.*\.vmt?x\Z", file):
        return None
    return Process(world, cartel, block["Display Name"], file, plain_uuid(block.get("UUID", "")))


def parse_worlds(answer):
    """The worlds in an answer to VMware's `ps`, None where it is not its whole list (facts: 6a).

    On a living host it is never empty: its header and the worlds of the host itself are there.
    """
    lines = lines_of(answer.text)
    whole = answer.status == 0 and lines[-1] == ""
    if not whole or not re.match(r" *WID +CID +WorldName\b", lines[0]):
        return None
    rows = [re.match(r" *([0-9]+) +(?:([0-9]+) +)?([^ ].*)", line) for line in lines[1:-1]]
    if None in rows or not any(not is_of_a_vm(row.group(3)) for row in rows):
        return None
    return [World(*row.groups()) for row in rows]


def is_of_a_vm(world_name):
    """Whether a world of this name in `ps` is one of a running VM (facts: 6a)."""
    return re.match(r"vmx|vmm[0-9]", world_name) is not None


def parse_summary(answer):
    """The Summary in an answer to get.summary, None where it does not tell (facts: 5a).

    All from the one configuration section, ahead of the notes; where a note or a guest's own words
    seem to repeat that section there is no telling.
    """
    sections = re.split(r"^ *config = \(vim\.vm\.Summary\.ConfigSummary\) \{", answer.text,
                        flags=re.MULTILINE)
    if answer.status != 0 or len(sections) != 2:
        return None
    config = re.split(r"^ *annotation = ", sections[1], flags=re.MULTILINE)[0]
    values = [re.findall(r'^ *%s = "(.*)", *\r?$' % key, config, re.MULTILINE)
              for key in ("name", "vmPathName", "uuid")]
    if any(len(value) != 1 for value in values):
        return None
    return Summary(values[0][0], values[1][0], plain_uuid(values[2][0]))


def parse_question(answer):
    """The question in an answer to `vim-cmd vmsvc/message VMID`, else None (facts: 4)."""
    head = re.search(r"^Virtual machine message (\S+):[ \r]*$", answer.text, re.MULTILINE)
    if not head:
        return None
    rest = lines_of(answer.text[head.end() :])
    choices = [line.strip() for line in rest if re.match(r" *[0-9]+\. ", line)]
    words = [line for line in rest if not re.match(r" *[0-9]+\. ", line)]
    return Question(head.group(1), one_line(" ".join(words)), choices)


def parse_vmx_values(text):
    """[(path of the .vmx, key in lower case, value), ...] from grep -H over .vmx files."""
    line_form = re.compile(r'(/.*?\.vmt?x):\s*([\w.]+)\s*=\s*"(.*)"\s*\Z', re.IGNORECASE)
    matches = [line_form.match(line) for line in lines_of(text)]
    return [(m.group(1), m.group(2).lower(), m.group(3)) for m in matches if m]


def vmx_paths(file):
    """The paths that "[datastore] path" may stand for: a name may hold "] " itself."""
    pairs = [(file[1 : end.start()], file[end.end() :]) for end in re.finditer(r"\] ?", file)]
    return ["/vmfs/volumes/%s/%s" % pair if pair[0] else pair[1] for pair in pairs if pair[1]]


def fault_in(answer):
    """The name of the fault in an answer, such as "NotFound", else None (facts: 2, 3.1)."""
    fault = re.search(r"\((?:vim|vmodl)\.fault\.(\w+)\) \{", answer.text)
    return fault.group(1) if fault else None


def reason_in(answer):
    """Why a command failed, boiled down to one line in the host's own words (facts: 3.1)."""
    # quotes inside a message are not escaped, so a message ends at a quote that ends its line
    for key in ("msg", "reason", "message"):
        found = re.findall(r'\b%s = "(.+?)",? *\r?$' % key, answer.text, re.DOTALL | re.MULTILINE)
        if found:
            return one_line(found[-1])
    words = [line.strip() for line in lines_of(answer.text)]
    words = [word for word in words if word and not re.match(r"(Powering o|Retrieved )", word)]
    if fault_in(answer):
        return fault_in(answer)
    return one_line(words[-1]) if words else "no reason given, exit status %d" % answer.status


def near_misses(plug, rows):
    """What the admin may have meant by a plug that names no VM; at most three hints."""
    hints = ["%s is the Vmid of %s; Vmids change" % (plug, show(row.name)) for row in rows
             if row.vmid == plug]
    wanted = " ".join(plug.casefold().split())
    for row in rows:
        name = " ".join(row.name.casefold().split())
        if wanted and (name.startswith(wanted) or wanted.startswith(name)):
            hints.append(show(row.name))
    return hints[:3]


# ---------------------------------------------------------------------------------------------
# 2. The session
# ---------------------------------------------------------------------------------------------

# secret: what answers the password or passphrase prompt, else None; key: identity file or None
Login = namedtuple("Login", "argv user host port secret key pinned")

READY = "fence_esxi-ready-2"
# Runs on the host: no prompt, no terminal, no echo. A request is three lines, a tag and two
# commands, which run side by side; the second one's answer comes first, so that it has arrived
# where the first one hangs. Each answer ends in a line that nobody can forge.
READ_LOOP = (
    "echo " + READY + "; while read -r tag && read -r one && read -r two; do "
    '{ eval "$one" </dev/null 2>&1; s=$?; echo; echo "$tag.1 $s"; } | '
    '{ eval "$two" </dev/null 2>&1; s=$?; echo; echo "$tag.2 $s"; cat; }; done'
)
# the letters of ssh(1), to tell its options from a remote command in ssh_options
SSH_LETTERS = "1246AaB:b:Cc:D:E:e:F:fGgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvW:w:XxYy"
MOST_OUTPUT = 4 * 1024 * 1024


def ssh_argv(options):
    """The ssh command line for the options of the agent; raises BadInput.

    In ssh the first value of an option wins: what the agent's promises rest on stands before the
    user's ssh_options, what is only a good default behind them.
    """
    argv = words_of(options, "--ssh-path") or ["/usr/bin/ssh"]
    argv += ["-4"] if is_true(options, "--inet4-only") else []
    argv += ["-6"] if is_true(options, "--inet6-only") else []
    # a master connection that is stuck must not hold a login; one password, one try
    argv += ["-o", "ControlPath=none", "-o", "NumberOfPasswordPrompts=1"]
    if options.get("--known-hosts"):
        pins = options["--known-hosts"]
        if re.search(r'["\n%]|\$\{', pins):  # what ssh would read as something else
            raise BadInput("known_hosts=%s is not usable: no quotes, no %% and no ${" % show(pins))
        argv += ["-o", 'UserKnownHostsFile="%s"' % pins, "-o", "GlobalKnownHostsFile=/dev/null"]
        argv += ["-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"]
    argv += user_ssh_options(options)
    if options.get("--identity-file"):
        argv += ["-i", options["--identity-file"], "-o", "IdentitiesOnly=yes"]
        argv += ["-o", "PreferredAuthentications=publickey"]
    else:
        argv += ["-o", "PreferredAuthentications=keyboard-interactive,password"]
    argv += ["-o", "StrictHostKeyChecking=accept-new"]
    # 3 times 8 s is also ssh's limit for each step of the login, which may take 20
    argv += ["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=8"]
    argv += ["-o", "ServerAliveCountMax=3", "-T"]
    argv += ["-p", port_of(options), "-l", bare_word(options, "--username")]
    return argv + ["--", bare_word(options, "--ip"), READ_LOOP]


def user_ssh_options(options):
    """The words of ssh_options without a remote command, which would take the agent's place."""
    words = words_of(options, "--ssh-options")
    try:
        given, command = getopt.getopt(words, SSH_LETTERS)
    except getopt.GetoptError as error:
        raise BadInput("ssh_options cannot be used: %s; see ssh(1)" % error)
    for letter, _ in given:
        if letter[1] in "NfnsWOGVQ":
            raise BadInput("ssh_options cannot hold %s: it takes the session from the agent"
                           % letter)
    if command:
        logging.info("the remote command in ssh_options has no effect: %s", " ".join(command))
    options_only = words[: len(words) - len(command)]
    return options_only[:-1] if options_only[-1:] == ["--"] else options_only


def words_of(options, name):
    """The words of an option, split as a shell does; raises BadInput."""
    try:
        return shlex.split(options.get(name) or "")
    except ValueError as error:
        raise BadInput("%s cannot be split into words: %s" % (key_of(name), error))


def bare_word(options, name):
    """The value of an option that must not be able to pose as an option; raises BadInput."""
    word = options.get(name) or ""
    if not re.match(r"[^\s'\"-][^\s'\"]*\Z", word):
        raise BadInput("%s=%s is not usable: one word, no quotes, no leading dash"
                       % (key_of(name), show(word)))
    return word


def port_of(options):
    """The port of SSH; raises BadInput."""
    port = str(options.get("--ipport") or "22")
    if not re.match(r"[0-9]{1,5}\Z", port) or not 0 < int(port) < 65536:
        raise BadInput("ipport=%s is not a port number from 1 to 65535" % show(port))
    return port


def key_of(name):
    """An option's name as it stands in a cluster's configuration: "ssh_options"."""
    return name.lstrip("-").replace("-", "_")


def is_true(options, name):
    """Whether a flag is set, by its value: on stdin "name=0" must not mean yes."""
    return str(options.get(name, "0")).strip().lower() not in ("0", "no", "off", "false")


class Session:
    """One ssh login with the read loop at its far end.

    ssh gets pipes for what the host answers and a terminal of its own for what it says and asks:
    no banner, warning or output of a command can pose as a prompt or as an answer.
    """

    def __init__(self, login):
        self._login = login
        self._terminal, ssh_side = os.openpty()
        try:
            self._ssh = self._start(ssh_side)
        except OSError as error:
            os.close(self._terminal)
            raise LoginFailed("cannot start %s: %s; install the OpenSSH client or set ssh_path"
                              % (login.argv[0], error.strerror))
        finally:
            os.close(ssh_side)
        os.set_blocking(self._ssh.stdin.fileno(), False)
        self._answers = pexpect.fdpexpect.fdspawn(self._ssh.stdout, maxread=65536)
        self._words = pexpect.fdpexpect.fdspawn(self._terminal, maxread=65536)
        self._listened_to = [self._ssh.stdout.fileno(), self._terminal]
        self._said = ""
        self._answered_up_to = None  # how much ssh had said when it was given the secret

    def _start(self, ssh_side):
        def own_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        environment = dict(os.environ, LC_ALL="C")
        for name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY"):
            environment.pop(name, None)
        # a list of words, no shell: nothing an option holds can become a command
        return subprocess.Popen(
            self._login.argv, bufsize=0, env=environment, start_new_session=True,
            preexec_fn=own_terminal, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=ssh_side)

    def open(self, bound):
        """Log in within bound seconds; raises a LoginFailed with the cause."""
        deadline = time.monotonic() + bound
        ready = re.compile(r"(?:^|\n)(%s|fence_esxi-ready)\r?\n".encode() % READY.encode())
        try:
            while not self._has_come(ready, deadline, self._answer_prompt):
                raise self._failure("no answer to the login within %.0f s" % bound,
                                    "check that the host is not overloaded, and that ip= is an "
                                    "ESXi host")
        except SessionLost:
            raise why_login_failed(self._login, self._trace())
        if self._answers.match.group(1) != READY.encode():
            raise LoginFailed("%s: the restricted key was made by an older esxi-fence-key; make "
                              "its line of authorized_keys anew" % address_of(self._login))

    def ask(self, commands, bound):
        """The Answers to one or two commands run side by side, in their order.

        None for each that did not come within bound seconds; then the session is of no use any
        more. Raises SessionLost.
        """
        tag = binascii.hexlify(os.urandom(15))
        deadline = time.monotonic() + bound
        answers = [None, None]
        one, two = [command.encode("utf-8", "surrogateescape") for command in commands + [""]][:2]
        try:
            self._send(b"%s\n%s\n%s\n" % (tag, one, two), deadline)
            for place in (1, 0):  # the second one's answer comes first
                end = re.compile(b"\n%s\\.%d ([0-9]+)\r?\n" % (tag, place + 1))
                if not self._has_come(end, deadline):
                    break
                text = self._answers.before.decode("utf-8", "surrogateescape")
                answers[place] = Answer(int(self._answers.match.group(1)), text)
        except SessionLost:
            raise SessionLost('%s: the connection broke while "%s" ran; try again%s' % (
                address_of(self._login), one_line(commands[0], 60), quoted_words(self._trace())),
                answers=answers[: len(commands)])
        return answers[: len(commands)]

    def close(self):
        """End ssh and what it started at once; there is nothing to wait for."""
        try:
            os.killpg(self._ssh.pid, signal.SIGKILL)
            self._ssh.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            pass  # it has ended, or the kernel will see to it
        for pipe in (self._ssh.stdin, self._ssh.stdout):
            try:
                pipe.close()
            except OSError:  # what was not sent yet need not arrive any more
                continue
        os.close(self._terminal)

    def _has_come(self, pattern, deadline, meanwhile=lambda: None):
        """Read the host's answers up to pattern; False where it has not come by the deadline.

        What ssh says is read as well, so that it never waits for a reader. SessionLost at the end.
        """
        while True:
            found = self._answers.expect([pattern, pexpect.TIMEOUT, pexpect.EOF], timeout=0)
            self._hear()
            if found == 0:
                return True
            if found == 2 or len(self._answers.before) > MOST_OUTPUT:
                self._hear_last_words()
                raise SessionLost("the connection broke")
            meanwhile()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select(self._listened_to, [], [], left)

    def _hear(self):
        if self._terminal in self._listened_to:
            if self._words.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=0):
                self._listened_to.remove(self._terminal)
            self._said = self._words.before.decode("utf-8", "replace").replace("\r", "")

    def _hear_last_words(self):
        until = time.monotonic() + 1
        while self._terminal in self._listened_to and time.monotonic() < until:
            select.select([self._terminal], [], [], 0.1)
            self._hear()
        try:
            self._ssh.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass  # then it has no exit status to tell

    def _send(self, data, deadline):
        while data:
            _, ready, _ = select.select([], [self._ssh.stdin], [], max(0, deadline - time.monotonic()))
            if not ready:
                return
            try:
                data = data[os.write(self._ssh.stdin.fileno(), data) :]
            except OSError:
                raise SessionLost("the connection broke")

    def _answer_prompt(self):
        """Give ssh the secret, once, when it waits for one.

        The sign is that ssh keeps the echo of its terminal off, which no text can bring about. The
        prompt has come when it ends like one, or when nothing more comes.
        """
        if self._terminal not in self._listened_to or self._has_echo():
            return
        if not re.search(r"(?i)(password|passphrase for .*): ?\Z", self._said):
            while select.select([self._terminal], [], [], 0.05)[0] and self._has_words():
                self._hear()
        question = self._said[self._answered_up_to or 0 :].strip().rpartition("\n")[2].strip()
        if not question or self._has_echo():
            return
        if self._answered_up_to is not None:
            raise self._failure(*ASKED_AGAIN)
        is_passphrase = "passphrase" in question.lower()
        if self._login.secret is None or is_passphrase != bool(self._login.key):
            cure = "the passphrase of the key in password=" if is_passphrase else "another login"
            raise self._failure('ssh asks "%s" and there is no answer to that' % one_line(question),
                                "give " + cure)
        self._answered_up_to = len(self._said)
        secret = self._login.secret.encode("utf-8", "surrogateescape")
        os.write(self._terminal, secret + b"\n")

    def _has_words(self):
        return self._terminal in self._listened_to

    def _has_echo(self):
        return termios.tcgetattr(self._terminal)[3] & termios.ECHO != 0

    def _failure(self, cause, cure):
        return login_failure(self._login, self._trace(), cause, cure)

    def _trace(self):
        lines = [line.strip() for line in self._said.split("\n") if line.strip()]
        words = [line for line in lines if not SSH_REMARKS.match(line)]
        printed = (self._answers.before or b"") if isinstance(self._answers.before, bytes) else b""
        return Trace(words, one_line(printed.decode("utf-8", "replace"), 100),
                     self._answered_up_to is not None, self._ssh.poll())


# what there is to tell why a login failed: ssh's words, what came on its stdout, whether it was
# given the password or passphrase, and its exit status
Trace = namedtuple("Trace", "words printed secret_given status")

# what ssh remarks without that anything is wrong, and its prompts
SSH_REMARKS = re.compile(r"Warning: Permanently added|\*\* |debug[123]: |.*(?i:password|passphrase"
                         r".*): ?\Z")
ASKED_AGAIN = ("the host refused the password",
               "correct password=; five wrong ones lock the account for 15 minutes, and a locked "
               "account refuses the right one too")
DENIED_BY_SSH = r"Permission denied \(|Too many authentication failures"
CLOSED = r"kex_exchange|[Cc]onnection (?:reset|closed)|Broken pipe"
# when: with a key, with a password; given: after the secret was typed, else before it. What ssh
# says last, the cause, and what to do; %(1)s is what the pattern's group found.
LOGIN_FAILURES = (
    ("", r"IDENTIFICATION HAS CHANGED",
     "the host key has changed; if the host was not installed anew, somebody may listen in",
     "else forget the old key: ssh-keygen -R '%(name)s' -f %(file)s"),
    ("", r"Host key verification failed", "the host key is not in %(pinned)s",
     "add it after checking its fingerprint: ssh-keyscan -p %(port)s %(host)s >>%(file)s"),
    ("key", r"are too open", "the identity file %(key)s can be read by others",
     "protect it: chmod 600 %(key)s"),
    ("key", r'(Load key ".*)', "the identity file %(key)s is no usable private key: %(1)s",
     "give the file without .pub"),
    ("key given", DENIED_BY_SSH, "the host did not log in with %(key)s",
     "the passphrase in password= is wrong, or the host does not know the key"),
    ("key", DENIED_BY_SSH, "the host refused the key %(key)s",
     "put its public half into /etc/ssh/keys-%(user)s/authorized_keys on the host; ESXi 8 takes "
     "RSA and ECDSA, no ed25519"),
    ("password", r"(?i)\block|tally_vob", "the account is probably locked",
     "wait 15 minutes without a login (Security.AccountUnlockTime), then try again"),
    ("password given", DENIED_BY_SSH, *ASKED_AGAIN),
    ("password given", r"Connection to \S+ port \d+ timed out",
     "the host did not judge the password in time", "see whether it is overloaded"),
    ("password given", CLOSED, "the host closed the connection on the password",
     "check password= before the next try; five wrong ones lock the account"),
    ("password", r"Permission denied \(((?![^)]*(?:keyboard|password)).*)\)",
     "the host takes no password, only %(1)s",
     "use a key with identity_file=, or allow passwords in its sshd_config"),
    ("password", DENIED_BY_SSH, "no password was asked for",
     "take out of ssh_options what switches passwords off, such as BatchMode"),
    ("", r"Could not resolve hostname|[Nn]ame resolution|Name or service not known",
     "the name cannot be resolved", "check ip= and the DNS or /etc/hosts of this node"),
    ("", r"Connection refused", "nothing listens there",
     "start SSH on the host (TSM-SSH, policy 'start and stop with host') or check ipport="),
    ("", r"No route to host|Network is unreachable|Cannot assign requested address|Invalid argument",
     "the network does not lead there", "check ip=, the cabling and the routes of this node"),
    ("", r"during banner exchange|Connection to \S+ port \d+ timed out",
     "something takes connections there, but does not speak SSH in time",
     "check ip= and ipport=, and whether the host is overloaded"),
    ("", r"[Cc]onnection timed out|Operation timed out", "no answer from that address",
     "check ip=, that the host is up and that no firewall drops SSH"),
    ("", r"no matching host key type found\. Their offer: ([^\s,]+)",
     "ssh and the host share no algorithm", "if the host cannot be updated, add to ssh_options: "
     "-o HostKeyAlgorithms=+%(1)s -o PubkeyAcceptedAlgorithms=+%(1)s"),
    ("", r"no matching key exchange method found\. Their offer: ([^\s,]+)",
     "ssh and the host share no algorithm",
     "if the host cannot be updated, add to ssh_options: -o KexAlgorithms=+%(1)s"),
    ("", r"no matching (?:cipher|MAC) found\. Their offer: ([^\s,]+)",
     "ssh and the host share no algorithm",
     "if the host cannot be updated, allow %(1)s with Ciphers or MACs in ssh_options"),
    ("", r"Bad configuration option|[Uu]nsupported option|unknown option|command-line:? line"
     r"|usage: ssh|Unknown (?:cipher|mac) type|user config file",
     "ssh does not accept an option", "correct ssh_options="),
    ("", CLOSED, "the host closed the connection, as a busy or starting sshd does",
     "try again, or raise MaxStartups in its sshd_config"),
)


def address_of(login):
    """The host a login goes to, for messages."""
    return "%s@%s port %s" % (login.user, login.host, login.port)


def quoted_words(trace):
    """ssh's own last line, for the end of a message."""
    return ' (ssh: "%s")' % one_line(trace.words[-1]) if trace.words else ""


def login_failure(login, trace, cause, cure, **facts):
    """The LoginFailed for a cause; after the secret was given it is final."""
    denied = any(re.search(DENIED_BY_SSH, line) for line in trace.words[-3:])
    return LoginFailed("%s: %s; %s%s" % (address_of(login), cause, cure, quoted_words(trace)),
                       final=trace.secret_given or denied, **facts)


def why_login_failed(login, trace):
    """The LoginFailed for an ssh that ended before the loop was ready."""
    said = "\n".join(trace.words)
    pinned = login.pinned or "known_hosts"
    offending = re.search(r"^Offending \S+ key in (.+):[0-9]+$", said, re.MULTILINE)
    known = login.pinned or (offending.group(1) if offending else "~/.ssh/known_hosts")
    name = login.host if login.port == "22" else "[%s]:%s" % (login.host, login.port)
    for when, pattern, cause, cure in LOGIN_FAILURES if trace.status == 255 else ():
        found = re.search(pattern, said)
        fits = when.split() in ([], ["key"] if login.key else ["password"],
                                ["key" if login.key else "password", "given"])
        if not found or not fits or ("given" in when and not trace.secret_given):
            continue
        words = {"name": name, "file": shlex.quote(known), "pinned": pinned, "host": login.host,
                 "port": login.port, "user": login.user, "key": login.key,
                 "1": one_line(found.group(found.lastindex or 0))}
        return login_failure(login, trace, cause % words, cure % words,
                             busy=pattern is CLOSED and not trace.secret_given)
    if trace.status == 255 and not trace.words:
        return login_failure(login, trace, "ssh ended without a word",
                             "take -q, -E and LogLevel out of ssh_options to see why")
    heard = ' (host: "%s")' % trace.printed if trace.printed else ""
    return login_failure(login, trace, "the session ended before its shell was ready",
                         "see whether the user may use the ESXi Shell" + heard)


# ---------------------------------------------------------------------------------------------
# 3. The host
# ---------------------------------------------------------------------------------------------

# vmid and file are None where hostd has no row for the VM or was not heard; uuid where not known
VM = namedtuple("VM", "vmid name file uuid")
# hostd's word on a VM's power, and the running VMs (None: the list was not sound) beside it
Sight = namedtuple("Sight", "vm state processes")
# seconds: for a login, for one question, for one power command
Bounds = namedtuple("Bounds", "login question power")
OTHER_TOOL = {"localcli": "esxcli", "esxcli": "localcli"}
VMX_PATTERN = "^(uuid.bios|vc.uuid|checkpoint.vmstate) *="
LONGEST_COMMAND = 30000  # bytes: a request must fit into a pipe
# seconds until the next try where the host hung up before it asked who is there
BUSY_PAUSES = (0.5, 1, 2, 3, 4, 5)


class EsxiHost:
    """An ESXi host: which VM a plug means and what its power is, all before one deadline.

    session: makes a session of a Login; clock: monotonic() and sleep(), as in the module time.
    """

    def __init__(self, login, bounds, deadline, session, clock):
        self._login = login
        self._bounds = bounds
        self.deadline = deadline
        self._new_session = session
        self.clock = clock
        self._session = None
        self._refusal = None
        self._lister = "localcli"  # the tool that lists processes; it needs no hostd
        self._volumes = {}

    # -- talking to it

    def left(self):
        """Seconds until the verdict is due."""
        return self.deadline - self.clock.monotonic()

    def ask(self, *commands, bound=None):
        """The Answers to one or two commands run side by side, None for each that did not come.

        What only reads is asked once more where the connection broke.
        """
        only_reads = not any(re.search(r"power\.o|process kill", command) for command in commands)
        for may_repeat in (only_reads, False):
            if self.left() < 0.3:
                raise TimeIsUp("no time left to ask %s" % self._login.host)
            self._session = self._session or self._log_in()
            started = self.clock.monotonic()
            bound = min(bound or self._bounds.question, max(0.1, self.left()))
            try:
                answers = self._session.ask(list(commands), bound)
                break
            except SessionLost as lost:
                self.hang_up()
                if not may_repeat or self.left() < 2:
                    raise
                logging.warning("%s; asking again", lost)
        if None in answers:
            self.hang_up()
        for command, answer in zip(commands, answers):
            logging.debug('asked "%s": %s, %.1f s', one_line(command, 100), describe(answer),
                          self.clock.monotonic() - started)
            refusal = KEY_REFUSES.search(answer.text) if answer and answer.status else None
            if refusal:
                raise NotAllowed("%s: %s" % (self._login.host, one_line(refusal.group())))
        return answers

    def hang_up(self):
        """Drop the session, if there is one; the next question logs in anew."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _log_in(self):
        for pause in BUSY_PAUSES:
            if self._refusal:
                raise self._refusal
            try:
                return self._log_in_once()
            except LoginFailed as failure:
                self._refusal = failure if failure.final else None
                if not failure.busy or self.left() < pause + 2:
                    raise
                logging.warning("%s; one more try", failure)
                self.clock.sleep(pause)
        return self._log_in_once()

    def _log_in_once(self):
        started = self.clock.monotonic()
        session = self._new_session(self._login)
        try:
            session.open(min(self._bounds.login, max(0.1, self.left())))
        except BaseException:
            session.close()
            raise
        logging.info("logged in to %s, %.1f s", self._login.host, self.clock.monotonic() - started)
        return session

    def _ask_hostd(self, question, parse, beside=True):
        """(what parse makes of hostd's answer, the processes), asked side by side.

        Asked twice where the answer is damaged, or where both are silent, which is what localcli
        looks like when it hangs: then esxcli lists from now on. Raises HostdSilent, NotAllowed.
        """
        processes = None
        for again in (True, False):
            lists = [self._lister + " vm process list"] if beside else []
            answer, listed = (self.ask(question, *lists) + [None])[:2]
            latest = parse_processes(listed) if listed else None
            processes = processes if latest is None else latest
            if latest is None and beside:
                self._lister = OTHER_TOOL[self._lister]
            if answer is None and (listed or not again or not beside):
                raise HostdSilent(
                    '%s gave no answer to "%s" within %.0f s; hostd may hang: see '
                    "/etc/init.d/hostd status on the host"
                    % (self._login.host, question, self._bounds.question), processes=processes)
            parsed = parse(answer) if answer else None
            if parsed is not None:
                return parsed, processes
            self._check_may_ask(answer)
        raise HostdSilent('%s: "%s" failed: %s; see /etc/init.d/hostd status on the host'
                          % (self._login.host, question, reason_in(answer)), processes=processes)

    def _check_may_ask(self, answer):
        if answer and answer.status == 127:
            raise NotAllowed("%s: its shell has no vim-cmd, so this is not an ESXi host; check ip= "
                             '(host: "%s")' % (self._login.host, reason_in(answer)))
        if answer and answer.status and DENIED.search(answer.text):
            raise NotAllowed("%s: the user %s may not run vim-cmd; give it the Administrator role "
                             '(host: "%s")'
                             % (self._login.host, self._login.user, reason_in(answer)))

    # -- which VM

    def look(self):
        """(Inventory, processes): what is registered and what runs, asked side by side."""
        return self._ask_hostd("vim-cmd vmsvc/getallvms", parse_inventory)

    def inventory(self):
        """The Inventory alone, which is all that a list needs."""
        return self._ask_hostd("vim-cmd vmsvc/getallvms", parse_inventory, beside=False)[0]

    def sight(self, plug):
        """The Sight of the VM a plug means. NoSuchVM, AmbiguousVM, HostdSilent with what is known.

        Looks twice before it says that there is no such VM: its Vmid may have changed meanwhile.
        """
        for again in (True, False):
            vm = None
            inventory, processes = self.look()
            try:
                vm = self.find(plug, inventory, processes)
                return self.look_at(vm)
            except NoSuchVM:
                if not again:
                    raise
            except HostdSilent as silence:
                silence.vm = vm
                silence.processes = silence.processes or processes
                raise

    def look_at(self, vm):
        """A Sight of a VM: hostd's word on its power beside the processes. NoSuchVM, HostdSilent"""
        def parse(answer):
            is_gone = fault_in(answer) in ("NotFound", "ManagedObjectNotFound")
            return "gone" if is_gone else parse_power_state(answer)

        state, processes = self._ask_hostd("vim-cmd vmsvc/power.getstate " + vm.vmid, parse)
        if state == "gone":
            raise NoSuchVM("%s: %s has left the list of VMs; try again"
                           % (self._login.host, describe_vm(vm)))
        return Sight(vm, state, processes)

    def find(self, plug, inventory, processes):
        """The one registered VM of this display name or BIOS UUID, as two witnesses tell it.

        They are the inventory and the process list where they agree on name and file; else hostd's
        get.summary of the Vmid. Raises NoSuchVM, AmbiguousVM, HostdSilent.
        """
        if processes is None and not inventory.complete:
            raise HostdSilent("%s: which VM is called %s cannot be settled: the host cannot read "
                              "all its VMs, and does not list those that run"
                              % (self._login.host, show(plug)))
        uuid = plain_uuid(plug)
        running = [process for process in processes or [] if is_called(process, plug, uuid)]
        rows = inventory.rows(plug)
        if uuid:
            rows += [row for process in running
                     for row in inventory.rows(process.name, below_volume(process.file))]
            rows += self._rows_with_uuid(uuid, inventory, bool(rows))
        rows = list(OrderedDict((row.vmid, row) for row in rows).values())
        found = [self._confirmed(row, plug, uuid, running if len(rows) == 1 else [], inventory)
                 for row in rows]
        found = [vm for vm in found if vm]
        strangers = [process for process in running
                     if not any(is_file_of(vm.file, process) for vm in found)]
        if len(found) > 1 or found and (strangers or len(running) > 1):
            raise AmbiguousVM("%s: %s means several VMs: %s; rename one of them, or use a UUID" % (
                self._login.host, show(plug), " and ".join(
                    [describe_vm(vm) + " " + vm.file for vm in found]
                    + [describe_process(process) for process in strangers or running[1:]])))
        if not found:
            raise self._no_such_vm(plug, inventory, processes)
        return found[0]

    def _confirmed(self, row, plug, uuid, running, inventory):
        """The VM of a row, None where it is not the one that the plug means."""
        if len(running) == 1 and inventory.trusts(row.vmid):
            process = running[0]
            for same in inventory.rows(process.name, below_volume(process.file)):
                if same.vmid == row.vmid:
                    known = uuid if process.uuid == uuid else None
                    return VM(row.vmid, process.name, same.file, known)
        summary = self._summary(row.vmid)
        if summary and (plug in spellings(summary.name) or (uuid and summary.uuid == uuid)):
            return VM(row.vmid, summary.name, summary.file, summary.uuid)
        return None

    def _summary(self, vmid):
        """The Summary of a Vmid, None where hostd knows no such VM; HostdSilent."""
        def parse(answer):
            return "gone" if fault_in(answer) else parse_summary(answer)

        summary, _ = self._ask_hostd("vim-cmd vmsvc/get.summary " + vmid, parse)
        return None if summary == "gone" else summary

    def _no_such_vm(self, plug, inventory, processes):
        hints = near_misses(plug, inventory.rows())
        near = "; did you mean %s?" % " or ".join(hints) if hints else ""
        if inventory.skipped:
            near += "; the host cannot read %d of its VMs (Skipping invalid VM %s)" % (
                len(inventory.skipped), ", ".join(inventory.skipped[:5]))
        return NoSuchVM("%s: no VM is called %s%s; -o list shows the names"
                        % (self._login.host, show(plug), near),
                        inventory=inventory, processes=processes)

    def _rows_with_uuid(self, uuid, inventory, is_known):
        """The rows of VMs whose configuration file holds this BIOS UUID.

        Asked even where a process bears the UUID, since a second VM may bear it too; but then a
        datastore that is dead, and so is silent, does not keep that VM from being fenced.
        """
        values = self.vmx_values(inventory.rows())
        if values is None and not is_known:
            raise HostdSilent("%s: the configuration files cannot be read, so which VM has the "
                              "UUID %s is not known; a datastore may be dead"
                              % (self._login.host, show(uuid)))
        bearers = {key: [row for row in inventory.rows() for path in vmx_paths(row.file)
                         if plain_uuid((values or {}).get((path, key), "")) == uuid]
                   for key in ("uuid.bios", "vc.uuid")}
        if bearers["vc.uuid"] and not bearers["uuid.bios"]:
            raise BadInput("%s is the vc.uuid of %s, which no list of running VMs shows; give its "
                           "uuid.bios" % (show(uuid), show(bearers["vc.uuid"][0].name)))
        return bearers["uuid.bios"]

    def vmx_values(self, rows):
        """{(path, key): value} for UUIDs and suspend images; None where a datastore is silent."""
        start = "grep -isHE %s /dev/null" % quote(VMX_PATTERN)
        commands = [start] if rows else []
        for path in [path for row in rows for path in vmx_paths(row.file)]:
            if len((commands[-1] + path).encode("utf-8", "replace")) > LONGEST_COMMAND:
                commands.append(start)
            commands[-1] += " " + quote(path)
        values = {}
        for command in commands:
            (answer,) = self.ask(command, bound=5)
            if answer is None:
                return None
            values.update(((path, key), value)
                          for path, key, value in parse_vmx_values(answer.text))
        return values

    # -- its power

    def is_off(self, sight, just_taken=False):
        """Whether two witnesses say that a VM is off: hostd, and a sound list of processes.

        just_taken: hostd called it on and has itself just taken its power.off.
        """
        if sight.state != "off":
            return False
        if sight.processes is None:
            return just_taken
        if any(self._may_be(sight.vm, process) for process in sight.processes):
            return False
        return bool(sight.processes) or just_taken or self.runs_nothing()

    def _may_be(self, vm, process):
        """Whether a process may be a VM's, so that it is not off: by name, by file or by UUID.

        A copy has the file's path and the UUID too; it is another VM where hostd says so.
        """
        if is_called(process, vm.name, None):
            return True
        if not is_file_of(vm.file, process) and not (vm.uuid and process.uuid == vm.uuid):
            return False
        path = below_volume(process.file)
        others = [row.vmid for row in self.look()[0].rows(process.name, path) if row.vmid != vm.vmid]
        summaries = [self._summary(vmid) for vmid in others]
        return not any(summary and summary.name == process.name
                       and is_file_of(summary.file, process) for summary in summaries)

    def runs_nothing(self):
        """Whether a second program agrees that no VM runs: an empty list by itself proves nothing.

        That is `ps`; only where the host has no `ps` of VMware's, the other list of processes.
        """
        shown, listed = self.ask("ps", "esxcli vm process list", bound=5)
        worlds = parse_worlds(shown) if shown else None
        if worlds is not None:
            return not any(is_of_a_vm(world.name) for world in worlds)
        has_none = shown and (shown.status == 127 or re.match(" *PID", shown.text))
        return bool(has_none and listed) and parse_processes(listed) == []

    def is_absent(self, plug):
        """Whether a VM is proven not to be on this host: neither registered nor running.

        The list is complete, every running VM is one of its rows, and none is called so; for a
        UUID, every row's configuration file tells another one.
        """
        inventory, processes = self.look()
        if not inventory.complete or processes is None or inventory.rows(plug):
            return False
        if not processes and not self.runs_nothing():
            return False
        uuid = plain_uuid(plug)
        if any(is_called(process, plug, uuid)
               or not inventory.rows(process.name, below_volume(process.file))
               for process in processes):
            return False
        if uuid is None:
            return True
        values = self.vmx_values(inventory.rows()) or {}
        uuids = [[plain_uuid(values.get((path, "uuid.bios"), "")) for path in vmx_paths(row.file)]
                 for row in inventory.rows()]
        return all(any(of_row) and uuid not in of_row for of_row in uuids)

    def power_states(self):
        """[(Row, state), ...] of all VMs by a few host commands, however many there are.

        Off only where two programs list the same processes and no suspend image lies there;
        "unknown" where that is not to be had. Raises HostdSilent where nothing is known.
        """
        inventory, first = self.look()
        (listed,) = self.ask(OTHER_TOOL[self._lister] + " vm process list")
        second = parse_processes(listed) if listed else None
        if first is None and second is None:
            raise HostdSilent("%s does not list the running VMs; see /etc/init.d/hostd status on "
                              "the host" % self._login.host)
        is_sound = first is not None and second is not None and set(first) == set(second)
        running = {below_volume(process.file): process for process in (first or []) + (second or [])}
        names = Counter(process.name for process in running.values())
        resting = [row for row in inventory.rows()
                   if not any(names[name] for name in spellings(row.name))]
        values = self.vmx_values(resting) if is_sound and (running or self.runs_nothing()) else None

        def state_of(row):
            ends = [row.file[end.end() :] for end in re.finditer(r"\] ?", row.file)]
            processes = [running[end] for end in ends if end in running]
            if any(process.name in spellings(row.name) for process in processes):
                return "on"
            if processes or row not in resting or values is None:
                return "unknown"
            keys = [(path, "checkpoint.vmstate") for path in vmx_paths(row.file)]
            return "suspended" if any(values.get(key) for key in keys) else "off"

        return [(row, state_of(row)) for row in inventory.rows()]

    def switch(self, vm, state):
        """Send power.on or power.off; whether the host took it, and why not. No proof (facts: 3.1)

        Taken means exit status 0 and no fault in the text.
        """
        command = "vim-cmd vmsvc/power.%s %s" % (state, vm.vmid)
        (answer,) = self.ask(command, bound=self._bounds.power)
        if answer is None:
            return False, "power.%s was not answered within %d s" % (state, self._bounds.power)
        taken = answer.status == 0 and not re.search(r"fault\.|failed", answer.text)
        reason = "" if taken else "power.%s was refused: %s" % (state, reason_in(answer))
        logging.info("%s: power.%s sent, %s", describe_vm(vm), state, reason or "taken")
        return taken, reason

    def question_of(self, vm):
        """The question a VM waits with and how to answer it, as half a sentence, or "" """
        try:
            (answer,) = self.ask("vim-cmd vmsvc/message " + vm.vmid, bound=3)
        except FenceError as error:
            logging.info("whether a question is pending cannot be asked: %s", error)
            return ""
        question = parse_question(answer) if answer else None
        return "" if question is None else (
            'it waits with the question "%s"; answer with: vim-cmd vmsvc/message %s %s N '
            "(N: %s)" % (question.text, vm.vmid, question.qid, ", ".join(question.choices)))

    # -- its processes

    def processes(self, tool, volume_of=None):
        """The running VMs as a tool lists them, None where the list is not sound.

        volume_of: a VM to learn the volume of, side by side, for own(). Plain readlink looks at
        the link only: one that looks at a datastore that is dead would never end (facts: 6).
        """
        commands = [tool + " vm process list"]
        datastore = vmx_datastore(volume_of)
        if datastore and datastore not in self._volumes:
            commands.insert(0, "readlink " + quote("/vmfs/volumes/" + datastore))
        answers = self.ask(*commands, bound=5)
        if len(answers) == 2:
            link = answers[0].text.strip().rstrip("/") if answers[0] else ""
            self._volumes[datastore] = link.rpartition("/")[2]
        return parse_processes(answers[-1]) if answers[-1] else None

    def own(self, vm, processes):
        """The process that is a VM's for certain, and may be killed, or None.

        By its configuration file, volume and all; by name and path where the volume's link is
        silent or gone; by name or UUID where hostd told no file. Two, or one of that name that is
        another VM's, is AmbiguousVM.
        """
        datastore = vmx_datastore(vm)
        volumes = {self._volumes.get(datastore), datastore} - {"", None}

        def is_own(process):
            if vm.file is None:
                return is_called(process, vm.name, vm.uuid)
            if not is_file_of(vm.file, process) or (vm.uuid and process.uuid != vm.uuid):
                return False
            if not self._volumes.get(datastore):
                return is_called(process, vm.name, None)
            return re.match("/vmfs/volumes/([^/]*)/", process.file).group(1) in volumes

        own = [process for process in processes if is_own(process)]
        named = [process for process in processes if is_called(process, vm.name, None)]
        suspects = list(OrderedDict.fromkeys(own + named))
        if len(suspects) > 1 or named and not own:
            raise AmbiguousVM("%s: %s means several running VMs, or another one: %s; nothing more "
                              "was killed" % (self._login.host, show(vm.name), " and ".join(
                                  map(describe_process, suspects))))
        return own[0] if own else None

    def kill(self, tool, how, process):
        """Kill a VM's process by soft, hard or force. No proof."""
        command = "%s vm process kill -t %s -w %s" % (tool, how, process.world)
        (answer,) = self.ask(command, bound=5)
        taken = describe(answer) if answer is None or answer.status else "taken"
        logging.warning("%s: %s vm process kill %s sent, %s", describe_process(process), tool, how,
                        taken)


def quote(path):
    """A path as one word for the host's shell."""
    return "'%s'" % path.replace("'", "'\\''")


def is_called(process, name, uuid):
    """Whether a process bears this display name or this UUID."""
    return process.name in spellings(name) or (uuid is not None and process.uuid == uuid)


def vmx_datastore(vm):
    """The name of the datastore that a VM's configuration file lies on, else ""."""
    return vm.file[1:].rpartition("] ")[0] if vm and vm.file else ""


def describe(answer):
    """What an answer says, short, for the log."""
    if answer is None:
        return "no answer"
    lines = [line for line in lines_of(answer.text) if line.strip()]
    said = '"%s"' % one_line(lines[-1], 100) if 0 < len(lines) < 4 else "%d lines" % len(lines)
    return "exit status %d, %s" % (answer.status, said)


def describe_vm(vm):
    """A VM, for messages."""
    return "%s (Vmid %s)" % (show(vm.name), vm.vmid) if vm.vmid else show(vm.name)


def describe_process(process):
    """The process of a running VM, for messages."""
    return "%s (world %s, %s)" % (show(process.name), process.world, process.file)


# ---------------------------------------------------------------------------------------------
# 4. The ladder
# ---------------------------------------------------------------------------------------------

KILLS = ("soft", "hard", "force")
# seconds between rounds; with less time left than that, only the strongest kill is tried
PAUSES = (0.7, 1.5, 3)
TIME_FOR_GENTLE_KILLS = 18


class PowerOff:
    """The ladder that switches one VM off for certain, climbed until that is proven or time is up.

    1. power.off.  2. esxcli vm process kill soft, hard, force.  3. Where hostd is silent, the same
    through localcli. A kill goes only to a process that is the VM's for certain.

    What proves it off:
        hostd says "Powered off", and a sound list of processes holds nothing that may be the VM
            (an empty list: and a second program agrees that nothing runs);
        hostd says so, called the VM on before and has just taken its power.off: its word alone,
            where no sound list is to be had;
        hostd is silent: the VM's own process, seen in this run, is missing three times, a second
            apart, from localcli's list and, by World ID and Cartel ID, from `ps`; where `ps` is not
            understood, the list must still show something that was seen beside the VM.
    What does not:
        an exit status, or the announcement "Powering off VM:" (facts: 3.1);
        a fault's text that holds "(Powered off)";
        hostd's word alone otherwise: it says so of an invalid VM that runs on (facts: 3.2);
        a missing row, a list that failed, is damaged or is empty;
        a process that was never seen, a name in `ps`, a World ID that is another run's.
    """

    def __init__(self, host, plug, may_kill, sight, vm=None):
        self._host = host
        self._may_kill = may_kill
        self._sight = sight  # the first look, or the HostdSilent that it ended in; None: not yet
        self._plug = plug
        self.vm = vm or VM(None, plug, None, plain_uuid(plug))
        self._seen = None  # the VM's own process, as it was last listed
        self._beside = set()  # what was listed beside it, and so is not the VM
        self._tried = OrderedDict()
        self._trouble = self._question = ""
        self._refusals = 0

    def run(self):
        """Returns when the VM is proven off; raises PowerFailed, saying what was tried."""
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            try:
                if self._climb():
                    log = logging.warning if len(self._tried) > 1 else logging.info
                    log("%s is off: %s", self._described(), self._trouble)
                    return
            except (NotAllowed, AmbiguousVM, PowerFailed, BadInput):
                raise
            except FenceError as error:
                if getattr(error, "final", False):
                    raise
                self._note(str(error))
            if self._host.left() < 2:
                raise self._failure()
            self._host.clock.sleep(min(pause, self._host.left() - 1.5))

    def _climb(self):
        """All rungs once; True when the VM is proven off."""
        try:
            return self._through_hostd()
        except HostdSilent as silence:
            self.vm = silence.vm or self.vm
            self._note(str(silence))
            return self._kill_with("localcli", silence.processes)

    def _through_hostd(self):
        """Rungs 1 and 2; HostdSilent where hostd is."""
        sight, self._sight = self._sight, None
        try:
            if isinstance(sight, HostdSilent):
                raise sight
            sight = sight or self._host.sight(self._plug)
        except NoSuchVM as missing:
            # final, unless hostd knew the VM before or admits to VMs it cannot read (facts: 1.3)
            known = self.vm.file or not missing.inventory or not missing.inventory.complete
            if not known or not self._may_kill:
                raise PowerFailed(str(missing))
            self._note(str(missing))
            self.vm = self.vm._replace(vmid=None)
            return self._kill_with("esxcli", missing.processes)
        self.vm = sight.vm
        self._watch_out(sight.processes)
        if self._host.is_off(sight):
            return self._proven('hostd says "Powered off", and no process of it runs')
        if sight.state != "off" and self._power_off(sight.state):
            return True
        if sight.state == "suspended" and self._refusals > 1:
            raise self._failure("it is suspended, and " + self._trouble)
        return self._kill_with("esxcli", None)

    def _power_off(self, state):
        """Rung 1."""
        self._tried["power.off"] = True
        taken, trouble = self._host.switch(self.vm, "off")
        if self._is_off_within(3 if taken else 0, taken):
            return True
        self._note(trouble or "power.off was taken, and it is not off")
        if not taken:
            self._refusals += 1
            self._question = self._question or self._host.question_of(self.vm)
        return False

    def _kill_with(self, tool, processes):
        """Rung 2 through esxcli, rung 3 through localcli; processes: as listed just before."""
        if processes is None or self.vm.file:
            processes = self._host.processes(tool, self.vm)
        for how in KILLS if self._may_kill else ():
            if processes is None:
                raise FenceError("%s does not list the running VMs" % tool)
            own = self._watch_out(processes)
            if own is None:
                break
            if how != KILLS[-1] and self._host.left() < TIME_FOR_GENTLE_KILLS:
                continue
            self._tried["%s kill %s" % (tool, how)] = True
            self._host.kill(tool, how, own)
            if self._is_proven_within(3, tool):
                return True
            processes = self._host.processes(tool, self.vm)
        return self._is_proven_within(3, tool)

    def _watch_out(self, processes):
        """The VM's own process or None; remembers it and what runs beside it. AmbiguousVM"""
        own = self._host.own(self.vm, processes or [])
        if own:
            self._seen = own
            self._beside = set(processes) - {own}
        return own

    def _is_proven_within(self, seconds, tool):
        if tool == "esxcli" and self.vm.vmid:
            return self._is_off_within(seconds)
        until = self._host.clock.monotonic() + seconds
        while not self._is_gone():
            if self._host.clock.monotonic() > until or self._host.left() < 1:
                return False
            self._host.clock.sleep(0.5)
        return self._proven("hostd is silent about it, and its process is gone")

    def _is_off_within(self, seconds, taken=False):
        """Whether hostd and the list of processes say that the VM is off by then."""
        until = self._host.clock.monotonic() + seconds
        while not self._host.is_off(self._host.look_at(self.vm), taken):
            if self._host.clock.monotonic() > until or self._host.left() < 1:
                return False
            self._host.clock.sleep(0.5)
        return self._proven('hostd says "Powered off", and no process of it runs')

    def _is_gone(self):
        """Whether the VM's process is missing three times, a second apart, from two lists."""
        for look in range(3):
            self._host.clock.sleep(1 if look else 0)
            shown, listed = self._host.ask("ps", "localcli vm process list", bound=4)
            processes = parse_processes(listed) if listed else None
            worlds = parse_worlds(shown) if shown else None
            if self._seen is None or processes is None:
                self._note("hostd is silent, and that its process is not listed is no proof")
                return False
            if any(self._may_be(process) for process in processes):
                return False
            if worlds is None and not self._beside.intersection(processes):
                self._note("hostd is silent, and an empty list is no proof")
                return False
            numbers = {self._seen.world, self._seen.cartel}
            if any({world.wid, world.cid} & numbers for world in worlds or ()):
                return False
        return True

    def _may_be(self, process):
        return process not in self._beside and (
            is_called(process, self.vm.name, self.vm.uuid) or is_file_of(self.vm.file, process)
            or process.uuid == self._seen.uuid)

    def _proven(self, proof):
        self._trouble = proof
        return True

    def _described(self):
        world = ", world %s" % self._seen.world if self._seen else ""
        return describe_vm(self.vm) + world

    def _note(self, trouble):
        if self._trouble and self._host.left() < 1:
            return  # what fails now fails for want of time
        log = logging.info if trouble == self._trouble else logging.warning
        log("%s is not off yet: %s", self._described(), trouble)
        self._trouble = trouble

    def _failure(self, cause=None):
        tried = ", ".join(self._tried) or "nothing could be sent"
        return PowerFailed("%s is not proven off: %s; tried: %s; switch it off on the host itself"
                           % (self._described(),
                              self._question or cause or self._trouble or "it stays on", tried))


def power_on(host, vm):
    """Switch a VM on and see that it is; PowerFailed with the host's reason.

    power.on may report success and fail, report failure and succeed, and hangs for as long as the
    VM waits with a question (facts: 3.1, 3.2).
    """
    try:
        taken, reason = host.switch(vm, "on")
    except SessionLost as lost:
        taken, reason = False, str(lost)
    until = host.clock.monotonic() + (3 if taken else 0)
    while host.left() > 0.5:
        if host.look_at(vm).state == "on":
            logging.info('%s is on: hostd says "Powered on"', describe_vm(vm))
            return
        if host.clock.monotonic() >= until:
            break
        host.clock.sleep(0.5)
    raise PowerFailed("%s could not be switched on: %s; look at its events on the host" % (
        describe_vm(vm), host.question_of(vm) or reason or "power.on was taken, and it stays off"))


# ---------------------------------------------------------------------------------------------
# 5. The agent
# ---------------------------------------------------------------------------------------------

# seconds from the start to the verdict, with the end of the interpreter taken off; a delay is added
VERDICT = {"off": 43.5, "on": 43.5, "reboot": 53.5}
VERDICT_OF_READING = 19.0

DEVICE_OPTIONS = ["ipaddr", "login", "passwd", "cmd_prompt", "secure", "port", "missing_as_off",
                  "known_hosts", "no_kill"]
NEW_OPTIONS = {
    "known_hosts": (":", "--known-hosts=[file]", "Accept only a host key that stands in this file"),
    "no_kill": ("", "--no-kill", "Never kill the VM's process where power.off fails; for those who "
                "prefer a failed fencing to a VM killed behind hostd's back"),
}
DESCRIPTIONS = {
    "port": ("-n, --plug=[name]", "Display name of the VM, letter for letter, or its BIOS UUID"),
    "cmd_prompt": ("-c, --command-prompt=[prompt]",
                   "Without effect, kept for configurations of fence_ESXi"),
    "login_timeout": ("--login-timeout=[seconds]",
                      "Seconds for the login, within the time of the whole action"),
    "shell_timeout": ("--shell-timeout=[seconds]",
                      "Seconds for one question to the host, within the time of the whole action"),
    "power_timeout": ("--power-timeout=[seconds]", "Seconds for one power.off or power.on to be "
                      "answered, within the time of the whole action"),
    "power_wait": ("--power-wait=[seconds]", "Seconds to wait after each off and on, within the "
                   "time of the whole action"),
}
LIMITS = {"login_timeout": "20", "shell_timeout": "8", "power_timeout": "12"}


def define_options():
    """Adapt the library's options to this agent and add its own."""
    all_opt["secure"]["default"] = "1"
    for key, default in LIMITS.items():
        all_opt[key]["default"] = default
    for key, (getopt_form, word, text) in NEW_OPTIONS.items():
        all_opt[key] = {"getopt": getopt_form, "longopt": word[2:].partition("=")[0],
                        "required": "0", "order": 200}
        DESCRIPTIONS[key] = (word, text)
    for key, (words, text) in DESCRIPTIONS.items():
        all_opt[key]["help"] = "%-30s %s" % (words, text)
        all_opt[key]["shortdesc"] = text


def documentation():
    """What metadata, help and man page say about the agent."""
    return {
        "shortdesc": "Fence agent for VMs on VMware ESXi, by SSH and vim-cmd",
        "longdesc": (
            "fence_esxi is a power fencing agent for virtual machines on a standalone VMware ESXi "
            "host. It logs in by SSH and runs vim-cmd there, which works with the free licence "
            "too, which refuses the API clients that fence_vmware_soap and fence_vmware_rest "
            "use.\n\n"
            "The plug is the display name of the VM, letter for letter, or its UUID; never a Vmid. "
            "Where the node has another name than the VM, map it: pcmk_host_map=node1:web-1. A "
            "name with a blank cannot stand there; use the UUID (uuid.bios in the .vmx file).\n\n"
            "A VM is reported off only when two witnesses say so, hostd and the list of running "
            "processes: where power.off is not enough, the process of the VM is killed, by esxcli "
            "and, where hostd is silent, by localcli. A suspended VM is neither on nor off: status "
            "and on are an error, off and reboot power it off. A VM that the host does not list is "
            "an error, unless missing_as_off is set, the list is complete and every running "
            "process is one of its VMs.\n\n"
            "Off and on end with a verdict within 45 seconds, reboot within 55, the rest within "
            "20; a delay is added. The exit status is 0 for done or on, 2 when status finds the VM "
            "off, 1 for everything else.\n\n"
            "Before the first fencing, and after every update of ESXi, run esxi-fence-check(8). "
            "See also esxi-fence-key(8), for a key that can do nothing but fence its own VMs."
        ),
        "vendorurl": "https://www.vmware.com",
    }


class Agent:
    """The callbacks the fencing library calls with (connection, options); the connection is ours"""

    def __init__(self, options, limits, session, clock, started):
        self._options = options
        self._action = options["--action"]
        self._clock = clock
        login = Login(ssh_argv(options), options["--username"], options["--ip"], port_of(options),
                      secret_of(options), options.get("--identity-file"),
                      options.get("--known-hosts"))
        if options.get("--command-prompt"):
            logging.info("command_prompt has no effect: the agent does not wait for a prompt")
        bounds = Bounds(*[whole_number(limits, "--%s-timeout" % kind) or
                          int(LIMITS[kind + "_timeout"]) for kind in ("login", "shell", "power")])
        cuts = self._action in ("off", "reboot")
        start = started + (whole_number(options, "--delay") if cuts else 0)
        waits = whole_number(options, "--power-wait") * len(plugs_of(options))
        self._off_deadline = start + VERDICT["off"] - waits
        deadline = start + VERDICT.get(self._action, VERDICT_OF_READING)
        deadline -= waits * {"off": 1, "on": 1, "reboot": 2}.get(self._action, 0)
        self.host = EsxiHost(login, bounds, deadline, session, clock)
        self._deadline = deadline
        self._sights = {}  # of each plug: its Sight, or the HostdSilent or NoSuchVM instead
        self._todo = []
        self._failures = []

    def get_power(self, _, options):
        """ "on" or "off" of the plug, as the library wants it.

        Off only by two witnesses, or where missing_as_off is set and the VM is proven absent. For
        off and reboot everything else counts as "on": the ladder has the last word then.
        """
        plug = plug_of(options)
        cuts = self._action in ("off", "reboot")
        try:
            sight = self._first_sight(plug, cuts)
        except NoSuchVM as missing:
            self._sights[plug] = missing
            return self._missing(plug, missing, cuts)
        self._sights[plug] = sight
        if isinstance(sight, HostdSilent):
            logging.warning("%s; taking %s for on", sight, show(plug))
            return "on"
        if sight.state == "on" or cuts and not self.host.is_off(sight):
            return "on"
        if cuts or self.host.is_off(sight):
            return "off"
        raise PowerFailed("%s is suspended, which is neither on nor off, and switching it on would "
                          "resume a stale node; power it off on the host, or fence it with off"
                          % describe_vm(sight.vm) if sight.state == "suspended" else
                          '%s: hostd says "Powered off", but the list of running VMs does not '
                          "confirm it; it may run and be invalid: look at it on the host"
                          % describe_vm(sight.vm))

    def _first_sight(self, plug, cuts):
        if not cuts:
            return self._again(lambda: self.host.sight(plug))
        silences = [sight for sight in self._sights.values() if isinstance(sight, HostdSilent)]
        if silences:  # of another plug: hostd need not be waited for once more
            return HostdSilent(str(silences[0]), processes=silences[0].processes)
        try:
            return self.host.sight(plug)
        except (HostdSilent, SessionLost) as silence:
            return silence if isinstance(silence, HostdSilent) else HostdSilent(str(silence))

    def _again(self, question):
        """question() once more where the line or hostd failed it and there is time for it."""
        try:
            return question()
        except (SessionLost, HostdSilent) as error:
            if self.host.left() < 3:
                raise
            logging.warning("%s; asking again", error)
            self._clock.sleep(0.3)
            return question()

    def _missing(self, plug, missing, cuts):
        if is_true(self._options, "--missing-as-off"):
            if self._again(lambda: self.host.is_absent(plug)):
                logging.info("%s; off, as missing_as_off says", missing)
                return "off"
            missing = NoSuchVM("%s; and missing_as_off cannot be used, because that the VM is not "
                               "on the host is not certain" % missing, inventory=missing.inventory,
                               processes=missing.processes)
        runs = missing.processes is None or any(
            is_called(process, plug, plain_uuid(plug)) for process in missing.processes)
        if cuts and self._may_kill() and runs and not missing.inventory.complete:
            self._sights[plug] = None
            return "on"
        raise missing

    def _may_kill(self):
        return not is_true(self._options, "--no-kill")

    def set_power(self, _, options):
        """Switch the plug off for certain, or on. Several plugs share the time.

        A plug that fails does not keep the others from being switched: the last one's turn raises
        PowerFailed for all that failed.
        """
        plug = plug_of(options)
        self._todo = self._todo or plugs_of(options)
        cuts = options["--action"] == "off"
        until = min(self._off_deadline, self._deadline) if cuts else self._deadline
        share = (until - self._clock.monotonic()) / len(self._todo)
        self.host.deadline = self._clock.monotonic() + share
        self._todo = self._todo[1:]
        try:
            self._switch_off(plug) if cuts else self._switch_on(plug)
        except FenceError as failure:
            if isinstance(failure, LoginFailed) or not (self._todo or self._failures):
                raise
            logging.error("%s", failure)
            self._failures.append(str(failure))
        if self._failures and not self._todo:
            failures, self._failures = self._failures, []
            raise PowerFailed("; ".join(failures))
        return True

    def _switch_off(self, plug):
        sight = self._sights.pop(plug, None)
        if isinstance(sight, NoSuchVM):  # proven absent, as missing_as_off wants it
            if not self.host.is_absent(plug):
                raise sight
            self._sights[plug] = sight
            return
        # what was seen before other plugs were switched is looked at again
        is_fresh = len(plugs_of(self._options)) == 1
        vm = sight.vm if sight else None
        ladder = PowerOff(self.host, plug, self._may_kill(), sight if is_fresh else None, vm)
        ladder.run()
        self._sights[plug] = Sight(ladder.vm, "off", None)

    def _switch_on(self, plug):
        sight = self._sights.get(plug)
        if isinstance(sight, Sight) and sight.state == "on":
            return
        try:
            if not isinstance(sight, Sight) or not sight.vm.vmid:
                sight = self.host.sight(plug)
            try:
                power_on(self.host, sight.vm)
            except NoSuchVM:
                power_on(self.host, self.host.sight(plug).vm)
        except FenceError as failure:
            if self._action == "on":
                raise
            raise PowerFailed("%s; it was off for certain, so the fencing itself is done" % failure)

    def get_list(self, _, options):
        """{name: (Vmids, power state)}; asks for power states only where list-status wants them."""
        if options.get("--original-action") == "list-status":
            states = self._again(self.host.power_states)
        else:
            states = [(row, None) for row in self._again(self.host.inventory).rows()]
        outlets = OrderedDict()
        for row, state in states:
            vmids, known = outlets.get(row.name, ("", state))
            vmids = vmids + "+" + row.vmid if vmids else row.vmid
            outlets[row.name] = (vmids, state if state == known else "unknown")
        if not outlets:
            logging.warning("%s lists no VM: has it none, or may the user %s see none?",
                            options["--ip"], options["--username"])
        return outlets


def plugs_of(options):
    """All plugs of this run."""
    return list(options.get("--plugs") or [options.get("--plug")])


def plug_of(options):
    """The plug of this call; raises BadInput where it is empty."""
    plug = options.get("--plug") or ""
    if not plug.strip():
        raise BadInput("plug= is empty; give the display name of a VM, as -o list shows it")
    return plug


def whole_number(options, name):
    """The value of an option that counts something, 0 where it is not given; raises BadInput."""
    value = str(options.get(name) or "0")
    if not re.match(r"[0-9]{1,6}\Z", value):
        raise BadInput("%s=%s is not a whole number" % (key_of(name), show(value)))
    return int(value)


def secret_of(options):
    """What answers the one prompt of ssh: password or passphrase; raises BadInput."""
    secret = options.get("--password")
    if not secret and not options.get("--identity-file"):
        raise BadInput("the password is empty; set password= or password_script=, or use a key "
                       "with identity_file=")
    if secret and re.search(r"[\x00-\x1f\x7f]", secret):
        raise BadInput("the password holds a control character, which ssh cannot be given")
    return secret


class CleanLog(logging.Filter):
    """Keeps from the log what must not be there: unprintable text, and values of unknown options"""

    def filter(self, record):
        # the library quotes what it does not understand, which may be a misspelt password
        text = re.sub(r"(?s)(unknown option ')([\w-]+=)?.*", r"\1\2...'", record.getMessage())
        text = re.sub(r"(?s)(Unused arguments on command line).*",
                      r"\1; is a value with blanks not in quotes?", text)
        # the system log refuses what is not valid text
        record.msg = text.encode("utf-8", "backslashreplace").decode("utf-8").rstrip("\n")
        record.args = ()
        return True


def use_utf8():
    """Make arguments and standard streams UTF-8: Pacemaker starts agents in the C locale."""
    try:
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # for what the library reads from a script
    except locale.Error:
        pass  # only a password_script with letters beyond ASCII needs it
    sys.argv = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv]
    streams = (("stdin", "r", "surrogateescape"), ("stdout", "w", "surrogateescape"),
               ("stderr", "w", "backslashreplace"))
    for number, (name, mode, errors) in enumerate(streams):
        try:
            os.fstat(number)
        except OSError:  # started with the stream closed
            os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, io.open(number, mode, buffering=1, encoding="utf-8", errors=errors,
                                   closefd=False))


def carry_out(options, limits=None, session=Session, clock=time, started=None):
    """Carry out the action; the exit status. Raises FenceError.

    limits: the time limits as they were given, which the library sets to 0 under Pacemaker.
    session, clock: what talks to the host and what tells the time; started: when, on that clock.
    """
    agent = Agent(options, options if limits is None else limits, session, clock,
                  clock.monotonic() if started is None else started)
    try:
        if options["--action"] == "validate-all":
            return 0
        return fence_action(None, options, None, agent.get_power, agent.get_list, None,
                            agent.set_power)
    finally:
        agent.host.hang_up()


def fence():
    """Read the options and do what they say; the exit status. Raises FenceError."""
    define_options()
    given = process_input(list(DEVICE_OPTIONS))
    options = check_input(list(DEVICE_OPTIONS), given, other_conditions=True)
    if "--version" in options:
        print(RELEASE)
        return 0
    show_docs(options, documentation())
    run_delay(options)
    return carry_out(options, given, started=STARTED)


def main():
    """The agent as a program: options from the command line or stdin, the verdict as exit status"""
    use_utf8()
    logging.getLogger().addFilter(CleanLog())
    atexit.register(atexit_handler)
    try:
        result = fence()
    except FenceError as error:
        logging.error("%s", error)
        result = 1
    except KeyboardInterrupt:
        logging.error("interrupted")
        result = 1
    except BrokenPipeError:  # nobody reads any more, as in `fence_esxi -h | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        result = 1
    except Exception as error:  # never a traceback; -v has it
        logging.error("internal error, please report it: %s: %s", type(error).__name__, error)
        logging.debug("where it happened", exc_info=True)
        result = 1
    sys.exit(result)


if __name__ == "__main__":
    main()

#!/usr/bin/python3 -tt
# Copyright (C) 2026 the fence_esxi authors
# This program is free software: you can redistribute it and/or modify it under the terms of the
# GNU General Public License as published by the Free Software Foundation, either version 3 of the
# License, or (at your option) any later version. It comes without any warranty; see COPYING.
"""Fence agent for virtual machines on VMware ESXi: logs in by SSH and drives vim-cmd.

The file reads from top to bottom as the data flows, in rooms that know only the ones before:
    1. what the host says    pure functions from the host's text to values
    2. the session           one ssh login: two commands side by side, answered in time
    3. the host              which VM a plug means, and its power, by two witnesses
    4. the ladder            switches a VM off for certain
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
    from fencing import (all_opt, atexit_handler, check_input, fence_action, process_input,
                         run_delay, show_docs)

    import pexpect.fdpexpect  # RHEL 9 bundles it with the library, so it comes second
except ImportError as missing:
    sys.exit("fence_esxi: the fencing library cannot be loaded (%s); install it: "
             "fence-agents-common on Debian 13, Ubuntu, Fedora and RHEL, fence-agents on Debian 11 "
             "and 12 and on SLES" % missing)


class FenceError(Exception):
    """Whatever keeps the agent from a proven result; the text is a sentence for the admin.

    facts: what else is known, as attributes. final: to try again would change nothing, or harm.
    busy: the host closed the connection before it asked who is there. answers, inventory,
    processes, vm: what had arrived, or was known, before it failed.
    """

    final = busy = False
    inventory = processes = vm = None

    def __init__(self, text, **facts):
        super().__init__(text)
        self.__dict__.update(facts)


class Refused(FenceError):
    """An option that cannot be used, a right that lacks, a plug that means several VMs."""

    final = True


class NotProven(FenceError):
    """The VM is not in the power state asked for, or nobody can prove that it is."""

    final = True


class LoginFailed(FenceError):
    """ssh could not log in; final once it was given the secret: one password, one try."""


class SessionLost(FenceError):
    """The connection broke."""


class HostdSilent(FenceError):
    """hostd gave no usable answer: it hangs, is down, starting, or out of memory."""


class NoSuchVM(FenceError):
    """hostd lists no VM of that name or UUID."""


# --- 1. What the host says -----------------------------------------------------------------------

Answer = namedtuple("Answer", "status text")
# file: "[datastore] path" as vim-cmd names it
Row = namedtuple("Row", "vmid name file")
World = namedtuple("World", "wid cid name")
Summary = namedtuple("Summary", "name file uuid")

HEADER = re.compile(r"^ *Vmid +Name +File +Guest OS +Version +Annotation *$", re.MULTILINE)
ROW = r"([1-9][0-9]*) +(%s) {3,}(\[.*?\] ?%s) {3,}[^ ]* +vmx-[0-9]+(?: .*)?\Z"
POWER_STATES = {"Powered on": "on", "Powered off": "off", "Suspended": "suspended"}


def one_line(text, limit=300):
    """text on one line of at most limit characters, for messages and the log."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."


def show(name):
    """A plug or display name in quotes, one line, control characters escaped, not endless."""
    short = name if len(name) <= 80 else name[:77] + "..."
    return '"%s"' % "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def spellings(name):
    """A display name as the host may print it: / \\ % as they are, or as %2f %5c %25 (facts: 1.4)"""
    plain = re.sub(r"(?i)%(2f|5c|25)", lambda code: chr(int(code.group(1), 16)), name)
    return {name, plain, name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")}


def plain_uuid(text):
    """The 32 hexadecimal digits of a UUID in any spelling, else None (facts: 5)."""
    digits = re.sub(r"[\s{}:-]", "", text).lower()
    return digits if re.match(r"[0-9a-f]{32}\Z", digits) else None


class Process(namedtuple("Process", "world cartel name path uuid")):
    """A running VM: its World ID and Cartel ID in the VMkernel, its .vmx (facts: 6, 6a)."""

    def __str__(self):
        return "%s (world %s, %s)" % (show(self.name), self.world, self.path)

    def is_called(self, name, uuid=None):
        """Whether it bears this display name or this UUID."""
        return self.name in spellings(name) or (uuid is not None and self.uuid == uuid)

    def below_volume(self):
        """Its path as vim-cmd has it behind "[datastore] ".

        So no command has to look at a datastore, which may be dead, to see which volume it is.
        """
        return re.sub(r"^/vmfs/volumes/[^/]*/", "", self.path)

    def may_use(self, file):
        """Whether its .vmx may be "[datastore] path"."""
        return file is not None and file.endswith(("] " + self.below_volume(), "] " + self.path))


class Inventory:
    """The VMs in an answer to `vim-cmd vmsvc/getallvms` (facts: 1).

    skipped: Vmids of those the host cannot read. complete: the answer is known to name every VM:
    nothing skipped, no line that resembles a row without being one.
    """

    def __init__(self, text):
        self._lines = text[HEADER.search(text).end() :].split("\n")[1:]
        self._numbers = Counter(re.match(r"[0-9]*", line).group() for line in self._lines)
        self.skipped = re.findall(r"(?m)^Skipping invalid VM '?([0-9]+)'?", text)
        alike = [line for line in self._lines if re.search(r"(?i)\.vmt?x {3,}", line)]
        self.complete = not self.skipped and len(alike) == len(self.rows())

    def rows(self, name=None, path=""):
        """The lines that can be read as a row, of a VM of this name and path below its volume.

        Names hold blanks and brackets, and notes spill onto lines of their own (facts: 1.4): what
        a line says may be read in several ways, and is nothing to rely on by itself.
        """
        names = "|".join(map(re.escape, sorted(spellings(name)))) if name else r"[^ ].*?"
        row = re.compile(ROW % (names, re.escape(path) if path else r".*?\.(?i:vmt?x)"))
        matches = [row.match(line) for line in self._lines if path in line]
        return [Row(*found.groups()) for found in matches if found]

    def rows_of(self, process):
        """The lines that can be read as the row of a running VM, by its name and path."""
        return self.rows(process.name, process.below_volume())

    def trusts(self, vmid):
        """Whether a Vmid begins one line only, so that no note can have forged its row."""
        return self._numbers[vmid] == 1 and vmid not in self.skipped


def parse_inventory(answer):
    """The Inventory in an answer to getallvms, None where it is no whole list."""
    whole = answer.status == 0 and answer.text.endswith("\n") and HEADER.search(answer.text)
    return Inventory(answer.text) if whole else None


def parse_power_state(answer):
    """ "on", "off" or "suspended" from an answer to power.getstate, else None (facts: 2).

    Only a whole line right behind the caption counts: a fault text may hold "(Powered off)".
    """
    lines = [line.strip() for line in answer.text.split("\n")]
    states = [pair for pair in zip([""] + lines, lines) if pair[1] in POWER_STATES]
    if answer.status != 0 or len(states) != 1 or states[0][0] != "Retrieved runtime info":
        return None
    return POWER_STATES[states[0][1]]


def parse_processes(answer):
    """The running VMs in an answer to `localcli vm process list`, or esxcli's (facts: 6).

    Read by the keys of the rows: the headings of the two tools differ, and prove nothing. None
    where the answer is damaged in any place, so that half a list is never read as "it is gone".
    """
    if answer is None or answer.status != 0 or not (answer.text or "\n").endswith("\n"):
        return None
    blocks, headings = [], 0
    for line in answer.text.split("\n"):
        field = re.match(r"   ([A-Z][\w ]*): ?(.*)\Z", line)
        if field and field.group(1) == "World ID":
            blocks.append({})
        if not field or not blocks:
            headings += bool(line.strip())
        elif field.group(1) in blocks[-1]:
            return None
        else:
            blocks[-1][field.group(1)] = field.group(2)
    keys = ("World ID", "VMX Cartel ID", "Display Name", "Config File")
    rows = [[block.get(key, "") for key in keys] + [plain_uuid(block.get("UUID", ""))]
            for block in blocks if "Display Name" in block]
    sound = [Process(*row) for row in rows if re.match(r"[1-9][0-9]*\Z", row[0])
             and re.match(r"[1-9][0-9]*\Z", row[1]) and re.match(r"(?i)/.*\.vmt?x\Z", row[3])]
    worlds = {process.world for process in sound}
    return sound if len(worlds) == len(sound) == len(blocks) == headings else None


def parse_worlds(answer):
    """The worlds in an answer to VMware's `ps`, None where it is not its whole list (facts: 6a).

    On a living host it is never empty: its header and the host's own worlds are there.
    """
    lines = answer.text.split("\n") if answer and answer.status == 0 else [""]
    rows = [re.match(r" *([0-9]+) +(?:([0-9]+) +)?([^ ].*)", line) for line in lines[1:-1]]
    whole = re.match(r" *WID +CID +WorldName\b", lines[0]) and lines[-1] == "" and None not in rows
    worlds = [World(*row.groups()) for row in rows] if whole else []
    return worlds if any(not is_of_a_vm(world) for world in worlds) else None


def is_of_a_vm(world):
    """Whether a world in `ps` is one of a running VM (facts: 6a)."""
    return re.match(r"vmx|vmm[0-9]", world.name) is not None


def parse_summary(answer):
    """The Summary in an answer to get.summary, None where it does not tell (facts: 5a).

    All from the one configuration section, ahead of the notes; where a note or a guest's own words
    seem to repeat that section there is no telling.
    """
    sections = re.split(r"(?m)^ *config = \(vim\.vm\.Summary\.ConfigSummary\) \{", answer.text)
    config = re.split(r"(?m)^ *annotation = ", sections[-1])[0]
    values = [re.findall(r'(?m)^ *%s = "(.*)", *\r?$' % key, config)
              for key in ("name", "vmPathName", "uuid")]
    if answer.status != 0 or len(sections) != 2 or any(len(value) != 1 for value in values):
        return None
    return Summary(values[0][0], values[1][0], plain_uuid(values[2][0]))


def vmx_paths(file):
    """The paths that "[datastore] path" may stand for: a name may hold "] " itself."""
    pairs = [(file[1 : end.start()], file[end.end() :]) for end in re.finditer(r"\] ?", file)]
    return ["/vmfs/volumes/%s/%s" % pair if pair[0] else pair[1] for pair in pairs if pair[1]]


def reason_in(answer):
    """Why a command failed, boiled down to one line in the host's own words (facts: 3.1)."""
    # quotes inside a message are not escaped, so a message ends at a quote that ends its line
    for form in (r'\b(?:msg|reason) = "(.+?)",? *\r?$', r'\bmessage = "(.+?)",? *\r?$',
                 r"^.*(fault\.\w+)\) \{", r"^ *((?!Powering o|Retrieved ).*\S)"):
        found = re.findall("(?sm)" + form if "=" in form else "(?m)" + form, answer.text)
        if found:
            return one_line(found[-1])
    return "no reason given, exit status %d" % answer.status


# --- 2. The session ------------------------------------------------------------------------------

# secret: what answers the password or passphrase prompt, else None; key: identity file or None
Login = namedtuple("Login", "argv user host port secret key pinned")

READY = "fence_esxi-ready-2"
# Runs on the host: no prompt, no terminal, no echo. A request is three lines, a tag and two
# commands, which run side by side. The second one's answer comes first, so that it has arrived
# where the first one hangs; each ends in a line that nobody can forge.
READ_LOOP = (
    "echo " + READY + "; while read -r tag && read -r one && read -r two; do "
    '{ eval "$one" </dev/null 2>&1; s=$?; echo; echo "$tag.1 $s"; } | '
    '{ eval "$two" </dev/null 2>&1; s=$?; echo; echo "$tag.2 $s"; cat; }; done')
# the letters of ssh(1), to tell its options from a remote command in ssh_options
SSH_LETTERS = "1246AaB:b:Cc:D:E:e:F:fGgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvW:w:XxYy"
MOST_OUTPUT = 4 * 1024 * 1024


def ssh_argv(options):
    """The ssh command line for the options of the agent; raises Refused.

    In ssh the first value of an option wins: what the agent's promises rest on stands before the
    user's ssh_options, what is only a good default behind them.
    """
    # a master connection that is stuck must not hold a login; one password, one try
    promises = ["ControlPath=none", "NumberOfPasswordPrompts=1"]
    pins, key = options.get("--known-hosts"), options.get("--identity-file")
    if pins:
        promises += ['UserKnownHostsFile="%s"' % pins, "GlobalKnownHostsFile=/dev/null",
                     "StrictHostKeyChecking=yes", "UpdateHostKeys=no"]
    # 3 times 8 s is also ssh's limit for each step of the login, which may take 20
    defaults = ["PreferredAuthentications=" + ("publickey" if key else
                                               "keyboard-interactive,password"),
                "StrictHostKeyChecking=accept-new", "ConnectTimeout=20", "ServerAliveInterval=8",
                "ServerAliveCountMax=3"] + (["IdentitiesOnly=yes"] if key else [])
    argv = words_of(options, "--ssh-path") or ["/usr/bin/ssh"]
    argv += ["-" + family for family in "46" if is_true(options, "--inet%s-only" % family)]
    argv += [word for promise in promises for word in ("-o", promise)] + user_ssh_options(options)
    argv += ["-i", key] if key else []
    argv += [word for default in defaults for word in ("-o", default)]
    argv += ["-T", "-p", str(options.get("--ipport") or "22"), "-l", options["--username"]]
    return argv + ["--", options["--ip"], READ_LOOP]


def user_ssh_options(options):
    """The words of ssh_options, without what would take the session from the agent."""
    words = words_of(options, "--ssh-options")
    try:
        given, command = getopt.getopt(words, SSH_LETTERS)
    except getopt.GetoptError as error:
        raise Refused("ssh_options cannot be used: %s; see ssh(1)" % error)
    for letter, _ in given:
        if letter[1] in "NfnsWOGVQ":
            raise Refused("ssh_options cannot hold %s: it takes the session from the agent" % letter)
    if command:
        logging.info("the remote command in ssh_options has no effect: %s", " ".join(command))
    own = words[: len(words) - len(command)]
    return own[:-1] if own[-1:] == ["--"] else own


def words_of(options, name):
    """The words of an option, split as a shell does; raises Refused."""
    try:
        return shlex.split(options.get(name) or "")
    except ValueError as error:
        raise Refused("%s cannot be split into words: %s" % (key_of(name), error))


class Session:
    """One ssh login with the read loop at its far end.

    ssh gets pipes for what the host answers and a terminal of its own for what it says and asks:
    no banner, warning or output of a command can pose as a prompt or as an answer.
    """

    def __init__(self, login):
        def own_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)

        self._login = login
        self._said = ""
        self._answered_up_to = None  # how much ssh had said when it was given the secret
        self._terminal, ssh_side = os.openpty()
        environment = dict(os.environ, LC_ALL="C", SSH_ASKPASS_REQUIRE="never")
        try:  # a list of words, no shell: nothing an option holds can become a command
            self._ssh = subprocess.Popen(
                login.argv, bufsize=0, env=environment, start_new_session=True,
                preexec_fn=own_terminal, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=ssh_side)
        except OSError as error:
            os.close(self._terminal)
            raise LoginFailed("cannot start %s: %s; install the OpenSSH client or set ssh_path"
                              % (login.argv[0], error.strerror))
        finally:
            os.close(ssh_side)
        self._answers = pexpect.fdpexpect.fdspawn(self._ssh.stdout, maxread=65536)
        self._words = pexpect.fdpexpect.fdspawn(self._terminal, maxread=65536)
        self._open = [self._ssh.stdout.fileno(), self._terminal]

    def open(self, bound):
        """Log in within bound seconds; raises a LoginFailed with the cause."""
        ready = re.compile(b"(?:^|\n)(fence_esxi-ready(?:-2)?)\r?\n")
        try:
            if not self._has_come(ready, time.monotonic() + bound, self._answer_prompt):
                raise self._failure(
                    "no answer to the login within %.0f s" % bound,
                    "check that the host is not overloaded, and that ip= is an ESXi host")
        except SessionLost:
            raise self._why_login_failed()
        if self._answers.match.group(1) != READY.encode():
            raise self._failure("the restricted key was made by an older esxi-fence-key",
                                "make its line of authorized_keys anew", final=True)

    def ask(self, commands, bound):
        """The Answers to one or two commands run side by side, in their order.

        None for each that did not come within bound seconds; then the session is of no use any
        more. Raises SessionLost.
        """
        tag = binascii.hexlify(os.urandom(15))
        deadline = time.monotonic() + bound
        answers = [None, None]
        lines = [command.encode("utf-8", "surrogateescape") for command in (commands + [""])[:2]]
        try:
            os.write(self._ssh.stdin.fileno(), b"\n".join([tag] + lines) + b"\n")
            for place in (1, 0):  # the second one's answer comes first
                end = re.compile(b"\n%s\\.%d ([0-9]+)\r?\n" % (tag, place + 1))
                if not self._has_come(end, deadline):
                    break
                text = self._answers.before.replace(b"\r\n", b"\n")
                answers[place] = Answer(int(self._answers.match.group(1)),
                                        text.decode("utf-8", "surrogateescape"))
        except (OSError, SessionLost):
            raise SessionLost('%s port %s: the connection broke while "%s" ran; try again%s' % (
                self._login.host, self._login.port, one_line(commands[0], 60), self._last_words()))
        return answers[: len(commands)]

    def close(self):
        """End ssh and what it started at once; there is nothing to wait for."""
        try:
            os.killpg(self._ssh.pid, signal.SIGKILL)
            self._ssh.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            pass  # it has ended, or the kernel will see to it
        self._ssh.stdout.close()
        self._ssh.stdin.close()
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
                until = time.monotonic() + 1  # for ssh's last words and its exit status
                while self._ssh.poll() is None and time.monotonic() < until:
                    self._hear(0.05)
                self._hear()
                raise SessionLost("the connection broke")
            meanwhile()
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select(self._open, [], [], left)

    def _hear(self, patience=0):
        """Read what ssh says; whether it said something more."""
        known = len(self._said)
        if self._terminal in self._open:
            if self._words.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=patience):
                self._open.remove(self._terminal)
            self._said = self._words.before.decode("utf-8", "replace").replace("\r", "")
        return len(self._said) > known

    def _answer_prompt(self):
        """Give ssh the secret, once, when it waits for one.

        The sign is that ssh keeps the echo of its terminal off, which no text can bring about. The
        prompt has come when it ends like one, or when nothing more comes.
        """
        def echoes():
            return termios.tcgetattr(self._terminal)[3] & termios.ECHO

        if self._terminal not in self._open or echoes():
            return
        while not re.search(r"(?i)(password|passphrase for .*): ?\Z", self._said):
            if not self._hear(0.05):
                break
        question = self._said[self._answered_up_to or 0 :].strip().rpartition("\n")[2].strip()
        if not question or echoes():
            return
        if self._answered_up_to is not None:
            raise self._failure(*WRONG_PASSWORD)
        is_passphrase = "passphrase" in question.lower()
        if self._login.secret is None or is_passphrase != bool(self._login.key):
            cure = "the passphrase of the key in password=" if is_passphrase else "another login"
            raise self._failure('ssh asks "%s" and there is no answer to that' % one_line(question),
                                "give " + cure, final=True)
        self._answered_up_to = len(self._said)
        os.write(self._terminal, self._login.secret.encode("utf-8", "surrogateescape") + b"\n")

    def _last_words(self, form=' (ssh: "%s")'):
        """ssh's own last line, without its remarks and prompts, for the end of a message."""
        lines = [line.strip() for line in self._said.split("\n")]
        words = [line for line in lines if line and not SSH_REMARKS.match(line)]
        return form % one_line(words[-1]) if words else ""

    def _failure(self, cause, cure, **facts):
        facts.setdefault("final", self._answered_up_to is not None)
        return LoginFailed("%s@%s port %s: %s; %s%s" % (
            self._login.user, self._login.host, self._login.port, cause, cure,
            self._last_words()), **facts)

    def _why_login_failed(self):
        login, given = self._login, self._answered_up_to is not None
        how = "%s, %s" % ("key" if login.key else "password", "given" if given else "not given")
        said = re.sub(r"(?m)^(?:debug[123]: |Warning: Perm|\*\* ).*\n", "", self._said)
        offending = re.search(r"(?m)^Offending \S+ key in (.+):[0-9]+$", said)
        words = dict(login._asdict(), file=shlex.quote(
            login.pinned or (offending.group(1) if offending else "~/.ssh/known_hosts")))
        words["name"] = login.host if login.port == "22" else "[%s]:%s" % (login.host, login.port)
        for pattern, cause, cure in LOGIN_FAILURES if self._ssh.poll() == 255 else ():
            found = re.search("(?s)" + pattern, how + "\n" + said)
            if found:
                words["found"] = one_line(found.group(found.lastindex or 0))
                return self._failure(cause % words, cure % words, busy=pattern == CLOSED,
                                     final=given or DENIED_BY_SSH in pattern)
        if self._ssh.poll() == 255 and not self._last_words():
            return self._failure("ssh ended without a word",
                                 "take -q, -E and LogLevel out of ssh_options to see why")
        printed = one_line(self._answers.before.decode("utf-8", "replace"), 100)
        return self._failure("the session ended before its shell was ready",
                             "see whether the user may use the ESXi Shell"
                             + (' (host: "%s")' % printed if printed else ""))


# what ssh remarks without that anything is wrong, and its prompts
SSH_REMARKS = re.compile(r"(?i)warning: permanently added|\*\* |debug[123]: |.*(password|"
                         r"passphrase.*): ?\Z")
WRONG_PASSWORD = ("the host refused the password",
                  "correct password=; five wrong ones lock the account for 15 minutes, and a locked "
                  "account refuses the right one too")
DENIED_BY_SSH = r"(?:Permission denied \(|Too many authentication failures)"
CLOSED = r"kex_exchange|[Cc]onnection (?:reset|closed)|Broken pipe"
# a pattern for how the login was tried and what ssh said, the cause, what to do
LOGIN_FAILURES = (
    (r"IDENTIFICATION HAS CHANGED",
     "the host key has changed; if the host was not installed anew, somebody may listen in",
     "else forget the old key: ssh-keygen -R '%(name)s' -f %(file)s"),
    (r"Host key verification failed", "the host key is not in %(file)s",
     "add it after checking its fingerprint: ssh-keyscan -p %(port)s %(host)s >>%(file)s"),
    (r"^key.*are too open", "the identity file %(key)s can be read by others",
     "protect it: chmod 600 %(key)s"),
    (r'^key.*(Load key "[^\n]*)', "the identity file %(key)s is no usable private key: %(found)s",
     "give the file without .pub"),
    (r"^key, given.*" + DENIED_BY_SSH, "the host did not log in with %(key)s",
     "the passphrase in password= is wrong, or the host does not know the key"),
    (r"^key.*" + DENIED_BY_SSH, "the host refused the key %(key)s",
     "put its public half into /etc/ssh/keys-%(user)s/authorized_keys on the host; ESXi 8 takes "
     "RSA and ECDSA, no ed25519"),
    (r"(?i)^password.*(?:\block|tally_vob)", "the account is probably locked",
     "wait 15 minutes without a login (Security.AccountUnlockTime), then try again"),
    (r"^password, given.*" + DENIED_BY_SSH,) + WRONG_PASSWORD,
    (r"^password, given.*(?:%s|Connection to \S+ port \d+ timed out)" % CLOSED,
     "the host hung up on the password, or did not judge it in time",
     "check password= before the next try; five wrong ones lock the account"),
    (r"^password.*Permission denied \(((?![^)]*(?:keyboard|password))[^)]*)\)",
     "the host takes no password, only %(found)s",
     "use a key with identity_file=, or allow passwords in its sshd_config"),
    (r"^password.*" + DENIED_BY_SSH, "no password was asked for",
     "take out of ssh_options what switches passwords off, such as BatchMode"),
    (r"Could not resolve hostname|[Nn]ame resolution|Name or service not known",
     "the name cannot be resolved", "check ip= and the DNS or /etc/hosts of this node"),
    (r"Connection refused", "nothing listens there",
     "start SSH on the host (TSM-SSH, policy 'start and stop with host') or check ipport="),
    (r"No route to host|is unreachable|Cannot assign requested address|Invalid argument",
     "the network does not lead there", "check ip=, the cabling and the routes of this node"),
    (r"during banner exchange|Connection to \S+ port \d+ timed out",
     "something takes connections there, but does not speak SSH in time",
     "check ip= and ipport=, and whether the host is overloaded"),
    (r"[Cc]onnection timed out|Operation timed out", "no answer from that address",
     "check ip=, that the host is up and that no firewall drops SSH"),
    (r"no matching host key type found\. Their offer: ([^\s,]+)",
     "ssh and the host share no algorithm", "if the host cannot be updated, add to ssh_options: "
     "-o HostKeyAlgorithms=+%(found)s -o PubkeyAcceptedAlgorithms=+%(found)s"),
    (r"no matching (?:key exchange method|cipher|MAC) found\. Their offer: ([^\s,]+)",
     "ssh and the host share no algorithm", "if the host cannot be updated, allow +%(found)s in "
     "ssh_options: -o KexAlgorithms=, Ciphers= or MACs="),
    (r"Bad configuration option|[Uu]nsupported option|unknown option|command-line:? line|usage: ssh"
     r"|Bad port|Unknown (?:cipher|mac) type|user config file",
     "ssh does not accept an option", "correct ssh_options="),
    (CLOSED, "the host closed the connection, as a busy or starting sshd does",
     "try again, or raise MaxStartups in its sshd_config"),
)


# --- 3. The host ---------------------------------------------------------------------------------

# hostd's word on a VM's power, and the running VMs beside it (None: their list was not sound)
Sight = namedtuple("Sight", "vm state processes")
LIST = {"localcli": "localcli vm process list", "esxcli": "esxcli vm process list"}
LONGEST_COMMAND = 30000  # bytes: a request must fit into a pipe
# seconds until the next try where the host hung up before it asked who is there
BUSY_PAUSES = (0.5, 1, 2, 3, 4, 5, 99)


class VM(namedtuple("VM", "vmid name file uuid")):
    """A VM; vmid and file are None where hostd tells of no row, uuid where it is not known."""

    def __str__(self):
        return "%s (Vmid %s)" % (show(self.name), self.vmid) if self.vmid else show(self.name)


class EsxiHost:
    """An ESXi host: which VM a plug means and what its power is, all before one deadline.

    limits: seconds for a "login", one question to the "shell", one "power" command. session: makes
    the session of a Login; clock: monotonic() and sleep(), as in the module time.
    """

    def __init__(self, login, limits, deadline, session, clock):
        self._login, self._limits, self._new_session, self.clock = login, limits, session, clock
        self.deadline = deadline
        self._session = self._refusal = None
        self._lister = "localcli"  # the tool that lists processes; it needs no hostd

    # -- talking to it

    def left(self):
        """Seconds until the verdict is due."""
        return self.deadline - self.clock.monotonic()

    def ask(self, *commands, bound=None):
        """The Answers to one or two commands run side by side, None for each that did not come.

        What only reads is asked once more where the connection broke.
        """
        for again in (not re.search(r"power\.o|process kill", commands[0]), False):
            if self.left() < 0.3:
                raise FenceError("no time left to ask %s" % self._login.host)
            self._session = self._session or self._log_in()
            try:
                answers = self._session.ask(list(commands), min(
                    bound or self._limits["shell"], max(0.1, self.left())))
                break
            except SessionLost as lost:
                self.hang_up()
                if not again or self.left() < 2:
                    raise
                logging.warning("%s; asking again", lost)
        if None in answers:
            self.hang_up()
        for command, answer in zip(commands, answers):
            logging.debug('asked "%s": exit status %s, "%s"', one_line(command, 100),
                          answer and answer.status, answer and one_line(answer.text, 100))
            # the words of a restricted key's forced command
            refusal = re.search(r"(?m)^this key may not .*$", answer.text) if answer else None
            if refusal and answer.status == 77:
                raise Refused("%s: %s" % (self._login.host, one_line(refusal.group())))
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
            session = self._new_session(self._login)
            try:
                session.open(min(self._limits["login"], max(0.1, self.left())))
                logging.info("logged in to %s", self._login.host)
                return session
            except BaseException as failure:
                session.close()
                if getattr(failure, "final", False):
                    self._refusal = failure
                if not getattr(failure, "busy", False) or self.left() < pause + 2:
                    raise
                logging.warning("%s; one more try", failure)
            self.clock.sleep(pause)

    def _ask_hostd(self, question, parse, beside=True):
        """(what parse makes of hostd's answer, the processes), asked side by side.

        Asked twice where the answer is damaged, or where both are silent, which is what localcli
        looks like when it hangs: then esxcli lists from now on. Raises HostdSilent.
        """
        processes = None
        for again in (True, False):
            answer, listed = (self.ask(question, *[LIST[self._lister]] * beside) + [None])[:2]
            latest = parse_processes(listed)
            processes = processes if latest is None else latest
            if latest is None and beside:
                self._lister = "esxcli" if self._lister == "localcli" else "localcli"
            parsed = parse(answer) if answer else None
            if parsed is not None:
                return parsed, processes
            if answer is None and (listed or not again or not beside):
                break
            if answer and answer.status and re.search(
                    "Permission to perform this operation|NoPermission|vim-cmd: not f", answer.text):
                raise Refused("%s: vim-cmd cannot be used; give the user %s the Administrator role, "
                              'or check that ip= is an ESXi host (host: "%s")'
                              % (self._login.host, self._login.user, reason_in(answer)))
        raise HostdSilent('%s gave no usable answer to "%s" (host: "%s"); hostd may hang: see '
                          "/etc/init.d/hostd status on the host" % (
                              self._login.host, question, reason_in(answer) if answer else "silence"),
                          processes=processes)

    # -- which VM

    def inventory(self):
        """The Inventory alone, which is all that a list needs."""
        return self._ask_hostd("vim-cmd vmsvc/getallvms", parse_inventory, beside=False)[0]

    def look(self):
        """(Inventory, processes): what is registered and what runs, asked side by side."""
        return self._ask_hostd("vim-cmd vmsvc/getallvms", parse_inventory)

    def sight(self, plug):
        """The Sight of the VM a plug means. Raises NoSuchVM, Refused, HostdSilent with what came.

        Looks twice before it says that there is no such VM: its Vmid may have changed meanwhile.
        """
        for again in (True, False):
            vm = None
            inventory, processes = self.look()
            try:
                vm = self.find(plug, inventory, processes)
                return self.look_at(vm)
            except NoSuchVM as missing:
                missing.inventory, missing.processes = inventory, processes
                if not again:
                    raise
            except HostdSilent as silence:
                silence.vm, silence.processes = vm, silence.processes or processes
                raise

    def look_at(self, vm):
        """A Sight of a VM: hostd's word on its power beside the processes. NoSuchVM, HostdSilent"""
        def parse(answer):
            is_gone = re.search(r"fault\.(?:ManagedObject)?NotFound\) \{", answer.text)
            return "gone" if is_gone else parse_power_state(answer)

        state, processes = self._ask_hostd("vim-cmd vmsvc/power.getstate " + vm.vmid, parse)
        if state == "gone":
            raise NoSuchVM("%s: %s has left the list of VMs; try again" % (self._login.host, vm))
        return Sight(vm, state, processes)

    def find(self, plug, inventory, processes):
        """The one registered VM of this display name or BIOS UUID, as two witnesses tell it.

        They are the inventory and the process list where they agree on name and file; else hostd's
        get.summary of the Vmid. Raises NoSuchVM, Refused, HostdSilent.
        """
        who = "%s: which VM is called %s" % (self._login.host, show(plug))
        if processes is None and not inventory.complete:
            raise HostdSilent(who + " cannot be settled: the host cannot read all its VMs, nor list "
                              "those that run")
        uuid = plain_uuid(plug)
        running = [process for process in processes or [] if process.is_called(plug, uuid)]
        rows = inventory.rows(plug)
        if uuid:
            rows += [row for process in running for row in inventory.rows_of(process)]
            rows += self._rows_with_uuid(uuid, inventory, bool(rows))
        vmids = list(OrderedDict.fromkeys(row.vmid for row in rows))
        found = []
        for vmid in vmids:
            agreed = [row.file for process in running for row in inventory.rows_of(process)
                      if row.vmid == vmid and inventory.trusts(vmid)]
            if agreed and len(vmids) == len(running) == 1:
                found.append(VM(vmid, running[0].name, agreed[0], uuid))
                continue
            summary = self._summary(vmid)
            if summary and (plug in spellings(summary.name) or (uuid and summary.uuid == uuid)):
                found.append(VM(vmid, *summary))
        strangers = [each for each in running if not any(each.may_use(vm.file) for vm in found)]
        if len(found) > 1 or found and (strangers or len(running) > 1):
            names = ["%s %s" % (vm, vm.file) for vm in found]
            names += [str(process) for process in strangers or running[1:]]
            raise Refused("%s is not certain: %s; rename one of them, or use a UUID"
                          % (who, " or ".join(names)))
        if not found:
            raise self._no_such_vm(plug, inventory)
        return found[0]

    def _summary(self, vmid):
        """The Summary of a Vmid, False where hostd knows no such VM; HostdSilent."""
        def parse(answer):
            return False if re.search(r"fault\.\w+\) \{", answer.text) else parse_summary(answer)

        return self._ask_hostd("vim-cmd vmsvc/get.summary " + vmid, parse)[0]

    def _no_such_vm(self, plug, inventory):
        rows = inventory.rows()
        hints = ["%s is the Vmid of %s; Vmids change" % (plug, show(row.name)) for row in rows
                 if row.vmid == plug]
        hints += [show(row.name) for row in rows if row.name.casefold() == plug.strip().casefold()]
        near = "; did you mean %s?" % " or ".join(hints[:3]) if hints else ""
        if inventory.skipped:
            near += "; the host cannot read %d of its VMs (Skipping invalid VM %s)" % (
                len(inventory.skipped), ", ".join(inventory.skipped[:5]))
        return NoSuchVM("%s: no VM is called %s%s; -o list shows the names"
                        % (self._login.host, show(plug), near))

    def _rows_with_uuid(self, uuid, inventory, is_known):
        """The rows of VMs whose configuration file holds this BIOS UUID.

        Asked even where a process bears the UUID, since a second VM may bear it too; but then a
        datastore that is dead, and so is silent, does not keep that VM from being fenced.
        """
        values = self.vmx_values(inventory.rows())
        if values is None and not is_known:
            raise HostdSilent("%s: the configuration files cannot be read, so which VM has the UUID "
                              "%s is not known; a datastore may be dead" % (self._login.host, uuid))
        bearers = {key: [row for row in inventory.rows() for path in vmx_paths(row.file)
                         if plain_uuid((values or {}).get((path, key), "")) == uuid]
                   for key in ("uuid.bios", "vc.uuid")}
        if bearers["vc.uuid"] and not bearers["uuid.bios"] and not is_known:
            raise Refused("%s is the vc.uuid of %s, which no list of running VMs shows; give its "
                          "uuid.bios" % (uuid, show(bearers["vc.uuid"][0].name)))
        return bearers["uuid.bios"]

    def vmx_values(self, rows):
        """{(path, key): value} of UUIDs and suspend images; None where a datastore is silent."""
        grep = "grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null"
        commands = [grep] if rows else []
        for path in [path for row in rows for path in vmx_paths(row.file)]:
            if len((commands[-1] + path).encode("utf-8", "replace")) > LONGEST_COMMAND:
                commands.append(grep)
            commands[-1] += " " + quote(path)
        values = {}
        for command in commands:
            (answer,) = self.ask(command, bound=5)
            if answer is None:
                return None
            for path, key, value in re.findall(
                    r'(?mi)^(/.*?\.vmt?x):\s*([\w.]+)\s*=\s*"(.*)"\s*$', answer.text):
                values[path, key.lower()] = value
        return values

    # -- its power

    def is_off(self, sight, just_taken=False):
        """Whether two witnesses say that a VM is off: hostd, and a sound list of processes.

        just_taken: hostd called it on and has itself just taken its power.off.
        """
        if sight.state != "off" or sight.processes is None:
            return sight.state == "off" and just_taken
        if any(self._may_be(sight.vm, process) for process in sight.processes):
            return False
        return bool(sight.processes) or just_taken or self.runs_nothing()

    def _may_be(self, vm, process):
        """Whether a process may be a VM's, so that it is not off: by name, by file or by UUID.

        A copy has the file's path and the UUID too; it is another VM where hostd says so.
        """
        if process.is_called(vm.name):
            return True
        if not process.may_use(vm.file) and (vm.uuid is None or process.uuid != vm.uuid):
            return False
        others = [row.vmid for row in self.inventory().rows_of(process) if row.vmid != vm.vmid]
        summaries = [self._summary(vmid) for vmid in others]
        return not any(each and process.is_called(each.name) and process.may_use(each.file)
                       for each in summaries)

    def lies_on(self, vm, process):
        """Whether a process's file is a VM's, its datastore being the volume of that path.

        Plain readlink looks at the link only, so a datastore that is dead does not matter.
        """
        datastore, found, _ = vm.file[1:].rpartition("] " + process.below_volume())
        link = self.ask("readlink %s" % quote("/vmfs/volumes/" + datastore), bound=5)[0] if found else None
        volume = process.path.split("/")[3:4]
        return bool(link) and [link.text.strip().rpartition("/")[2]] == volume

    def runs_nothing(self):
        """Whether a second program agrees that no VM runs: an empty list by itself proves nothing.

        That is `ps`; only where the host has no `ps` of VMware's, the other list of processes.
        """
        shown, listed = self.ask("ps", LIST["esxcli"], bound=5)
        worlds = parse_worlds(shown)
        if worlds is not None:
            return not any(is_of_a_vm(world) for world in worlds)
        has_none = shown and (shown.status == 127 or re.match(" *PID", shown.text))
        return bool(has_none) and parse_processes(listed) == []

    def is_absent(self, plug):
        """Whether a VM is proven not to be on this host: neither registered nor running.

        The list is complete, every running VM is one of its rows, and none is called so; for a
        UUID, every row's configuration file tells another one.
        """
        inventory, processes = self.look()
        uuid = plain_uuid(plug)
        if not inventory.complete or processes is None or inventory.rows(plug):
            return False
        if any(each.is_called(plug, uuid) or not inventory.rows_of(each) for each in processes):
            return False
        values = (self.vmx_values(inventory.rows()) or {}) if uuid else {}
        uuids = [[plain_uuid(values.get((path, "uuid.bios"), "")) for path in vmx_paths(row.file)]
                 for row in inventory.rows() if uuid]
        return (all(any(of_row) and uuid not in of_row for of_row in uuids)
                and (bool(processes) or self.runs_nothing()))

    def power_states(self):
        """[(Row, state), ...] of all VMs by a few host commands, however many there are.

        Off only where two programs list the same processes and no suspend image lies there;
        "unknown" where that is not to be had. Raises HostdSilent where nothing is known.
        """
        inventory, first = self.look()
        (listed,) = self.ask(LIST["esxcli" if self._lister == "localcli" else "localcli"])
        second = parse_processes(listed)
        if first is None and second is None:
            raise HostdSilent("%s does not list the running VMs; see /etc/init.d/hostd status on "
                              "the host" % self._login.host)
        agree = first is not None and second is not None and set(first) == set(second)
        running = {each.below_volume(): each for each in (first or []) + (second or [])}
        names = {process.name for process in running.values()}
        resting = [row for row in inventory.rows() if not names & spellings(row.name)]
        values = self.vmx_values(resting) if agree and (running or self.runs_nothing()) else None

        def state_of(row):
            own = running.get(row.file.rpartition("] ")[2])
            if own or values is None or row not in resting:
                return "on" if own and own.is_called(row.name) else "unknown"
            keys = [(path, "checkpoint.vmstate") for path in vmx_paths(row.file)]
            return "suspended" if any(values.get(key) for key in keys) else "off"

        return [(row, state_of(row)) for row in inventory.rows()]

    # -- what changes it; no answer to it is a proof (facts: 3.1)

    def switch(self, vm, state):
        """Send power.on or power.off: "" where the host took it, else why not.

        Taken means exit status 0 and no fault in the text.
        """
        (answer,) = self.ask("vim-cmd vmsvc/power.%s %s" % (state, vm.vmid),
                             bound=self._limits["power"])
        taken = answer and answer.status == 0 and not re.search(r"fault\.|failed", answer.text)
        refusal = "" if taken else "power.%s was refused: %s" % (
            state, reason_in(answer) if answer else "the host gave no answer in time")
        logging.info("%s: power.%s sent, %s", vm, state, refusal or "taken")
        return refusal

    def question_of(self, vm):
        """The question a VM waits with and how to answer it, as half a sentence, or "" """
        try:
            (answer,) = self.ask("vim-cmd vmsvc/message " + vm.vmid, bound=3)
        except FenceError as error:
            logging.info("whether a question is pending cannot be asked: %s", error)
            return ""
        form = r"(?s)Virtual machine message (\S+):\s*\n(.*)"
        question = re.match(form, answer.text) if answer else None
        return "" if question is None else (
            'it waits with the question "%s"; answer with: vim-cmd vmsvc/message %s %s N'
            % (one_line(question.group(2), 500), vm.vmid, question.group(1)))

    def processes(self, tool):
        """The running VMs as a tool lists them, None where the list is not sound."""
        return parse_processes(self.ask(LIST[tool], bound=5)[0])

    def kill(self, tool, how, process):
        """Kill a VM's process by soft, hard or force."""
        (answer,) = self.ask("%s vm process kill -t %s -w %s" % (tool, how, process.world), bound=5)
        taken = "taken" if answer and answer.status == 0 else answer and reason_in(answer)
        logging.warning("%s: %s vm process kill %s sent, %s", process, tool, how, taken)


def quote(path):
    """A path as one word for the host's shell."""
    return "'%s'" % path.replace("'", "'\\''")


# --- 4. The ladder ---------------------------------------------------------------------------

KILLS = ("soft", "hard", "force")
TIME_FOR_GENTLE_KILLS = 18  # seconds; with less time left only the strongest kill is tried


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
        a process that was never seen, a name in `ps`, a World ID of another run.
    """

    def __init__(self, host, plug, may_kill, sight):
        self._host, self._plug, self._may_kill = host, plug, may_kill
        self._sight = sight  # of a moment ago, or the HostdSilent instead; None: look anew
        self.vm = (sight and sight.vm) or VM(None, plug, None, plain_uuid(plug))
        self._own = None  # the VM's own process, as it was last listed
        self._beside = frozenset()  # what was listed beside it, and so is not the VM
        self._tried = OrderedDict()
        self._trouble = self._question = ""

    def run(self):
        """Returns when the VM is proven off; raises NotProven, saying what was tried."""
        for pause in (0.7, 1.5) + (3,) * 20:
            try:
                if self._climb():
                    log = logging.warning if len(self._tried) > 1 else logging.info
                    return log("%s is off: %s", self._described(), self._trouble)
            except FenceError as error:
                if error.final:
                    raise
                self._note(str(error))
            if self._host.left() < 2:
                break
            self._host.clock.sleep(min(pause, self._host.left() - 1.5))
        raise self._failure()

    def _climb(self):
        """All rungs once; True when the VM is proven off."""
        sight, self._sight = self._sight, None
        try:
            if isinstance(sight, HostdSilent):
                raise sight
            return self._through_hostd(sight or self._host.sight(self._plug))
        except HostdSilent as silence:
            self.vm = silence.vm or self.vm
            self._note(str(silence))
            return self._kill_with("localcli", silence.processes)
        except NoSuchVM as missing:
            # final, unless hostd knew the VM before or admits to VMs it cannot read (facts: 1.3)
            if not self._may_kill or self.vm.file is None and missing.inventory.complete:
                raise Refused(str(missing))
            self._note(str(missing))
            self.vm = self.vm._replace(vmid=None)
            return self._kill_with("esxcli", missing.processes)

    def _through_hostd(self, sight):
        """Rungs 1 and 2; HostdSilent where hostd is."""
        self.vm = sight.vm
        if self._host.is_off(sight):
            return self._proven('hostd says "Powered off", and no process of it runs')
        if sight.state != "off":
            self._watch(sight.processes)
            was_tried = "power.off" in self._tried
            self._tried["power.off"] = True
            refusal = self._host.switch(self.vm, "off")
            if self._is_off_within(0 if refusal else 3, not refusal):
                return True
            self._note(refusal or "power.off was taken, and it is not off")
            self._question = refusal and (self._question or self._host.question_of(self.vm))
            if sight.state == "suspended" and was_tried and refusal:
                raise self._failure("it is suspended, and " + refusal)
        elif self._own is None and not any(self._host.lies_on(self.vm, each)
                                           for each in sight.processes or ()):
            raise FenceError('hostd says "Powered off", and the list of processes does not agree')
        return self._kill_with("esxcli", None)

    def _kill_with(self, tool, processes):
        """Rung 2 through esxcli, rung 3 through localcli; processes: as listed just before."""
        for how in KILLS if self._may_kill else ():
            processes = self._host.processes(tool) if processes is None else processes
            if processes is None:
                raise FenceError("%s does not list the running VMs" % tool)
            if self._watch(processes) is None:
                break
            if how == KILLS[-1] or self._host.left() > TIME_FOR_GENTLE_KILLS:
                self._tried["%s kill %s" % (tool, how)] = True
                self._host.kill(tool, how, self._own)
                processes = None
                if self._is_proven_within(3, tool):
                    return True
        return self._is_proven_within(3, tool)

    def _watch(self, processes):
        """The VM's own process, which may be killed, or None; remembers it and what runs beside it.

        It is the one of the file that its own process had before; else of the name and the path
        that hostd told; else of the name or UUID. Refused where there are two, or where one of that
        name is another VM's.
        """
        vm, seen = self.vm, self._own
        named = [each for each in processes or [] if each.is_called(vm.name, vm.uuid)]
        own = [each for each in processes or [] if (
            each.path == seen.path if seen else
            each in named and (vm.file is None or each.may_use(vm.file)))]
        if len(own) > 1 or set(named) - set(own):
            raise Refused("%s: which running VM that is, is not certain: %s; nothing more was killed"
                          % (vm, " or ".join(map(str, OrderedDict.fromkeys(own + named)))))
        if own:
            self._own, self._beside = own[0], frozenset(processes) - {own[0]}
        return own[0] if own else None

    def _is_proven_within(self, seconds, tool):
        if tool == "esxcli" and self.vm.vmid:
            return self._is_off_within(seconds)
        return self._poll(seconds, self._is_gone) and self._proven(
            "hostd is silent about it, and its process is gone")

    def _is_off_within(self, seconds, just_taken=False):
        return self._poll(seconds, lambda: self._host.is_off(
            self._host.look_at(self.vm), just_taken)) and self._proven(
                'hostd says "Powered off", and no process of it runs')

    def _poll(self, seconds, question):
        until = self._host.clock.monotonic() + seconds
        while not question():
            if self._host.clock.monotonic() >= until or self._host.left() < 1:
                return False
            self._host.clock.sleep(0.5)
        return True

    def _is_gone(self):
        """Whether the VM's process is missing three times, a second apart, from two lists."""
        for look in range(3):
            self._host.clock.sleep(1 if look else 0)
            shown, listed = self._host.ask("ps", LIST["localcli"], bound=4)
            processes, worlds = parse_processes(listed), parse_worlds(shown)
            others = self._beside.intersection(processes or ())
            if self._own is None or processes is None or worlds is None and not others:
                self._note("hostd is silent, and that no list shows its process is no proof")
                return False
            if any(each.is_called(self.vm.name, self._own.uuid) or each.path == self._own.path
                   for each in processes if each not in others):
                return False
            numbers = {self._own.world, self._own.cartel}
            if any({world.wid, world.cid} & numbers for world in worlds or ()):
                return False
        return True

    def _proven(self, proof):
        self._trouble = proof
        return True

    def _described(self):
        return "%s%s" % (self.vm, ", world %s" % self._own.world if self._own else "")

    def _note(self, trouble):
        if not self._trouble or self._host.left() > 1:  # else what fails, fails for want of time
            log = logging.info if trouble == self._trouble else logging.warning
            log("%s is not off yet: %s", self._described(), trouble)
            self._trouble = trouble

    def _failure(self, cause=None):
        tried = ", ".join(self._tried) or "nothing could be sent"
        return NotProven("%s is not proven off: %s; tried: %s; switch it off on the host itself"
                           % (self._described(), self._question or cause or self._trouble, tried))


def power_on(host, vm):
    """Switch a VM on and see that it is; NotProven with the host's reason.

    power.on may report success and fail, report failure and succeed, and hangs for as long as the
    VM waits with a question (facts: 3.1, 3.2).
    """
    try:
        refusal = host.switch(vm, "on")
    except SessionLost as lost:
        refusal = str(lost)
    until = host.clock.monotonic() + (0 if refusal else 3)
    while host.look_at(vm).state != "on":
        if host.clock.monotonic() >= until or host.left() < 1:
            raise NotProven("%s could not be switched on: %s; look at its events on the host" % (
                vm, host.question_of(vm) or refusal or "power.on was taken, and it stays off"))
        host.clock.sleep(0.5)
    logging.info('%s is on: hostd says "Powered on"', vm)


# --- 5. The agent ----------------------------------------------------------------------------

# seconds from the start to the verdict, with the end of the interpreter taken off; a delay is added
VERDICT = {"off": 43.5, "on": 43.5, "reboot": 53.5}
VERDICT_OF_READING = 19.0
LIMITS = {"login": 20, "shell": 8, "power": 12}  # seconds

DEVICE_OPTIONS = ["ipaddr", "login", "passwd", "cmd_prompt", "secure", "port", "missing_as_off",
                  "known_hosts", "no_kill"]
DESCRIPTIONS = {
    "port": ("-n, --plug=[name]", "Display name of the VM, letter for letter, or its BIOS UUID"),
    "known_hosts": ("--known-hosts=[file]", "Accept only a host key that stands in this file"),
    "no_kill": ("--no-kill", "Never kill the VM's process where power.off fails; for those who "
                "prefer a failed fencing to a VM killed behind hostd's back"),
    "login_timeout": ("--login-timeout=[seconds]", "Seconds for the login, within the time of the "
                      "whole action"),
    "shell_timeout": ("--shell-timeout=[seconds]", "Seconds for one question to the host, within "
                      "the time of the whole action"),
    "power_timeout": ("--power-timeout=[seconds]", "Seconds for the host to answer one power.off or "
                      "power.on, within the time of the whole action"),
    "power_wait": ("--power-wait=[seconds]", "Seconds to wait after each off and on, within the "
                   "time of the whole action"),
    "cmd_prompt": ("-c, --command-prompt=[prompt]", "Without effect, kept for configurations of "
                   "fence_ESXi"),
}
WORD = (r"[^\s'\"-][^\s'\"]*", "one word, no quotes, no leading dash")
NUMBER = (r"[0-9]{1,6}", "a whole number")
# what an option must look like
FORMS = (
    ("--ip", *WORD), ("--username", *WORD), ("--delay", *NUMBER), ("--power-wait", *NUMBER),
    ("--login-timeout", *NUMBER), ("--shell-timeout", *NUMBER), ("--power-timeout", *NUMBER),
    ("--ipport", r"[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]"
     r"|6553[0-5]", "a port number from 1 to 65535"),
    # what ssh would read as something else
    ("--known-hosts", r'(?:[^"\n%$]|\$(?!\{))*', "no quotes, no % and no ${"),
)


def define_options():
    """Adapt the library's options to this agent and add its own."""
    all_opt["known_hosts"] = {"getopt": ":", "longopt": "known-hosts", "required": "0", "order": 200}
    all_opt["no_kill"] = {"getopt": "", "longopt": "no-kill", "required": "0", "order": 200}
    all_opt["secure"]["default"] = "1"
    for kind, seconds in LIMITS.items():
        all_opt[kind + "_timeout"]["default"] = str(seconds)
    for key, (words, text) in DESCRIPTIONS.items():
        all_opt[key].update(help="%-30s %s" % (words, text), shortdesc=text)


def documentation():
    """What metadata, help and man page say about the agent."""
    return {"shortdesc": "Fence agent for VMs on VMware ESXi, by SSH and vim-cmd", "longdesc": (
        "fence_esxi is a power fencing agent for virtual machines on a standalone VMware ESXi host. "
        "It logs in by SSH and runs vim-cmd there, which works with the free licence too, which "
        "refuses the API clients that fence_vmware_soap and fence_vmware_rest use.\n\n"
        "The plug is the display name of the VM, letter for letter, or its UUID; never a Vmid. "
        "Where the node has another name than the VM, map it: pcmk_host_map=node1:web-1. A name "
        "with a blank cannot stand there; use the UUID (uuid.bios in the .vmx file).\n\n"
        "A VM is off only where two witnesses say so, hostd and the list of running VMs: where "
        "power.off is not enough, the VM's process is killed, by esxcli and, where hostd is silent, "
        "by localcli. A suspended VM is neither on nor off: status and on are an error, off and "
        "reboot power it off. A VM that the host does not list is an error, unless missing_as_off "
        "is set, the list is complete and explains every VM that runs.\n\n"
        "Off and on end with a verdict within 45 seconds, reboot within 55, the rest within 20; a "
        "delay is added. The exit status is 0 for done or on, 2 when status finds the VM off, 1 for "
        "everything else.\n\n"
        "Before the first fencing, and after every update of ESXi, run esxi-fence-check(8). See "
        "also esxi-fence-key(8), for a key that can do nothing but fence its own VMs."),
        "vendorurl": "https://www.vmware.com"}


def key_of(name):
    """An option's name as it stands in a cluster's configuration: "ssh_options"."""
    return name.lstrip("-").replace("-", "_")


def is_true(options, name):
    """Whether a flag is set, by its value: on stdin "name=0" must not mean yes."""
    return str(options.get(name, "0")).strip().lower() not in ("0", "no", "off", "false")


def login_of(options, given):
    """The Login that the options mean; raises Refused where one cannot be used as it was given."""
    for name, form, wanted in FORMS:
        value = str(given.get(name) or options.get(name) or "0")
        if value != "0" and not re.match("(?:%s)\\Z" % form, value):
            raise Refused("%s=%s is not usable: %s" % (key_of(name), show(value), wanted))
    secret, key = options.get("--password"), options.get("--identity-file")
    if not secret and not key:
        raise Refused("the password is empty; set password= or password_script=, or use a key with "
                      "identity_file=")
    if secret and re.search(r"[\x00-\x1f\x7f]", secret):
        raise Refused("the password holds a control character, which ssh cannot be given")
    return Login(ssh_argv(options), options["--username"], options["--ip"],
                 str(options.get("--ipport") or "22"), secret, key, options.get("--known-hosts"))


class Agent:
    """The callbacks the fencing library calls with (connection, options); the connection is ours.

    given: the options as they were given: under Pacemaker the library sets the time limits to 0.
    """

    def __init__(self, options, given, session, clock, started):
        login = login_of(options, given)
        limits = {kind: int(given.get("--%s-timeout" % kind) or 0) or seconds
                  for kind, seconds in LIMITS.items()}
        self._options, self._action, self._clock = options, options["--action"], clock
        delay = int(options.get("--delay") or 0) if self._action in ("off", "reboot") else 0
        self._start = started + delay
        self.host = EsxiHost(login, limits, self._deadline(self._action), session, clock)
        self._sights = {}  # of each plug: its Sight, or the HostdSilent or NoSuchVM instead
        self._todo, self._failures = [], []

    def _deadline(self, action):
        """When the verdict of an action is due; the library waits power_wait after each plug."""
        phases = {"off": 1, "on": 1, "reboot": 2}.get(action, 0)
        plugs = len(self._options.get("--plugs") or [""])
        wait = int(self._options.get("--power-wait") or 0) * plugs * phases
        return self._start + VERDICT.get(action, VERDICT_OF_READING) - wait

    def get_power(self, _, options):
        """ "on" or "off" of the plug, as the library wants it.

        Off only by two witnesses, or where missing_as_off is set and the VM is proven absent. For
        off and reboot everything else counts as "on": the ladder has the last word then.
        """
        plug, cuts = plug_of(options), self._action in ("off", "reboot")
        silent = [each for each in self._sights.values() if isinstance(each, HostdSilent)]
        try:
            if silent and cuts:  # hostd, when another plug was looked at
                raise HostdSilent(str(silent[0]), processes=silent[0].processes)
            sight = self.host.sight(plug) if cuts else self._again(self.host.sight, plug)
        except NoSuchVM as missing:
            self._sights[plug] = missing
            return self._missing(plug, missing, cuts)
        except (HostdSilent, SessionLost) as silence:
            if not cuts:
                raise
            logging.warning("%s; taking %s for on", silence, show(plug))
            self._sights[plug] = silence if isinstance(silence, HostdSilent) else None
            return "on"
        self._sights[plug] = sight
        if self.host.is_off(sight):
            return "off"
        if cuts or sight.state == "on":
            return "on"
        raise NotProven("%s is suspended, which is neither on nor off, and switching it on would "
                          "resume a stale node; power it off on the host, or fence it with off"
                          % sight.vm if sight.state == "suspended" else
                          '%s: hostd says "Powered off", but the list of running VMs does not '
                          "confirm it; look at it on the host" % sight.vm)

    def _again(self, question, *words):
        """The answer to a question, asked once more where the line or hostd failed it."""
        try:
            return question(*words)
        except (SessionLost, HostdSilent) as error:
            if self.host.left() < 3:
                raise
            logging.warning("%s; asking again", error)
            self._clock.sleep(0.3)
            return question(*words)

    def _missing(self, plug, missing, cuts):
        if is_true(self._options, "--missing-as-off"):
            if self._again(self.host.is_absent, plug):
                logging.info("%s; off, as missing_as_off says", missing)
                return "off"
            missing.args = ("%s; and missing_as_off cannot be used, because that the VM is not on "
                            "the host is not certain" % missing,)
        runs = [each for each in missing.processes or () if each.is_called(plug, plain_uuid(plug))]
        if not cuts or missing.inventory.complete or not runs or is_true(self._options, "--no-kill"):
            raise missing
        self._sights[plug] = None  # the host cannot read it, and yet it runs
        return "on"

    def set_power(self, _, options):
        """Switch the plug off for certain, or on. Several plugs share the time.

        One that fails does not keep the others from being switched: the last one's turn raises
        NotProven for all that failed.
        """
        plug, action = plug_of(options), options["--action"]
        self._todo = self._todo or list(options.get("--plugs") or [plug])
        due = self._deadline(action if action == "off" else self._action)
        now = self._clock.monotonic()
        self.host.deadline = now + (due - now) / len(self._todo)
        self._todo = self._todo[1:]
        try:
            self._switch_off(plug) if action == "off" else self._switch_on(plug)
        except FenceError as failure:
            if isinstance(failure, LoginFailed) or not (self._todo or self._failures):
                raise
            logging.error("%s", failure)
            self._failures.append(str(failure))
        if self._failures and not self._todo:
            failures, self._failures = self._failures, []
            raise NotProven("; ".join(failures))
        return True

    def _switch_off(self, plug):
        sight = self._sights.pop(plug, None)
        if isinstance(sight, NoSuchVM):  # proven absent, as missing_as_off wants it
            self._sights[plug] = sight
            return
        # what was seen before other plugs were switched is looked at again
        is_fresh = len(self._options.get("--plugs") or [plug]) == 1
        ladder = PowerOff(self.host, plug, not is_true(self._options, "--no-kill"),
                          sight if is_fresh else None)
        ladder.run()
        self._sights[plug] = Sight(ladder.vm, "off", None)

    def _switch_on(self, plug):
        sight = self._sights.get(plug)
        if isinstance(sight, Sight) and sight.state == "on":
            return
        try:
            known = isinstance(sight, Sight) and sight.vm.vmid
            try:
                power_on(self.host, sight.vm if known else self.host.sight(plug).vm)
            except NoSuchVM:
                power_on(self.host, self.host.sight(plug).vm)
        except FenceError as failure:
            if self._action == "on":
                raise
            raise NotProven("%s; it was off for certain, so the fencing itself is done" % failure)

    def get_list(self, _, options):
        """{name: (Vmids, power state)}; asks for power states only where list-status wants them."""
        if options.get("--original-action") == "list-status":
            states = self._again(self.host.power_states)
        else:
            inventory = self._again(self.host.inventory)
            states = [(row, None) for row in inventory.rows()]
            if not states or inventory.skipped:
                logging.warning("%s lists %d VMs, and cannot read %s: what is not listed cannot be "
                                "fenced; look at the rights of user %s and at the host's datastores",
                                options["--ip"], len(states), inventory.skipped or "none",
                                options["--username"])
        outlets = OrderedDict()
        for row, state in states:
            vmids, known = outlets.get(row.name, ("", state))
            vmids = vmids + "+" + row.vmid if vmids else row.vmid
            outlets[row.name] = (vmids, state if state == known else "unknown")
        return outlets


def plug_of(options):
    """The plug of this call; raises Refused where it is empty."""
    if not (options.get("--plug") or "").strip():
        raise Refused("plug= is empty; give the display name of a VM, as -o list shows it")
    return options["--plug"]


class CleanLog(logging.Filter):
    """Keeps from the log what must not be there: unprintable text, and values of unknown options"""

    def filter(self, record):
        # the library quotes what it does not understand, which may be a misspelt password
        text = re.sub(r"(?s)(unknown option ')([\w-]+=)?.*|(Unused arguments on command line).*",
                      r"\1\2\3...", record.getMessage())
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
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # started with the stream closed
            os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, io.open(
            number, "w" if number else "r", buffering=1, encoding="utf-8", closefd=False,
            errors="backslashreplace" if name == "stderr" else "surrogateescape"))


def carry_out(options, given=None, session=Session, clock=time, started=None):
    """Carry out the action; the exit status. Raises FenceError.

    given: the options before the library changed them. session, clock: what talks to the host, and
    what tells the time; started: when, on that clock.
    """
    agent = Agent(options, options if given is None else given, session, clock,
                  clock.monotonic() if started is None else started)
    if options["--action"] == "validate-all":
        return 0
    try:
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
        sys.exit(fence())
    except FenceError as error:
        logging.error("%s", error)
    except KeyboardInterrupt:
        logging.error("interrupted")
    except BrokenPipeError:  # nobody reads any more, as in `fence_esxi -h | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except Exception as error:  # never a traceback; -v has it
        logging.error("internal error, please report it: %s: %s", type(error).__name__, error)
        logging.debug("where it happened", exc_info=True)
    sys.exit(1)


if __name__ == "__main__":
    main()

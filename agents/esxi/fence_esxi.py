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
    2. the session           one ssh login: run a command, get its output and exit status in time
    3. the host              find the VM a plug means, read its power, switch it on and off
    4. the agent             options, the callbacks of the fencing library, main
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
import subprocess  # nosec B404
import sys
import termios
import time
import types
from collections import Counter, OrderedDict, namedtuple


def started():
    """When this process was started, on the clock of time.monotonic(), interpreter included."""
    try:
        with open("/proc/self/stat") as stat, open("/proc/uptime") as uptime:
            ticks = int(stat.read().rpartition(")")[2].split()[19])
            age = float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        age = 0.0
    return time.monotonic() - min(max(0.0, age), 5.0)


STARTED = started()


class NotNeeded(types.ModuleType):
    """Stands for a module that the library imports for other agents.

    This one talks to ssh by itself: it need not wait at each start until pexpect and pycurl are
    loaded (13 ms and 8 MiB), nor fail where one of them is broken. The library names classes and
    exceptions of theirs; none of them is ever raised.
    """

    def __getattr__(self, name):
        return type(name, (Exception,), {})


STAND_INS = {name: NotNeeded(name) for name in ("pexpect", "pycurl") if name not in sys.modules}
sys.modules.update(STAND_INS)
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
except ImportError as missing:
    sys.exit(
        "fence_esxi: the fencing library cannot be loaded (%s); install it: "
        "fence-agents-common on Debian 13, Ubuntu, Fedora and RHEL, fence-agents on Debian 11 "
        "and 12 and on SLES" % missing
    )
for stand_in in STAND_INS:
    del sys.modules[stand_in]


class FenceError(Exception):
    """Whatever keeps the agent from a proven result; the text is a sentence for the admin."""


class BadInput(FenceError):
    """An option cannot be used as it was given; nothing was sent to the host."""


class LoginFailed(FenceError):
    """ssh could not log in."""


class LoginRefused(LoginFailed):
    """The host refused the password or the key: one more try would cost the account."""


class HostBusy(LoginFailed):
    """The host closed the connection before it asked who is there."""


class LineError(FenceError):
    """The session ended or fell silent before an answer was complete."""


class SessionSilent(LineError):
    """No complete answer within the bound."""


class TimeIsUp(SessionSilent):
    """The verdict is due: there is no time for one more question."""


class SessionLost(LineError):
    """The connection broke."""


class HostdFailed(FenceError):
    """The host answered, but not what was asked: hostd is down, starting or out of memory."""


class NotAllowed(FenceError):
    """The host tells this user, or this key, that it may not do that."""


class NoSuchVM(FenceError):
    """The host's list holds no VM of that name or UUID."""


class AmbiguousVM(FenceError):
    """Several VMs answer to the plug, or which one does cannot be settled."""


class PowerFailed(FenceError):
    """The VM is not in the power state asked for, or nobody can prove that it is."""


# ---------------------------------------------------------------------------------------------
# 1. What the host says
# ---------------------------------------------------------------------------------------------

# names: what the VM may be called, more than one only where the row can be read in several ways;
# line: the row as it was printed
InventoryRow = namedtuple("InventoryRow", "vmid names file doubtful line")
Inventory = namedtuple("Inventory", "rows skipped complete")
Process = namedtuple("Process", "world_id name config_file uuid")
Question = namedtuple("Question", "qid text choices")

HEADER = re.compile(r" *Vmid +Name +File +Guest OS +Version +Annotation *\Z")
ROW = re.compile(
    r"(?P<vmid>[1-9][0-9]*) +(?P<name>[^ ].*?) {3,}(?P<file>\[.*?\] ?.*?\.(?i:vmt?x)) {3,}"
    r"(?P<guest>[^ ]*) +(?P<version>vmx-[0-9]+)(?: .*)?\Z"
)
FILE_STARTS = re.compile(r" {3,}\[")
FILE_ENDS = re.compile(r"\.vmt?x {3,}", re.IGNORECASE)
SKIPPED = re.compile(r"^Skipping invalid VM '?([0-9]+)'?", re.MULTILINE)
POWER_STATES = {"Powered on": "on", "Powered off": "off", "Suspended": "suspended"}
HOSTD_TROUBLE = re.compile(
    r"Failed to login|Connect to localhost failed|Connection fail(?:ed|ure)|bad_alloc"
    r"|^(?:Killed|Aborted)$",
    re.MULTILINE,
)
DENIED = re.compile(r"Permission to perform this operation was denied|vim\.fault\.NoPermission")
NO_COMMAND = re.compile(r"not found|No such file|applet not found")
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


def parse_inventory(answer):
    """The VMs in an answer to `vim-cmd vmsvc/getallvms` (facts: 1).

    complete is true where the answer is known to name every VM: the header line was there, the
    exit status 0, no VM skipped, no line that resembles a row without being one. A row whose Vmid
    stands in another line too, or that can be read in more than one way, is doubtful: a note of
    several lines may have forged it (facts: 1.4).
    Raises HostdFailed where the answer is no list at all.
    """
    lines = lines_of(answer.text)
    skipped = SKIPPED.findall(answer.text)
    headers = [number for number, line in enumerate(lines) if HEADER.match(line)]
    whole = answer.status == 0 and answer.text.endswith("\n")
    if not headers or not whole:
        raise HostdFailed("the host did not list its VMs: %s" % reason_in(answer))
    body = lines[headers[0] + 1 :]
    vmids = Counter(line.split(" ", 1)[0] for line in body if re.match(r"[0-9]+ ", line))
    matches = [row for row in map(ROW.match, body) if row]
    strange = [line for line in body if FILE_ENDS.search(line) and not ROW.match(line)]
    name_column = min([row.start("name") for row in matches] or [0])
    rows = [_inventory_row(row, vmids, name_column) for row in matches]
    return Inventory(rows, skipped, complete=not skipped and not strange)


def _inventory_row(row, vmids, name_column):
    line = row.string
    cuts = [cut.start() for cut in FILE_STARTS.finditer(line, row.start("name"))]
    # a name that starts right of the others may begin with blanks
    starts = sorted({row.start("name"), name_column}, reverse=True)
    names = [line[start:cut].rstrip(" ") for start in starts for cut in cuts]
    doubtful = (vmids[row.group("vmid")] > 1 or len(names) > 1
                or len(FILE_ENDS.findall(line)) > 1)
    return InventoryRow(row.group("vmid"), names, row.group("file"), doubtful, line)


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
    """The running VMs in an answer to `esxcli vm process list` or localcli's (facts: 6).

    No text at all means that no VM runs. Returns None where the answer is damaged in any way, so
    that half a list is never read as "the process is gone".
    """
    if answer.status != 0 or (answer.text and not answer.text.endswith("\n")):
        return None
    blocks = [block for block in re.split(r"\n\n+", answer.text.strip("\n")) if block]
    processes = [_process(lines_of(block)) for block in blocks]
    return None if None in processes else processes


def _process(block):
    fields = {}
    for line in block[1:]:
        key, colon, value = line.strip(" ").partition(":")
        if not line.startswith("   ") or not colon:
            return None
        fields[key] = value.strip(" ")
    world_id, name = fields.get("World ID", ""), fields.get("Display Name")
    config_file = fields.get("Config File", "")
    if not re.match(r"[0-9]+\Z", world_id) or name != block[0].strip(" "):
        return None
    if not re.search(r"\.vmt?x\Z", config_file, re.IGNORECASE):
        return None
    return Process(world_id, name, config_file, plain_uuid(fields.get("UUID", "")))


def parse_summary(answer):
    """(display name, file) in an answer to get.summary, None for what it does not tell (facts: 5).

    Both are taken from the configuration section only; where a note or a guest's own words seem
    to repeat that section there is no telling.
    """
    sections = re.split(r"^ *config = \(vim\.vm\.Summary\.ConfigSummary\) \{", answer.text,
                        flags=re.MULTILINE)
    if answer.status != 0 or len(sections) != 2:
        return None, None
    values = [re.search(r'^ *%s = "(.*)", *\r?$' % key, sections[1], re.MULTILINE)
              for key in ("name", "vmPathName")]
    return tuple(value.group(1) if value else None for value in values)


def parse_question(answer):
    """The question in an answer to `vim-cmd vmsvc/message VMID`, else None (facts: 4)."""
    head = re.search(r"^Virtual machine message (\S+):[ \r]*$", answer.text, re.MULTILINE)
    if not head:
        return None
    rest = lines_of(answer.text[head.end() :])
    choices = [line.strip() for line in rest if re.match(r" *[0-9]+\. ", line)]
    words = [line for line in rest if not re.match(r" *[0-9]+\. ", line)]
    return Question(head.group(1), one_line(" ".join(words)), choices)


def parse_vmx_values(answer):
    """[(path of the .vmx, key in lower case, value), ...] from grep -H over .vmx files."""
    line_form = re.compile(r'(/.*?\.vmt?x):\s*([\w.]+)\s*=\s*"(.*)"\s*\Z', re.IGNORECASE)
    matches = [line_form.match(line) for line in lines_of(answer.text)]
    return [(m.group(1), m.group(2).lower(), m.group(3)) for m in matches if m]


def plain_uuid(text):
    """The 32 hexadecimal digits of a UUID in any spelling, else None (facts: 5)."""
    digits = re.sub(r"[\s{}:-]", "", text).lower()
    return digits if re.match(r"[0-9a-f]{32}\Z", digits) else None


def fault_in(answer):
    """The name of the fault in an answer, such as "NotFound", else None (facts: 2, 3.1)."""
    fault = re.search(r"\((?:vim|vmodl)\.fault\.(\w+)\) \{", answer.text)
    return fault.group(1) if fault else None


def is_unknown_vmid(answer):
    """True where hostd says that no VM has that Vmid (any more)."""
    return fault_in(answer) in ("NotFound", "ManagedObjectNotFound")


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
    if words:
        return one_line(words[-1])
    return "no reason given, exit status %d" % answer.status


def split_file(file):
    """Every (datastore, path) that "[datastore] path" may mean: a name may hold "] " itself."""
    ends = [end.start() for end in re.finditer(r"\] ?", file)]
    return [(file[1:end], file[end + 1 :].lstrip(" ")) for end in ends if file[end + 1 :]]


def vmx_paths(file):
    """The paths a File column may stand for; some VMs have no datastore (facts: 1.1)."""
    pairs = split_file(file)
    return ["/vmfs/volumes/%s/%s" % pair if pair[0] else pair[1] for pair in pairs]


def near_misses(plug, rows):
    """What the admin may have meant by a plug that names no VM; at most three hints."""
    hints = ["%s is the Vmid of %s; Vmids change" % (plug, show(row.names[0])) for row in rows
             if row.vmid == plug]
    wanted = _folded(plug)
    for row in rows:
        name = _folded(row.names[0])
        if name == wanted or (wanted and (name.startswith(wanted) or wanted.startswith(name))):
            hints.append(show(row.names[0]))
    return hints[:3]


def unescaped(name):
    """A name as processes show it, where the list of VMs has %2f, %5c, %25 (facts: 1.4)."""
    return re.sub(r"(?i)%(2f|5c|25)", lambda code: chr(int(code.group(1), 16)), name)


def _folded(name):
    return " ".join(unescaped(name).casefold().split())


# ---------------------------------------------------------------------------------------------
# 2. The session
# ---------------------------------------------------------------------------------------------

Answer = namedtuple("Answer", "status text")
# secret: what answers the password or passphrase prompt, else None; key: identity file or None
Login = namedtuple("Login", "argv user host port secret key pinned")

READY = "fence_esxi-ready"
# Runs on the host: no prompt, no terminal, no echo; each answer ends in a line nobody can forge.
READ_LOOP = (
    'echo %s; while read -r tag command; do eval "$command" </dev/null 2>&1; status=$?; echo; '
    'echo "$tag $status"; done' % READY
)
# the letters of ssh(1), to tell its options from a remote command in ssh_options
SSH_LETTERS = "1246AaB:b:Cc:D:E:e:F:fGgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvW:w:XxYy"
MOST_OUTPUT = 16 * 1024 * 1024


def ssh_argv(options):
    """The ssh command line for the options of the agent; raises BadInput.

    In ssh the first value of an option wins: what the agent's promises rest on stands before the
    user's ssh_options, what is only a good default behind them.
    """
    argv = _words(options, "--ssh-path") or ["/usr/bin/ssh"]
    argv += ["-4"] if is_true(options, "--inet4-only") else []
    argv += ["-6"] if is_true(options, "--inet6-only") else []
    argv += ["-o", "NumberOfPasswordPrompts=1"]
    if options.get("--known-hosts"):
        argv += ["-o", "UserKnownHostsFile=" + _config_value(options, "--known-hosts")]
        argv += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes"]
        argv += ["-o", "UpdateHostKeys=no"]
    argv += _user_ssh_options(options)
    if options.get("--identity-file"):
        argv += ["-i", options["--identity-file"], "-o", "IdentitiesOnly=yes"]
        argv += ["-o", "PreferredAuthentications=publickey"]
    else:
        argv += ["-o", "PreferredAuthentications=keyboard-interactive,password"]
    # 3 times 8 s is also ssh's limit for each step of the login, which may take 20
    argv += ["-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=8"]
    argv += ["-o", "ServerAliveCountMax=3", "-T"]
    argv += ["-p", _port(options), "-l", _bare_word(options, "--username")]
    return argv + ["--", _bare_word(options, "--ip"), READ_LOOP]


def _user_ssh_options(options):
    words = _words(options, "--ssh-options")
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


def _words(options, name):
    try:
        return shlex.split(options.get(name) or "")
    except ValueError as error:
        raise BadInput("%s cannot be split into words: %s" % (key_of(name), error))


def _bare_word(options, name):
    word = options.get(name) or ""
    if not re.match(r"[^\s'\"-][^\s'\"]*\Z", word):
        raise BadInput("%s=%s is not usable: one word, no quotes, no leading dash"
                       % (key_of(name), show(word)))
    return word


def _config_value(options, name):
    value = options[name]
    if re.search(r'["\n%]|\$\{', value):  # what ssh would read as something else
        raise BadInput("%s=%s is not usable: no quotes, no %% and no ${"
                       % (key_of(name), show(value)))
    return '"%s"' % value


def _port(options):
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

    ssh gets pipes for what it carries and a terminal of its own for what it asks, so a banner, a
    warning or the output of a command can neither pose as a prompt nor as an answer.
    """

    def __init__(self, login):
        self._login = login
        self._terminal, self._ssh_terminal = os.openpty()
        try:
            self._ssh = self._start()
        except OSError as error:
            self._close_terminal()
            raise LoginFailed("cannot start %s: %s; install the OpenSSH client or set ssh_path"
                              % (login.argv[0], error.strerror))
        self._to_host = self._ssh.stdin.fileno()
        os.set_blocking(self._to_host, False)
        self._received = {"answers": bytearray(), "words": bytearray(), "prompt": bytearray()}
        self._sources = {
            self._ssh.stdout.fileno(): "answers",
            self._ssh.stderr.fileno(): "words",
            self._terminal: "prompt",
        }
        self._poll = select.poll()
        for descriptor in self._sources:
            self._poll.register(descriptor, select.POLLIN)
        self._answered_up_to = 0
        self._secret_given = False
        self._host_key_accepted = False

    def _start(self):
        def own_terminal():
            fcntl.ioctl(self._ssh_terminal, termios.TIOCSCTTY, 0)

        environment = dict(os.environ, LC_ALL="C")
        for name in ("SSH_ASKPASS", "SSH_ASKPASS_REQUIRE", "DISPLAY"):
            environment.pop(name, None)
        # a list of words, no shell: nothing an option holds can become a command
        return subprocess.Popen(  # nosec B603
            self._login.argv, bufsize=0, env=environment, start_new_session=True,
            preexec_fn=own_terminal,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def open(self, bound):
        """Log in within bound seconds; raises a LoginFailed with the cause.

        A host that has asked for the password and is slow to judge it gets two seconds more.
        """
        started = time.monotonic()
        ready = re.compile(rb"^%s\r?\n" % READY.encode(), re.MULTILINE)
        try:
            while not ready.search(self._received["answers"]):
                self._receive(started + bound + (2 if self._secret_given else 0))
                self._answer_prompt()
        except SessionSilent:
            raise LoginFailed("%s: no answer to the login within %.0f s; check that the host is "
                              "not overloaded, and that ip= is an ESXi host%s" % (
                                  address_of(self._login), bound, quoted_words(self._trace())))
        except SessionLost:
            raise why_login_failed(self._login, self._trace())
        del self._received["answers"][: ready.search(self._received["answers"]).end()]

    def run(self, command, bound):
        """The Answer to one command; SessionSilent after bound seconds, SessionLost if cut."""
        tag = binascii.hexlify(os.urandom(15)).decode()
        deadline = time.monotonic() + bound
        answer_ends = re.compile(rb"\n%s ([0-9]+)\r?\n" % tag.encode())
        try:
            self._send("%s %s\n" % (tag, command), deadline)
            searched = 0
            end = None
            while not end:
                self._receive(deadline)
                answers = self._received["answers"]
                end = answer_ends.search(answers, searched)
                searched = max(0, len(answers) - len(tag) - 8)
        except SessionSilent:
            raise SessionSilent('%s gave no answer to "%s" within %.0f s; hostd may hang: see '
                                "/etc/init.d/hostd status on the host"
                                % (self._login.host, one_line(command, 60), bound))
        except SessionLost:
            raise SessionLost('%s: the connection broke while "%s" ran; try again%s' % (
                address_of(self._login), one_line(command, 60), quoted_words(self._trace())))
        text = bytes(answers[: end.start()]).decode("utf-8", "surrogateescape")
        answer = Answer(int(end.group(1)), text)
        del answers[: end.end()]
        return answer

    def close(self):
        """End ssh at once; there is nothing to wait for."""
        self._ssh.kill()
        for pipe in (self._ssh.stdin, self._ssh.stdout, self._ssh.stderr):
            try:
                pipe.close()
            except OSError:  # what was not sent yet need not arrive any more
                continue
        self._ssh.wait()
        self._close_terminal()

    def _close_terminal(self):
        os.close(self._terminal)
        os.close(self._ssh_terminal)

    def _send(self, line, deadline):
        data = line.encode("utf-8", "surrogateescape")
        writable = select.poll()
        writable.register(self._to_host, select.POLLOUT)
        while data:
            if not writable.poll(max(0, deadline - time.monotonic()) * 1000):
                raise SessionSilent()
            try:
                data = data[os.write(self._to_host, data) :]
            except OSError:
                raise SessionLost()

    def _receive(self, deadline):
        """Sort what ssh sends into its buffers; the end of its output is SessionLost."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise SessionSilent()
        for descriptor, _ in self._poll.poll(left * 1000):
            source = self._sources[descriptor]
            if self._read(descriptor):
                continue
            if source == "answers":
                self._read_last_words()
                raise SessionLost()
            self._poll.unregister(descriptor)

    def _read(self, descriptor):
        buffer = self._received[self._sources[descriptor]]
        try:
            data = os.read(descriptor, 65536)
        except OSError:  # a terminal without its other end
            return False
        buffer.extend(data)
        if len(buffer) > MOST_OUTPUT:
            raise SessionLost()
        return bool(data)

    def _read_last_words(self):
        words = self._ssh.stderr.fileno()
        last = select.poll()
        last.register(words, select.POLLIN)
        deadline = time.monotonic() + 1
        while last.poll(max(0, deadline - time.monotonic()) * 1000) and self._read(words):
            continue
        while self._ssh.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def _answer_prompt(self):
        """Answer what ssh asks: the host key once, the password or passphrase once."""
        asked = bytes(self._received["prompt"][self._answered_up_to :]).decode("utf-8", "replace")
        question = asked.replace("\r", "\n").rpartition("\n")[2].strip()
        if not question:
            return
        if "(yes/no" in question and not self._host_key_accepted:
            self._host_key_accepted = True
            self._type("yes")
        elif self._echo_is_off():
            self._give_secret(question)

    def _echo_is_off(self):
        # ssh switches the echo off before it asks for a secret: the sign that it waits for one
        return not termios.tcgetattr(self._ssh_terminal)[3] & termios.ECHO

    def _give_secret(self, question):
        is_passphrase = "passphrase" in question.lower()
        fits = is_passphrase == bool(self._login.key) and re.search("passw|passph", question, re.I)
        if self._secret_given:
            raise why_refused(self._login, self._trace())
        if not fits or self._login.secret is None:
            what = "the passphrase of the key in password=" if is_passphrase else "another login"
            raise LoginRefused('%s: ssh asks "%s" and there is no answer to that; give %s'
                               % (address_of(self._login), one_line(question), what))
        self._secret_given = True
        self._type(self._login.secret)

    def _type(self, line):
        os.write(self._terminal, (line + "\n").encode("utf-8", "surrogateescape"))
        self._answered_up_to = len(self._received["prompt"])

    def _trace(self):
        words, prompts, printed = (self._received[source].decode("utf-8", "replace")
                                   for source in ("words", "prompt", "answers"))
        said = [line.strip() for line in words.splitlines() if line.strip()]
        return Trace([line for line in said if not SSH_REMARKS.match(line)], prompts,
                     one_line(printed, 100), self._secret_given, self._ssh.poll())


# what there is to tell why a login failed: ssh's words, its prompts, what came on its stdout,
# whether it was given the password or passphrase, and its exit status
Trace = namedtuple("Trace", "words prompts printed secret_given status")

# what ssh remarks without that anything is wrong
SSH_REMARKS = re.compile(r"Warning: Permanently added|\*\* ")


def address_of(login):
    """The host a login goes to, for messages."""
    return "%s@%s port %s" % (login.user, login.host, login.port)


def quoted_words(trace):
    """ssh's own last line, for the end of a message."""
    return ' (ssh: "%s")' % one_line(trace.words[-1]) if trace.words else ""


def why_login_failed(login, trace):
    """The LoginFailed for an ssh that ended before the shell was ready."""
    last = "\n".join(trace.words[-3:])
    if re.search(r"Permission denied \(|Too many authentication failures", last):
        return why_refused(login, trace)
    if "Host key verification failed" in last:
        cause, cure = _about_host_key(login, trace)
    else:
        cause, cure = _about_connection(last, trace)
    closed = trace.status == 255 and re.search(CLOSED, last)
    if trace.secret_given and re.search(r"Connection to \S+ port \d+ timed out", last):
        cause, cure = "the host did not judge the password in time", "see whether it is overloaded"
    if closed and trace.secret_given:
        cause = "the host closed the connection on the password"
        cure = "check password= before the next try; five wrong ones lock the account"
    kind = HostBusy if closed and not trace.secret_given else LoginFailed
    return kind("%s: %s; %s%s" % (address_of(login), cause, cure, quoted_words(trace)))


def _about_connection(last, trace):
    for pattern, cause, cure in LOGIN_FAILURES:
        found = re.search(pattern, last) if trace.status == 255 else None
        if found:
            return cause, cure(found) if callable(cure) else cure
    if trace.status == 255 and not trace.words:
        return ("ssh ended without a word",
                "take -q, -E and LogLevel out of ssh_options to see why")
    return ("the session ended before its shell was ready",
            "see whether the user may use the ESXi Shell%s"
            % (' (host: "%s")' % trace.printed if trace.printed else ""))


def _algorithm_options(found):
    """The ssh_options that make ssh and an old host share an algorithm again (facts: 7.1)."""
    option = {"host key type": "HostKeyAlgorithms", "key exchange method": "KexAlgorithms",
              "cipher": "Ciphers", "MAC": "MACs"}[found.group("kind")]
    offer = found.group("offer").split(",")[0]
    extra = " -o PubkeyAcceptedAlgorithms=+ssh-rsa" if offer == "ssh-rsa" else ""
    return 'if the host cannot be updated, add to ssh_options: -o %s=+%s%s' % (option, offer, extra)


CLOSED = r"kex_exchange|[Cc]onnection (?:reset|closed)|Broken pipe"
# what ssh says last, the cause, and what to do about it
LOGIN_FAILURES = (
    (r"Could not resolve hostname|[Nn]ame resolution|Name or service not known",
     "the name cannot be resolved", "check ip= and the DNS or /etc/hosts of this node"),
    (r"Connection refused", "nothing listens there",
     "start SSH on the host (TSM-SSH, policy 'start and stop with host') or check ipport="),
    (r"No route to host|Network is unreachable|Cannot assign requested address|Invalid argument",
     "the network does not lead there", "check ip=, the cabling and the routes of this node"),
    (r"during banner exchange|Connection to \S+ port \d+ timed out",
     "something takes connections there, but does not speak SSH in time",
     "check ip= and ipport=, and whether the host is overloaded"),
    (r"[Cc]onnection timed out|Operation timed out", "no answer from that address",
     "check ip=, that the host is up and that no firewall drops SSH"),
    (r"no matching (?P<kind>host key type|key exchange method|cipher|MAC) found\. "
     r"Their offer: (?P<offer>\S+)", "ssh and the host share no algorithm", _algorithm_options),
    (r"Bad configuration option|[Uu]nsupported option|unknown option|command-line:? line|usage: ssh"
     r"|Unknown (?:cipher|mac) type|user config file",
     "ssh does not accept an option", "correct ssh_options="),
    (CLOSED, "the host closed the connection, as a busy or starting sshd does",
     "try again, or raise MaxStartups in its sshd_config"),
)


def why_refused(login, trace):
    """The LoginRefused for a host that wants no more of us: one cause, one thing to do."""
    cause, cure = _about_key(login, trace) if login.key else _about_password(trace)
    return LoginRefused("%s: %s; %s%s" % (address_of(login), cause, cure, quoted_words(trace)))


def _about_key(login, trace):
    words = "\n".join(trace.words)
    if "are too open" in words:
        return "the identity file %s can be read by others" % login.key, (
            "protect it: chmod 600 %s" % shlex.quote(login.key))
    bad_key = re.search(r'^Load key ".*', words, re.MULTILINE)
    if bad_key:
        return "the identity file %s is no usable private key: %s" % (
            login.key, one_line(bad_key.group())), "give the file without .pub"
    if trace.secret_given:
        return ("the host did not log in with %s" % login.key,
                "the passphrase in password= is wrong, or the host does not know the key")
    cure = "put its public half into /etc/ssh/keys-%s/authorized_keys on the host" % login.user
    if _is_ed25519(login.key):
        cure += ", as RSA or ECDSA: ESXi 8 refuses ed25519 keys"
    return "the host refused the key %s" % login.key, cure


def _about_password(trace):
    said = trace.prompts + " ".join(trace.words[-5:])
    if re.search(r"\block", said, re.IGNORECASE):
        return ("the account is probably locked",
                "wait 15 minutes without a login (Security.AccountUnlockTime), then try again")
    if not trace.secret_given:
        methods = re.findall(r"Permission denied \((.*?)\)", said)
        if methods and not re.search("keyboard-interactive|password", methods[-1]):
            return ("the host takes no password, only %s" % methods[-1],
                    "use a key with identity_file=, or allow passwords in its sshd_config")
        return ("no password was asked for",
                "take out of ssh_options what switches passwords off, such as BatchMode")
    return ("the host refused the password",
            "correct password=; five wrong ones lock the account for 15 minutes, and a locked "
            "account refuses the right one too")


def _is_ed25519(path):
    try:
        with open(path, "rb") as key:
            body = b"".join(line for line in key.read(65536).split(b"\n") if b"-----" not in line)
        return b"ssh-ed25519" in binascii.a2b_base64(body)
    except (OSError, ValueError):
        return False


def _about_host_key(login, trace):
    name = login.host if login.port == "22" else "[%s]:%s" % (login.host, login.port)
    if not any("IDENTIFICATION HAS CHANGED" in line for line in trace.words):
        return "the host key is not in %s" % (login.pinned or "known_hosts"), (
            "add it after checking its fingerprint: ssh-keyscan -p %s %s%s" % (
                login.port, login.host,
                " >>" + shlex.quote(login.pinned) if login.pinned else ""))
    known = re.search(r"^Offending \S+ key in (.+):[0-9]+$", "\n".join(trace.words), re.MULTILINE)
    file = login.pinned or (known.group(1) if known else None)
    return ("the host key has changed; if the host was not installed anew, somebody may listen in",
            "else forget the old key: ssh-keygen -R '%s'%s"
            % (name, " -f " + shlex.quote(file) if file else ""))


# ---------------------------------------------------------------------------------------------
# 3. The host
# ---------------------------------------------------------------------------------------------

VM = namedtuple("VM", "plug name vmid file")
# what a first look found out: the VM, its power state, and the trouble that kept one of them away
Look = namedtuple("Look", "vm state trouble")
# seconds: for a login, for one question, for one power command
Bounds = namedtuple("Bounds", "login question power")
KILLS = ("soft", "hard", "force")
VMX_PATTERN = r"^(uuid\.bios|vc\.uuid|checkpoint\.vmstate) *="
LONGEST_COMMAND = 60000
# seconds for the list of processes of a tool that was silent before
SECOND_BOUND = 4
# with less time than this left, seconds, only the strongest kill is tried
TIME_FOR_GENTLE_KILLS = 18


class EsxiHost:
    """An ESXi host: what it runs, and the power of its VMs, all before one deadline.

    grace: seconds for the answers that a late login leaves beyond the deadline.
    """

    def __init__(self, login, bounds, deadline, grace=0.0):
        self._login = login
        self._bounds = bounds
        self._grace = grace
        self.deadline = deadline
        self._session = None
        self._inventory = None
        self._volumes = {}
        self._silent = set()

    # -- talking to it

    def left(self):
        """Seconds until the verdict is due."""
        return self.deadline - time.monotonic()

    def ask(self, command, bound=None):
        """The Answer to a command. A session that failed is dropped; the next ask logs in anew."""
        if self.left() < 0.3:
            raise TimeIsUp("no time left to ask %s" % self._login.host)
        if self._session is None:
            self._session = self._log_in()
        bound = min(bound or self._bounds.question, max(0.1, self.left()))
        started = time.monotonic()
        try:
            answer = self._session.run(command, bound)
        except LineError:
            self.hang_up()
            raise
        logging.debug('asked "%s": exit status %d, %s, %.1f s', one_line(command, 100),
                      answer.status, describe(answer), time.monotonic() - started)
        refusal = KEY_REFUSES.search(answer.text) if answer.status else None
        if refusal:
            raise NotAllowed("%s: %s" % (self._login.host, one_line(refusal.group())))
        return answer

    def hang_up(self):
        """Drop the session, if there is one."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _log_in(self):
        try:
            return self._log_in_once()
        except HostBusy as busy:
            logging.warning("%s; one more try", busy)
            time.sleep(1)
            return self._log_in_once()

    def _log_in_once(self):
        started = time.monotonic()
        session = Session(self._login)
        try:
            session.open(min(self._bounds.login, max(0.1, self.left())))
        except BaseException:
            session.close()
            raise
        logging.info("logged in to %s, %.1f s", self._login.host, time.monotonic() - started)
        self.deadline = max(self.deadline, time.monotonic() + self._grace)
        return session

    def again(self, question):
        """question() once more where the line or hostd failed it and there is time for it."""
        try:
            return question()
        except (LineError, HostdFailed) as error:
            if self.left() < 3:
                raise
            logging.warning("%s; asking again", error)
            time.sleep(0.3)
            return question()

    # -- which VM

    def inventory(self, anew=False):
        """The host's registered VMs; HostdFailed where it does not list them, NotAllowed."""
        if self._inventory is None or anew:
            answer = self.ask("vim-cmd vmsvc/getallvms")
            self._check_may_ask(answer)
            try:
                self._inventory = parse_inventory(answer)
            except HostdFailed as error:
                raise HostdFailed("%s: %s; see /etc/init.d/hostd status on the host"
                                  % (self._login.host, error))
        return self._inventory

    def _check_may_ask(self, answer):
        if answer.status == 127:
            raise NotAllowed("%s: its shell has no vim-cmd, so this is not an ESXi host; check ip= "
                             '(host: "%s")' % (self._login.host, reason_in(answer)))
        if answer.status != 0 and DENIED.search(answer.text):
            raise NotAllowed("%s: the user %s may not run vim-cmd; give it the Administrator role "
                             '(host: "%s")'
                             % (self._login.host, self._login.user, reason_in(answer)))

    def find(self, plug, anew=False):
        """The one VM a plug means: its exact display name, or its UUID; NoSuchVM, AmbiguousVM."""
        named = [row for row in self.inventory(anew).rows if plug in row.names]
        alike = self._with_uuid(plug) if plain_uuid(plug) else []
        rows = distinct(named + alike)
        in_doubt = len(rows) > 1 or any(row.doubtful for row in rows)
        found = self._settled(rows, plug) if in_doubt else rows
        if len(found) < len(rows) and not anew:
            # what hostd does not confirm may be the row of a VM that got a new Vmid since
            return self.find(plug, anew=True)
        if named and not self.inventory().complete:
            self._check_unlisted_twins(plug)
        if len(found) > 1:
            raise AmbiguousVM("%s: %s means several VMs: %s; rename one of them, or use a UUID" % (
                self._login.host, show(plug), " and ".join(map(describe_row, found))))
        if not found:
            return self._not_found(plug, anew)
        name = plug if plug in found[0].names else found[0].names[0]
        return VM(plug, name, found[0].vmid, found[0].file)

    def _check_unlisted_twins(self, name):
        """Where the host cannot list all its VMs, one it leaves out may run under this name."""
        listed = [row for row in self.inventory().rows
                  if {name, unescaped(name)}.intersection(row.names)]
        strangers = akin(self.processes("esxcli") or [], name)
        for row in listed:
            strangers = [process for process in strangers if process not in self.own(
                strangers, name, VM(name, name, row.vmid, row.file), None)]
        if strangers:
            raise AmbiguousVM("%s: %s may mean another VM, which runs and which the host does not "
                              "list: %s; unregister the one that is not meant" % (
                                  self._login.host, show(name),
                                  " and ".join(process.config_file for process in strangers)))

    def _not_found(self, plug, anew):
        if not anew:  # a list may have been cut short on its way: look twice before saying no
            return self.find(plug, anew=True)
        inventory = self.inventory()
        hints = near_misses(plug, inventory.rows)
        near = "; did you mean %s?" % " or ".join(hints) if hints else ""
        if inventory.skipped:
            near += "; the host cannot read %d of its VMs (Skipping invalid VM %s)" % (
                len(inventory.skipped), ", ".join(inventory.skipped[:5]))
        raise NoSuchVM("%s: no VM is called %s%s; -o list shows the names"
                       % (self._login.host, show(plug), near))

    def _settled(self, rows, plug):
        """Of doubtful rows, those that hostd confirms, with name and file as it tells them."""
        settled = [self._settle(row, [plug] if plug in row.names else row.names) for row in rows]
        return distinct(row for row in settled if row)

    def _settle(self, row, names):
        for _ in range(2):
            answer = self.ask("vim-cmd vmsvc/get.summary " + row.vmid)
            name, file = parse_summary(answer)
            if name is not None:
                fits = name in names and (file or row.file) in row.line
                return row._replace(names=[name], file=file or row.file) if fits else None
            if is_unknown_vmid(answer):
                return None
        if answer.status != 0:
            raise HostdFailed("%s: hostd does not tell about %s: %s"
                              % (self._login.host, describe_row(row), reason_in(answer)))
        raise AmbiguousVM("%s: which VM is called %s cannot be settled: %s is in doubt, and "
                          "get.summary tells no name for it; look for a note that imitates a list "
                          "of VMs" % (self._login.host, show(names[0]), describe_row(row)))

    def _with_uuid(self, plug):
        wanted = plain_uuid(plug)
        paths = {path for path, key, value in self.vmx_values(self.inventory().rows)
                 if key in ("uuid.bios", "vc.uuid") and plain_uuid(value) == wanted}
        return [row for row in self.inventory().rows if paths.intersection(vmx_paths(row.file))]

    def vmx_values(self, rows):
        """UUIDs and suspend images of these VMs, read from their .vmx files in one go."""
        start = "grep -isHE %s /dev/null" % quote(VMX_PATTERN)
        commands = [start] if rows else []
        for path in [path for row in rows for path in vmx_paths(row.file)]:
            if len(commands[-1]) + len(path) > LONGEST_COMMAND:
                commands.append(start)
            commands[-1] += " " + quote(path)
        return [value for command in commands for value in parse_vmx_values(self.ask(command))]

    def power_states(self):
        """[(InventoryRow, state), ...] of all VMs, by two host commands however many there are."""
        rows = self.inventory().rows
        running = self.processes("esxcli")
        if running is None:
            raise HostdFailed("%s: esxcli does not list the running VMs; see /etc/init.d/hostd "
                              "status on the host" % self._login.host)
        processes = Counter(process.name for process in running)
        namesakes = Counter(tuple(row.names) for row in rows)

        def runs(row):
            names = set(row.names).union(unescaped(name) for name in row.names)
            return sum(processes[name] for name in names)

        resting = [row for row in rows if not runs(row)]
        suspended = {path for path, key, value in self.vmx_values(resting)
                     if key == "checkpoint.vmstate" and value}

        def state_of(row):
            if not runs(row):
                return "suspended" if suspended.intersection(vmx_paths(row.file)) else "off"
            return "on" if runs(row) >= namesakes[tuple(row.names)] else "unknown"

        return [(row, state_of(row)) for row in rows]

    def is_absent(self, plug):
        """Whether the VM is proven not to be on this host: neither registered nor running."""
        inventory = self.inventory()
        # an empty list is also what a damaged answer looks like: then the second tool has to agree
        processes = self.processes("esxcli") or self.processes("localcli")
        if not inventory.complete or processes is None or akin(processes, plug):
            return False
        if plain_uuid(plug) is None:
            return True
        known = {path for path, key, _ in self.vmx_values(inventory.rows) if key == "uuid.bios"}
        return all(known.intersection(vmx_paths(row.file)) for row in inventory.rows)

    def may_run_unlisted(self, plug):
        """Whether a VM without a row may run: hostd cannot read all its VMs, and one is akin."""
        if self.inventory().complete:
            return False
        try:
            processes = self.processes("esxcli")
        except SessionSilent:
            processes = None
        return processes is None or bool(akin(processes, plug))

    # -- its power

    def power_state(self, vm, bound=None):
        """ "on", "off", "suspended", or None where the host gave no usable answer; NoSuchVM."""
        answer = self.ask("vim-cmd vmsvc/power.getstate " + vm.vmid, bound)
        if is_unknown_vmid(answer):
            raise NoSuchVM("%s: %s has left the list of VMs; try again"
                           % (self._login.host, describe_vm(vm)))
        return parse_power_state(answer)

    def look(self, plug, vm=None):
        """A Look at the VM of a plug; finds it anew where its Vmid changed meanwhile."""
        vm = vm or self.find(plug)
        try:
            return Look(vm, self.power_state(vm), None)
        except NoSuchVM:
            vm = self.find(plug, anew=True)
            return Look(vm, self.power_state(vm), None)

    def switch(self, vm, state):
        """Send power.on or power.off; the Answer proves nothing (facts: 3.1)."""
        started = time.monotonic()
        answer = self.ask("vim-cmd vmsvc/power.%s %s" % (state, vm.vmid), self._bounds.power)
        logging.info("%s: power.%s sent, %s, %.1f s", describe_vm(vm), state,
                     "taken" if answer.status == 0 else reason_in(answer),
                     time.monotonic() - started)
        return answer

    def question_of(self, vm):
        """The question a VM waits with and how to answer it, as half a sentence, or "" """
        try:
            question = parse_question(self.ask("vim-cmd vmsvc/message " + vm.vmid, 3))
        except FenceError as error:
            logging.info("whether a question is pending cannot be asked: %s", error)
            return ""
        if question is None:
            return ""
        return ('it waits with the question "%s"; answer with: vim-cmd vmsvc/message %s %s N '
                "(N: %s)" % (question.text, vm.vmid, question.qid, ", ".join(question.choices)))

    # -- its processes

    def processes(self, tool):
        """The running VMs as esxcli or localcli lists them; None where the list is damaged."""
        bound = SECOND_BOUND if tool in self._silent else None
        try:
            return parse_processes(self.ask(tool + " vm process list", bound))
        except SessionSilent:
            self._silent.add(tool)
            raise

    def own(self, processes, plug, vm, sighted):
        """The processes that are a VM's, and may be killed.

        Those with its configuration file, as hostd names it, else as it was when sighted; where
        neither is known, those with its name or UUID.
        """
        files = self._config_files(vm) if vm else set()
        if sighted and not files:
            files = {sighted.config_file}
        if files:
            return [process for process in processes if process.config_file in files]
        tails = tuple("/" + path for _, path in split_file(vm.file)) if vm else ("",)
        return [process for process in akin(processes, vm.name if vm else plug)
                if process.config_file.endswith(tails)]

    def _config_files(self, vm):
        """A VM's configuration file as processes show it, under its volume's UUID (facts: 6).

        Empty where the host does not tell which volume the datastore's name stands for.
        """
        if vm.file not in self._volumes:
            files = set()
            for datastore, path in split_file(vm.file):
                answer = self.ask("readlink -f " + quote("/vmfs/volumes/" + datastore), 5)
                folders = re.findall(r"^/vmfs/volumes/.+", answer.text, re.MULTILINE)
                files.update(folder.rstrip("\r/") + "/" + path for folder in folders)
                files.update([] if datastore else [path])
            self._volumes[vm.file] = files
        return self._volumes[vm.file]

    def kill(self, tool, how, process, name):
        """Kill a VM's process by soft, hard or force; the Answer proves nothing."""
        started = time.monotonic()
        answer = self.ask("%s vm process kill -t %s -w %s" % (tool, how, process.world_id))
        logging.warning("%s: %s vm process kill %s sent, %s, %.1f s", name, tool, how,
                        "taken" if answer.status == 0 else reason_in(answer),
                        time.monotonic() - started)
        return answer


def quote(path):
    """A path as one word for the host's shell."""
    return "'%s'" % path.replace("'", "'\\''")


def describe(answer):
    """What an answer says, short, for the log."""
    lines = [line for line in lines_of(answer.text) if line.strip()]
    return '"%s"' % one_line(lines[-1], 100) if 0 < len(lines) < 4 else "%d lines" % len(lines)


def distinct(rows):
    """The rows without those that say the same of the same VM once more."""
    return list(OrderedDict(((row.vmid, row.file), row) for row in rows).values())


def akin(processes, name_or_uuid):
    """The processes that bear this name or UUID."""
    names = (name_or_uuid, unescaped(name_or_uuid))
    uuid = plain_uuid(name_or_uuid)
    return [process for process in processes
            if process.name in names or (uuid is not None and process.uuid == uuid)]


def describe_row(row):
    """A row of the list of VMs, for messages."""
    return "%s (Vmid %s, %s)" % (show(row.names[0]), row.vmid, row.file)


def describe_vm(vm):
    """A VM, for messages."""
    return "%s (Vmid %s)" % (show(vm.name), vm.vmid)


class PowerOff:
    """The ladder that switches one VM off for certain.

    1. power.off, then power.getstate.  2. esxcli vm process kill soft, hard, force.  3. The same
    through localcli where hostd is silent. Climbed again until the VM is proven off or the time
    is up. Proof is hostd's word "Powered off"; or, where hostd is silent, that the VM's process
    was there and is gone from the list.
    """

    def __init__(self, host, plug, may_kill, look):
        self._host = host
        self._plug = plug
        self._may_kill = may_kill
        self._look = look
        self.vm = look.vm if look else None
        self._was_on = bool(look) and look.state == "on"
        self._sighted = None
        self._others_run = False
        self._speaks = True
        self._refusals = 0
        self._tried = OrderedDict()
        self._trouble = ""
        self._question = None
        self._started = time.monotonic()

    def run(self):
        """Returns when the VM is proven off; raises PowerFailed, saying what was tried."""
        for pause in itertools.chain((0.7, 1.5), itertools.repeat(3)):
            try:
                if self._climb():
                    return
            except (NotAllowed, AmbiguousVM, LoginRefused, PowerFailed):
                raise
            except FenceError as error:
                self._note(str(error))
            if self._host.left() < 2:
                raise self._failure()
            time.sleep(min(pause, self._host.left() - 1.5))

    def _climb(self):
        """All rungs once; True when the VM is proven off."""
        try:
            return self._through_hostd()
        except (SessionSilent, HostdFailed) as error:
            self._note(str(error))
            self._speaks = False
            return self._may_kill and self._kill_with("localcli")

    def _through_hostd(self):
        """Rungs 1 and 2; SessionSilent or HostdFailed where hostd is silent."""
        look, self._look = self._look, None
        if look is None:
            try:
                look = self._host.look(self._plug)
            except NoSuchVM as missing:
                return self._without_row(missing)
        if look.trouble:
            raise HostdFailed(look.trouble)
        self.vm, self._speaks = look.vm, True
        if self._sighted and not self._host.own([self._sighted], self._plug, self.vm, None):
            self._sighted = None  # another VM of that name: it proves nothing about this one
        self._was_on = self._was_on or look.state == "on"
        if look.state == "off":
            return self._proven('hostd says "Powered off"')
        if self._power_off():
            return True
        if look.state == "suspended" and self._refusals >= 2:
            raise self._failure("it is suspended, and " + self._trouble)
        return self._may_kill and self._kill_with("esxcli")

    def _power_off(self):
        """Rung 1."""
        self._tried["power.off"] = True
        wait = 0
        try:
            answer = self._host.switch(self.vm, "off")
            if answer.status == 0:
                wait = 3
                trouble = "power.off was taken, and hostd does not say that it is off"
            else:
                self._refusals += 1
                trouble = "power.off was refused: " + reason_in(answer)
        except SessionSilent as error:
            trouble = str(error)
        if self._is_off_within(wait):
            return True
        self._note(trouble)
        if self._question is None:
            self._question = self._host.question_of(self.vm)
        return False

    def _without_row(self, missing):
        """hostd does not list the VM: final, unless it admits to VMs it cannot read (facts: 1.3)"""
        known = self.vm is not None or not self._host.inventory().complete
        if not known or not self._may_kill:
            raise PowerFailed(str(missing))
        self._note(str(missing))
        self._speaks = False
        return self._kill_with("esxcli")

    def _kill_with(self, tool):
        """Rung 2 through esxcli, rung 3 through localcli."""
        runs = self._sight(tool)
        for how in KILLS if runs else ():
            if how != KILLS[-1] and self._host.left() < TIME_FOR_GENTLE_KILLS:
                continue
            self._tried["%s kill %s" % (tool, how)] = True
            try:
                self._host.kill(tool, how, self._sighted, self._described())
            except NotAllowed as refusal:
                self._may_kill = False
                self._note(str(refusal))
                return False
            if self._is_gone_within(tool, 3):
                break
        return self._is_confirmed(tool)

    def _sight(self, tool):
        """The VM's process or None; HostdFailed where the list of processes is not sound."""
        processes = self._host.processes(tool)
        if processes is None:
            raise HostdFailed("%s does not list the running VMs" % tool)
        own = self._host.own(processes, self._plug, self.vm, self._sighted)
        if len(own) > 1:
            raise AmbiguousVM("%s means several running VMs: %s; nothing more was killed" % (
                show(self._plug), " and ".join("world %s (%s)" % (each.world_id, each.config_file)
                                               for each in own)))
        self._sighted = own[0] if own else self._sighted
        self._others_run = bool(processes) and not akin(processes, self._plug)
        return own[0] if own else None

    def _is_gone_within(self, tool, seconds):
        until = time.monotonic() + seconds
        while self._host.left() > 1:
            if not self._sight(tool):
                return True
            if time.monotonic() > until:
                break
            time.sleep(0.5)
        return False

    def _is_confirmed(self, tool):
        """The proof, by hostd where it speaks, else by the list of processes."""
        if self._speaks:
            return self._is_off_within(3)
        return self._is_gone_for_good(tool) and self._proven(
            "hostd is silent about it, and its process is gone from %s's list" % tool)

    def _is_off_within(self, seconds):
        """Whether hostd says "Powered off" by then; where it talks nonsense it counts as silent."""
        until = time.monotonic() + seconds
        while True:
            state = self._host.power_state(self.vm, 5)
            self._speaks = state is not None
            if state == "off":
                return self._proven('hostd says "Powered off"')
            if time.monotonic() > until or self._host.left() < 1:
                return False
            time.sleep(0.5)

    def _is_gone_for_good(self, tool):
        """Whether a process that was there is missing in three lists, a second apart.

        It was there if it was seen, or if hostd said in this run that the VM is on, and power.off
        was sent; that much without a look of our own counts only beside other processes, since an
        empty list is also what a damaged answer looks like.
        """
        for look in range(3):
            time.sleep(1 if look else 0)
            if self._sight(tool):
                return False
            was_there = self._sighted or (
                self._was_on and "power.off" in self._tried and self._others_run)
            if not was_there:
                self._note("hostd is silent, and that %s lists no process of it is no proof" % tool)
                return False
        return True

    def _proven(self, proof):
        log = logging.info if set(self._tried) <= {"power.off"} else logging.warning
        log("%s is off: %s, %.1f s", self._described(), proof, time.monotonic() - self._started)
        return True

    def _described(self):
        vmid = ", Vmid %s" % self.vm.vmid if self.vm else ""
        world = ", world %s" % self._sighted.world_id if self._sighted else ""
        return show(self._plug) + vmid + world

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


def power_on(host, vm, tries):
    """Switch a VM on and see that it is; raises PowerFailed with the host's reason.

    power.on may report success and fail, report failure and succeed, and hangs for as long as the
    VM waits with a question (facts: 3.1, 3.2).
    """
    for _ in range(tries):
        reason = _try_to_switch_on(host, vm)
        if not reason:
            logging.info('%s is on: hostd says "Powered on"', describe_vm(vm))
            return
        if host.left() < 2:
            break
    raise PowerFailed("%s could not be switched on: %s; look at its events on the host"
                      % (describe_vm(vm), host.question_of(vm) or reason))


def _try_to_switch_on(host, vm):
    """ "" when hostd says that the VM is on, else the reason why it is not."""
    wait = 0
    try:
        answer = host.switch(vm, "on")
        reason = reason_in(answer) if answer.status else "power.on was taken, and yet it stays off"
        wait = 0 if answer.status else 3
    except LineError as error:
        reason = str(error)
    until = time.monotonic() + wait
    while host.left() > 0.5:
        try:
            if host.power_state(vm, 5) == "on":
                return ""
        except LineError as error:
            return str(error)
        if time.monotonic() >= until:
            break
        time.sleep(0.5)
    return reason


# ---------------------------------------------------------------------------------------------
# 4. The agent
# ---------------------------------------------------------------------------------------------

# seconds from the start to the verdict, with the end of the interpreter taken off; a delay is added
VERDICT = {"off": 43.5, "on": 43.5, "reboot": 53.5}
VERDICT_OF_READING = 19.0
GRACE_OF_READING = 2.5

DEVICE_OPTIONS = ["ipaddr", "login", "passwd", "cmd_prompt", "secure", "port", "missing_as_off",
                  "known_hosts", "no_kill"]


def define_options():
    """Adapt the library's options to this agent and add its own."""
    all_opt["secure"]["default"] = "1"
    all_opt["login_timeout"]["default"] = "21"
    all_opt["shell_timeout"]["default"] = "10"
    all_opt["power_timeout"]["default"] = "12"
    all_opt["port"]["help"] = (
        "-n, --plug=[name]              Display name of the VM, letter for letter, or its UUID")
    all_opt["port"]["shortdesc"] = "Display name of the VM, letter for letter, or its UUID"
    all_opt["cmd_prompt"]["help"] = (
        "-c, --command-prompt=[prompt]  Without effect, kept for configurations of fence_ESXi")
    all_opt["known_hosts"] = {
        "getopt": ":",
        "longopt": "known-hosts",
        "help": "--known-hosts=[file]           Accept only a host key that stands in this file",
        "required": "0",
        "shortdesc": "Accept only a host key that stands in this known_hosts file",
        "order": 200,
    }
    all_opt["no_kill"] = {
        "getopt": "",
        "longopt": "no-kill",
        "help": "--no-kill                      Never kill the VM's process where power.off fails; "
                "for those who prefer a failed fencing to a VM killed behind hostd's back",
        "required": "0",
        "shortdesc": "Never kill the VM's process where power.off fails; for those who "
                     "prefer a failed fencing to a VM killed behind hostd's back",
        "order": 200,
    }


def documentation():
    """What metadata, help and man page say about the agent."""
    return {
        "shortdesc": "Fence agent for VMs on VMware ESXi, by SSH and vim-cmd",
        "longdesc": (
            "fence_esxi is a power fencing agent for virtual machines on a standalone VMware ESXi "
            "host. It logs in by SSH and runs vim-cmd there, which works with the free licence "
            "too, where the vSphere API refuses every power operation.\n\n"
            "The plug is the display name of the VM, letter for letter, or its UUID; never a Vmid. "
            "Where the node has another name than the VM, map it: pcmk_host_map=node1:web-1. A "
            "name with a blank cannot stand there; use the UUID (uuid.bios in the .vmx file).\n\n"
            "A VM is reported off only when the host proves it: where power.off is not enough, the "
            "process of the VM is killed, by esxcli and, where hostd is silent, by localcli. A "
            "suspended VM is neither on nor off: status and on are an error, off and reboot power "
            "it off. A VM that the host does not list is an error, unless missing_as_off is set "
            "and the list is complete.\n\n"
            "Off and on end with a verdict within 45 seconds, reboot within 55, the rest within "
            "20; a delay is added. The exit status is 0 for done or on, 2 when status finds the VM "
            "off, 1 for everything else.\n\n"
            "See also esxi-fence-key(8), for a key that can do nothing but fence its own VMs."
        ),
        "vendorurl": "https://www.vmware.com",
    }


class Agent:
    """The callbacks the fencing library calls with (connection, options); the connection is ours"""

    def __init__(self, options):
        self._host = None
        self._options = options
        self._action = options["--action"]
        self._looks = {}
        self._off_deadline = self._final_deadline = 0.0

    def prepare(self):
        """Read the options; raises BadInput. The login waits for the first question."""
        options = self._options
        login = Login(ssh_argv(options), options["--username"], options["--ip"], _port(options),
                      secret_of(options), options.get("--identity-file"),
                      options.get("--known-hosts"))
        if options.get("--command-prompt"):
            logging.info("command_prompt has no effect: the agent does not wait for a prompt")
        bounds = Bounds(seconds(options, "--login-timeout"), seconds(options, "--shell-timeout"),
                        seconds(options, "--power-timeout"))
        delays = self._action in ("off", "reboot")
        start = STARTED + (whole_number(options, "--delay") if delays else 0)
        self._off_deadline = start + VERDICT["off"]
        self._final_deadline = start + VERDICT.get(self._action, VERDICT_OF_READING)
        grace = 0.0 if self._action in VERDICT else GRACE_OF_READING
        self._host = EsxiHost(login, bounds, self._final_deadline, grace)

    def close(self):
        """Hang up."""
        if self._host is not None:
            self._host.hang_up()

    def get_power(self, _, options):
        """ "on" or "off" of the plug, as the library wants it.

        Off only where hostd says so, or where missing_as_off is set and the VM is proven absent.
        For off and reboot everything else counts as "on": the ladder has the last word then.
        """
        plug = plug_of(options)
        is_cutting = self._action in ("off", "reboot")
        try:
            look = self._first_look(plug, is_cutting)
        except NoSuchVM as missing:
            return self._missing(plug, missing, is_cutting)
        self._looks[plug] = look
        if look is not None and look.state in ("on", "off"):
            return look.state
        if is_cutting:
            return "on"
        if look.state == "suspended":
            raise PowerFailed(
                "%s is suspended, which is neither on nor off, and switching it on would resume a "
                "stale node; power it off on the host, or fence it with off" % describe_vm(look.vm))
        raise PowerFailed("%s: the host gave no usable power state for it; see /etc/init.d/hostd "
                          "status on the host" % describe_vm(look.vm))

    def _first_look(self, plug, is_cutting):
        """The Look at a plug; None where the ladder shall look for itself."""
        if not is_cutting:
            look = self._host.again(lambda: self._host.look(plug))
            return look if look.state else self._host.again(lambda: self._host.look(plug))
        vm = None
        try:
            vm = self._host.find(plug)
            return self._host.look(plug, vm)
        except SessionSilent as silence:
            logging.warning("%s; taking it for on", silence)
            return Look(vm, None, str(silence))
        except (SessionLost, HostdFailed) as error:
            logging.warning("%s; taking %s for on", error, show(plug))
            return None

    def _missing(self, plug, missing, is_cutting):
        if is_true(self._options, "--missing-as-off"):
            if self._host.again(lambda: self._host.is_absent(plug)):
                logging.info("%s; off, as missing_as_off says", missing)
                return "off"
            missing = NoSuchVM("%s; and missing_as_off cannot be used, because that the VM is not "
                               "on the host is not certain" % missing)
        if is_cutting and self._may_kill() and self._host.again(
                lambda: self._host.may_run_unlisted(plug)):
            self._looks[plug] = None
            return "on"
        raise missing

    def _may_kill(self):
        return not is_true(self._options, "--no-kill")

    def set_power(self, _, options):
        """Switch the plug off for certain, or on; raises PowerFailed, never returns in doubt."""
        plug = plug_of(options)
        look = self._looks.pop(plug, None)
        if options["--action"] == "off":
            self._host.deadline = self._off_deadline
            # what was off a while ago, while other plugs were switched, is looked at again
            fresh = look if look is not None and look.state != "off" else None
            ladder = PowerOff(self._host, plug, self._may_kill(), fresh)
            ladder.run()
            self._looks[plug] = Look(ladder.vm, "off", None)
        elif look is None or look.state != "on":
            self._host.deadline = self._final_deadline
            self._switch_on(plug, look.vm if look else None)
        return True

    def _switch_on(self, plug, vm):
        tries = whole_number(self._options, "--retry-on") + (1 if self._action == "on" else 0)
        try:
            power_on(self._host, vm or self._host.find(plug), max(1, tries))
        except NoSuchVM:
            power_on(self._host, self._host.find(plug, anew=True), 1)
        except PowerFailed as failure:
            if self._action == "on":
                raise
            raise PowerFailed("%s; it was off for certain, so the fencing itself is done" % failure)

    def get_list(self, _, options):
        """{name: (Vmids, power state)}; asks for power states only where list-status wants them."""
        if options.get("--original-action") == "list-status":
            states = self._host.again(self._host.power_states)
        else:
            states = [(row, None) for row in self._host.again(self._host.inventory).rows]
        outlets = OrderedDict()
        for row, state in states:
            vmids, known = outlets.get(row.names[0], ("", state))
            vmids = vmids + "+" + row.vmid if vmids else row.vmid
            outlets[row.names[0]] = (vmids, state if state == known else "unknown")
        return outlets


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


def seconds(options, name):
    """A time limit in seconds; Pacemaker's 0, no limit, means the agent's own."""
    return whole_number(options, name) or int(all_opt[key_of(name)]["default"])


def secret_of(options):
    """What answers the one prompt of ssh: password or passphrase; raises BadInput."""
    secret = options.get("--password")
    if not secret and not options.get("--identity-file"):
        raise BadInput("the password is empty; set password= or password_script=, or use a key "
                       "with identity_file=")
    if secret and re.search(r"[\x00-\x1f\x7f]", secret):
        raise BadInput("the password holds a control character, which ssh cannot be given")
    return secret


def hide_from_process_list(options):
    """Overwrite the password in this process's own command line, which ps shows to everybody."""
    secret = (options.get("--password") or "").encode("utf-8", "surrogateescape")
    if not secret or len(sys.argv) < 2:
        return
    try:
        with open("/proc/self/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        with open("/proc/self/mem", "r+b", 0) as memory:
            memory.seek(start)
            words = memory.read(end - start).split(b"\0")
            hidden = [re.sub(b"(?s)^(-[a-zA-Z46]*p|--[a-z-]+=|)%s$" % re.escape(secret),
                             lambda m: m.group(1) + b"*" * len(secret), word) for word in words]
            memory.seek(start)
            memory.write(b"\0".join(hidden))
    except (OSError, IndexError, ValueError) as error:
        logging.debug("the command line stays visible to ps: %s", error)


class CleanLog(logging.Filter):
    """Keeps from the log what must not be there: unprintable text, and values of unknown options"""

    def filter(self, record):
        text = record.getMessage()
        # the library quotes what it does not understand, which may be a misspelt password
        text = re.sub(r"(unknown option ')([\w-]+=)?.*", r"\1\2...'", text, flags=re.DOTALL)
        text = re.sub(r"(Unused arguments on command line).*",
                      r"\1; is a value with blanks not in quotes?", text, flags=re.DOTALL)
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


def run(options):
    """Carry out the action; the exit status. Raises FenceError."""
    agent = Agent(options)
    agent.prepare()
    run_delay(options)
    try:
        return fence_action(None, options, None, agent.get_power, agent.get_list, None,
                            agent.set_power)
    finally:
        agent.close()


def main():
    """The agent as a program: options from the command line or stdin, the verdict as exit status"""
    use_utf8()
    logging.getLogger().addFilter(CleanLog())
    atexit.register(atexit_handler)
    try:
        result = fence()
        sys.stdout.flush()
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
    # what the interpreter tidies up at its own end takes longer than the agent's work with the host
    os._exit(result or 0)


def fence():
    """Read the options and do what they say; the exit status. Raises FenceError."""
    define_options()
    device_options = list(DEVICE_OPTIONS)
    options = process_input(device_options)
    hide_from_process_list(options)
    options = check_input(device_options, options)
    show_docs(options, documentation())
    return run(options)


if __name__ == "__main__":
    main()

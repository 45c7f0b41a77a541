#!/usr/bin/python3 -tt
# Copyright (C) 2026 the fence_esxi authors. This program is free software under the GNU General
# Public License, version 3 or (at your option) any later version, without any warranty: COPYING.
"""Fence agent for virtual machines on VMware ESXi: logs in by SSH and drives vim-cmd.

Reads from top to bottom as the data flows, in rooms that know only the ones before:
    1. what the host says    pure functions from the host's text to values
    2. the session           one ssh login: two commands side by side, answered in time
    3. the host              which VM a plug means, and its power, by two witnesses
    4. the ladder            switches a VM off for certain
    5. the agent             options, the callbacks of the fencing library, main
"""
import atexit, fcntl, getopt, locale, logging, os, re, select, shlex, signal, subprocess, sys
import functools, termios, time
from collections import namedtuple
from contextlib import suppress

STARTED = time.monotonic()
RELEASE = "1.0.0"
sys.path.append("/usr/share/fence")
try:
    from fencing import all_opt, atexit_handler, check_input, fence_action, process_input
    from fencing import run_delay, show_docs
    import pexpect.fdpexpect  # RHEL 9 bundles it with the library, so it comes second
except ImportError as missing:
    sys.exit("fence_esxi: no fencing library (%s); install fence-agents-common, or, on Debian 11, "
             "12 and SLES, fence-agents" % missing)

class FenceError(Exception):
    """What keeps the agent from a proven result: a sentence for the admin, and facts. final: to try
    again would change nothing, or harm; busy: the host hung up before it asked who is there."""
    final = busy = False
    inventory = processes = None  # what had been seen last
    def __init__(self, text, **facts):
        super().__init__(text)
        self.__dict__.update(facts)
class Final(FenceError):
    """An option that cannot be used, a right that lacks, a plug in doubt, a power not proven."""
    final = True
class LoginFailed(FenceError):
    """ssh could not log in; final once it was given the secret: one password, one try."""
class SessionLost(FenceError):
    """The connection broke."""
class HostdSilent(FenceError):
    """hostd gave no usable answer: it hangs, is down, starting, or out of memory."""
class NoSuchVM(FenceError):
    """hostd lists no VM of that name, UUID or Vmid."""

# --- 1. What the host says -------------------------------------------------------------------
Answer = namedtuple("Answer", "status text")
Row = namedtuple("Row", "vmid name file")
HEADER = re.compile(r"^ *Vmid +Name +File +Guest OS +Version +Annotation *$", re.MULTILINE)
ROW = (r"([1-9][0-9]*) +(%s) {3,}(\[.{0,100}?\] ?.{1,512}?\.(?i:vmt?x)) {3,}(?! )(?:[^ ]+ +)?"
       r"vmx-[0-9]+(?: .*)?\Z")  # bounded, and no two repeats share a blank: a note may hold many
POWER_STATES = {"Powered on": "on", "Powered off": "off", "Suspended": "suspended"}

def one_line(text, limit=300):
    """text on one line of at most limit characters, for messages and the log."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 3] + "..."

def show(name):
    """A plug or display name in quotes, one line, control characters escaped, not endless."""
    return '"%s"' % "".join(c if c.isprintable() else c.encode("unicode_escape").decode()
                            for c in name)[:80]

def spellings(name):
    """A name as the host may print it: / \\ % as they are, or as %2f %5c %25 (facts: 1.4)."""
    plain = re.sub(r"(?i)%(2f|5c|25)", lambda code: chr(int(code.group(1), 16)), name)
    return {name, plain, name.replace("%", "%25").replace("/", "%2f").replace("\\", "%5c")}

def plain_uuid(text):
    """The 32 hexadecimal digits of a UUID in any spelling, else None (facts: 5)."""
    digits = "".join(text.lower().split()).strip("{}").replace("-", "").replace(":", "")
    return digits if re.match(r"[0-9a-f]{32}\Z", digits) else None

def below_volume(path):
    """A path as vim-cmd has it behind "[datastore] "; to ask which volume that is may hang."""
    return re.sub(r"^/vmfs/volumes/[^/]*/", "", path)

class VM(namedtuple("VM", "vmid name file uuid")):
    """A VM; vmid and file are None where hostd has not told, uuid where it is not known."""
    def __str__(self):
        return "%s (Vmid %s)" % (show(self.name), self.vmid) if self.vmid else show(self.name)

class Process(namedtuple("Process", "world cartel name path uuid")):
    """A running VM: its World ID and Cartel ID in the VMkernel, its .vmx (facts: 6, 6a)."""
    def __str__(self):
        return "%s (world %s, %s)" % (show(self.name), self.world, self.path)

    def is_called(self, name, uuid=None):
        """Whether it bears this display name or this UUID."""
        return self.name in spellings(name) or (uuid is not None and self.uuid == uuid)

    def may_use(self, file):
        """Whether its .vmx may be "[datastore] path"."""
        return bool(file) and file.endswith(("] " + below_volume(self.path), "] " + self.path))

class Inventory:
    """The VMs in an answer to `vim-cmd vmsvc/getallvms` (facts: 1). skipped: Vmids of those the
    host cannot read; complete: it names every VM, and no line resembles a row without being one."""
    def __init__(self, text):
        self._lines = text[HEADER.search(text).end() :].split("\n")[1:]
        self.skipped = re.findall(r"(?m)^Skipping invalid VM '?([0-9]+)'?", text)
        alike = [line for line in self._lines if re.search(r"(?i)\.vmt?x {3,}", line)]
        self.complete = not self.skipped and len(alike) == len(self.rows())

    def rows(self, name=None):
        """The lines that read as a row, of a VM of this name; notes forge some (facts: 1.4)."""
        names = "[^ ].{0,240}?" if name is None else "|".join(map(re.escape, spellings(name)))
        matches = [re.match(ROW % names, line) for line in self._lines]
        return [Row(*found.groups()) for found in matches if found]

def parse_inventory(answer):
    """The Inventory in an answer to getallvms, None where it is no whole list."""
    whole = answer.status == 0 and answer.text.endswith("\n") and HEADER.search(answer.text)
    return Inventory(answer.text) if whole else None

def parse_power_state(answer):
    """ "on", "off" or "suspended": a whole line right behind the caption, else None (facts: 2)."""
    lines = [line.strip() for line in answer.text.split("\n")]
    states = [pair for pair in zip([""] + lines, lines) if pair[1] in POWER_STATES]
    sound = answer.status == 0 and len(states) == 1 and states[0][0] == "Retrieved runtime info"
    return POWER_STATES[states[0][1]] if sound else None

@functools.lru_cache(maxsize=8)  # while a host is watched, its list mostly stays as it is
def parse_processes(answer):
    """The running VMs in an answer to `localcli vm process list`, or esxcli's, read by its keys,
    since the headings differ (facts: 6). None where it is damaged in any place."""
    if answer is None or answer.status != 0 or not (answer.text or "\n").endswith("\n"):
        return None
    blocks, headings = [], 0
    for key, value, _ in re.findall(r"(?m)^(?:   ([A-Z][\w ]*): ?(.*)|(.+))$", answer.text):
        if key == "World ID":
            blocks.append({})
        if not key or not blocks:
            headings += 1
        elif key in blocks[-1]:
            return None
        else:
            blocks[-1][key] = value
    keys = ("World ID", "VMX Cartel ID", "Display Name", "Config File")
    found = tuple(Process(*[block.get(key) for key in keys] + [plain_uuid(block.get("UUID", ""))])
                  for block in blocks)
    form = r"(?i)[1-9][0-9]*,[1-9][0-9]*,/.*\.vmt?x\Z"
    sound = {each.world for each in found if each.name is not None and re.match(
        form, "%s,%s,%s" % (each.world, each.cartel, each.path))}
    return found if len(sound) == len(found) == headings else None

def parse_worlds(answer):
    """[(WID, CID, name), ...] from an answer to VMware's `ps`: the header, init and ps are never
    missing (facts: 6a). None where it is damaged; [] where there is no such ps, or it hangs."""
    other = r" *(?:PID\b|WID +CID +World ?Name +[^ \n])"  # busybox's; one with more columns
    if answer is None or answer.status == 127 or re.match(other, answer.text):
        return []
    whole = answer.status == 0 and re.match(
        r"[^0-9\n]*WID.*\n(?: *[0-9]+ +[^ \n].*\n)+\Z", answer.text)
    worlds = re.findall(r"(?m)^ *([0-9]+) +(?:([0-9]+) +)?(.+)", answer.text) if whole else []
    return worlds if {"init", "ps"} <= {name for _, _, name in worlds} else None

def parse_summary(answer):
    """(name, file, UUID) by the one configuration section of get.summary, else None (facts: 5a)."""
    sections = re.split(r"(?m)^ *config = \(vim\.vm\.Summary\.ConfigSummary\) \{", answer.text)
    config = re.split(r"(?m)^ *annotation = ", sections[-1])[0]
    values = [re.findall(r'(?m)^ *%s = "(.*)", *\r?$' % key, config)
              for key in ("name", "vmPathName", "uuid")]
    if answer.status != 0 or len(sections) != 2 or any(len(value) != 1 for value in values):
        return None
    return values[0][0], values[1][0], plain_uuid(values[2][0])

def vmx_paths(file):
    """The paths that "[datastore] path" may stand for: a name may hold "] " itself."""
    pairs = [(file[1 : end.start()], file[end.end() :]) for end in re.finditer(r"\] ?", file)]
    return ["/vmfs/volumes/%s/%s" % pair if pair[0] else pair[1] for pair in pairs if pair[1]]

def reason_in(answer):
    """Why a command failed, boiled down to one line in the host's own words (facts: 3.1)."""
    # quotes inside a message are not escaped, so a message ends at a quote that ends its line
    for form in (r'(?sm)\b(?:msg|reason|message) = "(.+?)",? *\r?$', r"(?m)^.*(fault\.\w+)\) \{",
                 r"(?m)^ *((?!Powering o|Retrieved ).*\S)"):
        found = re.findall(form, answer.text if answer else "no answer in time")
        if found:
            return one_line(found[-1])
    return "exit status %d" % answer.status

# --- 2. The session --------------------------------------------------------------------------
# secret: what answers the password or passphrase prompt, else None; key: identity file or None
Login = namedtuple("Login", "argv user host port secret key pinned")
# Runs on the host, without a prompt or a terminal. A request is a tag and two commands, which run
# side by side; the second one's answer comes first, and so has arrived where the first one hangs.
READ_LOOP = ("echo fence_esxi-ready-2; while read -r tag && read -r one && read -r two; do "
    '{ eval "$one" </dev/null 2>&1; s=$?; echo; echo "$tag.1 $s"; } | '
    '{ eval "$two" </dev/null 2>&1; s=$?; echo; echo "$tag.2 $s"; cat; }; done')
SSH_LETTERS = "1246AaB:b:Cc:D:E:e:F:fGgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvW:w:XxYy"  # ssh(1)

def ssh_argv(options):
    """The ssh command line: promises, the user's ssh_options, defaults: the first value wins."""
    pins, key = options.get("--known-hosts"), options.get("--identity-file")
    try:
        argv, words = [shlex.split(options.get(name) or default) for name, default in (
            ("--ssh-path", "/usr/bin/ssh"), ("--ssh-options", ""))]
        given, command = getopt.getopt(words, SSH_LETTERS)
        for letter in [option for option, _ in given if option[1] in "NfnsWOGVQ"]:
            raise ValueError(letter + " takes the session from the agent")
    except (ValueError, getopt.GetoptError) as error:
        raise Final("ssh_options or ssh_path cannot be used: %s; see ssh(1)" % error)
    own = words[: len(words) - len(command)]  # a remote command would take the read loop's place
    argv += ["-" + family for family in "46" if is_true(options, "--inet%s-only" % family)]
    # a master connection that is stuck must not hold a login; one password, one try
    argv += "-o ControlPath=none -o NumberOfPasswordPrompts=1".split()
    argv += ["-o", 'UserKnownHostsFile="%s"' % pins] + ("-o GlobalKnownHostsFile=/dev/null "
             "-o StrictHostKeyChecking=yes -o UpdateHostKeys=no").split() if pins else []
    argv += (own[:-1] if own[-1:] == ["--"] else own) + (["-i", key] if key else [])
    argv += ("-o IdentitiesOnly=yes -o PreferredAuthentications=publickey" if key else
             "-o PreferredAuthentications=keyboard-interactive,password").split()
    # 3 times 8 s is also ssh's limit for each step of the login, which may take 20
    argv += ("-o StrictHostKeyChecking=accept-new -o ConnectTimeout=20 -o ServerAliveInterval=8 "
             "-o ServerAliveCountMax=3 -T").split()
    return argv + ["-p", str(options.get("--ipport") or "22"), "-l", options["--username"], "--",
                   options["--ip"], READ_LOOP]

class Session:
    """One ssh login with the read loop at its far end. ssh gets pipes for what the host answers and
    a terminal of its own for what it says and asks: nothing can pose as a prompt or an answer."""
    def __init__(self, login):
        def own_terminal():
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup leaves it ignored
            fcntl.ioctl(2, termios.TIOCSCTTY, 0)
        self._login, self._said = login, ""
        self._answered_up_to = None  # how much ssh had said when it was given the secret
        self._terminal, ssh_side = os.openpty()
        try:  # a list of words, no shell: nothing an option holds can become a command
            self._ssh = subprocess.Popen(
                login.argv[:1] + [w.encode("utf-8", "surrogateescape") for w in login.argv[1:]],
                bufsize=0, start_new_session=True, preexec_fn=own_terminal,
                env=dict(os.environ, LC_ALL="C", SSH_ASKPASS_REQUIRE="never"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=ssh_side)
        except (OSError, subprocess.SubprocessError) as error:
            os.close(self._terminal)
            raise LoginFailed("cannot start ssh: %s; install it, or set ssh_path=" % error)
        finally:
            os.close(ssh_side)
        self._answers = pexpect.fdpexpect.fdspawn(self._ssh.stdout, maxread=65536)
        self._words = pexpect.fdpexpect.fdspawn(self._terminal, maxread=65536)
        self._open = [self._ssh.stdout.fileno(), self._terminal]

    def open(self, bound):
        """Log in within bound seconds; raises a LoginFailed with the cause."""
        ready = re.compile(b"(?:^|\n)fence_esxi-ready(-2)?\r?\n")
        try:
            if not self._has_come(ready, time.monotonic() + bound, self._answer_prompt):
                raise self._failure("no answer to the login within %.0f s; see whether the host is "
                                    "overloaded, and whether ip= is an ESXi host" % bound)
        except SessionLost:
            raise self._why_login_failed()
        if not self._answers.match.group(1):
            raise self._failure("the key is one of an older esxi-fence-key; make it anew", True)

    def ask(self, commands, bound):
        """The Answers to one or two commands run side by side, in their order; None for each that
        did not come within bound seconds: then the session is of no use any more. SessionLost."""
        tag, deadline = os.urandom(15).hex().encode(), time.monotonic() + bound
        request = "\n".join([""] + (commands + [""])[:2] + [""]).encode("utf-8", "surrogateescape")
        answers = [None, None]  # type: list
        try:
            os.write(self._ssh.stdin.fileno(), tag + request)
            for place in (1, 0):  # the second one's answer comes first
                end = re.compile(b"\n%s\\.%d ([0-9]+)\r?\n" % (tag, place + 1))
                if not self._has_come(end, deadline):
                    break
                text = self._answers.before.decode("utf-8", "surrogateescape")
                answers[place] = Answer(int(self._answers.match.group(1)), text)
        except (OSError, SessionLost):
            raise SessionLost('%s: the connection broke while "%s" ran; try again%s' % (
                self._login.host, one_line(commands[0], 60), self._last_words()))
        return answers[: len(commands)]

    def close(self):
        """End ssh and what it started at once; there is nothing to wait for."""
        with suppress(OSError, subprocess.TimeoutExpired):  # the kernel will see to it
            os.killpg(self._ssh.pid, signal.SIGKILL)
            self._ssh.wait(2)
        self._ssh.stdout.close()
        self._ssh.stdin.close()
        os.close(self._terminal)

    def _has_come(self, pattern, deadline, meanwhile=lambda: None):
        """Read answers up to pattern, and what ssh says; False at the deadline. SessionLost."""
        while True:
            found = self._answers.expect([pattern, pexpect.TIMEOUT, pexpect.EOF], timeout=0)
            self._hear()
            if found == 0:
                return True
            if found == 2 or len(self._answers.before) > 4 << 20:
                with suppress(subprocess.TimeoutExpired):  # for its last words and exit status
                    self._ssh.wait(1)
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
            self._said = self._words.before.decode("utf-8", "replace").replace("\r", "\n")
        return len(self._said) > known

    def _answer_prompt(self):
        """Give ssh the secret, once, when it waits for one: it keeps the echo of its terminal off,
        which no text can bring about, and then writes a prompt, on a line that does not end."""
        for _ in range(20):  # a prompt is whole when no more comes; a ProxyCommand may never stop
            echoes = self._echoes()  # before what it says is read: no older text is the prompt
            if echoes or not self._hear(0 if re.search(r"(?i)pass.*: ?\Z", self._said) else 0.05):
                break
        question = self._said[self._answered_up_to or 0 :].rpartition("\n")[2].strip()
        if echoes or not question:
            return
        if self._answered_up_to is not None:
            raise self._failure(WRONG_PASSWORD)
        is_passphrase = "passphrase" in question.lower()
        if self._login.secret is None or is_passphrase != bool(self._login.key):
            cure = "the passphrase of the key in password=" if is_passphrase else "another login"
            raise self._failure('ssh asks "%s"; give %s' % (one_line(question), cure), True)
        self._answered_up_to = len(self._said)
        os.write(self._terminal, self._login.secret.encode("utf-8", "surrogateescape") + b"\n")

    def _echoes(self):
        return self._terminal not in self._open or (
            termios.tcgetattr(self._terminal)[3] & termios.ECHO)

    def _last_words(self):
        words = [line for line in self._said.split("\n") if not REMARKS.match(line)]
        return ' (ssh: "%s")' % one_line(words[-1]) if words else ""

    def _failure(self, why, final=False, busy=False):
        final = final or self._answered_up_to is not None
        where = "%s@%s port %s: " % (self._login.user, self._login.host, self._login.port)
        return LoginFailed(where + why + self._last_words(), final=final, busy=busy and not final)

    def _why_login_failed(self):
        login = self._login
        how = ("key" if login.key else "password") + ", given" * (self._answered_up_to is not None)
        said = "%s\n%s%s" % (how, re.sub(r"(?m)^debug[123]: .*\n", "", self._said),
                            "\nshell ended" * (self._ssh.poll() != 255))
        offending = re.search(r"(?m)^Offending \S+ key in (.+):[0-9]+$", said)
        known = login.pinned or (offending and offending.group(1))
        words = dict(login._asdict(), file=shlex.quote(known) if known else "~/.ssh/known_hosts")
        words["name"] = login.host if login.port == "22" else "[%s]:%s" % (login.host, login.port)
        words["printed"] = one_line(self._answers.before.decode("utf-8", "replace"), 100)
        for pattern, why in LOGIN_FAILURES:
            found = re.search("(?s)" + pattern, said)
            if found:
                words["found"] = one_line(found.group(found.lastindex or 0))
                return self._failure(why % words, DENIED in pattern, pattern == CLOSED)

# what ssh remarks without that anything is wrong, and its prompts
REMARKS = re.compile(r"(?i)\s*\Z|warning: perm|\*\* |debug[123]: |.*(password|passphrase.*): ?\Z")
WRONG_PASSWORD = ("the host refused the password; correct password=; five wrong ones lock the "
                  "account for 15 minutes, and a locked account refuses the right one too")
OFFER = r"[^\n]* offer: ([^\s,]+)"
NO_ALGORITHM = "ssh and the host share no algorithm; if it is to stay, add to ssh_options: -o "
DENIED = r"(?:Permission denied \(|Too many authentication failures)"
CLOSED = r"kex_exchange|[Cc]onnection (?:reset|closed)|Broken pipe"
# a pattern for how the login was tried and what ssh said; the cause and what to do
LOGIN_FAILURES = (
    (r"shell ended$", "the session ended before its shell was ready; see whether the user may use "
     'the ESXi Shell (host: "%(printed)s")'),
    (r"IDENTIFICATION HAS CHANGED", "the host key has changed; if the host was not installed anew, "
     "somebody may listen in; else forget the old key: ssh-keygen -R '%(name)s' -f %(file)s"),
    (r"Host key verification failed", "the host key is not in %(file)s; add it after checking its "
     "fingerprint: ssh-keyscan -p %(port)s %(host)s >>%(file)s"),
    (r"^key.*are too open", "the identity file %(key)s can be read by others; chmod 600 %(key)s"),
    (r'^key.*(Load key "[^\n]*)',
     "the identity file %(key)s is no usable private key: %(found)s; give the file without .pub"),
    (r"^key, given.*" + DENIED, "the host did not log in with %(key)s; the passphrase in password= "
     "is wrong, or the host does not know the key"),
    (r"^key.*" + DENIED, "the host refused the key %(key)s; put its public half into /etc/ssh/"
     "keys-%(user)s/authorized_keys on the host; ESXi 8 takes RSA and ECDSA, no ed25519"),
    (r"(?i)^password.*(?:account (?:\w+ )?locked|tally_vob)", "the account is probably locked; "
     "wait 15 minutes without a login (Security.AccountUnlockTime), then try again"),
    (r"^password, given.*" + DENIED, WRONG_PASSWORD),
    (r"^password, given.*(?:%s|Connection to \S+ port \d+ timed out)" % CLOSED, "the host hung up "
     "on the password; check password= before the next try; five wrong ones lock the account"),
    (r"^password.*Permission denied \(((?![^)]*(?:keyboard|password))[^)]*)\)", "the host takes no "
     "password, only %(found)s; use identity_file=, or allow passwords in its sshd_config"),
    (r"^password.*" + DENIED, "no password was asked for; take out of ssh_options what switches "
     "passwords off, such as BatchMode"),
    (r"Could not resolve hostname|[Nn]ame resolution|Name or service not known",
     "the name cannot be resolved; check ip= and the DNS or /etc/hosts of this node"),
    (r"Connection refused", "nothing listens there; start SSH on the host (TSM-SSH, policy 'start "
     "and stop with host') or check ipport="),
    (r"No route to host|is unreachable|Cannot assign requested address|Invalid argument",
     "the network does not lead there; check ip=, the cabling and the routes of this node"),
    (r"during banner exchange|Connection to \S+ port \d+ timed out", "something takes connections "
     "there, but does not speak SSH in time; check ip=, ipport= and the load of the host"),
    (r"[Cc]onnection timed out|Operation timed out", "no answer from that address; check ip=, that "
     "the host is up and that no firewall drops SSH"),
    (r"no matching host key type" + OFFER, NO_ALGORITHM + "HostKeyAlgorithms=+%(found)s -o "
     "PubkeyAcceptedAlgorithms=+%(found)s"),
    (r"no matching" + OFFER, NO_ALGORITHM + "KexAlgorithms=+%(found)s (or Ciphers=, MACs=)"),
    (r"Bad configuration option|[Uu]nsupported option|unknown option|command-line:? line|usage: ssh"
     r"|Bad port|Unknown (?:cipher|mac) type|user config file",
     "ssh does not accept an option; correct ssh_options="),
    (CLOSED, "the host closed the connection, as a busy or starting sshd does; try again, or raise "
     "MaxStartups in its sshd_config"),
    (r"", "ssh does not say why in words that are known here; take -q, -E and LogLevel out of "
     "ssh_options"))

# --- 3. The host -----------------------------------------------------------------------------
# hostd's word on a VM's power, and the running VMs (None: their list was not sound)
Sight = namedtuple("Sight", "vm state processes")
LIST = {"localcli": "localcli vm process list", "esxcli": "esxcli vm process list"}
MAY_NOT = re.compile("Permission to perform this operation|NoPermission|vim-cmd: not found")
NOT_FOUND = re.compile(r"\s*\(\w+\.fault\.(?:ManagedObject)?NotFound\) \{")
SEE_HOSTD = "; hostd may hang: see /etc/init.d/hostd status on the host"

class EsxiHost:
    """An ESXi host: which VM a plug means, and its power, before one deadline. limits: seconds for
    "login", "shell", "power"; reads: nothing is changed, so that silence is no reason to go on."""
    def __init__(self, login, limits, deadline, reads, session, clock):
        self._login, self.ip, self._limits, self._reads = login, login.host, limits, reads
        self.deadline, self._new_session, self.clock = deadline, session, clock
        self._session, self._refusal, self._lister = None, None, "localcli"  # needs no hostd
        self.inventories, self.bearers = [], {}  # all seen so far; {UUID: rows that may bear it}

    def left(self):
        """Seconds until the verdict is due."""
        return self.deadline - self.clock.monotonic()

    def ask(self, *commands, bound=None):
        """The Answers to one or two commands side by side, None for each that came too late."""
        for again in (not re.search(r"power\.o|process kill", commands[0]), False):
            if self.left() < 0.3:
                raise FenceError("no time left to ask %s" % self.ip)
            self._session = self._session or self._log_in()
            bound = min(bound or self._limits["shell"], max(0.1, self.left()))
            try:
                answers = self._session.ask(list(commands), bound)
                break
            except SessionLost as lost:  # what only reads may be asked once more
                self.hang_up()
                if not again or self.left() < 2:
                    raise
                logging.warning("%s; asking again", lost)
        if None in answers:
            self.hang_up()
        for command, answer in zip(commands, answers):
            if logging.getLogger().isEnabledFor(logging.DEBUG):  # a list may be long
                logging.debug("asked %s: %s", command, answer and one_line("%d, %s" % answer))
            if answer and answer.status == 77 and "this key may not" in answer.text:
                raise Final("%s: %s" % (self.ip, one_line(answer.text)))
        return answers

    def hang_up(self):
        """Drop the session, if there is one; the next question logs in anew."""
        if self._session is not None:
            self._session.close()
        self._session = None

    def _log_in(self):
        for pause in (0.5, 1, 2, 3, 4, 5, 99):  # seconds, while the host hangs up at once
            if self._refusal:
                raise self._refusal
            session = self._new_session(self._login)
            try:
                session.open(min(self._limits["login"], max(0.1, self.left())))
                logging.info("logged in to %s", self.ip)
                return session
            except BaseException as failure:
                session.close()
                self._refusal = failure if getattr(failure, "final", False) else None
                if not getattr(failure, "busy", False) or self.left() < pause + 2:
                    raise
                logging.warning("%s; one more try", failure)
            self.clock.sleep(pause)

    def _ask_hostd(self, question, parse):
        """(what parse makes of hostd's answer, the processes), asked side by side; HostdSilent.
        Twice where it is damaged, or both are silent, as when localcli hangs: then esxcli lists."""
        processes = None
        for order in (1, -1):  # what stands second is heard even where the first one hangs
            answer, listed = self.ask(*(question, LIST[self._lister])[::order])[::order]
            latest = parse_processes(listed)
            if latest is None:
                self._lister = "esxcli" if self._lister == "localcli" else "localcli"
            processes = processes if latest is None else latest
            parsed = parse(answer) if answer else None
            if parsed is not None:
                return parsed, processes if processes is not None else (
                    parse_processes(self.ask(LIST[self._lister])[0]))
            if answer and answer.status and MAY_NOT.search(answer.text):
                raise Final("%s: no vim-cmd (%s); give %s the Administrator role, or correct ip="
                            % (self.ip, reason_in(answer), self._login.user))
            if answer is None and listed and not self._reads or self.left() < 3:
                break
            self.clock.sleep(0.3 if self._reads else 0)
        why = "a damaged answer" if answer and answer.status == 0 else reason_in(answer)
        raise HostdSilent('%s gave no usable answer to "%s": %s%s' % (
            self.ip, question, why, SEE_HOSTD), processes=processes)

    def look(self):
        """(Inventory, processes): what is registered and what runs; HostdSilent."""
        inventory, processes = self._ask_hostd("vim-cmd vmsvc/getallvms", parse_inventory)
        self.inventories.append(inventory)
        return inventory, processes

    def sight(self, plug):
        """The Sight of the VM a plug means. Raises NoSuchVM, Final, HostdSilent with what came."""
        for again in (True, False):  # its Vmid may have changed meanwhile
            inventory, processes = self.look()
            try:
                return self._find(plug, inventory, processes, again)
            except FenceError as error:
                error.inventory, error.processes = inventory, processes
                if not again or not isinstance(error, NoSuchVM):
                    raise

    def _find(self, plug, inventory, processes, again):
        """The Sight of the one VM of this name or BIOS UUID, by row, get.summary and processes."""
        who = "%s: which VM is called %s is not certain: " % (self.ip, show(plug))
        uuid, listed = plain_uuid(plug), inventory.rows()
        named = [process for process in processes or [] if process.is_called(plug, uuid)]
        rows = inventory.rows(plug) or [row for row in listed for p in named if p.may_use(row.file)]
        new = uuid and self._rows_with_uuid(uuid, rows, [row for row in listed if not (rows and any(
            p.may_use(row.file) and p.is_called(row.name) for p in processes or ()))]) or []
        if not (inventory.complete or named or processes is not None and self.is_whole(processes)):
            raise HostdSilent(who + "the host can neither read all its VMs nor list those that run")
        sure = uuid or len(set(inventory.rows(plug))) == 1
        sights = [self._identify(vmid, sure) for vmid in dict.fromkeys(r.vmid for r in rows + new)]
        found = [each for each in sights if each and (
            plug in spellings(each.vm.name) or (uuid and each.vm.uuid == uuid))]
        strangers = [each for each in named if not any(
            each.may_use(sight.vm.file) and each.is_called(sight.vm.name, uuid) for sight in found)]
        taken = not found and any(each.may_use(other.vm.file) and self.lies_on(
            other.vm, each) is not False for other in sights if other for each in named)
        if len(found) > 1 or taken or found and (strangers or len(named) > 1):
            names = ["%s %s" % (each.vm, each.vm.file) for each in found]
            names += map(str, strangers or named[len(found) :])
            raise Final(who + " or ".join(names) + "; rename one of them, or use a UUID")
        if new and not found and not (again and None in sights):
            raise Final(who + "a .vmx file cannot be read to its end; see the datastores")
        if not found or again and None in sights:
            skipped = " (Skipping invalid VM %s)" % ", ".join(inventory.skipped)
            raise NoSuchVM("%s: no VM is called %s%s; -o list shows the names" % (
                self.ip, show(plug), skipped * bool(inventory.skipped)))
        return found[0]._replace(processes=processes)

    def _identify(self, vmid, is_sure):
        """The Sight of a Vmid, without processes; None where there is none. HostdSilent, Final."""
        for _ in range(2):
            state, told = self.ask("vim-cmd vmsvc/power.getstate " + vmid,
                                   "vim-cmd vmsvc/get.summary " + vmid)
            summary, power = told and parse_summary(told), state and parse_power_state(state)
            if summary and power:
                return Sight(VM(vmid, *summary), power, None)
            if told and not summary and NOT_FOUND.match(told.text):
                return None
            if told is None and not self._reads:
                break
        why = reason_in(told) if told is None or told.status else "damaged, lost or forged by notes"
        raise (HostdSilent if is_sure else Final)("%s: hostd does not tell who Vmid %s is: %s%s" % (
            self.ip, vmid, why, SEE_HOSTD))

    def look_at(self, vm):
        """A Sight of a VM: hostd's word on its power beside the processes. NoSuchVM, HostdSilent"""
        state, processes = self._ask_hostd(
            "vim-cmd vmsvc/power.getstate " + vm.vmid,
            lambda answer: bool(NOT_FOUND.match(answer.text)) or parse_power_state(answer))
        if state is True:
            raise NoSuchVM("%s: %s has left the list of VMs; try again" % (self.ip, vm))
        return Sight(vm, state, processes)

    def _rows_with_uuid(self, uuid, known, rows):
        """The rows whose .vmx holds this BIOS UUID, or is silent: a VM may have a running clone."""
        values = self.vmx_values(rows)
        told = {key: [row for row in rows for path in vmx_paths(row.file)
                      if plain_uuid((values or {}).get((path, key), "")) == uuid]
                for key in ("uuid.bios", "vc.uuid")}
        if told["vc.uuid"] and not (told["uuid.bios"] or known):
            raise Final("%s is the vc.uuid of %s, which no list shows; give its uuid.bios" % (
                uuid, show(told["vc.uuid"][0].name)))
        new = told["uuid.bios"] + [row for row in rows if not any(
            (path, "uuid.bios") in (values or ()) for path in vmx_paths(row.file))]
        self.bearers.setdefault(uuid, set()).update(known, () if values is None else new)
        return new

    def vmx_values(self, rows):
        """{(path, key): value} in .vmx files read to the end; None where a datastore is silent."""
        grep = "grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null"
        paths = [" " + quote(path) for row in rows for path in vmx_paths(row.file)]
        parts = [paths[n : n + 100] for n in range(0, len(paths), 100)]  # what fits into a pipe
        answers = [self.ask(grep + "".join(p + p[:2]), bound=4)[0] for p in parts]
        form = r'(?mi)^(/.*?\.vmt?x):\s*([\w.]+)\s*=\s*"(.*)"\s*$'
        return None if None in answers else {  # two are read twice: once a line recurs, all came
            (path, key.lower()): value for lines in [re.findall(form, a.text) for a in answers]
            for path, key, value in lines if path != lines[-1][0] or lines.count(lines[-1]) > 1}

    def is_off(self, sight, just_taken):
        """Whether two witnesses say that a VM is off: hostd, and a sound list of processes, which
        must be whole, too, unless hostd called it on and has just_taken its power.off."""
        if sight.processes is None:  # an invalid VM, which may run on, has no row any more
            told = sight.state == "off" and just_taken and self.ask("vim-cmd vmsvc/getallvms")[0]
            inventory = told and parse_inventory(told)
            return inventory and any(row.vmid == sight.vm.vmid for row in inventory.rows())
        return (sight.state == "off" and not any(self._may_be(sight.vm, p) for p in sight.processes)
                and (just_taken and sight.processes or self.is_whole(sight.processes)))

    def _may_be(self, vm, process):
        """Whether a process may be a VM's: by name, or by file or UUID where it is no copy's."""
        if process.is_called(vm.name) or not (process.may_use(vm.file) or process.uuid == vm.uuid):
            return process.is_called(vm.name)
        rows = [row for row in self.look()[0].rows(process.name) if row.vmid != vm.vmid]
        copies = [self._identify(row.vmid, True) for row in rows]
        return not any(copy and copy.vm.file != vm.file and process.is_called(copy.vm.name)
                       and self.lies_on(copy.vm, process) for copy in copies)

    def is_whole(self, processes):
        """Whether `ps` knows of no more running VMs than a list; without a `ps`, esxcli's list."""
        shown, listed = self.ask("ps", LIST["esxcli"], bound=5)
        shown = self.ask("ps", bound=5)[0] if listed is None else shown  # esxcli hung before it
        worlds, second = parse_worlds(shown), parse_processes(listed)
        if worlds == []:
            return second is not None and set(second) == set(processes)
        known = {number for each in processes for number in (each.world, each.cartel)}
        return worlds is not None and all(
            wid in known for wid, _, name in worlds if re.match(r"vmx(-debug)?\Z|vmm0:", name))

    def lies_on(self, vm, process):
        """Whether a process's file is a VM's, volume and all; None where that is not to be had."""
        datastore, link = vm.file[1:].rpartition("] " + below_volume(process.path))[0], None
        with suppress(SessionLost):  # plain readlink looks at the link only, and cannot hang
            link = self.ask("readlink " + quote("/vmfs/volumes/" + datastore), bound=5)[0]
        volume = re.match(r"(?:.*/)?([\w:.-]{8,})\n\Z", link.text if link else "")
        return volume and process.path.startswith("/vmfs/volumes/%s/" % volume.group(1))

    def is_absent(self, plug, missing):
        """Whether a VM sight() missed is absent: it never was listed, and the list explains all."""
        inventory, processes = missing.inventory, missing.processes
        return (inventory.complete and processes is not None
                and not any(each.rows(plug) for each in self.inventories)
                and all(any(each.may_use(row.file) for row in inventory.rows(each.name))
                        and not each.is_called(plug, plain_uuid(plug)) for each in processes)
                and self.is_whole(processes))

    def power_states(self):
        """[(Row, state), ...]; "off" only where `ps` agrees and its .vmx names no suspend image."""
        inventory, processes = self.look()
        if processes is None:
            raise HostdSilent("%s does not list the running VMs%s" % (self.ip, SEE_HOSTD))
        files, names = {below_volume(p.path): p for p in processes}, {p.name for p in processes}
        rows = [(row, [files[path] for path in map(below_volume, vmx_paths(row.file))
                       if path in files], names & spellings(row.name)) for row in inventory.rows()]
        values = self.vmx_values([row for row, own, called in rows if not own and not called])
        is_whole, states = self.is_whole(processes), []  # last: a VM may just have been resumed
        for row, own, called in rows:
            read = [path for path in vmx_paths(row.file) if (path, "uuid.bios") in (values or {})]
            is_rest = is_whole and read and not (own or called or any(
                values.get((path, "checkpoint.vmstate")) for path in read))
            is_on = own and own[0].is_called(row.name) and sum(own == o for _, o, _ in rows) == 1
            states.append((row, "on" if is_on else "off" if is_rest else "unknown"))
        return states

    def switch(self, vm, state):
        """Send power.on or power.off; "" where it was taken, else why not, or the VM's question."""
        command = "vim-cmd vmsvc/power.%s %s" % (state, vm.vmid)
        answer = self.ask(command, bound=self._limits["power"])[0]
        taken = answer and answer.status == 0 and not re.search(r"fault\.|failed", answer.text)
        refusal = "" if taken else "power.%s%s: %s" % (
            state, " was refused" if answer else "", reason_in(answer))
        with suppress(FenceError):
            told = self.ask("vim-cmd vmsvc/message " + vm.vmid, bound=3)[0] if refusal else None
            form = r"(?s)Virtual machine message (\S+):\s*\n(.*)"
            for number, text in re.findall(form, told.text) if told else ():
                refusal = 'it waits with the question "%s"; answer with: vim-cmd vmsvc/message ' \
                    "%s %s N" % (one_line(text, 500), vm.vmid, number)
        logging.info("%s: power.%s sent, %s", vm, state, refusal or "taken")
        return refusal

def quote(path):
    """A path as one word for the host's shell."""
    return "'%s'" % path.replace("'", "'\\''")

# --- 4. The ladder ---------------------------------------------------------------------------
BY_TWO_WITNESSES = 'hostd says "Powered off", and no process of it runs'

class PowerOff:
    """The ladder that switches one VM off for certain, climbed until that is proven or time is up.
    1. power.off.  2. esxcli vm process kill soft, hard, force.  3. Where hostd or esxcli is silent,
    the same through localcli. Killed is the one process of its path, name and UUID; where hostd has
    not told of the VM, the only one of its name or UUID is taken for it.

    What proves it off:
        hostd says "Powered off", a sound list of processes holds nothing that may be the VM, and
            `ps` (where the host has none, or it hangs: esxcli's list) knows of no more VMs;
        the first two, where hostd did not call it off before and has just taken its power.off;
            then hostd's word alone, where no sound list is to be had and it still lists the VM;
        its own process, seen in this run, is missing three times, a second apart, from localcli's
            list and, by World ID and Cartel ID, from `ps` (where the host has none, the list must
            still show something that was seen beside it), and hostd did not call it suspended.
    What does not:
        an exit status, "Powering off VM:", a fault's text that holds "(Powered off)" (facts: 3.1);
        hostd's word alone otherwise: it says so of an invalid VM that runs on (facts: 3.2);
        a missing row, a list that failed, is damaged or is empty;
        a process that was never seen, a name in `ps`, a World ID of another run.
    """
    def __init__(self, host, plug, may_kill):
        self._host, self._plug, self._may_kill = host, plug, may_kill
        self.vm = VM(None, plug, None, plain_uuid(plug))
        self.proof = self._first = None  # the first look: its Sight, or the trouble it ended in
        self._own = self._own_on = None  # its process as last listed; beside a hostd calling it on
        self._beside = set()  # what was listed beside it, and so is not the VM
        self._sure_path = None  # of the process that is the VM's for certain
        self._told = []  # what hostd called it so far; the process of a suspended VM goes, too
        self._tried, self._trouble, self._refusal = [], "", ""

    def _is_off(self, sight, just_taken=False):  # Final where the look may be at another VM
        vm, own = sight.vm, self._own
        if self.vm.file != vm.file and (self.vm.file or own and not (own.may_use(vm.file) and (
                own in (sight.processes or ()) or self._host.lies_on(vm, own)))):
            raise Final("%s: %s may be another VM now; compare %s" % (self._host.ip, self.vm, vm))
        self.vm = vm
        self._told.append(sight.state)
        self.proof = BY_TWO_WITNESSES if self._host.is_off(sight, just_taken) else None
        return self.proof

    def look(self, must_tell):
        """The first look. Raises NoSuchVM, Final, and where it must tell whatever went wrong."""
        try:
            self._first = self._host.sight(self._plug)
            self._is_off(self._first)
        except (HostdSilent, SessionLost) as trouble:
            if must_tell:
                raise
            self._first = trouble
            self._note(str(trouble))
        if must_tell and not self.proof and self._first.state != "on":
            raise Final("%s: hostd calls %s %s, which is not proven off; on could resume a stale "
                        "node: fence it with off" % (self._host.ip, self.vm, self._first.state))

    def run(self):
        """Returns when the VM is proven off; raises Final, saying what was tried."""
        for pause in (0.7, 1.5) + (3,) * 20:
            try:
                self._climb()
            except FenceError as error:
                if error.final:
                    raise
                self._note(str(error))
            if self.proof:
                log = logging.warning if self._sure_path else logging.info  # after a kill
                return log("%s is off: %s", self.vm, self.proof)
            if self._host.left() < 2:
                break
            self._host.clock.sleep(min(pause, self._host.left() - 1.5))
        raise self._failure()

    def _climb(self):
        """All rungs once, until the proof is there."""
        first, self._first = self._first, None
        try:
            if isinstance(first, HostdSilent):
                raise first
            self._through_hostd(first if isinstance(first, Sight) else self._host.sight(self._plug))
        except HostdSilent as error:
            self._note(str(error))
            self._kill_with("localcli", error.processes)
        except NoSuchVM as missing:
            # final, unless hostd knew the VM before or admits to VMs it cannot read (facts: 1.3)
            if not self.vm.file and (missing.inventory.complete or not self._may_kill):
                raise Final(str(missing))
            self._note(str(missing))
            if missing.inventory:  # not only its Vmid is gone
                self.vm = self.vm._replace(vmid=None)
                self._kill_with("esxcli", missing.processes)

    def _through_hostd(self, sight):
        """Rungs 1 and 2; HostdSilent where hostd is."""
        if self._is_off(sight):
            return
        if sight.state != "off":
            with suppress(Final):  # hostd knows which VM it is; a kill asks anew
                self._own_on = self._watch(sight.processes if sight.state == "on" else None)
            refusal = self._refusal = self._host.switch(self.vm, "off")
            if self.poll(0 if refusal else 3, "esxcli", not refusal):
                return
            self._note(refusal or "power.off was taken, and it is not off")
            if sight.state == "suspended" and refusal and "power.off" in self._tried:
                raise self._failure("it is suspended, and " + refusal)
            self._tried += ["power.off"] * ("power.off" not in self._tried)
        self._kill_with("esxcli")

    def _kill_with(self, tool, seen=None):
        """Rung 2 through esxcli, rung 3 through localcli; seen: the processes a while ago. Each
        World ID is as listed just before, since then it may have been another VM's."""
        self._watch(seen)
        for how in ("soft", "hard", "force") if self._may_kill else ():
            processes = parse_processes(self._host.ask(LIST[tool], bound=5)[0])
            if processes is None:
                return (self._kill_with("localcli") if tool == "esxcli" else
                        self._note("no tool lists the running VMs"))
            own = self._watch(processes)
            if own is None:
                break
            lies = {self._sure_path or self._host.lies_on(each, own) for each in self._rows}
            was_off = self._told[-1:] not in ([], ["on"]) and own != self._own_on
            if False in lies or None in lies and was_off:
                raise Final("%s: %s is not killed: its datastore is not that of %s" % (
                    self._host.ip, own, self.vm))
            self._sure_path = own.path
            if how == "force" or self._host.left() > 18:  # seconds
                rung = "%s kill %s" % (tool, how)
                self._tried += [rung] * (rung not in self._tried)
                command = "%s vm process kill -t %s -w %s" % (tool, how, own.world)
                told = reason_in(self._host.ask(command, bound=5)[0])
                logging.warning("%s: %s sent, %s", own, rung, told)
                if self.poll(3, tool):
                    return
        self.poll(3, tool)

    def _watch(self, processes):
        """The VM's own process or None: of the sure path, or of its name, path and UUID."""
        vm, sure, seen = self.vm, self._sure_path, self._host.inventories  # _rows: what hostd told
        self._rows = [vm] if vm.file else self._host.bearers.get(vm.uuid, set()).union(
            row for each in seen for row in each.rows(self._plug))
        named = [each for each in processes or [] if (each.path == sure if sure else each.is_called(
            vm.name, None if vm.file else vm.uuid))]
        own = [each for each in named if sure or (not vm.file or each.uuid == vm.uuid)
               and all(each.may_use(row.file) for row in self._rows)]
        if len(named) > 1 or len(own) != len(named):
            raise Final("%s: %s is not certain: is it %s? Nothing more was killed; rename one" % (
                self._host.ip, vm, " or ".join(map(str, named))))
        if own:
            self._own, self._beside = own[0], self._beside.union(processes) - set(own)
        return own[0] if own else None

    def poll(self, seconds, tool, just_taken=False):
        """Whether the VM is proven off by then: by hostd, or where it is silent by two lists."""
        host, heard = self._host, tool == "esxcli" and self.vm.vmid
        until = host.clock.monotonic() + seconds
        while not (self._is_off(host.look_at(self.vm), just_taken) if heard else self._is_gone()):
            if host.clock.monotonic() >= until or host.left() < 1:
                return False
            host.clock.sleep(0.5)
        return True

    def _is_gone(self):
        """Whether the VM's process is missing three times, a second apart, from two lists."""
        for look in range(3):
            self._host.clock.sleep(1 if look else 0)
            shown, listed = self._host.ask("ps", LIST["localcli"], bound=4)
            processes, worlds, own = parse_processes(listed), parse_worlds(shown), self._own
            others = self._beside.intersection(processes or ())
            is_suspended = self._told[-1:] == ["suspended"]
            if is_suspended or None in (own, processes, worlds) or not (worlds or others):
                self._note("hostd is silent, and that no list shows its process is no proof")
                return False
            if any(each.is_called(self.vm.name, own.uuid) or each.path == own.path
                   for each in processes if each not in others) or any(
                       {wid, cid} & {own.world, own.cartel} for wid, cid, _ in worlds):
                return False
        self.proof = "hostd is silent about it, and its process is gone from two lists"
        return True

    def _note(self, trouble):
        if not self._trouble or self._host.left() > 1:  # else what fails, fails for want of time
            log = logging.info if trouble == self._trouble else logging.warning
            log("%s is not off yet: %s", self.vm, trouble)
            self._trouble = trouble

    def _failure(self, cause=None):
        return Final("%s: %s is not proven off: %s; tried: %s; switch it off on the host itself" % (
            self._host.ip, self.vm, cause or self._refusal or self._trouble,
            ", ".join(self._tried) or "nothing could be sent"))

def power_on(host, plug, ladder):
    """Switch a VM on and see that it is; power.on may lie, or wait with a question (facts: 3.2).
    ladder: its own, None where it was absent. hostd may call a killed one on a while (facts: 9)."""
    if not ladder or ladder.proof != BY_TWO_WITNESSES:
        killed, ladder = ladder and ladder.proof, ladder or PowerOff(host, plug, False)
        ladder.look(True)
        if not ladder.proof and not (killed and ladder.poll(10, "esxcli")):
            return logging.info("%s is on already", ladder.vm)
    vm, refusal = ladder.vm, "no answer, the connection broke"
    with suppress(SessionLost):
        refusal = host.switch(vm, "on")
    until = host.clock.monotonic() + (30 if "no answer" in refusal else 0 if refusal else 3)
    while host.look_at(vm).state != "on":
        if host.clock.monotonic() >= until or host.left() < 1:
            raise Final("%s: %s could not be switched on: %s; look at its events on the host" % (
                host.ip, vm, refusal or "power.on was taken, and it stays off"))
        host.clock.sleep(0.5)
    logging.info('%s is on: hostd says "Powered on"', vm)

# --- 5. The agent ----------------------------------------------------------------------------
# seconds from the start to the verdict, with the end of the interpreter taken off; a delay is added
VERDICT = {"off": 43.5, "on": 43.5, "reboot": 53.5}  # the rest: 19
LIMITS = {"login": 20, "shell": 8, "power": 12}  # seconds; at most twice that, to leave time
DEVICE_OPTIONS = ("ipaddr login passwd cmd_prompt secure port missing_as_off known_hosts "
                  "no_kill").split()
WITHIN = "Seconds %s, within the time of the whole action"
DESCRIPTIONS = {
    "port": ("-n, --plug=[name]", "Display name of the VM, letter for letter, or its BIOS UUID"),
    "known_hosts": ("--known-hosts=[file]", "Accept only a host key that stands in this file"),
    "no_kill": ("--no-kill", "Never kill the VM's process: where power.off fails, fencing fails"),
    "login_timeout": ("--login-timeout=[seconds]", WITHIN % "for the login, at most 40"),
    "shell_timeout": ("--shell-timeout=[seconds]", WITHIN % "for one question, at most 16"),
    "power_timeout": ("--power-timeout=[seconds]", WITHIN % "for one power.off, at most 24"),
    "power_wait": ("--power-wait=[seconds]", WITHIN % "to wait after each off and on"),
    "cmd_prompt": ("-c, --command-prompt=[prompt]", "Without effect, kept for fence_ESXi's users")}
FORMS = (  # what ssh, or int(), would read as something else is not usable
    ("ip username", r"[^\s'\"\0-][^\s'\"\0]*", "one word, no quotes, no leading dash"),
    ("delay power_wait retry_on login_timeout shell_timeout power_timeout", "[0-9]{1,6}", "digits"),
    ("ipport", "(?!0|6553[6-9]|655[4-9].|65[6-9]..|6[6-9]...|[7-9]....)[0-9]{1,5}", "a port"),
    ("known_hosts", r'(?:[^"\n%$]|\$(?!\{))*', "no quotes, no % and no ${"))
LONG_DESCRIPTION = (
    "fence_esxi fences virtual machines on a standalone VMware ESXi host, by SSH and vim-cmd: the "
    "free licence refuses the API clients that fence_vmware_soap and fence_vmware_rest use.\n\n"
    "The plug is the display name of the VM, letter for letter, or its UUID (uuid.bios in the .vmx)"
    "; not a Vmid. Name the node in pcmk_host_list, or map it, as in pcmk_host_map=node1:web-1: to "
    "be asked for its list a device needs a host that answers.\n\n"
    "A VM is off only where it is proven: by hostd and the list of running VMs or, where hostd is "
    "silent, by two lists. Where power.off is not enough, its process is killed. Of a suspended VM "
    "status and on are an error, off and reboot power it off. A VM not listed is an error, unless "
    "missing_as_off is set and the list is complete and explains all that runs.\n\n"
    "Off and on end with a verdict within 45 seconds, reboot within 55, all else within 20, delay "
    "added. The exit status is 0 for done or on, 2 when status finds the VM off, else 1.\n\n"
    "Run esxi-fence-check(8) before the first fencing and after every update of ESXi. See also "
    "esxi-fence-key(8), for a key that can do nothing but fence its own VMs.")

def define_options():
    """Adapt the library's options to this agent and add its own."""
    for key, name, form in (("known_hosts", "known-hosts", ":"), ("no_kill", "no-kill", "")):
        all_opt[key] = {"getopt": form, "longopt": name, "required": "0", "order": 200}
    all_opt["secure"]["default"] = "1"
    for kind, seconds in LIMITS.items():
        all_opt[kind + "_timeout"]["default"] = str(seconds)
    for key, (words, text) in DESCRIPTIONS.items():
        all_opt[key].update(help="%-30s %s" % (words, text), shortdesc=text)

def is_true(options, name):
    """Whether a flag is set, by its value: on stdin "name=0" must not mean yes."""
    return str(options.get(name, "0")).strip().lower() not in ("0", "no", "off", "false")

def login_of(options, given):
    """The Login that the options mean; raises Final where one cannot be used as it was given."""
    for names, form, wanted in FORMS:
        for name in names.split():
            option = "--" + name.replace("_", "-")
            if option in given and not re.match("(?:%s)\\Z" % form, str(given[option])):
                raise Final("%s=%s is not usable; give %s" % (name, show(given[option]), wanted))
    secret, key = options.get("--password"), options.get("--identity-file")
    if not secret and not key:
        raise Final("the password is empty; set password= or password_script=, or identity_file=")
    if re.search(r"[\x00-\x1f\x7f]", secret or ""):
        raise Final("the password holds a control character, which ssh cannot be given")
    return Login(ssh_argv(options), options["--username"], options["--ip"],
                 str(options.get("--ipport") or "22"), secret, key, options.get("--known-hosts"))

class Agent:
    """The callbacks of the library. given: the options before it set the time limits to 0."""
    def __init__(self, options, given, session, clock, started):
        self._action, self._clock, self._wait = options["--action"], clock, int(
            options.get("--power-wait") or 0)
        self._cuts = self._action in ("off", "reboot")
        self._start = started + (int(options.get("--delay") or 0) if self._cuts else 0)
        self.host = EsxiHost(login_of(options, given), {
            kind: min(int(given.get("--%s-timeout" % kind) or seconds) or seconds, 2 * seconds)
            for kind, seconds in LIMITS.items()},
            self._due(self._action), self._action not in VERDICT, session, clock)
        self._ladders = {}  # of each plug; None: missing_as_off says that it is off

    def _due(self, action):
        """When the last question of an action is due: the library waits after each off and on."""
        return self._start + VERDICT.get(action, 19.0) - self._wait * (action in VERDICT)

    def get_power(self, _, options):
        """ "off" of the plug only by two witnesses, or where missing_as_off is set and the VM is
        proven absent. Else "on", or an error; for off and reboot the ladder has the last word."""
        plug = options["--plug"]
        if not plug.strip():
            raise Final("plug= is empty; give the display name of a VM, as -o list shows it")
        ladder = self._ladders[plug] = PowerOff(self.host, plug, not is_true(options, "--no-kill"))
        try:
            ladder.look(not self._cuts)
            return "off" if ladder.proof else "on"
        except NoSuchVM as missing:
            if is_true(options, "--missing-as-off"):
                if self.host.is_absent(plug, missing):
                    logging.info("%s; off, as missing_as_off says", missing)
                    self._ladders[plug] = None
                    return "off"
                missing.args = ("%s; missing_as_off cannot be used, it may be there" % missing,)
            runs = [p for p in missing.processes or () if p.is_called(plug, plain_uuid(plug))]
            if missing.inventory.complete or not self._cuts or not runs:
                raise
            return "on"  # the host cannot read it, and yet it runs

    def set_power(self, _, options):
        """Switch the plug off for certain, or on. Several share the time, whatever one comes to."""
        plug, cuts, now = options["--plug"], options["--action"] == "off", self._clock.monotonic()
        plugs, ladder = list(self._ladders), self._ladders[plug]
        left = self._due("off" if cuts else self._action) + self._wait - now
        self.host.deadline = now + left / (len(plugs) - plugs.index(plug)) - self._wait
        try:
            if not cuts:
                power_on(self.host, plug, ladder)
            elif ladder:  # else it is absent, as missing_as_off wants it
                ladder.run()
            return True
        except FenceError as failure:
            done = "; it was off for certain, so the fencing itself is done"
            failure.args = (str(failure) + done * (self._cuts and not cuts),)
            if len(self._ladders) == 1:
                raise
            logging.error("%s", failure)
            return False

    def get_list(self, _, options):
        """{name: (Vmids, power state)}; asks for power states only where list-status wants them."""
        if options.get("--original-action") == "list-status":
            states = self.host.power_states()
        else:
            inventory, processes = self.host.look()
            states = [(row, None) for row in inventory.rows()]
            if not states or inventory.skipped or processes is None:
                logging.warning("%s: VMs listed: %d, skipped: %d, running: %s; see datastores and "
                                "rights", options["--ip"], len(states), len(inventory.skipped),
                                None if processes is None else len(processes))
        outlets = {}
        for row, state in states:
            vmids, known = outlets.get(row.name, ("", state))
            vmids = vmids + "+" + row.vmid if vmids else row.vmid
            outlets[row.name] = (vmids, state if state == known else "unknown")
        return outlets

def clean(record):
    """Keep out of the log misspelt options, which may hold a password, and invalid text."""
    text = re.sub(r"(?s)(unknown option ')([\w-]+=)?.*|(Unused arguments on command line).*",
                  r"\1\2\3...", record.getMessage())
    record.msg = text.encode("utf-8", "backslashreplace").decode("utf-8").rstrip("\n")
    record.args = ()
    return True

def use_utf8():
    """Make arguments and standard streams UTF-8: Pacemaker starts agents in the C locale."""
    with suppress(locale.Error):  # only a password_script with letters beyond ASCII needs it
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    sys.argv = [os.fsencode(word).decode("utf-8", "surrogateescape") for word in sys.argv]
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # started with the stream closed
            os.open(os.devnull, os.O_RDWR)
        setattr(sys, name, open(number, "w" if number else "r", 1, "utf-8", closefd=False, errors=(
            "backslashreplace" if name == "stderr" else "surrogateescape")))

def carry_out(options, given=None, session=Session, clock=time, started=None):
    """Carry out the action by what talks to the host and tells the time; the exit status."""
    agent = Agent(options, given or options, session, clock, started or clock.monotonic())
    try:
        return 0 if options["--action"] == "validate-all" else fence_action(
            None, options, None, agent.get_power, agent.get_list, None, agent.set_power)
    finally:
        agent.host.hang_up()

def main():
    """The agent as a program: options from the command line or stdin, the verdict as exit status"""
    use_utf8()
    logging.getLogger().addFilter(clean)
    atexit.register(atexit_handler)
    try:
        define_options()
        given = process_input(list(DEVICE_OPTIONS))
        options = check_input(list(DEVICE_OPTIONS), given, other_conditions=True)
        if "--version" in options:
            sys.exit(print(RELEASE))
        show_docs(options, {"shortdesc": "Fence agent for VMs on VMware ESXi, by SSH and vim-cmd",
                            "longdesc": LONG_DESCRIPTION, "vendorurl": "https://www.vmware.com"})
        run_delay(options)
        sys.exit(carry_out(options, given, started=STARTED))
    except (FenceError, KeyboardInterrupt) as error:
        logging.error("%s", str(error) or "interrupted")
    except UnicodeDecodeError:  # whose own words quote it
        logging.error("what password_script prints is not UTF-8; give it a password that is")
    except BrokenPipeError:  # nobody reads any more, as in `fence_esxi -h | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except Exception as error:  # never a traceback; -v has it
        logging.error("internal error, please report it: %s: %s", type(error).__name__, error)
        logging.debug("where it happened", exc_info=True)
    sys.exit(1)

if __name__ == "__main__":
    main()

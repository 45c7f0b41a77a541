"""esxi-fence-key as an admin uses it: what it prints, refuses, and says about a line."""

import pathlib
import re
import shutil
import subprocess

import gated
import pytest
from small_host import request_for

NAMES = ["t3021cent", "My Awesome VM", "it's", "''", "'\"'", 'say "hi"', "a\\b", "\\", "a\\'b",
         'a\\"b', "$HOME $(reboot) ${x}", "`reboot`", "; reboot #", "a && b || c", "*", "[a-z]?",
         "-n", "--vm", "!", "%s\\n", "é Á ñ 日本語 🙂", "a,b", "a=b", "name=x", "@LIST@", "~", "(",
         "x' ]", "&& return 0", "done", "nonbreaking\u00a0blank"]


@pytest.fixture(scope="session")
def key(tmp_path_factory):
    """An ECDSA key."""
    return gated.new_key(tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="session")
def public(key):
    return "%s.pub" % key


def sshd_takes(line):
    """(command, rest of the line) as OpenSSH reads it: in quotes, only \\" stands for anything."""
    start = line.index(',command="') + len(',command="')
    command, place = "", start
    while line[place] != '"':
        place += line.startswith('\\"', place)
        command += line[place]
        place += 1
    return command, line[place + 1 :]


# --- the line -----------------------------------------------------------------------------------

def test_the_line_is_one_short_line_that_sshd_reads_as_the_gate(fence_key, public, gate, key):
    line = fence_key("--key", public, "--vm", "t3021cent").stdout
    assert line.count("\n") == 1
    command, rest = sshd_takes(line)
    assert line.startswith('restrict,command="')
    assert command == gate("--vm", "t3021cent")
    assert rest.split()[:2] == key.with_suffix(".pub").read_text().split()[:2]
    assert len(command) <= 5000


def test_an_old_host_gets_the_options_its_sshd_knows(fence_key, public):
    line = fence_key("--key", public, "--vm", "t3021cent", "--old-host").stdout
    options = line.partition(",command=")[0].split(",")
    assert options == ["no-pty", "no-port-forwarding", "no-X11-forwarding",
                       "no-agent-forwarding", "no-user-rc"]


@pytest.mark.parametrize("words", [["--vm", "x"], ["--vm", "x", "--no-kill"], ["--read-only"]])
def test_the_gate_holds_no_backslash_which_what_reads_it_might_take_away(gate, words):
    assert "\\" not in gate(*words)
    assert gate(*words).isascii()


def test_any_name_arrives_in_the_gate_as_it_is(fence_key, public, host):
    """Each name is put through both layers of quotes and is then the only one that is listed."""
    for name in NAMES:
        line = fence_key("--key", public, "--vm=" + name).stdout.rstrip("\n")
        command, _ = sshd_takes(line)
        is_listed = re.search(r"is_listed\(\) \{ .*?return 1; \};", command).group()
        script = is_listed
        script += ' for name; do uuid=none; is_listed && printf "%s|" "$name"; done; true'
        others = [name + " ", "x" + name, "", "t3021cen?", *NAMES]
        listed = subprocess.run([*host.start_words(), script, "-", *others], capture_output=True,
                                check=True, env={"PATH": "/bin"})
        assert (listed.stdout.decode(), listed.stderr) == (name + "|", b"")


@pytest.mark.parametrize("words", [
    ["--vm", "t3021cent"],
    gated.words_for_names(NAMES),
    ["--uuid", "564d36cf-6988-c91d-0f5f-a62628d46553", "--no-kill"],
    ["--vm", "a", "--vm", "b", "--uuid", "564d36cf-6988-c91d-0f5f-a62628d46553"],
    ["--read-only"]])  # fmt: skip
@pytest.mark.parametrize("dialect", ["sh", "dash"])
def test_shellcheck_finds_nothing(words, dialect, fence_key, gate):
    readable = fence_key(*words, "--readable").stdout
    excluded = re.search(r"(?m)^# shellcheck disable=(.*)$", readable).group(1)
    for text in (readable, gate(*words)):
        done = subprocess.run(["shellcheck", "--shell", dialect, "--exclude", excluded, "-"],
                              input=text, capture_output=True, text=True, check=False)
        assert done.stdout + done.stderr == ""


def test_what_can_be_read_has_the_statements_of_the_line(fence_key, gate, host):
    """Both are run, and answer the same."""
    readable = fence_key("--vm", "t3021cent", "--readable").stdout
    assert readable.startswith("#!/bin/sh\n# ")
    talk = b"".join(request_for(*pair) for pair in (
        (b"vim-cmd vmsvc/power.off 1", b"vim-cmd vmsvc/power.off 2"),
        (b"vim-cmd vmsvc/getallvms", b"localcli vm process list"),
        (b"esxcli vm process kill -t soft -w 2101", b"ps"),
        (b"readlink '/vmfs/volumes/it'\\''s'", b"x"), (b"vim-cmd vmsvc/power.on 4", b"")))
    assert host.talk(readable, talk) == host.talk(gate("--vm", "t3021cent"), talk)


# --- refusals -----------------------------------------------------------------------------------

@pytest.mark.parametrize(("kind", "reason"), [
    ("ed25519", "ESXi 8 refuses ed25519 keys"), ("rsa -b 1024", "1024 bits, 2048 are needed")])
def test_a_key_the_host_will_not_take_is_refused(kind, reason, tmp_path, fence_key):
    subprocess.run(["ssh-keygen", "-q", "-t", *kind.split(), "-N", "", "-f", tmp_path / "k"],
                   check=True)
    done = fence_key("--key", str(tmp_path / "k.pub"), "--vm", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr
    assert "ssh-keygen -t ecdsa" in done.stderr


@pytest.mark.parametrize(("text", "reason"), [
    ("sk-ecdsa-sha2-nistp256@openssh.com AAAA x", "a finger on its token"),
    ("sk-ssh-ed25519@openssh.com AAAA x", "a finger on its token"),
    ("ssh-dss AAAA x", "DSA keys are too weak"),
    ("ssh-rsa-cert-v01@openssh.com AAAA x", "a certificate is not a key"),
    ("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY= x", "the key is damaged"),
    ("ssh-rsa %%%% x", "the key is damaged"),
    ("ssh-rsa", "the key is damaged"),
    ("hello", "does not start with the type of a key"),
    ('command="x" ssh-rsa AAAA', "does not start with the type of a key"),
    ("", "a public key is one line, here are 0"),
    ("ssh-rsa AAAA x\nssh-rsa AAAA y", "a public key is one line, here are 2"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "that is the private key")])
def test_what_is_no_usable_public_key_is_refused(text, reason, fence_key):
    done = fence_key("--key", "-", "--vm", "x", stdin=text)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


@pytest.mark.parametrize("kind", ["ecdsa -b 256", "ecdsa -b 384", "ecdsa -b 521", "rsa -b 2048"])
def test_keys_a_host_takes(kind, tmp_path, fence_key):
    subprocess.run(["ssh-keygen", "-q", "-t", *kind.split(), "-N", "", "-f", tmp_path / "k"],
                   check=True)
    assert fence_key("--key", str(tmp_path / "k.pub"), "--vm", "x").returncode == 0


def test_two_dashes_are_no_name_or_that_name(public, fence_key):
    """Python's argparse takes them for no name up to 3.12, for a name since."""
    done = fence_key("--key", public, "--vm=--")
    if done.returncode:
        assert "the name of a VM is empty" in done.stderr
    else:
        assert "'name=--'" in done.stdout


@pytest.mark.parametrize(("words", "reason"), [
    (["--vm", ""], "the name of a VM is empty"),
    (["--vm", "a\nb"], "control character or a line break"),
    (["--vm", "a\tb"], "control character or a line break"),
    (["--vm", "a\x7f"], "control character or a line break"),
    (["--vm", "a\u2028b"], "control character or a line break"),
    (["--vm", " a"], "starts or ends with a blank"),
    (["--vm", "a "], "starts or ends with a blank"),
    (["--vm", "a\udcff"], "is not UTF-8"),
    (["--uuid", "564d"], "is not a UUID"),
    (["--uuid", "0" * 32], "is not a UUID"),
    ([], "no VM is given"),
    (["--read-only", "--vm", "x"], "reads about all VMs and powers none"),
    ([w for n in range(100) for w in ("--vm", "name number %d of many" % n)], "make two keys")])
def test_vms_a_line_cannot_carry_are_refused(words, reason, fence_key, public):
    done = fence_key("--key", public, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


def test_without_ssh_keygen_it_says_what_is_missing(public, tmp_path):
    done = subprocess.run([shutil.which("python3", path="/usr/bin"), str(gated.TOOL),
                           "--key", public, "--vm", "x"], capture_output=True, text=True,
                          check=False, env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == ("esxi-fence-key: cannot run ssh-keygen: No such file or directory; "
                           "install the OpenSSH client\n")


def test_its_version_is_the_agents(fence_key):
    agent = gated.TOOL.with_name("fence_esxi.py").read_text()
    release = re.search(r'(?m)^RELEASE = "(.*)"$', agent).group(1)
    assert fence_key("--version").stdout == "esxi-fence-key %s\n" % release


def test_wrong_usage_says_how(fence_key, tmp_path):
    assert fence_key("--vm", "x").stderr == (
        "esxi-fence-key: no key is given; name its public half with --key FILE.pub\n")
    assert "cannot read" in fence_key("--key", str(tmp_path / "none"), "--vm", "x").stderr
    assert fence_key("--read-only", "--no-kill").returncode == 2


# --- what a line allows -------------------------------------------------------------------------

def test_a_line_is_explained_in_plain_words(fence_key, public):
    words = ["--vm", "t3021cent", "--vm", 'say "hi"', "--uuid",
             "564D36CF-6988-c91d-0f5f-a62628d46553"]
    line = fence_key("--key", public, *words).stdout
    done = fence_key("--check", "-", stdin=line)
    assert done.returncode == 0
    shown = subprocess.run(["ssh-keygen", "-lf", public], capture_output=True, text=True,
                           check=True).stdout.split()[1]
    assert shown in done.stdout
    for words in ("the VM called t3021cent\n", 'the VM called say "hi"\n',
                  "the VM whose UUID is 564d36cf6988c91d0f5fa62628d46553\n",
                  "on and off, and kill the processes of\n", "no shell"):
        assert words in done.stdout


@pytest.mark.parametrize("words", [
    ["--vm", "x"], ["--vm", "x", "--no-kill"], ["--read-only"], ["--vm", "x", "--old-host"],
    gated.words_for_names(NAMES)])
def test_every_line_it_prints_it_knows(words, fence_key, public, tmp_path):
    line = fence_key("--key", public, *words).stdout
    (tmp_path / "line").write_text(line)
    for check in (fence_key("--check", "-", stdin=line), fence_key("--check", line.rstrip("\n")),
                  fence_key("--check", str(tmp_path / "line"))):
        assert (check.returncode, check.stderr) == (0, "")
        assert ("may not change anything" in check.stdout) == ("--read-only" in words)
        assert ("may not kill" in check.stdout) == ("--no-kill" in words)


def altered_lines(line):
    """The line with something changed that may be small, and may be a hole."""
    return {
        "plain key": line.partition('" ')[2],
        "option less": line.replace("restrict,", "", 1),
        "option more": line.replace("restrict,", "restrict,pty,", 1),
        "another command": re.sub(r'command=".*" ', 'command="sh" ', line),
        "no check": line.replace("elif is_listed;", "elif true;", 1),
        "list ends early": line.replace("return 1; }; run_if", "return 0; }; run_if", 1),
        "a letter": line.replace("vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/getallvmsx", 1),
        "a blank": line.replace("; ", ";  ", 1),
        "a blank at the end": line + " ",
        "something between": line.replace('" ecdsa', '", ecdsa', 1),
        "list in other words": line.replace("'name=x'", '\\"name=x\\"', 1),
        "a second list": line.replace("return 1; };", "[ 1 ] && return 0; return 1; };", 1),
        "cut": line[:-250],
        "another list": line.replace("'name=x'", "'name=x' ] || [ 1 = 1", 1)}


@pytest.mark.parametrize("change", altered_lines("x"))
def test_a_line_that_was_changed_is_not_explained(change, fence_key, public):
    line = fence_key("--key", public, "--vm", "x").stdout.rstrip("\n")
    altered = altered_lines(line)[change]
    assert altered != line
    done = fence_key("--check", "-", stdin=altered + "\n")
    assert done.returncode == 1
    assert "cannot say what it allows" in done.stdout
    assert "may" not in done.stdout


def test_a_line_made_by_an_older_release_is_told_from_a_changed_one(fence_key):
    """made_earlier.txt: for a VM, without kills on an old host, and to read only."""
    done = fence_key("--check", str(pathlib.Path(__file__).parent / "made_earlier.txt"))
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "line %d: made by an older release: make it anew; this one cannot say what it allows" % n
        for n in (1, 2, 3)]


def test_a_whole_file_is_checked_line_by_line(fence_key, public, tmp_path):
    line = fence_key("--key", public, "--vm", "x").stdout
    file = tmp_path / "authorized_keys"
    file.write_text("# keys\n\n%sssh-rsa AAAA admin\n" % line)
    done = fence_key("--check", str(file))
    assert done.returncode == 1
    assert "the VM called x" in done.stdout
    assert "line 4: not made by this release of esxi-fence-key" in done.stdout
    assert fence_key("--check", "-", stdin="\n").returncode == 1


def test_every_option_is_in_the_man_page(fence_key):
    page = (gated.TOOL.parents[2] / "docs/esxi-fence-key.8").read_text().replace("\\-", "-")
    options = set(re.findall(r"--[a-z-]+", fence_key("--help").stdout))
    assert len(options) > 7
    assert not [option for option in options if option not in page]


def test_the_tool_runs_where_there_is_only_a_bare_locale(public, tmp_path):
    python = shutil.which("python3", path="/usr/bin")
    done = subprocess.run([python, str(gated.TOOL), "--key", public, "--vm", "é 日本"],
                          capture_output=True, check=True, env={"LC_ALL": "C", "PATH": "/bin"})
    assert "'name=é 日本'".encode() in done.stdout

"""The password and the passphrase open the host, and appear nowhere."""

import os
import re
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from fence_runner import MARKER, PACEMAKER, PASSWORD, Fence, keep_for_search
from way_in import closed_port

ODD_PASSWORDS = [
    f"two words {MARKER}",
    f"three  blanks   {MARKER} end",
    f"don't {MARKER}",
    f'say "{MARKER}" twice',
    f"$HOME {MARKER} $(id) `id`",
    f"back\\slash\\n {MARKER}\\",
    f"100%s %d {MARKER} %(name)s",
    f"{MARKER} ä ö ü ß € 密码",
    f".*[{MARKER}](+?^|",
    f"--{MARKER}",
    f"#{MARKER}; x=y&z|<>~!",
    f"{MARKER}=yes/no",
    f"{MARKER * 18}!",
]
#: Words of the agent's own log, and what is part of such words.
COMMON_WORDS = ["a", "on", "root", "know", "node1", "INFO", "vim-cmd", "127", ".", "'"]

# /dev/log is a link to $DEV_LOG here, all else in /dev is as it was
OWN_DEV_LOG = ["unshare", "--map-root-user", "--mount", "sh", "-c",
               'mount --rbind /dev "$DEV" && mount -t tmpfs none /dev && ln -s "$DEV"/* /dev && '
               'ln -s "$DEV_LOG" /dev/log && exec "$@"', "sh"]  # fmt: skip


def given_in(way_in, way, password):
    """The parameters that give the password in that way."""
    if way != "script":
        return {"way": way, "password": password}
    file = way_in.folder / "password"
    file.write_text(password + "\n")
    return {"way": "pacemaker", "password": None, "password_script": f"cat {file}"}


@pytest.mark.parametrize("way", ["typed", "pacemaker", "script"])
@pytest.mark.parametrize("password", ODD_PASSWORDS)
def test_an_odd_password_logs_in_and_stays_out_of_the_log(esxi, way_in, password, way):
    host = esxi(password=password)
    debug_file = way_in.folder / "debug"
    run = way_in.log_in(
        host, **given_in(way_in, way, password), verbose=True, debug_file=debug_file
    )
    said = run.stderr + debug_file.read_text()
    keep_for_search(said)
    assert "logged in" in said
    assert MARKER not in said
    assert "密码" not in said


#: where Python reads ASCII in the C locale, as 3.6 does by itself
AS_PYTHON_3_6 = {**PACEMAKER, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize("way", ["typed", "pacemaker", "script"])
def test_an_umlaut_needs_no_utf8_locale(esxi, way_in, way):
    given = given_in(way_in, way, f"{MARKER} ä密")
    way_in.log_in(esxi(password=f"{MARKER} ä密"), **given, environment=AS_PYTHON_3_6)


def test_an_umlaut_in_an_option_of_ssh_needs_none_either(esxi, way_in):
    host, pins = esxi(), way_in.folder / "schlüssel"
    pins.write_text(host.host_key_line() + "\n")
    way_in.log_in(host, "pacemaker", password=PASSWORD, known_hosts=pins,
                  environment=AS_PYTHON_3_6)  # fmt: skip


@pytest.mark.parametrize("password", ODD_PASSWORDS[::2])
def test_an_odd_passphrase_opens_the_key_and_stays_out_of_the_log(esxi, way_in, password):
    key = way_in.new_key("ecdsa", passphrase=password)
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    run = way_in.log_in(host, "pacemaker", identity_file=key, password=password, verbose=True)
    assert MARKER not in run.stderr


def everything_said(way_in, host, password, ssh_options="", **parameters):
    """All logs of a call at the highest verbosity, without times and durations."""
    debug_file = way_in.folder / "debug"
    debug_file.unlink(missing_ok=True)
    way_in.known_hosts.unlink(missing_ok=True)
    run = way_in.try_to(
        host, password=password, verbose=True, verbose_level=3, debug_file=debug_file,
        ssh_options=ssh_options, **parameters,
    )  # fmt: skip
    said = run.stdout + run.log + debug_file.read_text()
    keep_for_search(said)
    without_dates = re.sub(r"\d{4}-\d\d-\d\d [\d:,]+ ", "", said)
    return re.sub(r"\d+\.\d s", "N s", without_dates)


@pytest.mark.parametrize("password", COMMON_WORDS)
@pytest.mark.parametrize("is_right", [True, False])
def test_the_log_does_not_depend_on_the_password(esxi, way_in, password, is_right):
    host = esxi(password=password if is_right else PASSWORD, lock_after=0)
    said = everything_said(way_in, host, password)
    host.login.password = f"other {PASSWORD}" if is_right else PASSWORD
    assert said == everything_said(way_in, host, f"other {PASSWORD}")
    assert ("logged in" in said) == is_right


@pytest.mark.parametrize(
    "action", ["list", "list-status", "status", "off", "on", "reboot", "monitor"]
)
@pytest.mark.parametrize("ssh_options", ["", "-vvv"])
def test_no_action_logs_the_password_at_any_verbosity(host, way_in, action, ssh_options):
    said = everything_said(way_in, host, PASSWORD, ssh_options, action=action, plug="node1")
    assert MARKER not in said
    assert PASSWORD.split()[1] not in said


@pytest.mark.parametrize("ssh_options", ["", "-vvv"])
def test_no_failure_logs_the_password(host, way_in, ssh_options):
    said = everything_said(way_in, host, f"not {MARKER}", ssh_options)
    assert "refused the password" in said
    assert MARKER not in said


# -- the system log


@contextmanager
def system_log(folder):
    """What arrives at a system log of our own, and the parameters that lead the agent to it."""
    lines = []
    dev, path = folder / "dev", folder / "log"
    dev.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(path))
        receiver.settimeout(0.3)
        over = threading.Event()

        def listen():
            while not over.is_set():
                try:
                    lines.append(receiver.recv(65536).decode())
                except TimeoutError:
                    continue

        listener = threading.Thread(target=listen)
        listener.start()
        environment = {**PACEMAKER, "DEV": str(dev), "DEV_LOG": str(path)}
        yield lines, {"within": OWN_DEV_LOG, "environment": environment}
        time.sleep(0.1)
        over.set()
        listener.join()


@pytest.mark.parametrize("password", [PASSWORD, f"not {MARKER} {PASSWORD}"])
def test_the_system_log_does_not_hold_the_password(host, way_in, password):
    with system_log(way_in.folder) as (lines, room):
        way_in.try_to(host, "stdin", password=password, verbose=True, **room)
    said = "\n".join(lines)
    keep_for_search(said)
    assert ("logged in" if password == PASSWORD else "refused the password") in said
    assert MARKER not in said


def test_the_system_log_tells_of_a_failure_without_verbose(host, way_in):
    with system_log(way_in.folder) as (lines, room):
        way_in.try_to(host, "stdin", password=f"not {MARKER}", **room)
    assert len(lines) == 1
    assert (
        way_in.stored("permission-denied")
        .replace("PORT", str(host.port))
        .endswith(lines[0].partition("]: ")[2].rstrip("\0\n"))
    )


# -- what other users of the machine can see


def visible_of(pid):
    """Command line and environment of a process and its descendants: [(pid, text), ...]."""
    try:
        texts = [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, PermissionError, ProcessLookupError):  # it is just ending
        return []
    visible = [(pid, os.fsdecode(b"\n".join(texts)))]
    for child in children:
        visible += visible_of(int(child))
    return visible


def seen_while_it_runs(call, host):
    """All that was visible from the moment the host was reached until the end."""
    deadline = time.monotonic() + 10
    while host.connections_seen == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    seen = []
    for _ in range(8):
        seen += visible_of(call.pid)
        time.sleep(0.1)
    run = call.end()
    assert run.status == 0, run.stderr
    assert any("/usr/bin/ssh" in text for _, text in seen)
    assert len({pid for pid, _ in seen}) >= 2
    assert host.address in "\n".join(text for _, text in seen)
    return seen


@pytest.mark.parametrize("way", ["typed", "stdin", "pacemaker", "script"])
def test_the_process_list_shows_only_a_password_that_was_typed(esxi, way_in, way):
    """And that in the command line of the agent itself, where whoever typed it put it."""
    host = esxi(auth_delay=1)
    call = way_in.start(host, **given_in(way_in, way, PASSWORD))
    seen = seen_while_it_runs(call, host)
    showing = {pid for pid, text in seen if MARKER in text}
    assert showing == ({call.pid} if way == "typed" else set())


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_the_process_list_shows_only_a_passphrase_that_was_typed(esxi, way_in, way):
    passphrase = f"{MARKER} passphrase"
    key = way_in.new_key("ecdsa", passphrase=passphrase)
    host = esxi(banner_delay=1, authorized_keys=key.with_suffix(".pub").read_text())
    call = way_in.start(host, way, identity_file=key, password=passphrase)
    showing = {pid for pid, text in seen_while_it_runs(call, host) if MARKER in text}
    assert showing == ({call.pid} if way == "typed" else set())


# -- mistakes in giving it


@pytest.mark.parametrize("line", [f"pasword={MARKER}", f"passwd {MARKER}", f"{MARKER}",
                                  f"password={MARKER}\n{MARKER} second line", f"={MARKER}",
                                  f"password :{MARKER}", f"Password={MARKER}",
                                  f"password-typo = {MARKER}"])  # fmt: skip
def test_a_misspelt_line_on_standard_input_is_not_repeated(line):
    with closed_port() as port:
        run = Fence("stdin", ip="127.0.0.1", ipport=port, username="root", action="list",
                    more=[line, "port_typo=1"]).end()  # fmt: skip
    assert run.status == 1
    assert "port_typo" in run.stderr
    assert MARKER not in run.stderr + run.stdout


@pytest.mark.parametrize("options", [["--pasword=" + MARKER], ["--password", "a", MARKER],
                                     ["--pasword", MARKER], [MARKER], ["-P" + MARKER],
                                     ["--ssh-options", "-Q " + MARKER, MARKER]])  # fmt: skip
def test_a_misspelt_option_is_not_repeated(options):
    with closed_port() as port:
        run = Fence(ip="127.0.0.1", ipport=port, username="root", action="list",
                    more=options).end()  # fmt: skip
    assert run.status == 1
    assert MARKER not in run.stderr + run.stdout

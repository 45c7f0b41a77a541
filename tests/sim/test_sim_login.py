"""Logging in to the simulated host: every way in, and what is said when there is none."""

import socket
import subprocess
import time

import pytest
from esxi_sim import RELEASES

HELLO = "echo hello"
PASSWORD = "VMware1!"
DENIED = b"root@127.0.0.1: Permission denied (publickey,keyboard-interactive).\r\n"


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_password_over_keyboard_interactive(start_host, client_of, release):
    host = start_host(release=release, password="s'e\"c $ r\\e%tü")
    client = client_of(host)
    answer = client(HELLO, password="s'e\"c $ r\\e%tü")
    assert (answer.stdout, answer.stderr, answer.returncode) == (b"hello\n", b"", 0)
    assert client.prompts() == ["(root@127.0.0.1) Password: "]
    assert (host.logins, host.auth_failures) == (1, 0)


def test_a_wrong_password_counts_once(start_host, client_of):
    host = start_host()
    answer = client_of(host)(HELLO, password="wrong")
    assert (answer.stderr, answer.returncode) == (DENIED, 255)
    assert (host.logins, host.auth_failures) == (0, 1)
    assert host.login_tries[0].method == "keyboard-interactive"


def test_password_method_only_when_switched_on(start_host, client_of):
    host = start_host()
    only = ("-o", "PreferredAuthentications=password")
    assert client_of(host)(HELLO, *only, password=PASSWORD).returncode == 255
    host.login.password_method, host.login.kbdint = True, False
    client = client_of(host)
    assert client(HELLO, *only, password=PASSWORD).stdout == b"hello\n"
    assert client.prompts() == ["root@127.0.0.1's password: "]


def test_five_wrong_passwords_lock_the_account(start_host, client_of, wait_until):
    host = start_host(lock_seconds=5.0)
    client = client_of(host)
    for _ in range(5):
        client(HELLO, password="wrong")
    assert host.accounts.locked
    locked = client(HELLO, password=PASSWORD)
    assert (locked.stderr, locked.returncode) == (DENIED, 255)
    assert client(HELLO).stdout == b"hello\n", "a key opens it all the same"
    wait_until(lambda: not host.accounts.locked)
    assert client(HELLO, password=PASSWORD).stdout == b"hello\n"


@pytest.mark.parametrize("answer", ["message", "disconnect"])
def test_a_locked_account_may_be_told_otherwise(start_host, client_of, answer):
    host = start_host(lock_after=1, locked_answer=answer)
    client_of(host)(HELLO, password="wrong")
    told = client_of(host)(HELLO, "-o", "LogLevel=INFO", password=PASSWORD)
    assert told.returncode == 255
    assert (b"locked" in told.stderr) is (answer == "message")
    assert host.logins == 0


@pytest.mark.parametrize(("release", "shown"), [("5.5", False), ("6.0", True), ("6.7", True),
                                                ("8.0", False)])
def test_a_locked_account_of_6_x_shows_the_line_of_its_tally(start_host, client_of, release, shown):
    host = start_host(lock_after=1, release=release)
    client = client_of(host)
    line = b"/usr/lib/vmware/misc/bin/tally_vob.sh failed: exit code 1"
    assert line not in client(HELLO, "-o", "LogLevel=INFO", password="wrong").stderr
    told = client(HELLO, "-o", "LogLevel=INFO", password=PASSWORD)
    assert (line in told.stderr) is shown
    assert told.stderr.endswith(DENIED)
    assert (told.returncode, host.auth_failures) == (255, 2)


@pytest.mark.parametrize(("release", "kind", "allowed"), [
    ("6.7", "rsa", True), ("8.0", "rsa", True), ("8.0", "ecdsa", True),
    ("6.7", "ed25519", True), ("8.0", "ed25519", False), ("9.0", "ed25519", False)])
def test_client_keys(start_host, client_of, release, kind, allowed):
    host = start_host(release=release)
    answer = client_of(host, kind)(HELLO, "-o", "PreferredAuthentications=publickey")
    assert answer.stdout == (b"hello\n" if allowed else b"")
    assert answer.stderr == (b"" if allowed else DENIED)
    assert host.logins == int(allowed)


def test_an_unknown_key_is_refused_and_costs_nothing(start_host, client_of):
    host = start_host(authorized_keys="# nobody\n")
    answer = client_of(host)(HELLO, "-o", "PreferredAuthentications=publickey")
    assert (answer.returncode, host.auth_failures) == (255, 0)


def test_a_forced_command_runs_instead(start_host, client_of, public_keys):
    forced = 'restrict,command="echo forced: $SSH_ORIGINAL_COMMAND" '
    host = start_host(authorized_keys="".join(forced + line + "\n"
                                              for line in public_keys.splitlines()))
    client = client_of(host)
    assert client("rm  -rf 'x y'").stdout == b"forced: rm -rf 'x y'\n"
    with_terminal = client("x", "-tt")
    assert b"PTY allocation request failed" in with_terminal.stderr
    shell = subprocess.run(client.argv(), input=b"echo sneaked in\n", capture_output=True,
                           check=False, timeout=40)
    assert shell.stdout == b"forced:\n"
    forward = client("x", "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1")
    assert forward.returncode == 255


def test_no_sftp_and_no_forwarding(start_host, client_of):
    host = start_host()
    client = client_of(host)
    assert client("sftp", "-s").returncode == 255
    assert client(HELLO, "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1").returncode == 255
    assert client("", "-W", "127.0.0.1:%d" % host.port).returncode == 255


def test_banner_and_an_empty_second_round(start_host, client_of):
    banner = "Authorised use only.\npassword: no\n"
    host = start_host(banner=banner, empty_round=True)
    answer = client_of(host)(HELLO, "-o", "LogLevel=INFO", password=PASSWORD)
    assert answer.stdout == b"hello\n"
    assert answer.stderr.replace(b"\r", b"") == banner.encode()
    assert client_of(host)(HELLO, password="wrong").returncode == 255


@pytest.mark.parametrize("text", ["", "Exceeded MaxStartups\r\n"])
def test_a_busy_host_drops_connections(start_host, client_of, text):
    host = start_host(drop_connections=2, drop_text=text)
    client = client_of(host)
    assert [client(HELLO).returncode for _ in range(3)] == [255, 255, 0]
    assert host.connections_seen == 3


def test_max_startups_counts_those_who_have_not_logged_in(start_host, client_of):
    host = start_host(max_startups="1:0:2")
    client = client_of(host)
    assert [client(HELLO).returncode for _ in range(3)] == [0, 0, 0]
    with socket.create_connection(("127.0.0.1", host.port)) as idle:
        idle.recv(1)
        assert client(HELLO).returncode == 0
        host.login.max_startups = "1:100:2"
        assert client(HELLO).returncode == 255
        host.login.max_startups = "0:0:1"
        assert client(HELLO).returncode == 255


@pytest.mark.parametrize("where", ["banner_delay", "auth_delay"])
def test_a_slow_login(start_host, client_of, where):
    host = start_host(**{where: 0.5})
    begun = time.monotonic()
    assert client_of(host)(HELLO, password=PASSWORD).returncode == 0
    assert time.monotonic() - begun > 0.5


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_the_host_key_can_be_pinned_and_can_change(start_host, client_of, kind):
    host = start_host(host_key=kind)
    client = client_of(host)
    assert client(HELLO).returncode == 0
    argv = client.argv(HELLO)
    host.change_host_key(kind)
    refused = subprocess.run(argv, capture_output=True, check=False, timeout=40)
    assert b"HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    assert host.auth_failures == 0


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")
def test_an_old_host_shares_nothing_with_a_new_client(start_host, client_of):
    host = start_host(release="5.5", old_algorithms=True, host_key="rsa")
    client = client_of(host)
    refused = client(HELLO, "-o", "LogLevel=INFO", "-o", "KexAlgorithms=+" + OLD_KEX)
    assert b"no matching host key type found. Their offer: ssh-rsa" in refused.stderr
    no_kex = client(HELLO, "-o", "LogLevel=INFO")
    assert b"no matching key exchange method found" in no_kex.stderr
    answer = client(HELLO, "-o", "HostKeyAlgorithms=+ssh-rsa", "-o", "KexAlgorithms=+" + OLD_KEX)
    assert (answer.stdout, answer.stderr) == (b"hello\n", b"")


OLD_KEX = "diffie-hellman-group14-sha1"


def test_many_clients_at_once(start_host, client_of):
    host = start_host("node1")
    client = client_of(host)
    processes = [client.start("vim-cmd vmsvc/power.getstate 1; sleep 0.5") for _ in range(12)]
    for process in processes:
        assert process.communicate(timeout=60)[0] == b"Retrieved runtime info\nPowered on\n"
    assert host.logins == 12
    assert len({entry.connection for entry in host.record}) == 12


def test_over_ipv6(start_host, client_of):
    host = start_host(listen="::1")
    assert client_of(host)(HELLO).stdout == b"hello\n"

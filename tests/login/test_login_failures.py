"""Each failure to log in is one sentence: the cause, what to do, and ssh's own last line.

The sentences stand in tests/data/messages, one file a fault.
"""

import pytest
from fence_runner import MARKER
from way_in import closed_port, full_port, mute_port

# a room without any network, and one with a network that does not lead to 192.0.2.1
NO_NETWORK = ["unshare", "--map-root-user", "--net"]
NO_ROUTE = 'ip link set lo up; ip route add unreachable 192.0.2.0/24; exec "$@"'
UNREACHABLE = [*NO_NETWORK, "sh", "-c", NO_ROUTE, "sh"]
OLD_KEX = "-o KexAlgorithms=+diffie-hellman-group14-sha1"
OLD_HOST_KEY = "-o HostKeyAlgorithms=+ssh-rsa -o PubkeyAcceptedAlgorithms=+ssh-rsa"


def at(port):
    """The parameters that lead to a port of this machine."""
    return {"ip": "127.0.0.1", "ipport": port}


# -- the way to the host


def test_the_name_is_unknown(way_in):
    nsswitch = way_in.folder / "nsswitch.conf"
    nsswitch.write_text("hosts: files\n")
    files_only = f'mount --bind {nsswitch} /etc/nsswitch.conf; exec "$@"'
    room = ["unshare", "--map-root-user", "--mount", "sh", "-c", files_only, "sh"]
    run = way_in.fail(None, ip="no-such-host.example", within=room)
    way_in.says(run, "name-unknown")


def test_no_name_server_answers(way_in):
    nsswitch, resolv = way_in.folder / "nsswitch.conf", way_in.folder / "resolv.conf"
    nsswitch.write_text("hosts: files dns\n")
    resolv.write_text("nameserver 192.0.2.53\n")
    mounts = f"mount --bind {nsswitch} /etc/nsswitch.conf; mount --bind {resolv} /etc/resolv.conf"
    room = [*NO_NETWORK, "--mount", "sh", "-c", f'{mounts}; exec "$@"', "sh"]
    run = way_in.fail(None, ip="no-such-host.example", within=room)
    way_in.says(run, "name-server-silent")


def test_ssh_is_off_on_the_host(way_in):
    with closed_port() as port:
        run = way_in.fail(None, **at(port))
    way_in.says(run, "refused", port=port)


def test_the_network_is_unreachable(way_in):
    way_in.says(way_in.fail(None, within=NO_NETWORK), "network-unreachable")


def test_there_is_no_route(way_in):
    way_in.says(way_in.fail(None, within=UNREACHABLE), "no-route")


def test_this_node_has_no_ipv6(way_in):
    run = way_in.fail(None, ip="2001:db8::1", within=NO_NETWORK)
    way_in.says(run, "no-ipv6-address")


def test_packets_are_dropped(way_in):
    with full_port() as port:
        run = way_in.fail(None, **at(port), ssh_options="-o ConnectTimeout=1")
    way_in.says(run, "timed-out", port=port)


def test_what_listens_says_nothing(way_in):
    with mute_port() as port:
        run = way_in.fail(None, **at(port), ssh_options="-o ConnectTimeout=1")
    way_in.says(run, "timed-out-connected", port=port)


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_the_login_takes_longer_than_login_timeout(way_in, way):
    """Pacemaker has the library set the limits to 0; what the user gave counts all the same."""
    with mute_port() as port:
        run = way_in.fail(None, way, **at(port), login_timeout=2)
    way_in.says(run, "login-timeout", port=port)
    assert run.seconds < 4


def test_the_host_is_slow_to_judge_the_password(esxi, way_in):
    host = esxi(auth_delay=60)
    run = way_in.fail(host, login_timeout=1)
    way_in.says(run, "verdict-late", host)
    assert run.seconds < 6


@pytest.mark.slow
def test_a_silent_host_is_given_up_before_pacemaker_gives_up(way_in):
    with mute_port() as mute, full_port() as full:
        calls = [
            (action, way_in.start(None, "pacemaker", **at(port), action=action, plug="node1"))
            for action in ("monitor", "status", "off")
            for port in (mute, full)
        ]
        runs = [(action, call.end()) for action, call in calls]
    for action, run in runs:
        assert run.status == 1
        assert run.seconds - run.starved < (25 if action == "off" else 20), run.stderr


@pytest.mark.slow
def test_a_login_that_is_slower_than_the_bound_of_a_reading_fails_in_time(esxi, way_in):
    run = way_in.fail(esxi(auth_delay=30), "pacemaker", login_timeout=60)
    assert "no answer to the login" in run.log
    assert run.seconds - run.starved < 20


@pytest.mark.slow
def test_the_host_stays_busy(esxi, way_in):
    """As sshd hangs up on who is one too many: it is tried until there is no time left."""
    host = esxi(drop_connections=99)
    run = way_in.fail(host)
    *warnings, error = [line for line in run.log.splitlines() if line]
    for warning in warnings:
        way_in.says_line(warning, "busy-once", host)
    way_in.says_line(error, "busy", host)
    assert len(warnings) >= 4
    assert host.connections_seen == len(warnings) + 1
    assert run.seconds - run.starved < 20


# -- algorithms


def test_the_host_has_only_an_old_key_exchange(esxi, way_in):
    host = esxi("5.5", old_algorithms=True, host_key="rsa")
    way_in.says(way_in.fail(host), "old-key-exchange", host)


def test_the_host_has_only_an_old_kind_of_host_key(esxi, way_in):
    host = esxi("5.5", old_algorithms=True, host_key="rsa")
    way_in.says(way_in.fail(host, ssh_options=OLD_KEX), "old-host-key", host)


def test_the_options_named_for_an_old_host_help(esxi, way_in):
    for message, option in (("old-key-exchange", OLD_KEX), ("old-host-key", OLD_HOST_KEY)):
        assert option in way_in.stored(message)
    host = esxi("5.5", old_algorithms=True, host_key="rsa")
    way_in.log_in(host, ssh_options=f"{OLD_KEX} {OLD_HOST_KEY}")


# -- passwords: wrong ones are in test_one_try.py


def test_the_host_takes_no_passwords(esxi, way_in):
    host = esxi(kbdint=False)
    way_in.says(way_in.fail(host), "passwords-not-taken", host)


def test_the_user_switched_passwords_off(host, way_in):
    way_in.log_in(host)
    run = way_in.fail(host, ssh_options="-o BatchMode=yes")
    way_in.says(run, "passwords-switched-off", host)
    assert host.auth_failures == 0


# -- keys


def test_the_key_is_not_the_hosts(host, way_in):
    key = way_in.new_key("rsa")
    run = way_in.fail(host, identity_file=key, password=None)
    way_in.says(run, "key-refused", host)


def test_a_refused_key_does_not_send_the_password_instead(host, way_in):
    run = way_in.fail(host, identity_file=way_in.new_key("rsa"))
    way_in.says(run, "key-refused", host)
    assert host.login_tries == []


def test_esxi_8_refuses_ed25519_keys(esxi, way_in):
    key = way_in.new_key("ed25519")
    host = esxi("8.0", authorized_keys=key.with_suffix(".pub").read_text())
    way_in.says(way_in.fail(host, identity_file=key, password=None), "key-ed25519", host)


def test_the_key_file_holds_no_key(host, way_in):
    key = way_in.folder / "id_rsa"
    key.write_text("no key\n")
    key.chmod(0o600)
    way_in.says(way_in.fail(host, identity_file=key, password=None), "key-garbage", host)


def test_the_public_half_is_given_for_the_key(esxi, way_in):
    public = way_in.new_key("rsa").with_suffix(".pub")
    public.chmod(0o600)
    host = esxi(authorized_keys=public.read_text())
    way_in.says(way_in.fail(host, identity_file=public, password=None), "key-public-half", host)


def test_others_may_read_the_key_file(esxi, way_in):
    key = way_in.new_key("rsa")
    key.chmod(0o644)
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    way_in.says(way_in.fail(host, identity_file=key, password=None), "key-open-to-others", host)


def test_the_passphrase_is_wrong(esxi, way_in):
    key = way_in.new_key("rsa", passphrase=f"{MARKER} passphrase")
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    run = way_in.fail(host, identity_file=key, password=f"not {MARKER}")
    way_in.says(run, "passphrase-wrong", host)


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_the_passphrase_is_missing(esxi, way_in, way):
    key = way_in.new_key("rsa", passphrase=f"{MARKER} passphrase")
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    run = way_in.fail(host, way, identity_file=key, password=None)
    way_in.says(run, "passphrase-missing", host)
    assert run.seconds < 4


# -- the shell


@pytest.mark.parametrize("action", ["list", "list-status", "monitor", "status", "off", "on"])
def test_the_user_may_not_run_vim_cmd(esxi, way_in, action):
    host = esxi(permission_denied=True)
    way_in.says(way_in.fail(host, action=action, plug="node1"), "vim-cmd-not-allowed", host)


@pytest.mark.parametrize("action", ["list", "list-status", "monitor", "status", "off", "on"])
def test_the_shell_is_not_esxis(esxi, way_in, action):
    host = esxi(vim_cmd_absent=True)
    way_in.says(way_in.fail(host, action=action, plug="node1"), "not-esxi", host)


def test_the_user_has_no_shell(esxi, way_in):
    key = way_in.new_key("ecdsa")
    public = key.with_suffix(".pub").read_text()
    host = esxi(authorized_keys=f'command="echo This account is not available; exit 1" {public}')
    way_in.says(way_in.fail(host, identity_file=key, password=None), "no-shell", host)


def test_the_session_ends_without_a_word(esxi, way_in):
    key = way_in.new_key("ecdsa")
    public = key.with_suffix(".pub").read_text()
    host = esxi(authorized_keys=f'command="exit 1" {public}')
    way_in.says(way_in.fail(host, identity_file=key, password=None), "no-shell-no-word", host)


# -- options


@pytest.mark.parametrize(
    ("message", "parameters"),
    [
        ("ssh-missing", {"ssh_path": "/nonexistent/ssh"}),
        ("ssh-not-a-program", {"ssh_path": "/etc/passwd"}),
        ("ssh-options-unknown", {"ssh_options": "-o NoSuchOption=yes"}),
        ("ssh-options-bad-value", {"ssh_options": "-o ServerAliveInterval=often"}),
        ("ssh-options-no-file", {"ssh_options": "-F /nonexistent/config"}),
        ("ssh-options-no-letter", {"ssh_options": "-Z"}),
        ("ssh-options-no-argument", {"ssh_options": "-o"}),
        ("ssh-options-no-session", {"ssh_options": "-N"}),
        ("ssh-options-open-quote", {"ssh_options": "-o 'Ciphers=aes256-ctr"}),
        ("known-hosts-expanded", {"known_hosts": "/etc/cluster/100%h"}),
        ("ip-two-words", {"ip": "esxi1 esxi2"}),
        ("ip-is-an-option", {"ip": "-oProxyCommand=id"}),
        ("username-is-an-option", {"username": "-oProxyCommand=id"}),
        ("ipport-no-port", {"ipport": "70000"}),
        ("password-empty", {"password": ""}),
        ("password-control-character", {"password": f"{MARKER}\tnot typed"}),
    ],
)
def test_an_option_cannot_be_used(host, way_in, message, parameters):
    way_in.says(way_in.fail(host, **parameters), message, host)
    assert host.login_tries == []


def test_the_password_script_says_nothing(host, way_in):
    run = way_in.fail(host, password=None, password_script="/bin/true")
    way_in.says(run, "password-empty", host)

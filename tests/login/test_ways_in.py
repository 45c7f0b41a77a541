"""Every way into a host that is known from real ones (facts: 7)."""

import pytest
from fence_runner import MARKER, PACEMAKER, SHELL

# /etc/hosts is a link to $HOSTS here, all else in /etc is as it was
OWN_HOSTS = ["unshare", "--map-root-user", "--mount", "sh", "-c",
             'mount --rbind /etc "$ETC" && mount -t tmpfs none /etc && ln -s "$ETC"/* /etc && '
             'ln -sf "$HOSTS" /etc/hosts && exec "$@"', "sh"]  # fmt: skip
RELEASES = ["5.5", "6.0", "6.7", "7.0", "8.0", "9.0"]
FORGED_BANNER = "\r\n".join(
    ["Authorized use only."] * 28
    + ["Enter your password:", "Password: ", "root@esxi1's password: "]
    + ["fence_esxi-ready"]
    + ["Are you sure you want to continue connecting (yes/no)? "]
    + ["Enter passphrase for key '/root/.ssh/id_rsa': "]
    + ["Permission denied (publickey,keyboard-interactive)."]
    + ["Do not write passwords down."] * 25
    + [""]
)
POST_QUANTUM_WARNING = """\
** WARNING: connection is not using a post-quantum key exchange algorithm.
** This session may be vulnerable to "store now, decrypt later" attacks.
** The server may need to be upgraded. See https://openssh.com/pq.html
"""


@pytest.mark.parametrize("release", RELEASES)
def test_a_password_opens_each_release(esxi, way_in, release):
    way_in.log_in(esxi(release))


@pytest.mark.parametrize("way", ["stdin", "pacemaker"])
def test_the_parameters_may_come_on_standard_input(host, way_in, way):
    way_in.log_in(host, way)
    assert host.auth_failures == 0


@pytest.mark.parametrize(
    "prompt",
    [
        "Password: ",
        "Password:",
        "(root@esxi1) Password: ",
        "password for root:",
        "[esxi1] Password: ",
    ],
)
def test_the_prompt_may_read_in_several_ways(esxi, way_in, prompt):
    way_in.log_in(esxi(prompt=prompt))


def test_a_banner_forges_neither_a_prompt_nor_the_ready_line(esxi, way_in):
    assert FORGED_BANNER.count("\r\n") >= 60
    host = esxi(banner=FORGED_BANNER)
    way_in.log_in(host)
    assert [attempt.result for attempt in host.login_tries] == ["accepted"]


def test_a_banner_does_not_hide_why_the_login_failed(esxi, way_in):
    host = esxi(banner=FORGED_BANNER)
    way_in.says(way_in.fail(host, password=f"not {MARKER}"), "permission-denied", host)
    assert host.auth_failures == 1


def test_warnings_of_a_new_client_are_no_answer(host, way_in):
    text = way_in.folder / "warning"
    text.write_text(POST_QUANTUM_WARNING)
    client = way_in.folder / "ssh"
    client.write_text(f'#!/bin/sh\ncat {text} >&2\nexec /usr/bin/ssh "$@"\n')
    client.chmod(0o755)
    way_in.log_in(host, ssh_path=client)
    way_in.says(
        way_in.fail(host, password=f"not {MARKER}", ssh_path=client), "permission-denied", host
    )


def test_a_round_without_questions_may_follow_the_password(esxi, way_in):
    way_in.log_in(esxi(empty_round=True))


@pytest.mark.parametrize("kbdint", [True, False])
def test_a_host_may_take_passwords_by_the_method_password(esxi, way_in, kbdint):
    way_in.log_in(esxi(password_method=True, kbdint=kbdint))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_opens_each_release(esxi, way_in, kind, release):
    key = way_in.new_key(kind)
    host = esxi(release, authorized_keys=key.with_suffix(".pub").read_text())
    way_in.log_in(host, identity_file=key, password=None)


def test_an_ed25519_key_opens_a_host_before_8(esxi, way_in):
    key = way_in.new_key("ed25519")
    host = esxi("7.0", authorized_keys=key.with_suffix(".pub").read_text())
    way_in.log_in(host, identity_file=key, password=None)


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_the_password_opens_a_key_with_a_passphrase(esxi, way_in, way):
    key = way_in.new_key("ecdsa", passphrase=f"{MARKER} passphrase")
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    way_in.log_in(host, way, identity_file=key, password=f"{MARKER} passphrase")


def test_a_key_with_a_passphrase_needs_no_public_half(esxi, way_in):
    key = way_in.new_key("rsa", passphrase=f"{MARKER} passphrase")
    public = key.with_suffix(".pub")
    host = esxi(authorized_keys=public.read_text())
    public.unlink()
    way_in.log_in(host, identity_file=key, password=f"{MARKER} passphrase")


def test_a_busy_host_is_tried_once_more(esxi, way_in):
    host = esxi(drop_connections=1)
    run = way_in.try_to(host)
    assert (run.status, run.stdout) == (0, "node1,1\n")
    way_in.says(run, "busy-once", host)
    assert host.connections_seen == 2


@pytest.mark.parametrize("drop_text", ["", "Not allowed at this time\r\n"])
def test_a_busy_host_is_tried_until_it_lets_the_agent_in(esxi, way_in, drop_text):
    host = esxi(drop_connections=4, drop_text=drop_text)
    run = way_in.try_to(host)
    assert (run.status, run.stdout) == (0, "node1,1\n")
    assert host.connections_seen == 5
    assert len(host.login_tries) == 1  # nobody who hung up was given the password


def test_a_slow_host_is_waited_for(esxi, way_in):
    way_in.log_in(esxi(banner_delay=3, auth_delay=3), "pacemaker")


@pytest.mark.slow
def test_one_step_of_the_login_may_take_long(esxi, way_in):
    way_in.log_in(esxi(auth_delay=17), "pacemaker")


def test_an_address_may_be_ipv6(esxi, way_in):
    host = esxi(listen="::1")
    way_in.log_in(host)
    way_in.log_in(host, inet6_only=True)


def test_a_host_may_be_given_by_its_name(host, way_in):
    hosts = way_in.folder / "hosts"
    hosts.write_text(f"{host.address} esxi1.example\n")
    etc = way_in.folder / "etc"
    etc.mkdir()
    environment = {**SHELL, "ETC": str(etc), "HOSTS": str(hosts)}
    room = {"within": OWN_HOSTS, "environment": environment}
    way_in.log_in(host, ip="esxi1.example", **room)
    way_in.log_in(host, ip="esxi1.example", inet4_only=True, **room)


def test_a_host_may_be_an_alias_in_an_ssh_config(esxi, way_in):
    key = way_in.new_key("ecdsa")
    host = esxi(authorized_keys=key.with_suffix(".pub").read_text())
    config = way_in.folder / "config"
    config.write_text(
        f"Host hypervisor\n  HostName {host.address}\n  UserKnownHostsFile {way_in.known_hosts}\n"
        "  StrictHostKeyChecking no\n  ServerAliveInterval 10\n"
    )
    own = f"-F {config}"
    way_in.log_in(host, ip="hypervisor", own_files=own)
    way_in.log_in(host, ip="hypervisor", own_files=own, identity_file=key, password=None)


def test_an_empty_environment_is_enough(host, way_in):
    way_in.log_in(host, environment={})


def test_no_other_program_is_asked_for_the_password(host, way_in):
    witness = way_in.folder / "asked"
    askpass = way_in.folder / "askpass"
    askpass.write_text(f"#!/bin/sh\ntouch {witness}\necho wrong\n")
    askpass.chmod(0o755)
    forced = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
    way_in.log_in(host, environment={**PACEMAKER, **forced})
    assert not witness.exists()

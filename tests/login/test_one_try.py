"""One attempt to log in a run: a wrong password costs the host's account one failure."""

import time

import pytest
from esxi_sim import VM, LineCut, VMFaults
from fence_runner import MARKER, PASSWORD

WRONG = f"not {MARKER}"
ACTIONS = ["off", "on", "reboot", "status", "list", "list-status", "monitor"]


@pytest.mark.parametrize("way", ["typed", "stdin", "pacemaker"])
@pytest.mark.parametrize(
    ("kbdint", "password_method", "message"),
    [
        (True, False, "permission-denied"),
        (False, True, "permission-denied-password-method"),
        (True, True, "permission-denied-both-methods"),
    ],
)
def test_a_wrong_password_is_one_failure(esxi, way_in, way, kbdint, password_method, message):
    host = esxi(kbdint=kbdint, password_method=password_method)
    run = way_in.fail(host, way, password=WRONG)
    assert host.auth_failures == 1
    assert host.connections_seen == 1
    assert run.seconds < 4
    way_in.says(run, message, host)


@pytest.mark.parametrize("action", ACTIONS)
def test_a_wrong_password_is_one_failure_in_each_action(host, way_in, action):
    run = way_in.fail(host, "pacemaker", password=WRONG, action=action, plug="node1")
    assert host.auth_failures == 1
    assert run.seconds < 4
    way_in.says(run, "permission-denied", host)


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_a_password_that_changed_in_between_is_one_failure(esxi, way_in, action):
    host = esxi(cuts=[LineCut("power.off", when="before_run")])
    host.after_commands(2, lambda: setattr(host.login, "password", f"new {MARKER}"))
    run = way_in.try_to(host, "pacemaker", action=action, plug="node1")
    assert run.status == 1
    assert host.logins == 1
    assert host.auth_failures == 1


def test_a_password_that_changed_while_power_off_hangs_is_one_failure(esxi, way_in):
    host = esxi(vms=[VM("node1", faults=VMFaults(off="hangs"))])
    host.after_commands(3, lambda: setattr(host.login, "password", f"new {MARKER}"))
    assert way_in.try_to(host, "pacemaker", action="off", plug="node1").status == 1
    assert host.auth_failures == 1


@pytest.mark.parametrize(("release", "message"), [
    ("6.7", "account-locked-message"), ("8.0", "permission-denied")])  # fmt: skip
def test_five_wrong_passwords_lock_the_account(esxi, way_in, release, message):
    """Hosts of 6.x show a word of it, others refuse the right password as they do a wrong one."""
    host = esxi(release)
    for _ in range(5):
        way_in.fail(host, password=WRONG)
        assert host.accounts.locked == (host.auth_failures == 5)
    run = way_in.fail(host, password=PASSWORD)
    assert [attempt.result for attempt in host.login_tries] == ["wrong"] * 5 + ["locked"]
    way_in.says(run, message, host)


@pytest.mark.parametrize("answer", ["message", "disconnect"])
def test_a_locked_account_may_say_so(esxi, way_in, answer):
    host = esxi(lock_after=1, locked_answer=answer)
    way_in.fail(host, password=WRONG)
    assert host.accounts.locked
    run = way_in.fail(host)
    assert host.auth_failures == 2
    way_in.says(run, f"account-locked-{answer}", host)


def test_a_banner_that_speaks_of_locking_does_not_lock_the_account(esxi, way_in):
    host = esxi(banner="Users who fail will be locked out, as Lockheed's are.\n")
    way_in.says(way_in.fail(host, password=WRONG), "permission-denied", host)


def test_a_key_opens_a_locked_account(esxi, way_in):
    key = way_in.new_key("ecdsa")
    host = esxi(lock_after=1, authorized_keys=key.with_suffix(".pub").read_text())
    way_in.fail(host, password=WRONG)
    assert host.accounts.locked
    way_in.log_in(host, identity_file=key, password=None)


def test_a_host_that_hangs_up_after_the_password_is_not_tried_again(esxi, way_in):
    host = esxi(auth_delay=30)
    call = way_in.start(host)
    while not host.sshd.connections:
        time.sleep(0.05)
    host.after_seconds(1, host.drop_all_sessions)
    way_in.says(call.end(), "hung-up-after-the-password", host)
    assert host.connections_seen == 1

"""Host keys: an unknown one is accepted and remembered, a changed one never, a pinned one only."""

import pytest

# ssh finds the home of root by its entry in /etc/passwd, whatever HOME says
NEW_PASSWD = ["unshare", "--map-root-user", "--mount", "sh", "-c",
              'mount --bind "$PASSWD" /etc/passwd; exec "$@"', "sh"]


def pin(way_in, host):
    """The file that pins the host's present key."""
    pins = way_in.folder / "pins"
    pins.write_text(host.host_key_line() + "\n")
    return pins


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_an_unknown_key_is_accepted_and_remembered(host, way_in, way):
    way_in.log_in(host, way)
    remembered = way_in.known_hosts.read_text()
    assert remembered == host.host_key_line() + "\n"
    way_in.log_in(host, way)
    assert way_in.known_hosts.read_text() == remembered


def test_it_is_remembered_in_the_home_of_root_without_home(host, way_in):
    known = way_in.folder / "root" / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True)
    passwd = way_in.folder / "passwd"
    passwd.write_text(f"root:x:0:0:root:{way_in.folder}/root:/bin/sh\n")
    environment = {"PASSWD": str(passwd), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    room = {"within": NEW_PASSWD, "environment": environment}
    own_files = "-F none -o GlobalKnownHostsFile=/dev/null"
    way_in.log_in(host, own_files=own_files, **room)
    assert known.read_text() == host.host_key_line() + "\n"
    host.change_host_key()
    run = way_in.fail(host, own_files=own_files, **room)
    way_in.says(run, "host-key-changed-home", host)


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_changed_key_is_refused(host, way_in, kind, way):
    way_in.log_in(host)
    host.clear_record()
    host.change_host_key(kind)
    run = way_in.fail(host, way)
    way_in.says(run, "host-key-changed", host)
    assert host.login_tries == []


def test_a_changed_key_is_accepted_once_the_old_one_is_removed(host, way_in):
    way_in.log_in(host)
    host.change_host_key()
    way_in.known_hosts.unlink()
    way_in.log_in(host)


@pytest.mark.parametrize("way", ["typed", "stdin", "pacemaker"])
def test_the_pinned_key_is_accepted(host, way_in, way):
    way_in.log_in(host, way, known_hosts=pin(way_in, host))
    assert not way_in.known_hosts.exists()


def test_pinning_needs_no_home(host, way_in):
    way_in.log_in(host, known_hosts=pin(way_in, host), environment={}, own_files="-F none")


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
def test_a_key_that_is_not_pinned_is_refused_before_the_password_is_sent(esxi, way_in, way):
    host, other = esxi(), esxi()
    way_in.log_in(host)  # that the user has it in his own file does not count
    host.clear_record()
    run = way_in.fail(host, way, known_hosts=pin(way_in, other))
    way_in.says(run, "host-key-not-pinned", host)
    assert host.login_tries == []


@pytest.mark.parametrize("way", ["typed", "pacemaker"])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_another_key_than_the_pinned_is_refused_before_the_password_is_sent(
    host, way_in, kind, way
):
    pins = pin(way_in, host)
    host.change_host_key(kind)
    run = way_in.fail(host, way, known_hosts=pins)
    way_in.says(run, "host-key-not-the-pinned", host)
    assert host.login_tries == []


def test_a_file_of_pins_that_is_missing_accepts_nothing(host, way_in):
    run = way_in.fail(host, known_hosts=way_in.folder / "pins")
    way_in.says(run, "host-key-not-pinned", host)
    assert host.login_tries == []


@pytest.mark.parametrize(
    "loophole",
    ["-o StrictHostKeyChecking=no", "-o StrictHostKeyChecking=accept-new",
     "-o UserKnownHostsFile=/dev/null", "-o UpdateHostKeys=yes",
     "-o CheckHostIP=no -o StrictHostKeyChecking=off"],
)  # fmt: skip
def test_ssh_options_do_not_undo_pinning(host, way_in, loophole):
    pins = pin(way_in, host)
    pinned = pins.read_text()
    host.change_host_key()
    run = way_in.fail(host, known_hosts=pins, ssh_options=loophole)
    way_in.says(run, "host-key-not-the-pinned", host)
    assert host.login_tries == []
    assert pins.read_text() == pinned


def test_the_file_of_pins_may_have_a_blank_in_its_name(host, way_in):
    folder = way_in.folder / "two words"
    folder.mkdir()
    pins = pin(way_in, host).rename(folder / "pins")
    way_in.log_in(host, known_hosts=pins)


@pytest.mark.parametrize("name", ["~pins", "$HOME", "a\\tb", "#1", "pins'"])
def test_the_file_of_pins_may_have_a_strange_name(host, way_in, name):
    pins = pin(way_in, host)
    way_in.log_in(host, known_hosts=pins.rename(way_in.folder / name))

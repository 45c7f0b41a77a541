"""The line in the list of keys of a real OpenSSH server, which forbids nothing by itself."""

import os
import subprocess

import busyboxes
import gated
import openssh
import pytest
from small_host import SmallHost, forbidden, request_for

HERE = "root@127.0.0.1"
NAMES = ["t3021cent", "it's", 'say "hi"', "a\\b", 'a\\"b', "\\", "$(reboot) `x`", "é 日本",
         "a,b=c #"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server; where there can be none it is skipped, but in CI a failure."""
    try:
        program = openssh.sshd()
    except busyboxes.NotThere as reason:
        if os.environ.get("CI"):
            pytest.fail("no OpenSSH server: %s" % reason)
        pytest.skip("no OpenSSH server: %s" % reason)
    folder = tmp_path_factory.mktemp("sshd")
    for part in (folder, *folder.parents[:3]):
        part.chmod(part.stat().st_mode | 0o011)
    with SmallHost(busyboxes.busybox(busyboxes.OWN)) as host, \
            openssh.Server(program, host, folder) as running:
        yield running


@pytest.fixture(params=["restrict", "--old-host"])
def key(request, server, tmp_path):
    """A key that the server lets in for t3021cent, by either form of the line."""
    private = gated.new_key(tmp_path)
    old = ["--old-host"] if request.param == "--old-host" else []
    server.let_in(gated.line_of(private, *gated.words_for_names(NAMES), *old))
    server.host.record()
    return private


def test_the_server_reads_the_line_as_it_was_meant(server, key):
    done = server.run(key, HERE, "x", text=request_for(
        b"vim-cmd vmsvc/power.off 1", b"vim-cmd vmsvc/power.off 2", b"a1"))
    assert done.stdout == (
        b"fence_esxi-ready-2\nthis key may not power t3022cent: not in its list\n\na1.2 77\n"
        b"Powering a VM:\n\na1.1 0\n")
    assert done.stderr == b""
    assert not forbidden(server.host.record())


@pytest.mark.parametrize("command", [
    [], ["touch /pwned"], ["vim-cmd vmsvc/power.off 2"], ["'; touch /pwned"], ["$(touch /pwned)"]])
def test_what_the_client_asks_for_does_not_run(server, key, command):
    before = server.host.files()
    done = server.run(key, HERE, *command, text=request_for(b"touch /pwned", tag=b"a1"))
    assert done.stdout == (
        b"fence_esxi-ready-2\n\na1.2 0\nthis key may not run that\n\na1.1 77\n")
    assert server.host.record() == []
    assert server.host.files() == before


@pytest.mark.parametrize("words", [["sftp"], ["scp"], ["scp", "-O"]])
def test_files_are_not_transferred(server, key, tmp_path, words):
    (tmp_path / "file").write_text("x")
    before = server.host.files()
    program, *options = words
    target = [HERE] if program == "sftp" else [str(tmp_path / "file"), HERE + ":/tmp/pwned"]
    batch = b"put %s/file /tmp/pwned\n" % os.fsencode(tmp_path)
    done = server.run(key, *options, *target, text=batch, program=program)
    assert done.returncode != 0
    assert server.host.files() == before
    assert not os.path.exists("/tmp/pwned")


def test_a_terminal_is_not_given(server, key):
    done = server.run(key, "-tt", HERE, text=request_for(b"vim-cmd vmsvc/getallvms"))
    assert b"PTY allocation request failed" in done.stderr


def test_no_connection_is_forwarded(server, key):
    """What -W, -L and -D ask a server for is the same."""
    done = server.run(key, "-W", "127.0.0.1:%d" % server.port, HERE)
    assert b"SSH-2.0" not in done.stdout
    assert b"forwarding failed" in done.stderr


def test_no_port_is_listened_on(server, key):
    done = server.run(key, "-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:22", "-N", HERE)
    assert done.returncode != 0
    assert b"remote port forwarding failed" in done.stderr


def test_the_environment_of_the_client_does_not_count(server, key):
    sent = {"PATH": "/tmp", "ENV": "/host/unknown.txt", "IFS": "01 /", "name": "t3021cent",
            "LC_ALL": "C.UTF-8"}
    options = [word for name in sent for word in ("-o", "SendEnv=" + name)]
    done = subprocess.run(
        ["/usr/bin/env", *("%s=%s" % pair for pair in sent.items()), "/usr/bin/ssh",
         *server.words(key, *options, HERE)[1:]],
        input=request_for(b"", b"vim-cmd vmsvc/power.off 2"), capture_output=True, check=False,
        timeout=30)
    assert done.stdout.startswith(
        b"fence_esxi-ready-2\nthis key may not power t3022cent: not in its list\n\n7a91.2 77\n")
    assert not forbidden(server.host.record())

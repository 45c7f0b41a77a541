"""A client of the simulated host: the real OpenSSH, with a home of its own for its files."""

import os
import subprocess
import time

import pytest


class Client:
    """Runs ssh against a host, by key unless told otherwise, with the host's key pinned."""

    def __init__(self, host, folder, key):
        self.host = host
        self.folder = folder
        self.key = key

    def argv(self, *words, options=()):
        """The ssh command line; words are the remote command."""
        known_hosts = self.folder / "known_hosts"
        line = self.host.host_key_line() + "\n"
        if not known_hosts.exists() or known_hosts.read_text() != line:
            known_hosts.write_text(line)
        return ["ssh", "-F", "none", *options, "-p", str(self.host.port), "-i", str(self.key),
                "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=%s" % known_hosts,
                "-o", "StrictHostKeyChecking=yes", "-o", "LogLevel=ERROR",
                "-o", "NumberOfPasswordPrompts=1",
                "root@" + self.host.address, *words]

    def environment(self, password):
        """What makes ssh ask a script of ours for the password."""
        ask = self.folder / "askpass"
        if not ask.exists():
            ask.write_text('#!/bin/sh\nprintf "%s\\n" "$1" >>"${0%/*}/prompts"\n'
                           'printf "%s\\n" "$TEST_PASSWORD"\n')
            ask.chmod(0o755)
        return {**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force",
                "TEST_PASSWORD": password}

    def __call__(self, command, *options, password=None, text=b"", timeout=40):
        """Run one remote command; returns the finished ssh process, output as bytes."""
        if password is not None:
            options = (*options, "-o", "PubkeyAuthentication=no")
        return subprocess.run(self.argv(command, options=options), input=text, check=False,
                              capture_output=True, timeout=timeout,
                              env=self.environment(password or ""))

    def start(self, command, *options):
        """Start a remote command and leave it running."""
        return subprocess.Popen(self.argv(command, options=options), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def prompts(self):
        """The prompts that ssh asked for a password with."""
        return (self.folder / "prompts").read_text().splitlines()


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    """Client keys by type: file names of private keys."""
    folder = tmp_path_factory.mktemp("keys")
    for kind in ("ecdsa", "rsa", "ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", folder / kind], check=True)
    return {kind: folder / kind for kind in ("ecdsa", "rsa", "ed25519")}


@pytest.fixture
def public_keys(keys):
    """The text of an authorized_keys file with all the client keys."""
    return "".join((keys[kind].parent / (kind + ".pub")).read_text() for kind in keys)


@pytest.fixture
def start_host(esxi, public_keys):
    """Starts simulated hosts that let those keys in: start_host("node1", release="6.7", ...)."""
    settings = {"authorized_keys": public_keys, "password": "VMware1!"}
    return lambda *vms, **switches: esxi(vms=vms, **{**settings, **switches})


@pytest.fixture
def client_of(tmp_path, keys):
    """Makes an ssh client for a host."""
    return lambda host, key="ecdsa": Client(host, tmp_path, keys[key])


def wait_until(condition, seconds=20.0):
    """Wait for something to become true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in %s s" % seconds
        time.sleep(0.02)


@pytest.fixture(name="wait_until")
def _wait_until():
    return wait_until

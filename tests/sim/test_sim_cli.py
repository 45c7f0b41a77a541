"""`python3 -m esxi_sim` as an outsider uses it, with and without root."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from esxi_sim.control import ask

LIB = Path(__file__).parents[2] / "lib"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(LIB)}
NOT_ROOT = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


class Program:
    """A running `python3 -m esxi_sim`, with what the ssh client asks of a host."""

    address = "127.0.0.1"

    def __init__(self, *options, prefix=()):
        self.process = subprocess.Popen([*prefix, sys.executable, "-m", "esxi_sim", *options],
                                        env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
        first_line = self.process.stdout.readline()
        self.port = int(re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", first_line)[1])

    def host_key_line(self):
        answer = subprocess.run(["ssh-keyscan", "-p", str(self.port), "127.0.0.1"],
                                capture_output=True, text=True, check=True)
        return answer.stdout

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(40)


@pytest.fixture
def run_program(tmp_path, monkeypatch):
    """Starts programs that end with the test; their temporary files are counted."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setitem(ENVIRONMENT, "TMPDIR", str(tmp_path / "tmp"))
    programs = []

    def run(*options, **more):
        programs.append(Program(*map(str, options), **more))
        return programs[-1]

    yield run
    for program in programs:
        if program.process.poll() is None:
            assert program.end() == 0
        program.process.stdout.close()
    assert list((tmp_path / "tmp").iterdir()) == []


def control(socket, *words):
    return subprocess.run([sys.executable, "-m", "esxi_sim", "ctl", str(socket), *words],
                          env=ENVIRONMENT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("prefix", [(), NOT_ROOT], ids=["as it is", "not root"])
def test_login_and_power(run_program, client_of, tmp_path, prefix):
    record = tmp_path / "record"
    program = run_program("--vm", "node1", "--vm", "db:off", "--record", record, prefix=prefix)
    client = client_of(program)
    answer = client("vim-cmd vmsvc/power.off 1; vim-cmd vmsvc/power.getstate 2; echo x >/dev/null;"
                    " cat /dev/null", password="VMware1!")
    assert answer.stdout.decode().splitlines() == [
        "Powering off VM:", "Retrieved runtime info", "Powered off"]
    assert answer.stderr == b""
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert [entry["kind"] for entry in entries] == ["power", "command", "command"]
    assert entries[0]["name"] == "node1"
    assert entries[1]["argv"] == ["vim-cmd", "vmsvc/power.off", "1"]


def test_many_vms_a_file_and_a_password_file(run_program, client_of, tmp_path):
    (tmp_path / "vms.json").write_text(json.dumps(
        ["plain", {"name": "a: b", "vmid": 700, "power": "suspended", "faults": {"busy": True}}]))
    (tmp_path / "password").write_text("Secret 2\nnot this\n")
    program = run_program("--release", "8.0", "--vms", tmp_path / "vms.json", "--count", 3,
                          "--password-file", tmp_path / "password", "--latency", 0.01)
    answer = client_of(program)("vim-cmd vmsvc/getallvms", password="Secret 2")
    assert re.findall(r"^(\d+) +(.*?) +\[", answer.stdout.decode(), re.M) == [
        ("1", "plain"), ("2", "vm0001"), ("3", "vm0002"), ("4", "vm0003"), ("700", "a: b")]


def test_a_key_a_hook_and_the_control_socket(run_program, client_of, tmp_path, keys, wait_until):
    hook, socket = tmp_path / "hook", tmp_path / "socket"
    hook.write_text('#!/bin/sh\necho "$1 $2" >>%s/told\n' % tmp_path)
    hook.chmod(0o755)
    program = run_program("--vm", "node 1", "--vm", "v1.5", "--power-hook", hook,
                          "--control", socket, "--set", "node 1.off=ignored",
                          "--authorized-keys", str(keys["ecdsa"]) + ".pub")
    client = client_of(program)
    off = "vim-cmd vmsvc/power.off 1"
    client(off)
    assert ask(str(socket), {"do": "vms"})[0]["power"] == "on"
    assert control(socket, "set", "node 1.off=obeyed", "v1.5.power=off").returncode == 0
    client(off)
    wait_until(lambda: sorted((tmp_path / "told").read_text().splitlines())
               == ["node 1 off", "v1.5 off"])
    assert ask(str(socket), {"do": "commands"}) == [off, off]
    logins = ask(str(socket), {"do": "logins"})
    assert (logins["accepted"], logins["refused"]) == (2, 0)
    assert logins["connections"] >= 2
    assert ask(str(socket), {"do": "reregister", "vm": "node 1"}) == 3
    wrong = control(socket, "set", "node 1.fluff=1")
    assert (wrong.returncode, wrong.stderr) == (1, "esxi_sim: there is no switch 'fluff'\n")
    assert program.end() == 0
    assert not socket.exists()


def test_a_missing_busybox_is_said_plainly(tmp_path):
    answer = subprocess.run([sys.executable, "-m", "esxi_sim", "--busybox", str(tmp_path / "none")],
                            env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr.startswith("esxi_sim: ")
    assert len(answer.stderr.splitlines()) == 1


@pytest.mark.parametrize(("setting", "complaint"), [
    ("fluff=1", "there is no switch 'fluff'"), ("nobody.off=ignored", "0 VMs are named 'nobody'"),
    ('authorized_keys=["ssh-rsa"]', "authorized_keys takes a text, not ['ssh-rsa']")])
def test_a_wrong_setting_is_said_plainly(setting, complaint):
    answer = subprocess.run([sys.executable, "-m", "esxi_sim", "--set", setting],
                            env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert answer.returncode == 1
    assert answer.stderr == "esxi_sim: %s\n" % complaint


def test_help_tells_the_default_password():
    answer = subprocess.run([sys.executable, "-m", "esxi_sim", "--help"], env=ENVIRONMENT,
                            capture_output=True, text=True, check=True)
    assert "VMware1!" in answer.stdout


def test_what_a_killed_simulator_left_is_removed_by_the_next(run_program, tmp_path):
    killed, living = run_program("--vm", "node1"), run_program("--vm", "node2")
    roots = set((tmp_path / "tmp").iterdir())
    killed.process.kill()
    killed.process.wait()
    run_program()
    left = set((tmp_path / "tmp").iterdir())
    assert len(roots) == 2
    assert len(left) == 2
    assert len(roots & left) == 1
    assert living.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_at_a_signal(run_program, number):
    assert run_program().end(number) == 0

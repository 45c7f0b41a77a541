"""The tool as a program, with the real ssh client, at simulated hosts."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from esxi_sim import VM, Host
from fence_runner import INTERPRETER, MARKER, PROJECT, keep_for_search

TOOL = PROJECT / "agents/esxi/esxi-fence-check"
PASSWORD = f"{MARKER} of root"


@pytest.fixture
def host():
    """A host with two nodes on it."""
    with Host("8.0", ["t3021cent", VM("t3022cent", vmid=14)], password=PASSWORD) as esxi:
        yield esxi


@pytest.fixture
def command(tmp_path, host):
    """The first words of a command line: the tool at the host, whose key is pinned."""
    pinned = tmp_path / "esxi_hosts"
    pinned.write_text(host.host_key_line() + "\n")
    return [INTERPRETER, str(TOOL), f"--ip={host.address}", f"--ipport={host.port}",
            "--username=root", f"--known-hosts={pinned}"]


@pytest.fixture
def run(command):
    """run(word, ...): the tool at the host; the finished process."""
    def start(*words, **more):
        done = subprocess.run(
            [*command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, **more)
        keep_for_search(done.stdout + done.stderr)
        assert "Traceback" not in done.stderr
        return done

    return start


def key_of_kind(kind, folder):
    key = folder / kind
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key)], check=True)
    return key, (folder / f"{kind}.pub").read_text()


def statuses(done):
    lines = re.findall(r"^(ok   |look |FAIL ) (.{19}) \S", done.stdout, re.MULTILINE)
    return {name.strip(): status.strip() for status, name in lines}


def test_with_a_password(run):
    done = run(f"--password={PASSWORD}", "--plug=t3022cent", "-n", "t3021cent")
    assert done.returncode == 0, done.stdout
    assert set(statuses(done).values()) == {"ok"}
    assert done.stdout.endswith("\n\nfence_esxi understands this host\n")
    assert 'plug                "t3022cent" is "t3022cent" (Vmid 14), on' in done.stdout
    assert done.stderr == ""


def test_a_wrong_password_is_told_in_the_agents_words(run, host):
    done = run(f"--password={MARKER} wrong")
    assert done.returncode == 1
    assert statuses(done) == {"login": "FAIL"}
    assert "the host refused the password" in done.stdout
    assert host.auth_failures == 1


@pytest.mark.parametrize("kind", ["ecdsa", "ed25519"])
def test_with_a_key(run, host, tmp_path, kind):
    key, line = key_of_kind(kind, tmp_path)
    host.login.authorized_keys = line
    done = run(f"--identity-file={key}")
    if kind == "ecdsa":
        assert done.returncode == 0
        assert f"as root, ECDSA key {key}, in " in done.stdout
    else:
        assert done.returncode == 1
        assert "takes RSA and ECDSA, no ed25519" in done.stdout


def test_an_ed25519_key_that_still_works_is_to_look_at(run, host, tmp_path):
    key, host.login.authorized_keys = key_of_kind("ed25519", tmp_path)
    host.login.refuse_ed25519 = False
    done = run(f"--identity-file={key}")
    assert done.returncode == 2
    assert {name for name, status in statuses(done).items() if status != "ok"} == {"login"}


def test_a_host_key_that_is_not_pinned_is_to_look_at(run, tmp_path):
    done = run(f"--password={PASSWORD}", "--known-hosts=",
               f"--ssh-options=-o UserKnownHostsFile={tmp_path}/own")
    assert done.returncode == 2
    assert {name for name, status in statuses(done).items() if status != "ok"} == {"host key"}


def test_a_password_script(run, tmp_path):
    script = tmp_path / "password"
    script.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n")
    script.chmod(0o700)
    assert run(f"--password-script={script}").returncode == 0


def test_for_machines(run):
    done = run(f"--password={PASSWORD}", "--json")
    told = json.loads(done.stdout)
    assert told["status"] == done.returncode == 0
    assert told["verdict"] == "fence_esxi understands this host"
    assert {each["status"] for each in told["checks"]} == {"ok"}
    assert told["seconds"]["getallvms beside localcli list"] > 0


def test_colour_on_a_terminal_only(run):
    assert "\033" not in run(f"--password={PASSWORD}").stdout
    master, terminal = pty.openpty()
    done = run(f"--password={PASSWORD}", "--json")
    assert done.returncode == 0
    code = ("import sys, types; tool = types.ModuleType('tool'); tool.__file__ = sys.argv[1];"
            "exec(open(sys.argv[1]).read(), tool.__dict__);"
            "tool.print_line(tool.Line('look', 'names', 'word ' * 40, 'step'))")
    subprocess.run([sys.executable, "-c", code, str(TOOL)], stdout=terminal, check=True)
    os.close(terminal)
    shown = os.read(master, 4096).decode()
    os.close(master)
    assert shown.startswith("\033[33mlook \033[0m names ")
    assert all(len(line) <= 90 for line in shown.splitlines())
    assert shown.count("\n") > 2


@pytest.mark.parametrize(("words", "says"), [
    (["--no-such-option"], "unrecognized arguments"),
    (["--record"], "expected one argument"),
    (["--password=x", "--drill=node1"], "must name the same VM"),
    ([], "password, password script or identity file"),
    (["--password=x", "--ipport=x"], "ipport"),
])
def test_wrong_usage_is_exit_status_1(run, host, words, says):
    done = run(*words)
    assert done.returncode == 1
    assert says in done.stderr
    assert host.connections_seen == 0


def test_a_recording_that_cannot_be_written(run, host):
    done = run(f"--password={PASSWORD}", "--record=/nowhere/host.json")
    assert done.returncode == 1
    assert "/nowhere/host.json" in done.stderr
    assert host.connections_seen == 0


def restricted_key(host, folder, *limits):
    key, _ = key_of_kind("ecdsa", folder)
    host.login.authorized_keys = subprocess.run(
        [INTERPRETER, str(PROJECT / "agents/esxi/esxi-fence-key"), f"--key={key}.pub", *limits],
        check=True, capture_output=True, text=True).stdout
    return key


@pytest.mark.parametrize("limits", [["--vm=t3021cent", "--vm=t3022cent"], ["--read-only"],
                                    ["--vm=t3021cent"]])
def test_through_a_restricted_key(run, host, tmp_path, limits):
    key = restricted_key(host, tmp_path, *limits)
    done = run(f"--identity-file={key}", "--plug=t3022cent")
    assert done.returncode == 2, done.stdout
    assert "this key may not run that" in done.stdout  # vmware -v
    assert {name for name, status in statuses(done).items() if status != "ok"} >= {"rights"}
    assert "esxi-fence-key --check says of its line what the key may do" in done.stdout
    assert host.power_events == []


def test_a_drill_through_a_key_that_may_not_kill(run, host, tmp_path):
    key = restricted_key(host, tmp_path, "--vm=t3021cent", "--no-kill")
    done = run(f"--identity-file={key}", "--drill=t3021cent", "--really-power-off=t3021cent")
    assert done.returncode == 1
    assert statuses(done)["power.off"] == "ok"
    assert statuses(done)["esxcli kill soft"] == "FAIL"
    assert "this key may not kill" in done.stdout
    assert "rungs known to work on this host: power.off\n" in done.stdout
    assert {event.name for event in host.power_events} == {"t3021cent"}
    assert host.vm("t3021cent").power == "on"


def drill(host, command, number, under=()):
    """(output, exit status) of a drill that gets a signal twice once its VM is off, as a closed
    terminal sends its own."""
    def send(news):
        if getattr(news, "new", None) == "off":
            host.listeners.remove(send)
            for _ in range(2):
                process.send_signal(number)
                time.sleep(0.2)

    host.listeners.append(send)
    with subprocess.Popen(
            [*under, *command, f"--password={PASSWORD}", "--drill=t3021cent",
             "--really-power-off=t3021cent"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True) as process:
        return process.communicate(timeout=60)[0], process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_a_drill_that_is_ended_leaves_the_vm_as_it_was(host, command, number):
    # whoever runs the tests may have it ignored
    said, status = drill(host, command, number, under=["env", "--default-signal=HUP"])
    assert status == 1
    assert said.endswith("\nesxi-fence-check: interrupted\n")
    assert "\nlook  left                " in said
    assert host.vm("t3021cent").power == "on"


def test_under_nohup_a_drill_goes_on(host, command):
    said, status = drill(host, command, signal.SIGHUP, under=["nohup"])
    assert status == 0, said
    assert host.vm("t3021cent").powered_off_times == 7


def test_nobody_reads_to_the_end(command):
    with subprocess.Popen([*command, f"--password={PASSWORD}"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_it_finds_the_agent_beside_it_under_its_installed_name(tmp_path):
    for name in ("esxi-fence-check", "fence_esxi"):
        source = PROJECT / "agents/esxi" / {"fence_esxi": "fence_esxi.py"}.get(name, name)
        (tmp_path / name).write_bytes(source.read_bytes())
    done = subprocess.run([INTERPRETER, tmp_path / "esxi-fence-check", "--version"],
                          capture_output=True, text=True, check=True)
    assert re.match(r"[0-9]+\.[0-9]+\.[0-9]+\n", done.stdout)
    assert {path.name for path in tmp_path.iterdir()} == {"esxi-fence-check", "fence_esxi"}


def test_a_recording_is_replayed_from_the_command_line():
    """`python -m esxi_sim --replay FILE`"""
    recording = Path(__file__).parents[1] / "data/hosts/simulated-8.0.json"
    with subprocess.Popen(
            [sys.executable, "-m", "esxi_sim", "--replay", recording, "--password", PASSWORD],
            env={**os.environ, "PYTHONPATH": str(PROJECT / "lib")}, stdout=subprocess.PIPE,
            text=True) as simulator:
        try:
            port = simulator.stdout.readline().rpartition(":")[2].strip()
            done = subprocess.run(
                [INTERPRETER, str(TOOL), "--ip=127.0.0.1", f"--ipport={port}", "--username=root",
                 f"--password={PASSWORD}", "--ssh-options=-o UserKnownHostsFile=/dev/null"],
                capture_output=True, text=True, check=False)
        finally:
            simulator.terminate()
    assert done.returncode == 2
    assert "VMware ESXi 8.0.3" in done.stdout


def test_a_file_that_is_no_recording_is_refused(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('{"heard": 1}')
    done = subprocess.run([sys.executable, "-m", "esxi_sim", "--replay", file],
                          env={**os.environ, "PYTHONPATH": str(PROJECT / "lib")},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is no recording of a host" in done.stderr


#: every command line of the guides and man pages that calls the tool, on one line
GUIDES = [*(PROJECT / "docs").glob("*.md"), *(PROJECT / "docs").glob("*.8")]
SHOWN = sorted({re.sub(r"\s*\\+\n\s*", " ", found).replace("\\-", "-") for page in GUIDES
                for found in re.findall(r"(?m)^esxi-fence-check( --ip(?:.*\\\n)*.*)$",
                                        page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("line", SHOWN)
def test_the_command_lines_of_the_guides_work(run, host, tmp_path, line):
    key, host.login.authorized_keys = key_of_kind("ecdsa", tmp_path)
    host.login.password = "XXXXXXXX"
    words = [word.replace("/root/.ssh/fence_esxi", str(key))
             for word in shlex.split(line) if "--ip=" not in word and "--known-hosts" not in word]
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr

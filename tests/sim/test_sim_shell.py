"""The host's shell: a real ash with ESXi's applets, and nothing left behind when it ends."""

import asyncio
import gc
import os
import subprocess
import tempfile

import asyncssh
import pytest
from esxi_sim import Answer

FRAMED = ('while read -r tag command; do eval "$command" </dev/null 2>&1; status=$?; echo; '
          'echo "$tag $status"; done')


def processes_in(root):
    """The processes whose root directory is that of the host."""
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/root" % entry) == str(root):
                found.append(int(entry))
        except OSError:
            continue
    return found


def test_arguments_arrive_exactly(start_host, client_of):
    seen = []
    host = start_host(on_command=lambda argv: seen.append(argv) or Answer())
    client_of(host)("vim-cmd 'a  b' '' \"o'brien\" 'new\nline' '-x' '$HOME' '\\' '*' 'ノ'")
    assert seen == [["vim-cmd", "a  b", "", "o'brien", "new\nline", "-x", "$HOME", "\\", "*", "ノ"]]


@pytest.mark.parametrize("applet", ["id", "python3", "bash", "wget", "nsenter", "chroot", "ip"])
def test_what_esxi_lacks_is_not_there(start_host, client_of, applet):
    answer = client_of(start_host())(applet)
    assert answer.stderr.startswith(b"sh: ")
    assert answer.stderr.endswith(b": not found\n")
    assert answer.returncode == 127


def test_what_esxi_has_is_there(start_host, client_of):
    client = client_of(start_host("node1"))
    answer = client("printf 'b 2\\na 1\\n' | sort | awk '{print $2}' | tr '\\n' , ; "
                    "echo x >/dev/null; cat /dev/null; "
                    "readlink -f /vmfs/volumes/datastore1 | wc -l; "
                    "grep -c . /vmfs/volumes/datastore1/node1/node1.vmx; which id")
    assert answer.stdout.decode().split() == ["1,2,1", "8"]
    assert answer.stderr == b""


def test_status_and_streams_come_through(start_host, client_of):
    answer = client_of(start_host())("cat; echo error >&2; exit 3", text=bytes(range(256)))
    assert (answer.stdout, answer.stderr, answer.returncode) == (
        bytes(range(256)), b"error\n", 3)


def test_a_framed_session(start_host, client_of):
    host = start_host("node1")
    text = b"".join(b"t%d vim-cmd vmsvc/power.getstate 1\n" % number for number in range(50))
    answer = client_of(host)(FRAMED, "-T", text=text)
    assert answer.stdout == b"".join(b"Retrieved runtime info\nPowered on\n\nt%d 0\n" % number
                                     for number in range(50))
    assert len(host.commands) == 50


def test_a_command_costs_little(start_host, client_of):
    host = start_host("node1")
    client_of(host)("i=0; while [ $i -lt 50 ]; do vim-cmd vmsvc/message 1; i=$((i + 1)); done")
    took = host.record[-1].ended - host.record[0].started
    assert took / 50 < 0.3


@pytest.mark.parametrize(("release", "prompt"), [("5.5", b"~ # "), ("6.7", b"[root@esxi01:~] ")])
def test_an_interactive_shell(start_host, client_of, release, prompt):
    host = start_host(release=release, hostname="esxi01.example.com")
    process = subprocess.run(client_of(host).argv(options=["-tt"]), input=b"cd /vmfs; exit 4\n",
                             capture_output=True, check=False, timeout=40)
    assert process.stdout.startswith(b"The time and date of this login have been sent")
    assert (b"WARNING:\r\n" in process.stdout) is (release != "5.5")
    assert b"#:" not in process.stdout
    assert prompt in process.stdout
    assert process.returncode == 4


def test_a_shell_without_a_terminal_has_no_motd(start_host, client_of):
    process = subprocess.run(client_of(start_host()).argv(options=["-T"]), input=b"echo hello\n",
                             capture_output=True, check=False, timeout=40)
    assert (process.stdout, process.stderr) == (b"hello\n", b"")


@pytest.mark.parametrize("option", ["-T", "-tt"])
def test_everything_ends_with_the_connection(start_host, client_of, wait_until, option):
    host = start_host("node1", hostd="hung")
    process = client_of(host).start("sleep 500 & vim-cmd vmsvc/getallvms & sleep 500", option)
    wait_until(lambda: len(processes_in(host.root.path)) >= 3)
    process.kill()
    process.communicate()
    wait_until(lambda: processes_in(host.root.path) == [])
    assert host.sessions == {}


def test_stopping_leaves_nothing(start_host, client_of, wait_until):
    host = start_host("node1", hostd="hung")
    root = host.root.path
    process = client_of(host).start("sleep 500 & vim-cmd vmsvc/getallvms")
    wait_until(lambda: host.commands)
    host.stop()
    assert processes_in(root) == []
    assert not root.exists()
    assert process.wait(20) == 255
    process.communicate()


def test_many_sessions_leave_nothing(start_host, client_of, wait_until):
    host = start_host("node1")
    client = client_of(host)
    folder = tempfile.mkdtemp(prefix="line-")  # a socket's path must be short
    shared = ["-o", "ControlPath=%s/line" % folder]
    master = subprocess.Popen(client.argv(options=["-N", "-o", "ControlMaster=yes", *shared]))
    try:
        wait_until(lambda: os.listdir(folder) == ["line"])
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(40):
            client("vim-cmd vmsvc/message 1", *shared)
        wait_until(lambda: host.sessions == {})
        assert len(os.listdir("/proc/self/fd")) <= before + 2
    finally:
        master.terminate()
        master.wait()
        os.rmdir(folder)
    assert len(host.commands) == 40
    assert host.logins == 1
    assert processes_in(host.root.path) == []
    assert list((host.root.path / ".sim").glob("answer*")) == []


def test_clients_that_go_while_their_shell_starts_leave_no_trace(start_host, caplog):
    async def come_and_go(host):
        client = await asyncssh.connect(host.address, host.port, username="root",
                                        password=host.login.password, known_hosts=None)
        await client.create_session(asyncssh.SSHClientSession, "true")
        client.abort()

    async def in_crowds(host):
        for _ in range(3):
            await asyncio.gather(*[come_and_go(host) for _ in range(6)])

    host = start_host("node1")
    asyncio.run(in_crowds(host))
    host.stop()
    gc.collect()  # asyncio tells of a task's exception when it is collected
    assert [record for record in caplog.records if record.name == "asyncio"] == []

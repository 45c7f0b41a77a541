"""The agent where something is wrong around it: a plain sentence, exit status 1, no traceback."""

import os
import shutil
import subprocess

import pytest
from fence_runner import AGENT, INTERPRETER, said

BAD_OPTIONS = {
    "ipport that is no number": (["--ipport=abc"], "ipport"),
    "ipport 0": (["--ipport=0"], "ipport"),
    "ipport beyond 65535": (["--ipport=65536"], "ipport"),
    "ssh_options with an open quote": (["--ssh-options=-o \"LogLevel"], "ssh_options"),
    "ssh_options that ssh does not know": (["--ssh-options=-o NoSuchOption=1"], "ssh_options"),
    "ssh_options with a letter that ssh does not know": (["--ssh-options=-Z"], "ssh_options"),
    "a delay that is no number": (["--delay=x"], "delay"),
    "a negative delay": (["--delay=-1"], "delay"),
    "a power_timeout that is no number": (["--power-timeout=soon"], "power-timeout"),
    "a retry_on that is no number": (["--retry-on=x"], "retry-on"),
    "a user name with a dash": (["--username=-oProxyCommand=true"], "username"),
    "a user name of two words": (["--username=root -v"], "username"),
    "an address with a dash": (["--ip=-oProxyCommand=true"], "ip"),
    "an address of two words": (["--ip=127.0.0.1 reboot"], "ip"),
    "an empty address": (["--ip="], "ip"),
    "an empty user name": (["--username="], "username"),
    "an empty password": (["--password="], "password"),
    "an identity file that is not there": (["--identity-file=/nonexistent"], "/nonexistent"),
    "a password script that is not there": (["--password=", "--password-script=/nonexistent"],
                                            "password"),
    "an ssh that is not there": (["--ssh-path=/nonexistent/ssh"], "/nonexistent/ssh"),
    "an action that nobody knows": (["--action=dance"], "dance"),
    "an option that nobody knows": (["--no-such-option"], "no-such-option"),
}


@pytest.mark.parametrize("what", BAD_OPTIONS)
def test_a_bad_option_is_told_and_leaves_the_host_alone(esxi, fence, what):
    words, told = BAD_OPTIONS[what]
    host = esxi(vms=["node1"])
    run = fence(host, "off", "node1", *words)
    assert said(run) == ("", 1)
    assert told in run.stderr
    assert len(run.stderr.splitlines()) <= 2
    assert host.commands == []
    assert host.login_tries == []


# what only ssh itself, or the file system, can tell
LEFT_TO_SSH = {"ssh_options that ssh does not know", "an ssh that is not there",
               "an action that nobody knows"}


@pytest.mark.parametrize("what", [what for what in BAD_OPTIONS if what not in LEFT_TO_SSH])
def test_validate_all_tells_a_bad_option_too(esxi, fence, what):
    words, told = BAD_OPTIONS[what]
    host = esxi(vms=["node1"])
    run = fence(host, "validate-all", "node1", *words)
    assert said(run) == ("", 1)
    assert told in run.stderr
    assert host.connections_seen == 0


@pytest.mark.quick
def test_an_empty_stdin_is_told(fence):
    run = fence.piped([])
    assert said(run) == ("", 1)
    assert "login name" in run.stderr


def test_stdin_that_is_no_parameter_list_is_told(fence):
    run = fence.piped(["\udcff\udcfe", "hello", "=", "==", "=x", "action"])
    assert said(run) == ("", 1)
    assert run.stderr


@pytest.fixture
def without_library(tmp_path):
    """A folder for PYTHONPATH in which the fencing library cannot be loaded."""
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "fencing.py").write_text("raise ImportError(\"No module named 'fencing'\")\n")
    return folder


@pytest.mark.quick
@pytest.mark.parametrize("words", [["-o", "metadata"], ["-o", "off", "-n", "x"], ["-h"]])
def test_a_missing_library_is_told_with_the_package_that_has_it(fence, without_library, words):
    fence.within = ["env", f"PYTHONPATH={without_library}"]
    run = fence.typed(words)
    assert said(run) == ("", 1)
    assert "fence-agents-common" in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("module", ["pexpect", "pycurl"])
def test_what_the_library_needs_is_told_where_it_is_broken(fence, tmp_path, module):
    (tmp_path / f"{module}.py").write_text("raise ImportError('wrong version of libssl')\n")
    fence.within = ["env", f"PYTHONPATH={tmp_path}"]
    run = fence.typed(["-o", "metadata"])
    assert said(run) == ("", 1)
    assert "wrong version of libssl" in run.stderr
    assert "fence-agents-common" in run.stderr
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.quick
def test_one_copied_file_is_the_whole_installation(esxi, fence, tmp_path):
    copy = tmp_path / "sbin/fence_esxi"
    copy.parent.mkdir()
    shutil.copyfile(AGENT, copy)
    copy.chmod(0o755)
    host = esxi(vms=["node1"])
    done = subprocess.run(
        [copy, f"--ip={host.address}", f"--ipport={host.port}", "--username=root",
         f"--password={host.login.password}", f"--ssh-options={fence.ssh_options}", "-o", "off",
         "-n", "node1"],
        cwd="/", env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False)
    assert (done.stdout, done.returncode, done.stderr) == ("Success: Powered OFF\n", 0, "")
    assert [file.name for file in copy.parent.iterdir()] == ["fence_esxi"]


@pytest.mark.parametrize("words", [["-o", "metadata"], ["-h"], ["-V"]])
def test_a_reader_that_goes_away_gets_no_traceback(fence, words):
    assert "Traceback" not in stderr_without_reader(fence, words)


def test_a_reader_of_the_list_that_goes_away_gets_no_traceback(esxi, fence):
    host = esxi(vms=[f"node{number}" for number in range(200)])
    said = stderr_without_reader(fence, [
        f"--ip={host.address}", f"--ipport={host.port}", "--username=root", "-o", "list",
        f"--password={host.login.password}", f"--ssh-options={fence.ssh_options}"])
    assert "Traceback" not in said


def stderr_without_reader(fence, words):
    """What the agent says on stderr when nobody reads its stdout."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([INTERPRETER, AGENT, *words], stdout=writer,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=60)
    finally:
        os.close(writer)
    return done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_off_works_with_closed_standard_streams(esxi, fence, closed):
    host = esxi(vms=["node1"])
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", INTERPRETER, AGENT,
         f"--ip={host.address}", f"--ipport={host.port}", "--username=root", "-o", "off", "-n",
         "node1", f"--password={host.login.password}", f"--ssh-options={fence.ssh_options}"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)
    assert "Traceback" not in done.stderr
    assert (done.returncode, host.vm("node1").power) == (0, "off")

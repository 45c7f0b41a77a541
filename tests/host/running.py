"""Running the agent as a program, the way an admin does and the way Pacemaker does."""

import contextlib
import os
import re
import shutil
import subprocess
import time
from dataclasses import dataclass

# What Pacemaker's fencer gives an agent: no HOME, no USER, no TERM.
PACEMAKER = {
    "PATH": "/sbin:/bin:/usr/sbin:/usr/bin",
    "LC_ALL": "C",
    "LANG": "C",
    "PCMK_service": "pacemaker-fenced",
}
SHELL = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}
MOST_SECONDS = 75


@dataclass(frozen=True)
class Run:
    """One run of the agent. seconds: of wall clock."""

    status: int
    stdout: str
    stderr: str
    seconds: float

    @property
    def said(self):
        """What it printed and its exit status, to be compared in one go."""
        return self.stdout, self.status


class Fence:
    """Runs the agent at a simulated host; call it for the command line, as_pacemaker for stdin.

    folder: holds this test's known_hosts and is the working directory. logs: where the output of
    every run is kept for whoever looks for passwords in it.

    No run may end in a traceback or show the password of its host: that is checked each time.
    """

    def __init__(self, agent, folder, logs, test_name):
        self.agent = agent
        self.interpreter = os.environ.get("FENCE_ESXI_PYTHON", "/usr/bin/python3")
        self.folder = folder
        self._logs = logs
        self._test_name = test_name
        self._runs = 0

    def __call__(self, host, action, plug=None, *words, **environment):
        """The command line, with the options' long names; more words may follow."""
        words = [f"--ip={host.address}", f"--ipport={host.port}", f"--username={host.login.user}",
                 f"--password={host.login.password}", f"--ssh-options={self.ssh_options}",
                 f"--action={action}", *([] if plug is None else [f"--plug={plug}"]), *words]
        return self.run(words, secrets=[host.login.password], **environment)

    def as_pacemaker(self, host, action, plug=None, **parameters):
        """stdin, as pacemaker-fenced fills it; plug= is what Pacemaker 3.0.3 and later calls it.

        parameters replace those of the same name; None leaves one out.
        """
        given = {"nodename": "node1", "action": action, "ip": host.address,
                 "ipport": host.port, "username": host.login.user,
                 "password": host.login.password, "ssh_options": self.ssh_options, "plug": plug}
        if action in ("list", "list-status", "monitor"):
            del given["nodename"]
        given.update(parameters)
        lines = [f"{name}={value}\n" for name, value in given.items() if value is not None]
        return self.run([], stdin="".join(lines), secrets=[host.login.password])

    @property
    def ssh_options(self):
        """ssh options that leave the known_hosts file of whoever runs the tests alone."""
        return f"-o UserKnownHostsFile={self.folder}/known_hosts"

    def run(self, words, stdin=None, secrets=(), **environment):
        """Run the agent with these words, or with this stdin and Pacemaker's environment."""
        start = [self.interpreter, str(self.agent), *words]
        surroundings = dict(SHELL if stdin is None else PACEMAKER)
        if "PYTHONPATH" in os.environ:
            surroundings["PYTHONPATH"] = os.environ["PYTHONPATH"]
        surroundings.update(environment)
        begun = time.monotonic()
        done = subprocess.run(
            [os.fsencode(word) for word in start], env=surroundings, cwd=self.folder,
            input=(stdin or "").encode("utf-8", "surrogateescape"), capture_output=True,
            timeout=MOST_SECONDS, check=False)
        run = Run(done.returncode, _text(done.stdout), _text(done.stderr),
                  time.monotonic() - begun)
        self._keep(run, words, stdin)
        self._check(run, secrets)
        return run

    def _keep(self, run, words, stdin):
        self._runs += 1
        name = self._logs / f"host-{self._test_name}-{self._runs}"
        for stream in ("stdout", "stderr"):
            text = getattr(run, stream)
            if text:
                file = name.with_name(f"{name.name}.{stream}")
                file.write_bytes(text.encode("utf-8", "surrogateescape"))
        debug_file = re.search(r"(?m)^(?:--debug-file|debug_file)=(.+)$",
                               "\n".join([*words, stdin or ""]))
        if debug_file:
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(debug_file.group(1), name.with_name(name.name + ".debug"))

    def _check(self, run, secrets):
        assert "Traceback" not in run.stderr, run.stderr
        for secret in secrets:
            assert secret not in run.stdout + run.stderr, "the password is in the output"


def _text(output):
    return output.decode("utf-8", "surrogateescape")

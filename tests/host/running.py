"""Running the agent against a simulated host, the way an admin does and the way Pacemaker does."""

import subprocess
from pathlib import Path

import fence_runner
from fence_runner import MARKER, PACEMAKER, keep_for_search

# Holds blanks and what a shell would read.
PASSWORD = f"{MARKER} $HOME 'n 1!"
DATA = Path(__file__).resolve().parents[1] / "data/host"
SHELL = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "xterm",
}


# the release of the fencing library that brought an option or action; before plug_separator a comma
# always separated
LIBRARY_SINCE = {"manpage": (4, 2), "verbose_level": (4, 6), "disable_timeout": (4, 7),
                 "plug_separator": (4, 12)}


class Fence:
    """Runs the agent at a simulated host; call it for the command line, as_pacemaker for stdin.

    folder: holds this test's known_hosts. within: the start of the command line, such as that of
    env. No run may end in a traceback.
    """

    def __init__(self, folder):
        self.folder = folder
        self.within = ()

    @property
    def ssh_options(self):
        """ssh options that leave the known_hosts file of whoever runs the tests alone."""
        return f"-o UserKnownHostsFile={self.folder}/known_hosts"

    def parameters(self, host, action, plug=None, **others):
        """All that the agent needs; others replace those of the same name, None leaves one out."""
        given = {"ip": host.address, "ipport": host.port, "username": host.login.user,
                 "password": host.login.password, "ssh_options": self.ssh_options,
                 "action": action, "plug": plug, **others}
        return {name: value for name, value in given.items() if value is not None}

    def __call__(self, host, action, plug=None, *words, **environment):
        """The command line, with the options' long names; more words may follow."""
        options = fence_runner.command_line(self.parameters(host, action, plug))
        return self.typed([*options, *words], **environment)

    def as_pacemaker(self, host, action, plug=None, **others):
        """stdin, as pacemaker-fenced fills it; plug= is what Pacemaker 3.0.3 and later calls it."""
        node = {} if action in ("list", "list-status", "monitor") else {"nodename": "node1"}
        return self.piped(fence_runner.standard_input(
            {**node, **self.parameters(host, action, plug, **others)}))

    def typed(self, words, **environment):
        """The agent with these words."""
        return self._run("typed", words, {**SHELL, **environment})

    def piped(self, lines):
        """The agent with these lines on its stdin, in the environment Pacemaker gives it."""
        return self._run("pacemaker", lines, PACEMAKER)

    def _run(self, way, more, environment):
        run = fence_runner.Fence(way, more=more, environment=environment, within=self.within).end()
        assert "Traceback" not in run.stderr, run.stderr
        return run

    def library_has(self, feature):
        """Whether the fencing library is new enough for a feature of LIBRARY_SINCE."""
        release = subprocess.run(
            [fence_runner.INTERPRETER, "-c", "import sys; sys.path.append('/usr/share/fence'); "
             "from fencing import RELEASE_VERSION; print(RELEASE_VERSION)"],
            capture_output=True, text=True, check=True).stdout.strip().split(".")
        return tuple(int(number) for number in release[:2]) >= LIBRARY_SINCE[feature]

    def debug_log(self):
        """What was written to the file `debug` in the folder; kept for the search, too."""
        text = (self.folder / "debug").read_text(encoding="utf-8", errors="surrogateescape")
        keep_for_search(text)
        return text


def said(run):
    """What a run printed and its exit status, to be compared in one go."""
    return run.stdout, run.status

"""Let the agent in through a restricted key: for tests of a simulated host.

gated_everywhere.py lets other tests in through such a key.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "agents/esxi/esxi-fence-key"


def new_key(folder, kind="ecdsa"):
    """The private half of a key made now, without a passphrase; the other half is *.pub."""
    number = len(list(folder.glob("gated-*.pub"))) + 1
    key = folder / ("gated-%d" % number)
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "node", "-f", str(key)],
                   check=True, stdin=subprocess.DEVNULL)
    return key


def line_of(key, *words):
    """The line the tool prints for a key and these options; CalledProcessError if it refuses."""
    done = subprocess.run([str(TOOL), "--key", "%s.pub" % key, *words], check=True,
                          capture_output=True)
    return done.stdout.decode("utf-8").rstrip("\n")


def words_for_names(names):
    """The options of the tool that name these VMs."""
    return ["--vm=" + name for name in names]

"""The busybox releases the gate is tested in: this machine's, and those of other suites."""

import os
import shutil
import subprocess
from pathlib import Path

USERLAND = Path(__file__).resolve().parents[2] / "tools/userland"
SUITES = ("bullseye", "trixie", "sid")
OWN = "own"
# which of them a run of the tests takes; `make test-gate` takes all
WANTED = [OWN, *SUITES] if os.environ.get("FENCE_ESXI_BUSYBOXES") == "all" else [OWN]


class NotThere(Exception):
    """A suite's busybox cannot be had here; the text says why."""


def busybox(suite):
    """Path of a suite's static busybox, its userland made if need be; raises NotThere."""
    if suite == OWN:
        return shutil.which("busybox") or "/bin/busybox"
    made = subprocess.run([USERLAND, "clean", suite], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise NotThere(made.stderr.strip())
    return made.stdout.strip() + "/bin/busybox"

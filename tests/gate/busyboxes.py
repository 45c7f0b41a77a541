"""The busybox releases the gate is tested in: the machine's own, and those of other Debian suites.

The others are fetched by apt from the machine's own mirror, once, into a cache; nothing of them
is installed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fence_esxi/busybox"
SUITES = ("bullseye", "trixie", "sid")
OWN = "own"
# which of them a run of the tests takes; `make test-gate` takes all
WANTED = [OWN, *SUITES] if os.environ.get("FENCE_ESXI_BUSYBOXES") == "all" else [OWN]
FETCH_SECONDS = 120


class NotThere(Exception):
    """A suite's busybox cannot be had here; the text says why."""


def busybox(suite):
    """Path of a suite's static busybox, fetched if need be; raises NotThere."""
    if suite == OWN:
        return shutil.which("busybox") or "/bin/busybox"
    program = CACHE / suite / "busybox"
    if not program.exists():
        _fetch(suite, program)
    return str(program)


def version(program):
    """The release of a busybox, such as "1.35.0"."""
    first = subprocess.run([program], capture_output=True, text=True, check=False).stdout
    return re.search(r"v([0-9.]+)", first).group(1)


def _fetch(suite, program):
    folder = program.parent
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    (folder / "sources.list").write_text(
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n"
        % (_mirror(), suite))
    apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=%s/sources.list" % folder,
           "-o", "Dir::Etc::sourceparts=/dev/null", "-o", "Dir::State::lists=%s/lists" % folder,
           "-o", "Dir::State::status=%s/status" % folder, "-o", "Dir::Cache=%s/cache" % folder,
           "-o", "Acquire::Languages=none", "-o", "Acquire::Retries=1",
           "-o", "APT::Sandbox::User=root"]
    _run([*apt, "update"], folder)
    _run([*apt, "download", "busybox-static"], folder)
    for package in folder.glob("busybox-static_*.deb"):
        _run(["dpkg-deb", "--extract", package.name, "unpacked"], folder)
    found = [file for file in (folder / "unpacked").rglob("busybox") if file.is_file()
             and os.access(file, os.X_OK)]
    if not found:
        raise NotThere("the busybox-static of %s holds no busybox" % suite)
    # by way of another name: several test processes may fetch at once
    draft = folder / ("busybox-%d" % os.getpid())
    shutil.copy(found[0], draft)
    draft.rename(program)
    for rest in ("lists", "cache", "unpacked"):
        shutil.rmtree(folder / rest, ignore_errors=True)


def fetch_own(package, folder):
    """Fetch a package of this machine's own release and unpack it to unpacked/; NotThere."""
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package], folder)
    for file in folder.glob(package + "_*.deb"):
        _run(["dpkg-deb", "--extract", file.name, "unpacked"], folder)


def _run(words, folder):
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False,
                              timeout=FETCH_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotThere(str(error)) from error
    if done.returncode != 0:
        raise NotThere((done.stderr.strip().splitlines() or ["%s failed" % words[0]])[-1])


def _mirror():
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(file.read_text() for file in sources if file.is_file())
    found = re.search(r"https?://[^\s]+/debian/?(?=\s|$)", text)
    if not found:
        raise NotThere("apt's sources name no Debian mirror")
    return found.group()


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SUITES:
        print(wanted, version(busybox(wanted)))

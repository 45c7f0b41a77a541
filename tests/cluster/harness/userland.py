"""Whose programs the nodes run: the machine's own, or another Debian suite's."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

#: Programs a node needs, and those the harness itself needs on the machine.
IN_NODE = ("corosync", "pacemakerd", "pcs", "crm_mon", "stonith_admin", "ssh")
ON_MACHINE = ("unshare", "nsenter", "ip", "bridge", "setsid", "flock", "busybox")


#: What the room of a cluster is made with.
NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--ipc", "--fork", "--kill-child",
              "--mount-proc", "--propagation", "private")  # fmt: skip


class Unusable(Exception):
    """The cluster cannot run here; the message says what is missing and how to get it."""


def root_of(suite: str | None) -> Path:
    """The root directory of a suite's userland; the machine's own "/" without a suite."""
    cache = os.environ.get("FENCE_ESXI_CACHE") or Path(__file__).resolve().parents[3] / "cache"
    return Path(cache) / f"{suite}-node" if suite else Path("/")


def check_usable(suite: str | None) -> None:
    """Raise Unusable if a cluster of this suite cannot be brought up here."""
    if os.geteuid() != 0:
        raise Unusable("the cluster needs root (namespaces, mounts): sudo make test")
    missing = [program for program in ON_MACHINE if shutil.which(program) is None]
    root = root_of(suite)
    if not root.exists():
        raise Unusable(f"there is no {root}: tools/userland node {suite}")
    places = [root / place for place in ("usr/sbin", "usr/bin", "sbin", "bin")]
    missing += [p for p in IN_NODE if not any((place / p).exists() for place in places)]
    if missing:
        raise Unusable(
            f"not found in {root}: {', '.join(missing)}; apt-get install corosync pacemaker pcs "
            "pacemaker-cli-utils fence-agents openssh-client iproute2 util-linux busybox"
        )
    namespaces = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True)
    if namespaces.returncode != 0:
        raise Unusable(
            "the cluster needs namespaces and mounts of its own, which a chroot and an "
            "unprivileged container do not give (a container can be started with --privileged): "
            + namespaces.stderr.strip()
        )

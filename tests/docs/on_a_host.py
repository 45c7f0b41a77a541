"""Run a page's commands on a machine of its own: what they see of / is this machine's, what they
change there is thrown away, and the simulated ESXi hosts listen at the addresses of the page.

Standard input: [command, ...] as JSON; standard output: [[exit status, what it printed], ...].
"""

import json
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "lib"))

from esxi_sim import VM, Host  # noqa: E402  (its folder had to be named first)

HOSTS = {"192.168.33.10": VM("t3022cent", vmid=14), "192.168.33.12": VM("t3021cent", vmid=14)}
PUBLIC_KEY = Path("/root/.ssh/fence_esxi.pub")
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}


def prepare():
    """The network of the page, and folders whose changes stay in memory."""
    call("ip", "link", "set", "lo", "up")
    for address in HOSTS:
        call("ip", "address", "add", f"{address}/24", "dev", "lo")
    call("mount", "-t", "tmpfs", "scratch", "/mnt")
    throw_away_changes("/usr/sbin")
    if os.stat("/root").st_uid == 0:  # the project may be in there
        throw_away_changes("/root")
    else:  # root only in this user namespace, to whom it is closed
        call("mount", "-t", "tmpfs", "scratch", "/root")
    call("rm", "-rf", "/root/.ssh", "/usr/sbin/fence_esxi")


def throw_away_changes(folder):
    """From now on what is written there goes to memory."""
    upper, work = f"/mnt/upper{folder}", f"/mnt/work{folder}"
    os.makedirs(upper)
    os.makedirs(work)
    layers = f"lowerdir={folder},upperdir={upper},workdir={work}"
    call("mount", "-t", "overlay", "-o", layers, "overlay", folder)


def call(*words):
    subprocess.run(words, check=True)


def run(commands, hosts):
    """[[exit status, what it printed], ...]"""
    for command in commands:
        done = subprocess.run(
            ["bash", "-e", "-c", command], cwd=PROJECT, env=ENVIRONMENT, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        yield [done.returncode, done.stdout]
        if PUBLIC_KEY.exists():  # as the admin has done by now, who typed the password
            for host in hosts:
                host.login.authorized_keys = PUBLIC_KEY.read_text()


def main():
    prepare()
    with ExitStack() as stack:
        hosts = [stack.enter_context(Host("6.7", [vm], "XXXXXXXX", listen=address, port=22))
                 for address, vm in HOSTS.items()]
        json.dump(list(run(json.load(sys.stdin), hosts)), sys.stdout)


if __name__ == "__main__":
    main()

"""What an action of the agent costs, against bare ssh: `make bench`.

Each action is timed in pairs, in one run: bare ssh, logged in with a key, that runs the same
commands one after the other; then the agent, logged in with a password, which has them run two at
a time where it can. What counts is the ratio of the two, pair by pair, so that a machine that is
slow today does not matter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import asyncssh

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "lib"))

from esxi_sim import VM, Host  # noqa: E402

PASSWORD = "correct horse"
TARGET = "node1"
GETALLVMS = "vim-cmd vmsvc/getallvms"
RUNNING = "localcli vm process list"
GETSTATE = "vim-cmd vmsvc/power.getstate 1"
SUMMARY = "vim-cmd vmsvc/get.summary 1"
POWER_OFF = "vim-cmd vmsvc/power.off 1"
POWER_ON = "vim-cmd vmsvc/power.on 1"
LOOK = [GETALLVMS, RUNNING]  # the agent has these two run side by side, and so the next two
SIGHT = [*LOOK, GETSTATE, SUMMARY]
AGAIN = [GETSTATE, RUNNING]
WHOLE = ["ps", "esxcli vm process list"]
SUSPENDED = "grep -isHE '^(uuid.bios|vc.uuid|checkpoint.vmstate) *=' /dev/null "

# action: the power of the VM before it, and the commands that the agent has the host run, which
# bare ssh runs one after the other
ACTIONS: Dict[str, Tuple[str, List[str]]] = {
    "status": ("on", SIGHT),
    "monitor": ("on", LOOK),
    "list": ("on", LOOK),
    "list-status": ("on", [*LOOK, *WHOLE]),
    "off": ("on", [*SIGHT, POWER_OFF, *AGAIN]),
    "on": ("off", [*SIGHT, *WHOLE, POWER_ON, *AGAIN]),
    "reboot": ("on", [*SIGHT, POWER_OFF, *AGAIN, POWER_ON, *AGAIN]),
}


@dataclass
class Cell:
    """One row of the table. Times in seconds, memory in MiB."""

    agent: str
    action: str
    vms: int
    latency: float
    commands: int
    bare: float
    wall: float
    ratio: float
    key_ratio: float
    memory: float


class Unable(Exception):
    """A program, perhaps another agent, could not do what was to be timed."""


def timed(argv: Sequence[str], own_session: bool = False) -> float:
    """Run a program to its end: the seconds it took. Raises Unable where it fails."""
    start = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, start_new_session=own_session)
    wall = time.perf_counter() - start
    if done.returncode:
        raise Unable("%s failed: %s" % (argv[0], done.stdout.decode(errors="replace")))
    return wall


def peak_memory(argv: Sequence[str]) -> float:
    """The most memory a program holds, in MiB."""
    # started from a small process: the kernel counts what the parent held before exec, too
    small = ("import os, sys; pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, "
             "file_actions=[(os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0)]); "
             "print(os.wait4(pid, 0)[2].ru_maxrss)")
    done = subprocess.run([sys.executable, "-ISc", small, *argv], stdout=subprocess.PIPE)
    return int(done.stdout) / 1024


class Bench:
    """One simulated host with so many VMs, and the ways to log in to it."""

    def __init__(self, vms: int, folder: Path, runs: int):
        self.runs = runs
        self.folder = folder
        key = asyncssh.generate_private_key("ecdsa-sha2-nistp256")
        self.key = folder / "key"
        self.key.write_bytes(key.export_private_key())
        self.key.chmod(0o600)
        others = [VM("vm-%04d" % number, power="on" if number % 2 else "off")
                  for number in range(1, vms)]
        self.host = Host(release="7.0", vms=[VM(TARGET, vmid=1), *others], password=PASSWORD,
                         authorized_keys=key.export_public_key().decode())

    def __enter__(self) -> Bench:
        self.host.start()
        self.known_hosts = self.folder / "known_hosts"
        self.known_hosts.write_text(self.host.host_key_line() + "\n")
        return self

    def __exit__(self, *_exc: object) -> None:
        self.host.stop()

    def bare(self, command: str) -> float:
        """Bare ssh with a key that runs a command line on the host."""
        # in a session of its own, like the agent's ssh: Linux schedules by session, and a fraction
        # of a millisecond in the key exchange decides whether 40 ms are waited for a delayed ACK
        return timed(["/usr/bin/ssh", "-T", "-o", "UserKnownHostsFile=%s" % self.known_hosts,
                      "-o", "StrictHostKeyChecking=yes", "-i", str(self.key),
                      "-o", "PreferredAuthentications=publickey", "-p", str(self.host.port),
                      "root@127.0.0.1", command], own_session=True)

    def agent(self, path: str, action: str, with_key: bool = False) -> List[str]:
        """The command line of the agent, as an admin would start it."""
        argv = [path, "--ip=127.0.0.1", "--ipport=%d" % self.host.port, "--username=root",
                "--ssh-options=-o UserKnownHostsFile=%s" % self.known_hosts, "-o", action]
        argv += ["--identity-file=%s" % self.key] if with_key else ["--password=" + PASSWORD]
        if action not in ("list", "list-status", "monitor"):
            argv += ["--plug=" + TARGET]
        return argv

    def cell(self, path: str, action: str, latency: float) -> Cell:
        """Time an action, in turn with bare ssh."""
        before, needed = ACTIONS[action]
        needed = needed + (self.suspend_images() if action == "list-status" else [])
        self.host.faults.latency = latency

        def prepared(run: Callable[[], float]) -> float:
            if self.host.vm(TARGET).power != before:
                self.host.vm(TARGET).power = before
            return run()

        prepared(lambda: timed(self.agent(path, action)))
        pairs = []
        for _ in range(self.runs):
            bare = prepared(lambda: self.bare("; ".join(needed)))
            self.host.clear_record()
            mine = prepared(lambda: timed(self.agent(path, action)))
            commands = len(self.host.commands)
            by_key = prepared(lambda: timed(self.agent(path, action, with_key=True)))
            pairs.append((bare, mine, by_key))
        return Cell(
            Path(path).name, action, len(self.host.vms), latency, commands,
            statistics.median(bare for bare, _, _ in pairs),
            statistics.median(mine for _, mine, _ in pairs),
            statistics.median(mine / bare for bare, mine, _ in pairs),
            statistics.median(by_key / bare for bare, _, by_key in pairs),
            prepared(lambda: peak_memory(self.agent(path, action))))

    def suspend_images(self) -> List[str]:
        """What list-status looks for in the .vmx files of the VMs that do not run."""
        paths = ["'/vmfs/volumes/datastore1/{0}/{0}.vmx'".format(vm.name)
                 for vm in self.host.vms if vm.power == "off"]
        return [SUSPENDED + " ".join(paths[first : first + 100])
                for first in range(0, len(paths), 100)]

    def one_getstate_a_vm(self) -> float:
        """The loop that list needs where every VM's state is asked for by itself."""
        return self.bare("vim-cmd vmsvc/getallvms; for id in $(vim-cmd vmsvc/getallvms | "
                         "awk '/^[0-9]/ {print $1}'); do vim-cmd vmsvc/power.getstate $id; done")


def line(cell: Cell) -> str:
    """A cell as a row of the table."""
    return "%-14s %-12s %5d VMs  %3.1f s  %2d commands  bare %6.2f s  agent %6.2f s  x%.2f  " \
           "with a key x%.2f  %4.0f MiB" % (
               cell.agent, cell.action, cell.vms, cell.latency, cell.commands, cell.bare,
               cell.wall, cell.ratio, cell.key_ratio, cell.memory)


def draw(cells: List[Cell], loops: Dict[int, float], path: Path, latency: float) -> None:
    """The time of list over the number of VMs, against a loop of one getstate a VM."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    lists = sorted((cell.vms, cell.wall) for cell in cells
                   if cell.action == "list-status" and cell.latency == latency
                   and cell.agent == cells[0].agent)
    figure, axes = pyplot.subplots(figsize=(6, 3.2))
    axes.plot(*zip(*lists), marker="o", label="fence_esxi, list-status")
    axes.plot(*zip(*sorted(loops.items())), marker="s", label="one power.getstate a VM")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("VMs on the host")
    axes.set_ylabel("seconds (%g s a command)" % latency)
    axes.legend()
    axes.grid(True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main(arguments: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agent", action="append", default=None,
                        help="path of an agent (repeatable; default ./fence_esxi)")
    parser.add_argument("--actions", default=",".join(ACTIONS))
    parser.add_argument("--vms", default="1,40,256,1024")
    parser.add_argument("--latency", default="0,0.3,0.8", help="seconds a host command")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", default=str(ROOT / "bench/results.json"))
    parser.add_argument("--plot", default=str(ROOT / "bench/results.svg"))
    options = parser.parse_args(arguments)
    agents = options.agent or [str(ROOT / "fence_esxi")]
    latencies = [float(word) for word in options.latency.split(",")]
    cells: List[Cell] = []
    loops: Dict[int, float] = {}
    for vms in [int(word) for word in options.vms.split(",")]:
        with tempfile.TemporaryDirectory() as folder, Bench(vms, Path(folder),
                                                            options.runs) as bench:
            for latency in latencies:
                for action in options.actions.split(","):
                    for agent in agents:
                        try:
                            cells.append(bench.cell(agent, action, latency))
                        except Unable as failure:
                            print(failure, flush=True)
                            continue
                        print(line(cells[-1]), flush=True)
            if "list-status" in options.actions:
                # the loop is linear: measured without latency, the commands' time added
                bench.host.faults.latency = 0
                loops[vms] = bench.one_getstate_a_vm() + latencies[-1] * (vms + 2)
    Path(options.json).write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    if cells and loops:
        draw(cells, loops, Path(options.plot), latencies[-1])


if __name__ == "__main__":
    main()

"""The harness itself: it catches an agent that lies, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.room import is_alive, start_time
from harness.waiting import wait_for

HERE = Path(__file__).parent


def test_an_agent_that_lies_makes_the_suite_fail(liar: str, tmp_path: Path) -> None:
    """It says that the node is fenced, the cluster believes it, and the node lives on."""
    agent = tmp_path / "fence_esxi"
    agent.write_text(liar)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-x", f"--agent={agent}",
         str(HERE / "test_session.py")],
        capture_output=True, text=True, timeout=110,
    )  # fmt: skip
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    # It got as far as the shot and was caught by what the host was told, not by some mishap.
    assert "assert [] == ['power.off', 'power.on']" in run.stdout


#: Brings up a cluster with processes, mounts and links in it, says so, and comes to no good end.
DOOMED = """
import sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from harness.cluster import Cluster
from harness.waiting import wait_for
cluster = Cluster.build(Path({agent!r}))
cluster.power_on()
wait_for("both nodes run", lambda: all(node.is_up() for node in cluster.nodes), 20)
print(cluster.room.pid, flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "blow"),
    [
        ("sys.stdin.read(); raise SystemExit('a failure')", None),
        ("time.sleep(60)", signal.SIGINT),
        ("time.sleep(60)", signal.SIGKILL),
    ],
    ids=["failure", "Ctrl-C", "kill -9"],
)
def test_nothing_is_left_behind(end: str, blow: signal.Signals | None, agent: Path) -> None:
    before = traces()
    script = DOOMED.format(path=sys.path, agent=str(agent), end=end)
    doomed = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert doomed.stdin is not None
    assert doomed.stdout is not None
    room = int(doomed.stdout.readline())
    inhabitants = processes_in(room)
    assert len(inhabitants) > 6  # the room, two hosts, two nodes with what they start
    if blow is not None:
        doomed.send_signal(blow)
    doomed.stdin.close()
    doomed.wait(20)
    doomed.stdout.close()
    wait_for("no process of the room lives", lambda: not any(map(is_same, inhabitants)), within=10)
    assert traces() == before


#: Runs a program of the checkout in a chroot that has all it needs, but is no mount point.
IN_A_CHROOT = """
set -e
cd "$0"
mkdir usr etc proc dev run ".$1" -p
for shared in usr etc proc dev run "$1"; do mount --rbind "/$shared" "./$shared"; done
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
exec chroot . "$2" up
"""


@pytest.mark.parametrize(
    "confined",
    [
        ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "{program}", "up"),
        ("unshare", "--mount", "bash", "-c", IN_A_CHROOT, "{folder}", "{project}", "{program}"),
    ],
    ids=["unprivileged container", "chroot"],
)
def test_where_no_cluster_can_run_one_sentence_says_why(
    confined: tuple[str, ...], tmp_path: Path
) -> None:
    project = HERE.parents[1]
    words = {"program": HERE / "cluster.sh", "folder": tmp_path, "project": project}
    command = [word.format(**words) if word[0] == "{" else word for word in confined]
    env = {**os.environ, "FENCE_ESXI_CLUSTER": str(tmp_path / "room")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("cluster: the cluster needs namespaces and mounts of its own")
    assert done.stderr.count("\n") == 1


def test_the_cluster_by_hand(tmp_path: Path) -> None:
    """make cluster, a command in a node, make cluster-down."""
    env = {**os.environ, "FENCE_ESXI_CLUSTER": str(tmp_path / "room")}

    def by_hand(*order: str) -> subprocess.CompletedProcess[str]:
        command = [str(HERE / "cluster.sh"), *order]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)

    assert by_hand("exec", "t3021cent", "true").returncode == 1
    before = traces()
    try:
        up = by_hand("up", "192.168.33.12=t3021cent,t3023cent", "192.168.33.10=t3022cent,t3024cent")
        assert up.returncode == 0, up.stderr
        online = re.match(r"All nodes are online after ([0-9.]+) s", up.stdout)
        assert online
        assert float(online[1]) < 20
        inhabitants = processes_in(int((tmp_path / "room").read_text().split()[0]))
        there = by_hand("exec", "t3022cent", "crm_node", "--name")
        assert there.stdout == "t3022cent\n", there.stderr
        line = by_hand("exec", "t3024cent", 'echo "$(crm_node --name) in a pipe" | tr a-z A-Z')
        assert line.stdout == "T3024CENT IN A PIPE\n", line.stderr
        assert by_hand("exec", "t3025cent", "true").stderr.startswith(
            "There is no node 't3025cent'"
        )
        everybody = "Online: [ t3021cent t3022cent t3023cent t3024cent ]"
        assert everybody in by_hand("status").stdout
    finally:
        down = by_hand("down")
    assert down.stdout == "The cluster is gone.\n"
    assert not any(map(is_same, inhabitants))
    assert traces() == before
    assert list(tmp_path.iterdir()) == []


def traces() -> dict[str, object]:
    """What a careless harness would leave on the machine."""
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True)
    return {
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "links": [line.split(":")[1] for line in links.stdout.splitlines()],
        "named namespaces": sorted(map(str, Path("/run/netns").glob("*"))),
        "agents": sorted(map(str, Path("/usr/sbin").glob("fence_*"))),
        "shared memory": sorted(map(str, Path("/dev/shm").glob("qb-*"))),
    }


def processes_in(room: int) -> set[tuple[int, str]]:
    """Pid and start time of every process below the first one of a room."""
    started: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        pid = int(stat.parent.name)
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # ended meanwhile
        started[pid] = fields[19]
        children.setdefault(int(fields[1]), []).append(pid)
    found, unseen = set(), [room]
    while unseen:
        pid = unseen.pop()
        found.add((pid, started[pid]))
        unseen += children.get(pid, [])
    return found


def is_same(process: tuple[int, str]) -> bool:
    """Whether that very process still lives."""
    pid, started = process
    try:
        return is_alive(pid) and start_time(pid) == started
    except OSError:
        return False

"""What Pacemaker's fencer makes of a fencing that goes wrong: it ends in time, the log says why,
and history and status tell the truth about what became of the virtual machine.

All troubles happen at once, each on an ESXi host of its own to a machine of its own, since some of
them take most of the time that Pacemaker grants.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from guide import Page, blocks_of
from harness.cluster import Cluster
from harness.esxi_host import PASSWORD, EsxiHost

#: Seconds Pacemaker gives a fence action, and what the cluster needs around it.
LIMIT = 60
AROUND_IT = 10


@dataclass
class Trouble:
    """A machine `target`, what is wrong when it is to be fenced, and what must come of it."""

    target: str
    address: str
    complaint: str  # what the log must say, as a pattern
    host: dict[str, Any] = field(default_factory=dict)  # faults of the ESXi host
    vm: dict[str, Any] = field(default_factory=dict)  # faults of the virtual machine
    plug: str = ""  # what the device calls the machine, if not by its name
    device: str = ""  # further parameters of the device
    unplugged: bool = False
    fenced: bool = False  # whether the machine is off in the end, and Pacemaker knows


TROUBLES = [
    Trouble("wrong-password", "192.168.33.101", "the host refused the password",
            host={"password": "another", "lock_after": 0}),
    Trouble("unreachable", "192.168.33.102",
            "the network does not lead there|no answer to the login", unplugged=True),
    Trouble("slow", "192.168.33.107", "no answer to the login within 3 s",
            host={"banner_delay": 60.0}, device="login_timeout=3"),
    Trouble("unknown", "192.168.33.103", "no VM is called", plug="nosuchvm"),
    Trouble(
        "immortal", "192.168.33.104", "is not proven off",
        vm={"off": "ignored", "kill_needs": "never"}
    ),
    Trouble("hostd-hung", "192.168.33.105", "hostd", host={"hostd": "hung"}, fenced=True),
    Trouble("host-hung", "192.168.33.106", "hostd may hang",
            host={"hostd": "hung", "localcli": "hung"}),
]  # fmt: skip
#: Those that docs/when-it-goes-wrong.md leads to the cause of.
IN_THE_RUNBOOK = [
    trouble
    for trouble in TROUBLES
    if trouble.target in ("wrong-password", "unreachable", "unknown", "immortal", "host-hung")
]


@dataclass
class Outcome:
    """What came of one `pcs stonith fence`."""

    seconds: float
    status: int
    text: str
    power: str


@pytest.fixture(scope="module")
def shots(running_cluster: Cluster) -> Iterator[dict[str, Outcome]]:
    """Each machine has been fenced, with its trouble."""
    running_cluster.start_afresh()
    admin = running_cluster.t3021cent
    # Pacemaker asks a device again where it failed, and on the other node too: once is enough here.
    admin.do("pcs constraint location regexp%.* avoids t3022cent")
    hosts = {trouble.target: build(running_cluster, trouble) for trouble in TROUBLES}
    running_cluster.wait_until_started(*hosts)
    for trouble in TROUBLES:
        set_in(running_cluster, hosts[trouble.target], trouble)
    began = time.monotonic()
    running = {
        target: subprocess.Popen(
            admin.command("pcs", "stonith", "fence", target),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for target in hosts
    }  # fmt: skip
    outcomes = {}
    while len(outcomes) < len(running):
        for target, shot in running.items():
            if target not in outcomes and shot.poll() is not None:
                seconds = time.monotonic() - began
                text = shot.communicate()[0]
                power = hosts[target].power_of(target)
                outcomes[target] = Outcome(seconds, shot.returncode, text, power)
        time.sleep(0.1)
    yield outcomes
    for host in hosts.values():
        host.stop()


def build(cluster: Cluster, trouble: Trouble) -> EsxiHost:
    """The host and the device, while all is well."""
    host = EsxiHost(cluster.room, trouble.address, {trouble.target: ""})
    host.cut(False)
    host.start()
    plug = f"pcmk_host_map={trouble.target}:{trouble.plug or trouble.target}"
    cluster.t3021cent.do(
        f"pcs stonith create {trouble.target} fence_esxi ip={trouble.address} username=root "
        f"password={PASSWORD} {plug} pcmk_reboot_retries=1 {trouble.device}"
    )
    return host


def set_in(cluster: Cluster, host: EsxiHost, trouble: Trouble) -> None:
    """From now on it goes wrong."""
    if trouble.host:
        host.set(**trouble.host)
    if trouble.vm:
        host.set_vm(trouble.target, **trouble.vm)
    if trouble.unplugged:
        host.cut(True)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.target)
def test_the_truth_is_told_in_time(
    running_cluster: Cluster,
    shots: dict[str, Outcome],
    trouble: Trouble,
    request: pytest.FixtureRequest,
) -> None:
    admin, target = running_cluster.t3021cent, trouble.target
    shot = shots[target]
    assert shot.seconds < LIMIT + AROUND_IT, shot
    said = "\n".join(
        line for node in running_cluster.nodes for line in agent_lines(node.log(), target)
    )
    print(f"{shot}\n{said}")
    assert re.search(trouble.complaint, said, re.IGNORECASE), said

    history = admin.do(f"pcs stonith history show {target}")
    status = admin.do("pcs status")
    if trouble.fenced:
        assert (shot.status, shot.text) == (0, f"Node: {target} fenced\n")
        assert f"reboot of {target} successful" in history
        assert f"reboot of {target} " not in status
    else:
        assert shot.status == 1
        assert f"unable to fence '{target}'" in shot.text
        assert f"reboot of {target} failed" in history
        assert f"reboot of {target} " in status.partition("Failed Fencing Actions:")[2]
        assert shot.power == "on"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("trouble", IN_THE_RUNBOOK, ids=lambda trouble: trouble.target)
def test_the_runbook_finds_the_cause(
    running_cluster: Cluster, shots: dict[str, Outcome], trouble: Trouble
) -> None:
    admin, page = running_cluster.t3021cent, Page("docs/when-it-goes-wrong.md")
    ours = {
        "t3022cent": trouble.target,
        "192.168.33.10": trouble.address,
        r"192\.168\.33\.10": re.escape(trouble.address),
    }
    history, log, by_hand, devices = [
        re.sub(r"t3022cent|192\\?\.168\\?\.33\\?\.10\b", lambda name: ours[name[0]], text)
        for text in [block.text for block in blocks_of(page, "runbook")][:4]
    ]
    last = admin.do(history).splitlines()[0]
    delegate = re.search(r"delegate=([^,]+),", last)
    assert delegate, last
    said = running_cluster.node(delegate[1]).do(log)
    assert said.count("\n") == 1
    row = [words for words in page.code() if re.fullmatch(trouble.complaint, words)]
    assert any(words in said for words in row), said
    if trouble.target == "wrong-password":
        assert row[0] in admin.type(by_hand).text
    assert trouble.target in admin.do(devices)
    pcs_says = shots[trouble.target].text.partition("Couldn't fence ")[2].partition(": ")[2].strip()
    assert not pcs_says or pcs_says in page.code()


def test_what_pcs_says_where_no_device_can_shoot(running_cluster: Cluster) -> None:
    refused = running_cluster.t3021cent.type("pcs stonith fence nobody")
    assert refused.status == 1
    for said in re.findall(r"Couldn't fence nobody: (.*)", refused.text):
        assert said in Page("docs/when-it-goes-wrong.md").code()


def agent_lines(log: str, device: str) -> list[str]:
    """What the agent said in a log of Pacemaker when it worked for the device."""
    pids = set(re.findall(rf"\[(\d+)\] (?:targeting \S+ )?using {device} returned", log))
    lines = [line for line in log.splitlines() if re.search(r"fence_esxi\[\d+\] stderr", line)]
    return [line for line in lines if re.search(r"fence_esxi\[(\d+)\]", line)[1] in pids]  # type: ignore[index]


def test_the_fencer_has_no_home_and_no_terminal_to_give(running_cluster: Cluster) -> None:
    """The agent runs in Pacemaker's own environment, not in that of whoever runs the tests."""
    environment = running_cluster.t3021cent.do(
        r"tr '\0' '\n' </proc/$(pidof pacemaker-fenced)/environ"
    )
    names = {line.partition("=")[0] for line in environment.splitlines()}
    assert not names & {"HOME", "TERM", "USER"}
    assert "LC_ALL=C" in environment.splitlines()

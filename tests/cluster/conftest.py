"""The cluster all tests of this directory share, and what to show when one of them fails."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.cluster import Cluster
from harness.userland import Unusable, check_usable

AGENT = Path(__file__).parents[2] / "agents" / "esxi" / "fence_esxi.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("the cluster")
    group.addoption("--suite", help="run the nodes with another Debian suite's programs")
    group.addoption("--agent", type=Path, default=AGENT, help="the agent to install in the nodes")
    group.addoption("--split-brain-rounds", type=int, default=1, help="how often to cut the nodes")


@pytest.fixture(scope="session", autouse=True)
def usable(pytestconfig: pytest.Config) -> None:
    """In CI a cluster that cannot run is a failure; elsewhere say what is missing."""
    try:
        check_usable(pytestconfig.getoption("suite"))
    except Unusable as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def agent(pytestconfig: pytest.Config) -> Path:
    """The agent the nodes have in /usr/sbin."""
    return pytestconfig.getoption("agent")


@pytest.fixture(scope="session")
def liar(agent: Path) -> str:
    """A fence agent with the metadata of the real one that always says success and does nothing."""
    metadata = subprocess.run(
        ["/usr/bin/python3", str(agent), "-o", "metadata"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lying = Path(__file__).with_name("data") / "lying_agent"
    return lying.read_text().replace("METADATA", metadata.stdout)


@pytest.fixture(scope="session")
def running_cluster(pytestconfig: pytest.Config, agent: Path) -> Iterator[Cluster]:
    """One cluster for the whole run."""
    cluster = Cluster.build(agent, pytestconfig.getoption("suite"))
    try:
        cluster.power_on()
        cluster.wait_until_whole()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(running_cluster: Cluster) -> Cluster:
    """Two nodes online, both ESXi hosts well, no fence device yet."""
    running_cluster.start_afresh()
    return running_cluster


#: Lines of Pacemaker's log that tell nothing to whoever looks for a cause.
CHATTER = re.compile(r"\) \t(info|debug|trace): ")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    values = item.funcargs.values()  # type: ignore[attr-defined]
    cluster = next((value for value in values if isinstance(value, Cluster)), None)
    if cluster is not None and report.failed:
        for node in cluster.nodes:
            matters = (line for line in node.log().splitlines() if not CHATTER.search(line))
            tail = "\n".join(list(matters)[-60:])
            report.sections.append((f"pacemaker.log of {node.name}", tail))
            report.sections.append((f"pcs status on {node.name}", node.type("pcs status").text))
        for host in cluster.esxi_hosts:
            report.sections.append((f"told to {host.address}", "\n".join(host.record())))
            report.sections.append((f"log of {host.address}", host.log()))
        report.sections.append(("power", cluster.power_log()))
    return report

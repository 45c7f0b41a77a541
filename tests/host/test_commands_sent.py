"""What an action costs the host: exactly these commands, however many VMs there are."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from esxi_sim import VM, Host
from fence_runner import PASSWORD, said

# pairs: the host runs both side by side
LOOK = ["vim-cmd vmsvc/getallvms", "localcli vm process list"]
WHO = ["vim-cmd vmsvc/power.getstate 1", "vim-cmd vmsvc/get.summary 1"]
OFF, ON = ["vim-cmd vmsvc/power.off 1"], ["vim-cmd vmsvc/power.on 1"]
POWER = ["vim-cmd vmsvc/power.getstate 1", "localcli vm process list"]
WHOLE = ["ps", "esxcli vm process list"]
FILES = ["grep"]

COSTS = {
    ("list", "on"): LOOK,
    ("monitor", "on"): LOOK,
    ("list-status", "on"): LOOK + WHOLE + FILES,
    ("list-status", "off"): LOOK + WHOLE + FILES,
    ("status", "on"): LOOK + WHO,
    ("status", "off"): LOOK + WHO + WHOLE,
    ("off", "on"): LOOK + WHO + OFF + POWER,
    ("off", "off"): LOOK + WHO + WHOLE,
    ("on", "off"): LOOK + WHO + WHOLE + ON + POWER,
    ("on", "on"): LOOK + WHO,
    ("reboot", "on"): LOOK + WHO + OFF + POWER + ON + POWER,
    ("reboot", "off"): LOOK + WHO + WHOLE + ON + POWER,
}


@pytest.fixture(scope="module", params=[2, 256])
def host(request):
    """A host with so many VMs that run or not, and one that never runs."""
    vms = [VM(f"node{number}", power="off" if number % 10 == 9 else "on")
           for number in range(request.param)] + [VM("spare", power="off")]
    with Host(vms=vms, password=PASSWORD) as host:
        yield host


@pytest.mark.quick
@pytest.mark.parametrize(("action", "power"), COSTS)
def test_an_action_takes_these_host_commands_and_no_more(host, fence, action, power):
    host.vm("node0").power = power
    host.clear_record()
    plug = None if action in ("list", "list-status", "monitor") else "node0"
    assert fence.as_pacemaker(host, action, plug).status in (0, 2)
    sent = ["grep" if command.startswith("grep ") else command for command in host.commands]
    assert sorted(sent) == sorted(COSTS[action, power])
    assert host.logins == 1


def test_where_nothing_else_runs_ps_is_asked_too(esxi, fence):
    """The list of processes is empty then, which proves nothing by itself."""
    host = esxi(vms=["node1", VM("node2", power="off")])
    assert fence.as_pacemaker(host, "off", "node1").status == 0
    assert sorted(host.commands) == sorted(COSTS["off", "on"] + WHOLE)


def test_ten_agents_at_once_all_succeed(esxi, fence):
    host = esxi(vms=[f"node{number}" for number in range(10)])
    with ThreadPoolExecutor(10) as agents:
        runs = list(agents.map(lambda vm: fence.as_pacemaker(host, "off", vm.name), host.vms))
    assert [said(run) for run in runs] == [("Success: Powered OFF\n", 0)] * 10
    assert {vm.power for vm in host.vms} == {"off"}
    assert len(host.power_events) == 10


def test_nothing_is_left_behind_by_a_run(esxi, fence):
    host = esxi(vms=["node1"])
    assert fence.as_pacemaker(host, "reboot", "node1").status == 0
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert f"-p {host.port} -l root" not in running.stdout
    assert sorted(file.name for file in fence.folder.iterdir()) == ["known_hosts"]

"""What the tool says of hosts that are well, and of each thing that is not."""

import re

import pytest
from esxi_sim import RELEASES, VM, Answer, BadAnswer, VMFaults

FOR_EVER = 10**9


def machines():
    return [VM("node1"), VM("node2", vmid=14), VM("node3"), VM("db", power="off"),
            VM("spare", power="off"),
            VM("rest", power="suspended")]


@pytest.mark.parametrize("release", sorted(RELEASES))
def test_a_host_that_is_well_is_ok_in_every_line(check, world, release):
    outcome = check(world(machines(), release), "--plug=node1", "--plug=node2")
    assert outcome.remarkable == {}
    assert outcome.status == 0
    assert outcome.verdict == "fence_esxi understands this host"
    assert len(outcome.checks) == 20


def test_nothing_is_switched_and_only_looks_are_asked_for(check, world):
    host = world(machines())
    check(host, "--plug=node1")
    assert host.power_events == []
    asked = {" ".join(command.split()[:4 if " process " in command else 2])
             for command in host.commands}
    assert asked == {
        "vmware -v", "vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/power.getstate", "ps",
        "vim-cmd vmsvc/get.summary", "vim-cmd vmsvc/message", "localcli vm process list",
        "esxcli vm process list", "readlink /vmfs/volumes/datastore1",
        "grep -isHE"}


def test_it_logs_in_once(tool, check, world, monkeypatch):
    logins = []
    class Counted(tool.Ear):
        def open(self, bound):
            logins.append(bound)
            super().open(bound)
    monkeypatch.setattr(tool, "Ear", Counted)
    check(world(machines()), "--plug=node1")
    assert len(logins) == 1


def rewrite(command, change):
    """The host's answer to a command, changed: a layout that nobody has seen."""
    def switches(host):
        def on_command(argv):
            if " ".join(argv).startswith(command):
                host.on_command = None
                text = ask(host, " ".join(argv))
                host.on_command = on_command
                return Answer(change(text))
            return None
        host.on_command = on_command
    return switches


def ask(host, command):
    from esxi_sim.virtual import VirtualLine
    ((_, text),) = VirtualLine(host).ask([command], 10.0)
    return text.decode("utf-8", "surrogateescape")


#: what is changed, the lines that are not ok, and what one of them says
UNKNOWN_LAYOUTS = [
    ("localcli vm process list", lambda text: text.replace("World ID", "WorldID"),
     {"localcli": "FAIL", "hostd hung": "FAIL"}, "localcli", "   WorldID: 2097159"),
    ("esxcli vm process list", lambda text: text.replace("Config File: ", "Config File = "),
     {"esxcli": "FAIL"}, "esxcli", "   Config File = /vmfs/volumes/"),
    ("esxcli vm process list", lambda text: "[{\"WorldID\": 12}]\n", {"esxcli": "FAIL"}, "esxcli",
     '[{"WorldID": 12}]'),
    ("ps", lambda text: text.replace("WID ", "PPID"),
     {"ps": "FAIL", "hostd hung": "FAIL"}, "ps", '"PPID'),
    ("ps", lambda text: text.replace("WorldName", "WorldName  Time"), {"ps": "FAIL"}, "ps",
     "WorldName  Time"),
    ("ps", lambda text: text.replace("  init\n", "  launchd\n"),
     {"ps": "FAIL", "hostd hung": "FAIL"}, "ps", "no row of init"),
    ("vim-cmd vmsvc/getallvms", lambda text: text.replace("Vmid", "Id  "),
     {"inventory": "FAIL", "off and reboot": "look"}, "inventory", '"Id     '),
    ("vim-cmd vmsvc/getallvms", lambda text: text.replace("   ", "\t"),
     {"inventory": "FAIL", "off and reboot": "look"}, "inventory", '"Vmid\\t'),
    ("vim-cmd vmsvc/getallvms", lambda text: text.replace("[datastore1]", "datastore1:"),
     {"inventory": "FAIL"}, "inventory", '"1      node1'),
    ("vim-cmd vmsvc/get.summary", lambda text: text.replace('name = "node1"', "name = 'node1'"),
     {"summaries": "FAIL"}, "summaries", "      name = 'node1'"),
    ("vim-cmd vmsvc/get.summary", lambda text: text.replace('name = "node1"', 'name = "x"'),
     {"summaries": "FAIL", "processes": "FAIL"}, "summaries", 'Vmid 1 is "node1" [datastore1]'),
    ("vim-cmd vmsvc/get.summary", lambda text: text.replace("powerState", "state"),
     {"power": "FAIL"}, "power", "None by get.summary"),
    ("vim-cmd vmsvc/power.getstate", lambda text: text.replace("Powered on", "Running"),
     {"summaries": "FAIL", "off and reboot": "look"}, "summaries", '"Running"'),
    ("vim-cmd vmsvc/message", lambda text: text.replace("No message.", "None."),
     {"questions": "FAIL"}, "questions", '"None."'),
    ("vmware -v", lambda text: "VMkernel 10\n", {"release": "look"}, "release", '"VMkernel 10"'),
]


@pytest.mark.parametrize(("command", "change", "lines", "name", "quoted"), UNKNOWN_LAYOUTS)
def test_a_layout_nobody_has_seen_is_quoted(check, world, command, change, lines, name, quoted):
    host = world(machines())
    rewrite(command, change)(host)
    outcome = check(host)
    found = {line: status for line, status in outcome.remarkable.items() if line in lines}
    assert found == lines, outcome.checks
    assert quoted in outcome.checks[name][1]
    assert outcome.status == (1 if "FAIL" in lines.values() else 2)


def spoilt(command, kind, **more):
    return {"bad_answers": [BadAnswer(command, kind, times=FOR_EVER, **more)]}


#: switches of the host, the lines that are not ok, and what the first of them says
FAULTS = {
    "esxcli's layout from localcli": ({"localcli_layout": "esxcli"}, {}, ""),
    "an empty line at the end of localcli's": ({"localcli_layout": "closed"}, {}, ""),
    "localcli breaks off": (spoilt("^localcli", "half"), {
        "localcli": "FAIL", "hostd hung": "FAIL"}, "broke off behind"),
    "esxcli breaks off": (spoilt("^esxcli", "half"), {"esxcli": "FAIL"}, "broke off behind"),
    "garbage from localcli": (spoilt("^localcli", "garbage"), {
        "localcli": "FAIL", "hostd hung": "FAIL"}, r"broke off behind"),
    "localcli is down": ({"localcli": "down"}, {"localcli": "FAIL", "hostd hung": "FAIL"},
                         "exit status 1"),
    "localcli hangs": ({"localcli": "hung"}, {
        "localcli": "FAIL", "hostd hung": "FAIL", "times": "look"}, "did not answer in time"),
    "hostd hangs": ({"hostd": "hung"}, {
        "inventory": "FAIL", "esxcli": "FAIL", "unknown Vmid": "FAIL", "times": "look",
        "off and reboot": "look"}, "did not answer in time"),
    "hostd is down": ({"hostd": "down"}, {
        "inventory": "FAIL", "esxcli": "FAIL", "unknown Vmid": "FAIL", "off and reboot": "look"},
        "exit status 1"),
    "hostd fails late": ({"hostd": "late_failure", "hostd_silence": 5}, {
        "inventory": "FAIL", "esxcli": "FAIL", "unknown Vmid": "FAIL", "times": "look",
        "off and reboot": "look"}, "exit status 1"),
    "the user has no rights": ({"permission_denied": True}, {
        "inventory": "FAIL", "rights": "FAIL", "unknown Vmid": "FAIL", "off and reboot": "look"},
        "Permission to perform this operation was denied"),
    "no vim-cmd": ({"vim_cmd_absent": True}, {
        "inventory": "FAIL", "localcli": "FAIL", "esxcli": "FAIL", "unknown Vmid": "FAIL",
        "off and reboot": "look"}, "exit status 127"),
    "there is no ps": ({"ps": "absent"}, {"ps": "look"}, "exit status 127"),
    "busybox's ps": ({"ps": "busybox"}, {"ps": "look"}, '"PID   USER     TIME  COMMAND"'),
    "ps hangs": ({"ps": "hung"}, {"ps": "look", "times": "look"}, "did not answer in time"),
    "ps breaks off": (spoilt("^ps", "half"), {"ps": "FAIL", "hostd hung": "FAIL"},
                      "broke off behind"),
    "the list breaks off": (spoilt("getallvms", "half"), {
        "inventory": "FAIL", "off and reboot": "look"}, "broke off behind"),
    "an empty list": (spoilt("getallvms", "empty"), {
        "inventory": "FAIL", "off and reboot": "look"}, "printed nothing"),
    "half a summary": (spoilt("get.summary 1$", "half"), {"summaries": "FAIL"}, "get.summary 1"),
    "hostd hangs in the midst": (spoilt("getstate 14", "hang"), {
        "summaries": "FAIL", "times": "look"}, "hostd fell silent at Vmid 14"),
    "a fault from power.getstate": (spoilt("getstate 1$", "text", text="(vim.fault.X) {\n   msg = "
                                           '"(Powered off)"\n}\n', status=1), {
        "summaries": "FAIL"}, '"(Powered off)"'),
    "a VM that hostd cannot read": ({"invalid_vms": [14]}, {
        "inventory": "look", "processes": "look"}, "(Vmid 14)"),
    "a dead datastore": ({"dead_datastores": ["datastore1"]}, {
        "files": "look"}, '"datastore1" does not answer'),
    "a datastore's link is gone": ({"gone_links": ["datastore1"]}, {
        "files": "look", "datastores": "look"}, ""),
    "a stray row": ({"extra_rows": ["99     ghost   [datastore1] g/g.vmx   other   vmx-13   "]}, {
        "summaries": "look"}, "Vmid 99 is listed, and hostd knows no such VM"),
    "a row under another VM's Vmid": ({"extra_rows": [
        "14     ghost   [datastore1] g/g.vmx   other   vmx-13   "]}, {"summaries": "look"},
        'Vmid 14 is "ghost"'),
    "a note that resembles a row": ({"extra_rows": ["see also old.vmx   of last year"]}, {
        "inventory": "look"}, "a note resembles a VM"),
    "every command is slow": ({"latency": 5.0}, {"times": "look", "hostd hung": "FAIL"},
                              "the agent waits 8 s"),
    "an unknown Vmid looks off": (spoilt("getstate 7", "text",
                                         text="Retrieved runtime info\nPowered off\n"), {
        "unknown Vmid": "FAIL"}, "a Vmid that is none"),
    "an unknown Vmid with exit status 0": ({"unknown_id_status": 0}, {}, ""),
    "power.getstate lies": (spoilt("getstate 14", "text",
                                   text="Retrieved runtime info\nPowered off\n"), {
        "power": "FAIL"}, "off by power.getstate, on by get.summary"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_of_the_host_is_named_by_its_line(check, world, case):
    switches, lines, words = FAULTS[case]
    outcome = check(world(machines(), **switches))
    assert outcome.remarkable == lines
    assert not lines or words in outcome.checks[next(iter(lines))][1]
    assert outcome.status == (1 if "FAIL" in lines.values() else 2 if lines else 0)


#: the VMs, the plugs, the lines that are not ok, and what the first of them says
VMS = {
    "two of one name": ([VM("node1"), VM("node1", datastore="datastore2")], [], {
        "names": "look", "off and reboot": "look"}, '2 VMs are called "node1"'),
    "two of one name, as plug": ([VM("node1"), VM("node1", datastore="datastore2")], ["node1"], {
        "plug": "FAIL", "names": "look", "off and reboot": "look"},
        "rename one of them, or use a UUID"),
    "a name with a blank": ([VM("web 01", uuid="564d36cf-6988-c91d-0f5f-a62628d46553")], [], {
        "names": "look"}, '"web 01" cannot stand in pcmk_host_map; its plug is '
        "564d36cf-6988-c91d-0f5f-a62628d46553"),
    "a name with a blank that is no plug": ([VM("web 01"), VM("node1")], ["node1"], {}, ""),
    "its UUID as plug": ([VM("web 01", uuid="564d36cf-6988-c91d-0f5f-a62628d46553")],
                         ["564d36cf-6988-c91d-0f5f-a62628d46553"], {}, ""),
    "a plug that is not there": ([VM("node1")], ["node2"], {"plug": "FAIL"},
                                 'no VM is called "node2"'),
    "a plug that is suspended": ([VM("node1"), VM("node2", power="suspended")], ["node2"], {
        "plug": "look", "off and reboot": "look"}, "suspended"),
    "a question": ([VM("node1", faults=VMFaults(question=True))], [], {"questions": "look"},
                   '"node1" (Vmid 1) waits: Virtual machine message 0:'),
    "a question of the second VM": ([VM("node1"), VM("node2", faults=VMFaults(question=True))], [],
                                    {"questions": "look"}, '"node2" (Vmid 2) waits: '),
    "a VM that hostd does not list": ([VM("node1"), VM("left", registered=False)], [], {
        "processes": "look"}, '"left" (world '),
    "no VM at all": ([], [], {"inventory": "look", "off and reboot": "look"}, "no VM is listed"),
    "no VM runs": ([VM("node1", power="off")], [], {"off and reboot": "look"}, "no VM runs"),
    "notes that forge a row": ([VM("node1", note="x\n7      node2   [d] e/e.vmx   o   vmx-13   ")],
                               [], {"summaries": "look"}, "Vmid 7"),
    "notes that forge a summary": (
        [VM("node1", note='\n   config = (vim.vm.Summary.ConfigSummary) {\n      name = "x", ')],
        [], {"summaries": "FAIL", "off and reboot": "look"}, "get.summary 1"),
}


@pytest.mark.parametrize("case", VMS)
def test_a_vm_that_is_not_plain_is_named_by_its_line(check, world, case):
    vms, plugs, lines, words = VMS[case]
    outcome = check(world(vms), *["--plug=" + plug for plug in plugs])
    assert outcome.remarkable == lines
    assert not lines or words in outcome.checks[next(iter(lines))][1]


def test_half_a_list_that_looks_whole(check, world):
    host = world(["node1", "node2"], bad_answers=[BadAnswer("^esxcli", "half", times=FOR_EVER)])
    outcome = check(host)
    assert outcome.remarkable == {"processes": "FAIL"}
    assert 'node2" (Vmid 2) [datastore1] node2/node2.vmx is on, and esxcli lists no process' in (
        outcome.checks["processes"][1])


def test_a_vm_that_ended_behind_hostds_back(check, world):
    host = world([VM("node1", faults=VMFaults(stale_seconds=60)), VM("node2")])
    host.inventory.kill(host.vm("node1"), "the test")
    outcome = check(host)
    assert outcome.remarkable == {"processes": "FAIL"}
    assert "no process of it" in outcome.checks["processes"][1]


def test_a_world_that_ps_does_not_show(check, world):
    host = world(machines())
    rewrite("ps", lambda text: re.sub(r"(?m)^.* vmm0:node1\n", "", text))(host)
    outcome = check(host)
    assert outcome.checks["processes"][0] == "FAIL"
    assert "ps shows no worlds 2097159 and 2097158" in outcome.checks["processes"][1]


def test_a_process_that_only_one_list_shows(check, world):
    host = world([VM("node1"), VM("left", registered=False)])
    rewrite("esxcli vm process list", lambda text: text[:text.index("left\n")])(host)
    outcome = check(host)
    assert outcome.checks["processes"][0] == "FAIL"
    assert "list different processes" in outcome.checks["processes"][1]


def test_a_vm_that_hostd_calls_off_while_its_process_runs(check, world):
    host = world([VM("node1", faults=VMFaults(getstate="Retrieved runtime info\nPowered off\n"))])
    rewrite("vim-cmd vmsvc/get.summary", lambda text: text.replace("poweredOn", "poweredOff"))(host)
    outcome = check(host)
    assert outcome.checks["power"][0] == "FAIL"
    assert 'hostd calls "node1" (Vmid 1) off, and its process runs' in outcome.checks["power"][1]


def test_worlds_that_linger_in_ps(check, world):
    host = world([VM("node1", faults=VMFaults(ps_seconds=60)), VM("node2")])
    host.vm("node1").power = "off"
    outcome = check(host)
    assert outcome.checks["ps"][0] == "look"
    assert "is a VM's, and no list shows it" in outcome.checks["ps"][1]


def test_a_process_under_an_old_name(check, world):
    host = world([VM("node1"), VM("node2")])
    host.rename(host.vm("node1"), "new", process_too=False)
    outcome = check(host)
    assert outcome.remarkable == {"processes": "FAIL"}
    assert '"node1" (world' in outcome.checks["processes"][1]


def test_a_process_that_runs_on_another_volume_than_the_link_says(check, world):
    host = world(machines())
    host.on_command = lambda argv: Answer("58f72d53-3d2f86ee\n") if argv[0] == "readlink" else None
    outcome = check(host)
    assert outcome.remarkable == {"datastores": "FAIL"}


def test_another_user_than_root_may_not_be_allowed_to_switch(check, world):
    assert check(world(machines(), read_only=True), user="fence").remarkable == {"rights": "look"}


def test_a_connection_that_breaks_is_a_remark(check, world):
    from esxi_sim import LineCut
    outcome = check(world(machines(), cuts=[LineCut("getallvms")]))
    assert outcome.remarkable == {"remarks": "look"}
    assert "asking again" in outcome.checks["remarks"][1]


def seconds_in(outcome, name, action):
    return int(outcome.checks[name][1].partition(action + " ")[2].split()[0])


def test_the_times_of_off_and_reboot_are_those_of_the_agent(check, world):
    """A login 0.3 s; off asks for three pairs and a power.off, which is taken for a second."""
    outcome = check(world(machines(), latency=1.0), "--plug=node1")
    assert seconds_in(outcome, "off and reboot", "off") == 4
    assert seconds_in(outcome, "off and reboot", "reboot") == 6
    # 0.3 + 8 + 0.3 + list + kill + three pairs, a second apart
    assert seconds_in(outcome, "hostd hung", "off") in (15, 16)
    assert "Pacemaker waits 60 s" in outcome.checks["hostd hung"][1]


def test_the_rehearsal_is_in_time_as_the_agent_is(check, world):
    """What it says of a host is what the agent takes there."""
    host = world(machines(), latency=2.0)
    outcome = check(host, "--plug=node1")
    assert seconds_in(outcome, "hostd hung", "off") <= 45
    assert outcome.remarkable == {}

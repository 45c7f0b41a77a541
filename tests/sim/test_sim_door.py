"""Faults at one door: what, on which command of the shell, from which one on, how often."""

import pytest
from esxi_sim import VM, BadAnswer, LineCut, World
from esxi_sim.virtual import LineBroken, VirtualClock, VirtualLine

VMX = "/vmfs/volumes/datastore1/node1/node1.vmx"
COMMANDS = ["vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/power.getstate 1", "vim-cmd vmsvc/message 1",
            "vim-cmd vmsvc/get.summary 1", "vim-cmd vmsvc/power.off 1", "vim-cmd vmsvc/power.on 2",
            "esxcli vm process list", "localcli vm process list",
            "localcli vm process kill -t soft -w 2097159", "ps",
            "readlink /vmfs/volumes/datastore1", "grep -isHE ^uuid /dev/null " + VMX]


def world(**switches):
    return World(VirtualClock(), vms=["node1", VM("node2", power="off")], **switches)


def ask(world, command, bound=5):
    return VirtualLine(world).ask([command], bound)[0]


def program(command):
    return "^" + command.split(" -")[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_can_be_spoilt_in_every_way(command):
    good = ask(world(), command)
    for kind, text in [("empty", b""), ("half", good[1][:len(good[1]) // 2]), ("text", b"so?\n")]:
        spoilt = world(bad_answers=[BadAnswer(program(command), kind, text="so?\n")])
        assert ask(spoilt, command) == (0, text)
    garbage = ask(world(bad_answers=[BadAnswer(program(command), "garbage", status=7)]), command)
    assert garbage[0] == 7
    with pytest.raises(UnicodeDecodeError):
        garbage[1].decode()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", ["hang", "hang_after"])
def test_every_command_can_hang_before_or_after_its_work(command, kind):
    hung = world(bad_answers=[BadAnswer(program(command), kind)])
    assert ask(hung, command) is None
    changed = bool(hung.power_events)
    assert changed is (kind == "hang_after" and ("power.o" in command or "kill" in command))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("when", ["before_run", "before", "middle", "after", "silent", "dead"])
def test_the_line_can_be_cut_at_every_command(command, when):
    cut = world(cuts=[LineCut(program(command), when)])
    if when in ("silent", "dead"):
        assert ask(cut, command) is None
    else:
        with pytest.raises(LineBroken):
            ask(cut, command)
    assert cut.record[0].ended is None


def test_healthy_first_and_damaged_for_good_from_the_third_on():
    damaged = world(bad_answers=[BadAnswer("^localcli", "empty", times=99, after=2)])
    texts = [ask(damaged, "localcli vm process list")[1] for _ in range(6)]
    assert [bool(text) for text in texts] == [True, True, False, False, False, False]


def test_two_faults_strike_at_their_own_commands_be_they_neighbours():
    damaged = world(bad_answers=[BadAnswer("", "empty", after=1), BadAnswer("", "empty", after=2)])
    texts = [ask(damaged, "localcli vm process list")[1] for _ in range(4)]
    assert [bool(text) for text in texts] == [True, False, False, True]


def test_damaged_for_a_while_and_well_again():
    damaged = world(bad_answers=[BadAnswer("getstate", "empty", times=2, after=1)])
    texts = [ask(damaged, "vim-cmd vmsvc/power.getstate 1")[1] for _ in range(4)]
    assert [bool(text) for text in texts] == [True, False, False, True]


def test_the_line_may_break_from_the_second_on_three_times():
    cut = world(cuts=[LineCut("getstate", "before", nth=2, times=3)])
    broken = []
    for _ in range(6):
        try:
            broken.append(ask(cut, "vim-cmd vmsvc/power.getstate 1") is None)
        except LineBroken:
            broken.append(True)
    assert broken == [False, True, True, True, False, False]


def test_an_unknown_kind_is_said():
    with pytest.raises(ValueError, match="'fluff'"):
        ask(world(bad_answers=[BadAnswer("ps", "fluff")]), "ps")
    with pytest.raises(TypeError, match="unknown switch: fluff"):
        world(fluff=1)


def test_the_record_says_whom_a_command_was_meant_for():
    host = world(hostd="hung")
    node1, node2 = host.vm("node1"), host.vm("node2")
    for command in ("vim-cmd vmsvc/power.off 1", "vim-cmd vmsvc/power.getstate 1",
                    "esxcli vm process kill -t soft -w %d" % node1.world_id,
                    "vim-cmd vmsvc/power.on 2", "localcli vm process kill -t soft -w 1"):
        ask(host, command, 1)
    one, two = node1.serial, node2.serial
    assert [entry.aim for entry in host.record] == [one, None, one, two, None]


def test_busybox_is_meant_where_it_is_not_about_the_vms():
    line = VirtualLine(world())
    with pytest.raises(ValueError, match="no other shell"):
        line.ask(["grep -o x /etc/passwd"], 1)


def test_the_shell_goes_through_the_same_door(start_host, client_of):
    host = start_host("node1", bad_answers=[BadAnswer("^grep", "text", after=1, text="odd\n")],
                      cuts=[LineCut("^readlink", nth=2)])
    client = client_of(host)
    grep = "grep -isHE '^uuid[.]bios *=' /dev/null " + VMX
    assert client(grep).stdout.startswith(VMX.encode() + b":uuid.bios = \"56 4d")
    assert client(grep).stdout == b"odd\n"
    assert client("readlink /vmfs/volumes/datastore1").returncode == 0
    assert client("readlink /vmfs/volumes/datastore1").returncode == 255
    assert [line.split()[0] for line in host.commands] == ["grep", "grep", "readlink", "readlink"]


def test_other_uses_of_grep_and_readlink_are_busybox_s(start_host, client_of):
    host = start_host("node1")
    client = client_of(host)
    answer = client("printf 'a\\nb\\n' | grep b; grep -o 'disp[a-z]*N' %s; "
                    "cat %s | grep -c . ; ln -s /tmp /tmp/x; readlink /tmp/x; "
                    "echo '%s' | grep -o 'node1.vmx'; grep -c x < /dev/null; true"
                    % (VMX, VMX, VMX))
    assert answer.stdout.decode().splitlines() == ["b", "displayN", "8", "/tmp", "node1.vmx", "0"]
    assert host.commands == []

"""Virtual time: the clock, the session in it, two clients at once, and no asyncio anywhere."""

import time

import pytest
from esxi_sim import VM, BadAnswer, LineCut, VMFaults, World
from esxi_sim.virtual import LineBroken, VirtualClock, VirtualLine

LIST, STATE, OFF = "vim-cmd vmsvc/getallvms", "vim-cmd vmsvc/power.getstate 1", \
    "vim-cmd vmsvc/power.off 1"
PROCESSES = "localcli vm process list"
ON_TEXT = b"Retrieved runtime info\nPowered on\n"


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def world_of(clock):
    return lambda *vms, **switches: World(clock, vms=vms, **switches)


# -- the clock ------------------------------------------------------------------------------


def test_it_jumps_to_what_is_due_in_its_order(clock):
    told = []
    clock.call_later(5, lambda: told.append(("b", clock.now)))
    clock.call_later(1, lambda: told.append(("a", clock.now)))
    clock.call_later(5, lambda: told.append(("c", clock.now)))
    begun = time.monotonic()
    clock.sleep(3600)
    assert time.monotonic() - begun < 1
    assert told == [("a", 1001), ("b", 1005), ("c", 1005)]
    assert clock.monotonic() == clock.now == 4600


def test_it_stops_where_the_condition_holds(clock):
    told = []
    for seconds in (1, 2, 3):
        clock.call_later(seconds, lambda: told.append(clock.now))
    assert clock.run_until(lambda: len(told) == 2, deadline=2000)
    assert (told, clock.now) == ([1001, 1002], 1002)
    assert not clock.run_until(lambda: False, deadline=1002.5)
    assert clock.now == 1002.5
    assert not clock.run_until(lambda: False)
    assert told == [1001, 1002, 1003]


def test_clients_take_turns_whenever_they_wait(clock):
    told = []

    def client(name, pause):
        for _ in range(3):
            clock.sleep(pause)
            told.append((name, clock.now - 1000))

    clock.together(lambda: client("a", 1.0), lambda: client("b", 1.5))
    assert told == [("a", 1), ("b", 1.5), ("a", 2), ("b", 3), ("a", 3), ("b", 4.5)]


def test_what_a_client_raises_comes_out(clock):
    def client():
        clock.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError):
        clock.together(client, lambda: clock.sleep(5))
    clock.sleep(1)  # and the clock goes on
    assert clock.now == 1002


def test_two_clients_fence_one_world(clock, world_of):
    world = world_of(VM("node1", faults=VMFaults(off="late", off_seconds=2)), latency=0.3)
    seen = {}

    def client(name, later):
        clock.sleep(later)
        line = VirtualLine(world)
        seen[name] = line.ask([OFF], 10)[0]
        seen[name + " at"] = round(clock.now - 1000, 3)

    clock.together(lambda: client("a", 0), lambda: client("b", 1))
    assert seen["a"] == seen["b"] == (0, b"Powering off VM:\n")
    assert (seen["a at"], seen["b at"]) == (2.3, 3.3)
    assert [event.time for event in world.power_events] == [1002.3]


# -- the session ----------------------------------------------------------------------------


def test_two_commands_run_side_by_side(clock, world_of):
    line = VirtualLine(world_of("node1", latency={"getstate": 0.5, "localcli": 0.4}))
    (status, text), (other_status, processes) = line.ask([STATE, PROCESSES], 10)
    assert (status, text, other_status) == (0, ON_TEXT, 0)
    assert b"   Display Name: node1\n" in processes
    assert clock.now == 1000.5
    assert line.ask([STATE, ""], 10) == [(0, ON_TEXT), (0, b"")]
    assert line.ask([STATE], 10) == [(0, ON_TEXT)]


def test_the_second_answer_arrives_although_the_first_hangs(clock, world_of):
    line = VirtualLine(world_of("node1", hostd="hung"))
    first, second = line.ask([LIST, PROCESSES], 4)
    assert first is None
    assert second[0] == 0
    assert clock.now == 1004
    assert line.ask([PROCESSES], 2) == [None]  # its shell still waits for the first request


def test_the_first_answer_waits_for_the_second(world_of):
    line = VirtualLine(world_of("node1", localcli="hung"))
    assert line.ask([STATE, PROCESSES], 4) == [None, None]


@pytest.mark.parametrize(("when", "ran"), [("before_run", False), ("before", True),
                                           ("middle", True), ("after", True)])
def test_a_broken_line_is_raised_with_what_had_arrived(world_of, when, ran):
    world = world_of("node1", "node2", latency={"power.off": 1.0},
                     cuts=[LineCut("power.off", when)])
    if when == "before_run":
        world.faults.latency = {"localcli": 0}
    line = VirtualLine(world)
    with pytest.raises(LineBroken) as broken:
        line.ask([OFF, PROCESSES], 10)
    assert (world.vm("node1").power == "off") is ran
    assert [answer and answer[0] for answer in broken.value.answers] == [None, 0 if ran else None]
    with pytest.raises(LineBroken):
        line.ask([STATE], 1)
    assert VirtualLine(world).ask([LIST], 1)[0][0] == 0


@pytest.mark.parametrize(("when", "keepalive", "noticed"), [
    ("silent", 5, False), ("dead", None, False), ("dead", 5, True)])
def test_a_silent_line_is_told_by_the_bound_alone(clock, world_of, when, keepalive, noticed):
    line = VirtualLine(world_of("node1", cuts=[LineCut("getstate", when)]), keepalive)
    if noticed:
        with pytest.raises(LineBroken):
            line.ask([STATE], 20)
        assert clock.now == 1005
    else:
        assert line.ask([STATE], 20) == [None]
        assert clock.now == 1020
        assert line.ask([LIST], 1) == [None]


def test_a_closed_line_takes_its_commands_along(clock, world_of):
    world = world_of("node1", latency=2.0)
    line = VirtualLine(world)
    assert line.ask([OFF], 1) == [None]
    line.close()
    clock.sleep(10)
    assert world.vm("node1").power == "on"
    assert world.record[0].ended is None


def test_what_the_shell_lacks_and_stderr_among_stdout(world_of):
    line = VirtualLine(world_of("node1", release="8.0", vim_cmd_absent=False, invalid_vms=[9]))
    assert line.ask(["bash -c true"], 1) == [(127, b"sh: bash: not found\n")]
    assert line.ask([LIST], 1)[0][1].startswith(b"Skipping invalid VM '9'\nVmid ")


def test_sessions_have_their_numbers(world_of):
    world = world_of("node1")
    for _ in range(2):
        VirtualLine(world).ask([STATE], 1)
    assert [entry.connection for entry in world.record] == [1, 2]


def test_a_world_is_cheap():
    def run():
        clock = VirtualClock()
        world = World(clock, vms=["node1", "node2", "node3", "node4", "node5", "node6"],
                      latency=0.3, bad_answers=[BadAnswer("getallvms", "half", 2)])
        line = VirtualLine(world)
        for _ in range(5):
            line.ask([LIST, PROCESSES], 10)
            line.ask([STATE, "ps"], 10)

    run()
    begun = time.process_time()
    for _ in range(100):
        run()
    assert (time.process_time() - begun) / 100 < 0.004  # measured: 0.0004 s

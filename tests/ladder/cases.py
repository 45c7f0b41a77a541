"""What the tests of the ladder share: a host with a node to fence and one to leave alone.

The host is a world in virtual time, the agent's own code runs in this process, and a minute takes a
moment; with real=True it is a simulated host, a real ssh and a process of the agent.
"""

import contextlib
import functools
import io
import logging
import re
import sys
from types import SimpleNamespace

import pytest
from campaign import virtual
from esxi_sim import VM, Host, VMFaults, World
from esxi_sim.virtual import VirtualClock
from fence_runner import fence

# seconds from the start of the agent to its verdict, and what a busy machine adds to the measure
BOUND = {"off": 45, "on": 45, "reboot": 55, "status": 20, "list": 20, "list-status": 20,
         "monitor": 20}
SLACK = 0.5
# a test that is run in both ways: one for each rung, each proof, each message
BOTH_WAYS = pytest.mark.parametrize("real", [False, True], ids=["virtual", "end to end"])


class VirtualHost(World):
    """A host in virtual time; logins: how often the agent logged in."""

    logins = 0


@contextlib.contextmanager
def a_host(power="on", host=None, real=False, others=("node2",), **faults):
    """A host with node1, whose faults these are, and others, which nothing may touch.

    host: switches of the host itself, by name.
    """
    vms = [VM("node1", power=power, faults=VMFaults(**faults)),
           *(VM(vm) if isinstance(vm, str) else vm for vm in others)]
    kind = Host if real else functools.partial(VirtualHost, VirtualClock())
    with contextlib.ExitStack() as end:
        simulated = kind(vms=vms, **(host or {}))
        if real:
            end.enter_context(simulated)
        worlds = {str(vm.world_id) for vm in vms[1:]}
        powers = [vm.power for vm in vms[1:]]
        yield simulated
        assert [vm.power for vm in vms[1:]] == powers
        assert not [event for event in simulated.power_events if event.name != "node1"]
        assert not worlds.intersection(killed_worlds(simulated))


def run(host, action, plug="node1", **options):
    """A run of the agent that ended within its bound; options as on its standard input."""
    if isinstance(host, Host):
        done = fence(host, action, plug, **options)
        assert done.seconds < BOUND[action] + SLACK + done.starved, done
    else:
        done = _run_in_virtual_time(host, action, plug, **options)
        assert done.seconds < BOUND[action], done
    return done


@functools.cache
def _agent():
    return virtual.load()


def _run_in_virtual_time(host, action, plug, service=True, **more):
    """As main() of the agent runs, without a process and without a login that could fail."""
    agent, said, printed = _agent(), io.StringIO(), io.StringIO()

    def session(_login):
        host.logins += 1
        return virtual.Session(agent, host, iter(()))

    log = logging.StreamHandler(said)
    log.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    log.addFilter(agent.clean)
    library = sys.modules[agent.fence_action.__module__]
    options = {"action": action, "ip": "127.0.0.1", "username": "root", "password": "x",
               "plug": plug, **more}
    options = {name: value for name, value in options.items() if value is not None}
    root = logging.getLogger()
    before = root.handlers[:], root.level, library.time, sys.stdin
    started = host.clock.now
    sys.stdin = io.StringIO("".join("%s=%s\n" % option for option in options.items()))
    sys.argv, argv = sys.argv[:1], sys.argv
    library.time = host.clock  # it waits power_wait seconds, 0 or not
    try:
        given = agent.process_input(list(agent.DEVICE_OPTIONS))
        checked = agent.check_input(list(agent.DEVICE_OPTIONS), given, other_conditions=True)
        root.handlers[:] = [log]
        root.setLevel(logging.DEBUG if "verbose" in more else logging.WARNING)
        if service:  # as the library does under Pacemaker
            checked.update({"--%s-timeout" % kind: 0 for kind in ("login", "shell", "power")})
        with contextlib.redirect_stdout(printed):
            status = agent.carry_out(checked, given, session=session, clock=host.clock)
    except agent.FenceError as error:
        logging.error("%s", error)
        status = 1
    except SystemExit as end:
        status = end.code
    finally:
        root.handlers[:], root.level, library.time, sys.stdin = before
        sys.argv = argv
    seconds = host.clock.now - started + virtual.START_AND_END
    return SimpleNamespace(status=status or 0, stdout=printed.getvalue(), stderr=said.getvalue(),
                           log=said.getvalue(), seconds=seconds)


def succeeds(host, action, words, plug="node1", **options):
    """The run, once it ended in success and said so in exactly these words."""
    done = run(host, action, plug, **options)
    assert (done.status, done.stdout) == (0, words + "\n"), done
    return done


def fails(host, action, *words, plug="node1", **options):
    """The run, once it ended in failure, with nothing on stdout and each of words in stderr."""
    done = run(host, action, plug, **options)
    assert (done.status, done.stdout) == (1, ""), done
    for word in words:
        assert word in done.stderr, done.stderr
    return done


def was_cut(host, name="node1"):
    """Whether a VM was off at some moment since the host was started."""
    return any(event.name == name and event.new == "off" for event in host.power_events)


def kills(host):
    """The kills the host was sent, world IDs left out: "esxcli soft", ..."""
    sent = [re.match(r"(\w+) vm process kill -t (\w+) -w \d+$", line) for line in host.commands]
    return ["%s %s" % kill.groups() for kill in sent if kill]


def killed_worlds(host):
    """The world IDs the host was told to kill."""
    return [line.split()[-1] for line in host.commands if "process kill" in line]


def power_commands(host):
    """The power commands the host was sent."""
    return [line for line in host.commands if re.search(r"power\.(?!getstate)", line)]


def rounds(host):
    """The host's commands, those together that ran side by side; each must take a moment."""
    together = []
    for call in sorted(host.record, key=lambda call: call.started):
        if together and call.started < together[-1][-1].ended:
            together[-1].append(call)
        else:
            together.append([call])
    return [[call.line for call in calls] for calls in together]

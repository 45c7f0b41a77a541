"""What the tests of the ladder share: a host with a node to fence and one to leave alone."""

import contextlib
import re

from esxi_sim import VM, Host, VMFaults
from fence_runner import fence

# seconds from the start of the agent to its verdict, and what a busy machine adds to the measure
BOUND = {"off": 45, "on": 45, "reboot": 55, "status": 20, "list": 20, "list-status": 20,
         "monitor": 20}
SLACK = 0.5


@contextlib.contextmanager
def a_host(power="on", host=None, **faults):
    """A host with node1, whose faults these are, and node2, which nothing may touch.

    host: switches of the host itself, by name.
    """
    node1 = VM("node1", power=power, faults=VMFaults(**faults))
    with Host(vms=[node1, VM("node2")], **(host or {})) as simulated:
        worlds_of_node2 = {str(simulated.vm("node2").world_id)}
        yield simulated
        assert simulated.vm("node2").power == "on"
        assert not [event for event in simulated.power_events if event.name == "node2"]
        assert not worlds_of_node2.intersection(killed_worlds(simulated))


def run(host, action, plug="node1", **options):
    """A run of the agent that ended within its bound."""
    done = fence(host, action, plug, **options)
    assert done.seconds < BOUND[action] + SLACK + done.starved, done
    return done


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

"""Run other tests through a restricted key.

As a plugin of pytest, every simulated host of the run has a key for all of its VMs, and the agent
is given that key wherever a test gives it the password:

    PYTHONPATH=tests/gate pytest -p gated_everywhere tests/host

As a program, it does the same with the fault campaign, and takes its options:

    python tests/gate/gated_everywhere.py --end-to-end --count 200

Tests about passwords and passphrases, about the file name of the agent, or that count the host
commands of a power action are left out.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.util
import os
import runpy
import shutil
import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "gate"), str(TESTS), str(TESTS.parent / "lib")]

import esxi_sim.login  # noqa: E402
import fence_runner  # noqa: E402
import gated  # noqa: E402
from esxi_sim import Host  # noqa: E402

AGENT = TESTS.parent / "agents/esxi/fence_esxi.py"
PLACE = "FENCE_ESXI_GATED_KEY"
LEFT_OUT = (
    "test_a_bad_option_is_told_and_leaves_the_host_alone",
    "test_an_action_takes_these_host_commands_and_no_more",
    "test_an_identity_file_logs_in",
    "test_stonith_admin_reads_and_validates_the_agent",
    "test_validate_all_tells_a_bad_option_too",
    "test_where_nothing_else_runs_ps_is_asked_too",
)
AGENT_WITH_KEY = '''#!/usr/bin/python3
"""fence_esxi, given a key where it is given a password."""
import os
import re
import sys

KEY, AGENT = {key!r}, {agent!r}
words = [os.fsencode(word) for word in sys.argv[1:]]
if words:
    words = [re.sub(rb"(?s)^--passw(or)?d=.*", b"--identity-file=" + os.fsencode(KEY), word)
             for word in words]
else:
    text = re.sub(rb"(?m)^passw(or)?d=.*", b"identity_file=" + os.fsencode(KEY),
                  sys.stdin.buffer.read())
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    os.dup2(reading, 0)
os.execv(sys.executable, [os.fsencode(sys.executable), os.fsencode(AGENT), *words])
'''


def activate(only=None):
    """Give every host the key and return the agent that uses it.

    only: the name of the one VM the key is for; None: all of them. The processes that this one
    starts (pytest-xdist) find the key and the agent where it left them.
    """
    if PLACE not in os.environ:
        _prepare(Path(os.environ.setdefault(PLACE, tempfile.mkdtemp(prefix="fence_gated-"))))
    folder = Path(os.environ[PLACE])
    _let_in(_tool(), (folder / "gated-1.pub").read_text(), only)
    return folder / "fence_esxi.py"


def _prepare(folder):
    atexit.register(_remove, folder, os.getpid())
    folder.chmod(0o755)
    key = gated.new_key(folder)
    agent = folder / "fence_esxi.py"
    agent.write_text(AGENT_WITH_KEY.format(
        key=str(key), agent=os.environ.get("FENCE_ESXI_AGENT", str(AGENT))))
    agent.chmod(0o755)


def _remove(folder, process):
    if os.getpid() == process:  # and not in a child of it
        shutil.rmtree(folder, ignore_errors=True)


def _tool():
    loader = importlib.machinery.SourceFileLoader("esxi_fence_key", str(gated.TOOL))
    tool = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    remembered, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(tool)
    finally:
        sys.dont_write_bytecode = remembered
    return tool


def _let_in(tool, public, only):
    """Have each host write the line for its VMs of the moment whenever a key is offered."""
    tool.LONGEST_LINE = 100000  # this sshd reads longer lines than old ones did
    key = tool.parse_public_key(public)
    start, check_key = Host.start, esxi_sim.login.Accounts.check_key

    def start_with_key(host):
        host.accounts.host = host
        return start(host)

    def check_key_of(accounts, *words):
        own = accounts.login.authorized_keys
        host = accounts.host
        vms = [vm for vm in list(host.inventory.vms.values()) if only in (None, vm.name)]
        permit = _permit_for(tool, [(host.shown_name(vm), vm.uuid) for vm in vms])
        accounts.login.authorized_keys = own + "\n" + tool.authorized_line(key, permit, False)
        try:
            return check_key(accounts, *words)
        finally:
            accounts.login.authorized_keys = own

    Host.start, esxi_sim.login.Accounts.check_key = start_with_key, check_key_of


def _permit_for(tool, vms):
    names, uuids = [], []
    for name, uuid in vms:
        try:
            # the simulator's sshd, unlike OpenSSH, takes every backslash away
            names.append(tool.check_name(name if "\\" not in name else ""))
        except tool.Unusable:
            uuids.append(uuid)
    return tool.Permit(names or ["nobody"], uuids, "kill")


def pytest_configure(config):
    """The tests find the agent by this name."""
    os.environ["FENCE_ESXI_AGENT"] = str(activate())


def pytest_collection_modifyitems(items):
    """Leave out what a key makes different on purpose."""
    items[:] = [item for item in items if item.originalname not in LEFT_OUT]


if __name__ == "__main__":
    import campaign.schedule

    fence_runner.AGENT = str(activate(only=campaign.schedule.TARGET))
    sys.argv[0] = str(TESTS / "campaign/run.py")
    runpy.run_path(sys.argv[0], run_name="__main__")

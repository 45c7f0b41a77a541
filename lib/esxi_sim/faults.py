"""What can go wrong on the simulated host: plain fields, set while it runs.

Every field may be changed at any time, and all of them combine. A command looks at the fields when
it reaches the step they concern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Tuple, Union


@dataclass
class VMFaults:
    """What one VM does instead of obeying.

    off: what vim-cmd power.off does:
        "obeyed"; "late" (done after off_seconds); "refused" (a fault, nothing happens);
        "ignored" (the announcement, exit status 0, nothing happens); "hangs" (no answer,
        nothing happens); "hangs_after" (done, but no answer).
    off_seconds: how late; off_blocks: whether a late power.off waits for it or answers at once.
    refusal_invalidates: a power.off that is refused leaves the VM invalid, while its process runs
        on (facts: 3.2; see World.invalidate).
    on: the same for power.on: "obeyed", "late" (on_seconds), "fails" (the release's fault),
        "ignored" (exit status 0 without starting; facts: 3.1), "hangs".
    autostart: seconds after which the VM is on again when something switched it off;
        None: never. autostart_times: how often.
    kill_needs: the weakest kill that ends the VM: "soft", "hard", "force" or "never".
    kill_seconds: how long the process lives on after the kill that ends it.
    stale_seconds: how long hostd still says "on" after a kill ended the process (facts: 9).
    ps_seconds: how long `ps` still shows the worlds of a process that has ended (open).
    question: None, True (the moved-or-copied question of the release) or a text of your own,
        first line "id:text", last lines the choices (facts: 4). It is pending while the VM is
        on, or from the first power.on; it refuses power.off at once and holds power.on for ever
        (facts: 3.2).
    suspended_off: power.off of a suspended VM is "obeyed" (ESXi 5 and later) or "refused"
        (vSphere 4; facts: 3.2).
    busy: another task is in progress: power.on and power.off are refused (facts: 3.2).
    getstate: None, or the whole text or bytes that power.getstate prints instead.
    getstate_status: the exit status that goes with it.
    """

    off: str = "obeyed"
    off_seconds: float = 5.0
    off_blocks: bool = True
    refusal_invalidates: bool = False
    on: str = "obeyed"
    on_seconds: float = 5.0
    autostart: Optional[float] = None
    autostart_times: int = 1
    kill_needs: str = "soft"
    kill_seconds: float = 0.0
    stale_seconds: float = 0.0
    ps_seconds: float = 0.0
    question: Union[None, bool, str] = None
    suspended_off: str = "obeyed"
    busy: bool = False
    getstate: Union[None, str, bytes] = None
    getstate_status: int = 0


@dataclass
class BadAnswer:
    """Spoil the answers of commands in which the pattern `command` is found: not of the first
    `after` of them, but of the next `times`. Of two that are due the first one listed strikes.

    kind: "empty", "half" (cut in the middle), "garbage" (bytes that are no UTF-8), "text" (print
    `text` instead, without running the command), "hang" (neither run nor answered) or "hang_after"
    (run, not answered). status: exit status, None: the real one.
    """

    command: str
    kind: str = "empty"
    times: int = 1
    text: Union[str, bytes] = ""
    status: Optional[int] = None
    after: int = 0

    def take(self, command: str) -> bool:
        """Whether this command is one of them. Counts it."""
        if self.times <= 0 or not re.search(self.command, command):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


@dataclass
class LineCut:
    """Drop the TCP connection at the `nth` command from now in which `command` is found, and at
    each of the `times` - 1 after it.

    when: "before_run" (the command never runs), "before" its answer, "middle" (after half of
    the answer was delivered), "after" (answer delivered, exit status not), "silent" (the
    connection stays up, but the shell in it is heard of no more) or "dead" (not even ssh's own
    keep-alive messages are answered any more, as behind a firewall that forgot the connection).
    """

    command: str = ""
    when: str = "before"
    nth: int = 1
    times: int = 1

    def take(self, command: str) -> bool:
        """Whether the line is cut at this command. Counts it."""
        if self.times <= 0 or not re.search(self.command, command):
            return False
        if self.nth > 1:
            self.nth -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Answer:
    """What a command prints: its standard output, standard error and exit status."""

    stdout: Union[str, bytes] = b""
    stderr: Union[str, bytes] = b""
    status: int = 0


@dataclass
class Faults:
    """What the whole host does wrong.

    hostd: "up"; "hung" (vim-cmd and esxcli never answer); "down" (they fail at once with the
        release's words); "late_failure" (silence for hostd_silence seconds, then
        `Failed to login`). See World.set_hostd for a change that ends by itself.
    hung_calls_resume: commands that hostd let hang are carried out when it is up again.
    localcli: "up", "hung" or "down"; it does not care about hostd. localcli_layout: "own" (an empty
        line before each block, its heading ends in a colon), "closed" (the same, and an empty line
        at the end; open) or "esxcli" (as esxcli prints it, which was long believed; facts: 6).
    ps: "up", "hung", "absent" or "busybox" (a ps of another layout); facts: 6a.
    latency: seconds each vim-cmd, esxcli, localcli or ps takes; or {part of the command: seconds},
        which holds for readlink and grep too.
    bad_answers, cuts: see BadAnswer and LineCut. Every command of the host's shell that is
        recorded may be concerned.
    dead_datastores: names of datastores that answer no more: grep over their files and
        `readlink -f` block, plain readlink does not (facts: 6).
    gone_links: names of datastores whose link /vmfs/volumes/NAME is gone: plain readlink prints
        nothing, status 1. gone_link_answer: what `readlink -f` prints then: its "argument" with
        status 0, or "nothing" (facts: 6).
    invalid_vms: Vmids told of with "Skipping invalid VM 'N'" (facts: 1.3) beside those of the VMs
        that are invalid; a registered VM with such a Vmid has no row. invalid_stream: "stderr"
        (default) or "stdout".
    extra_rows: raw lines printed after the rows of getallvms. row_repeats: {vmid: times}.
    permission_denied: every vim-cmd call answers the permission fault (facts: 7.1).
    read_only: the user may look, but not switch: power.* answers the permission fault, a kill is
        refused.
    vim_cmd_absent: there is no vim-cmd, esxcli or localcli (not an ESXi shell). See
        World.set_vim_cmd_absent for a change while it runs.
    reuse_world_ids: numbers of processes that ended are given to those that start (open).
    unknown_id_status, unknown_id_stream: of the fault for an unknown Vmid (open, facts: 2).
    unknown_world_text: what kill says of an unknown world ID (open, facts: 6a).
    """

    hostd: str = "up"
    hostd_silence: float = 10.0
    hung_calls_resume: bool = False
    localcli: str = "up"
    localcli_layout: str = "own"
    ps: str = "up"
    latency: Union[float, Dict[str, float]] = 0.0
    bad_answers: List[BadAnswer] = field(default_factory=list)
    cuts: List[LineCut] = field(default_factory=list)
    dead_datastores: List[str] = field(default_factory=list)
    gone_links: List[str] = field(default_factory=list)
    gone_link_answer: str = "argument"
    invalid_vms: List[int] = field(default_factory=list)
    invalid_stream: str = "stderr"
    extra_rows: List[Union[str, bytes]] = field(default_factory=list)
    row_repeats: Dict[int, int] = field(default_factory=dict)
    permission_denied: bool = False
    read_only: bool = False
    vim_cmd_absent: bool = False
    reuse_world_ids: bool = False
    unknown_id_status: int = 1
    unknown_id_stream: str = "stdout"
    unknown_world_text: str = "Unable to find a virtual machine with the world ID {world}."

    def latency_of(self, argv: List[str], command: str) -> float:
        """Seconds the given command takes."""
        if isinstance(self.latency, dict):
            return max((s for part, s in self.latency.items() if part in command), default=0.0)
        return 0.0 if argv[0] in ("readlink", "grep") else self.latency

    def take(self, command: str) -> Tuple[Optional[BadAnswer], Optional[LineCut]]:
        """The one door for what happens to a command on its way: how its answer is spoilt, and
        how its line is cut. Uses up one of each."""
        if not (self.bad_answers or self.cuts):
            return None, None
        bad = [bad for bad in self.bad_answers if bad.take(command)]  # each counts every command
        cuts = [cut for cut in self.cuts if cut.take(command)]
        return bad[0] if bad else None, cuts[0] if cuts else None


CommandHook = Callable[[List[str]], Optional[Answer]]

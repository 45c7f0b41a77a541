"""What can go wrong on the simulated host: plain fields, set while it runs.

Every field may be changed at any time, from any thread, and all of them combine. A command
looks at the fields when it reaches the step they concern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Callable, Dict, List, Optional, Union


@dataclass
class VMFaults:
    """What one VM does instead of obeying.

    off: what vim-cmd power.off does:
        "obeyed"; "late" (done after off_seconds); "refused" (a fault, nothing happens);
        "ignored" (the announcement, exit status 0, nothing happens); "hangs" (no answer,
        nothing happens); "hangs_after" (done, but no answer).
    off_seconds: how late; off_blocks: whether a late power.off waits for it or answers at once.
    on: the same for power.on: "obeyed", "late" (on_seconds), "fails" (the release's fault),
        "ignored" (exit status 0 without starting; facts: 3.1), "hangs".
    autostart: seconds after which the VM is on again when something switched it off;
        None: never. autostart_times: how often.
    kill_needs: the weakest kill that ends the VM: "soft", "hard", "force" or "never".
    kill_seconds: how long the process lives on after the kill that ends it.
    stale_seconds: how long hostd still says "on" after a kill ended the process (facts: 9).
    question: None, True (the moved-or-copied question of the release) or a text of your own,
        first line "id:text", last lines the choices (facts: 4). It is pending while the VM is
        on, or from the first power.on; it refuses power.off and holds power.on for ever.
    suspended_off: power.off of a suspended VM is "obeyed" or "refused" (open, facts: 3.2).
    busy: another task is in progress: power.on and power.off are refused (facts: 3.2).
    getstate: None, or the whole text or bytes that power.getstate prints instead.
    getstate_status: the exit status that goes with it.
    """

    off: str = "obeyed"
    off_seconds: float = 5.0
    off_blocks: bool = True
    on: str = "obeyed"
    on_seconds: float = 5.0
    autostart: Optional[float] = None
    autostart_times: int = 1
    kill_needs: str = "soft"
    kill_seconds: float = 0.0
    stale_seconds: float = 0.0
    question: Union[None, bool, str] = None
    suspended_off: str = "obeyed"
    busy: bool = False
    getstate: Union[None, str, bytes] = None
    getstate_status: int = 0


@dataclass
class BadAnswer:
    """Spoil the answers of the next `times` commands in which the pattern `command` is found.

    kind: "empty", "half" (cut in the middle), "garbage" (bytes that are no UTF-8), or "text"
    (print `text` instead, without running the command). status: exit status, None: the real one.
    """

    command: str
    kind: str = "empty"
    times: int = 1
    text: Union[str, bytes] = ""
    status: Optional[int] = None


@dataclass
class LineCut:
    """Drop the TCP connection at the `nth` command from now in which `command` is found.

    when: "before_run" (the command never runs), "before" its answer, "middle" (after half of
    the answer was delivered), "after" (answer delivered, exit status not), "silent" (the
    connection stays up, but the shell in it is heard of no more) or "dead" (not even ssh's own
    keep-alive messages are answered any more, as behind a firewall that forgot the connection).
    """

    command: str = ""
    when: str = "before"
    nth: int = 1


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
        `Failed to login`). See Host.set_hostd for a change that ends by itself.
    hung_calls_resume: commands that hostd let hang are carried out when it is up again.
    localcli: "up", "hung" or "down"; it does not care about hostd.
    latency: seconds each vim-cmd/esxcli/localcli takes; or {part of the command: seconds}.
    bad_answers, cuts: see BadAnswer and LineCut.
    invalid_vms: Vmids told of with "Skipping invalid VM 'N'" (facts: 1.3); a registered VM
        with such a Vmid has no row. invalid_stream: "stderr" (default) or "stdout".
    extra_rows: raw lines printed after the rows of getallvms. row_repeats: {vmid: times}.
    permission_denied: every vim-cmd call answers the permission fault (facts: 7.1).
    vim_cmd_absent: there is no vim-cmd, esxcli or localcli (not an ESXi shell).
    unknown_id_status, unknown_id_stream: of the fault for an unknown Vmid (open, facts: 2).
    unknown_world_text: what kill says of an unknown world ID (open, facts: 6).
    """

    hostd: str = "up"
    hostd_silence: float = 10.0
    hung_calls_resume: bool = False
    localcli: str = "up"
    latency: Union[float, Dict[str, float]] = 0.0
    bad_answers: List[BadAnswer] = field(default_factory=list)
    cuts: List[LineCut] = field(default_factory=list)
    invalid_vms: List[int] = field(default_factory=list)
    invalid_stream: str = "stderr"
    extra_rows: List[Union[str, bytes]] = field(default_factory=list)
    row_repeats: Dict[int, int] = field(default_factory=dict)
    permission_denied: bool = False
    vim_cmd_absent: bool = False
    unknown_id_status: int = 1
    unknown_id_stream: str = "stdout"
    unknown_world_text: str = "Unable to find a virtual machine with the world ID {world}."

    def latency_of(self, command: str) -> float:
        """Seconds the given command line takes."""
        if isinstance(self.latency, dict):
            return max((s for part, s in self.latency.items() if part in command), default=0.0)
        return self.latency

    def take_bad_answer(self, command: str) -> Optional[BadAnswer]:
        """The spoiling that concerns this command, used up by one; None: no spoiling."""
        for bad in self.bad_answers:
            if bad.times > 0 and re.search(bad.command, command):
                bad.times -= 1
                return bad
        return None

    def take_cut(self, command: str) -> Optional[LineCut]:
        """The line cut that is due at this command, or None."""
        due = None
        for cut in self.cuts:
            if cut.nth > 0 and re.search(cut.command, command):
                cut.nth -= 1
                if cut.nth == 0 and due is None:
                    due = cut
        return due


CommandHook = Callable[[List[str]], Optional[Answer]]

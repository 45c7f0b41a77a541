"""What differs between the releases of ESXi the simulator can be.

Only what the facts file calls CONFIRMED is presented as ESXi's own words. Fields marked
"open" below are stand-ins: nobody's output was found for that release, see README.md.
"""

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Release:
    """The words and habits of one ESXi release.

    name: what --release takes. product, build: what `vmware -v` prints.
    old_faults: fault blocks have dynamicType and a comma after every field (facts: 3.1).
    power_failure: how a failed power.on/off/reset ends: "block" (the fault alone), "bare"
    (`Power off failed` without a reason), "fault" (`Power off failed: (fault) {...}`).
    powered_off: the state's spelling inside a fault message (facts: 3.1).
    vim_cmd_down, esxcli_down: the words while hostd is down (facts: 6).
    moved_question: "may have been" or "might have been" (facts: 4).
    old_prompt: `~ # ` instead of `[root@host:~] ` (facts: 7.2).
    motd: file in texts/, shown to an interactive shell. ssh_version: the SSH banner.
    fips: ed25519 client keys are refused, and the algorithms of 8.0.2 are offered (facts: 7.1).
    tally: a locked account is shown PAM's line of tally_vob.sh (facts: 7.1).
    vmm_cartel: what ps prints as the CID of a vmm world: "0", on 5.x nothing (facts: 6a).
    """

    name: str
    product: str
    build: str
    old_faults: bool
    power_failure: str
    powered_off: str
    vim_cmd_down: str
    esxcli_down: str
    moved_question: str
    old_prompt: bool
    motd: str
    ssh_version: str
    fips: bool
    tally: bool = False
    vmm_cartel: str = "0"


_REFUSED = "Connect to localhost failed: Connection failure"
_BAD_REQUEST = "Failed to login: Invalid response code: 400 Bad Request"

# open: power_failure of 6.7 and 7.0; vim_cmd_down of all but 5.x; esxcli_down of 7.0 and later
# (only "contains Connection failed" is documented); ssh_version of all but 6.7; most builds.
RELEASES = {
    release.name: release
    for release in (
        Release("5.5", "5.5.0", "1331820", True, "block", "Powered Off", _BAD_REQUEST, _REFUSED,
                "may have been", True, "motd-5.5.txt", "esxi_sim", False, vmm_cartel=""),
        Release("6.0", "6.0.0", "3620759", False, "bare", "Powered off", _REFUSED, _REFUSED,
                "might have been", False, "motd-5.5.txt", "esxi_sim", False, tally=True),
        Release("6.7", "6.7.0", "14320388", False, "bare", "Powered off", _REFUSED, _REFUSED,
                "might have been", False, "motd-6.7.txt", "OpenSSH_8.3", False, tally=True),
        Release("7.0", "7.0.3", "19193900", False, "fault", "Powered off", _REFUSED,
                "Connection failed", "might have been", False, "motd-6.7.txt", "esxi_sim", False),
        Release("8.0", "8.0.3", "24674464", False, "fault", "Powered off", _REFUSED,
                "Connection failed", "might have been", False, "motd-8.0.txt", "esxi_sim", True),
        Release("9.0", "9.0.0", "24755229", False, "fault", "Powered off", _REFUSED,
                "Connection failed", "might have been", False, "motd-8.0.txt", "esxi_sim", True),
    )
}

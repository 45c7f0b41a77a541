"""What `vim-cmd vmsvc/...` does and prints.

Each function of a command takes (world, out, vm, arguments) and returns the exit status.
"""

from __future__ import annotations

from typing import Awaitable, Callable, Dict, List

from . import texts
from .output import Output
from .storage import file_column
from .vms import VM, uuid_with_dashes
from .world import World

_NO_ARGUMENT = {"vmsvc/getallvms"}


async def run(world: World, out: Output, arguments: List[str]) -> int:
    """Carry out one vim-cmd call."""
    name, rest = "".join(arguments[:1]).lstrip("/"), arguments[1:]
    if name not in _COMMANDS and name not in _NO_ARGUMENT:
        out.err("Invalid command '%s'.\n" % name)
        return 255
    if world.faults.permission_denied:
        out.err(texts.no_permission(world.release, "vim.Folder:ha-folder-root", "System.View"))
        return 1
    if name in _NO_ARGUMENT:
        return _getallvms(world, out)
    if not rest:
        out.err("Insufficient arguments.\n")
        return 255
    vm = world.find_vm(rest[0])
    if vm is None:
        fault = texts.not_found(world.release, rest[0])
        (out.err if world.faults.unknown_id_stream == "stderr" else out.out)(fault)
        return world.faults.unknown_id_status
    return await _COMMANDS[name](world, out, vm, rest[1:])


# -- listing -----------------------------------------------------------------------------


def _getallvms(world: World, out: Output) -> int:
    faults = world.faults
    vms = world.inventory.listed()
    invalid = [*faults.invalid_vms,
               *(vm.vmid or 0 for vm in vms if vm.invalid and vm.vmid not in faults.invalid_vms)]
    tell = out.out if faults.invalid_stream == "stdout" else out.err
    tell("".join(["Skipping invalid VM '%d'\n" % vmid for vmid in invalid]))
    listed = [vm for vm in vms if vm.vmid not in invalid]
    lines = texts.table(texts.INVENTORY_HEADER, [_row(world, vm) for vm in listed],
                        world.pad_by_bytes)
    if faults.row_repeats:
        lines = lines[:1] + [line for vm, line in zip(listed, lines[1:])
                             for _ in range(faults.row_repeats.get(vm.vmid or 0, 1))]
    out.out("\n".join(lines) + "\n")
    for row in faults.extra_rows:
        out.out(texts.to_bytes(row) + b"\n")
    return 0


def _row(world: World, vm: VM) -> List[str]:
    return [str(vm.vmid), world.shown_name(vm), file_column(vm), vm.guest, vm.hardware, vm.note]


async def _get_summary(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    tools = vm.guest_host != ""
    out.out(texts.stored_block("get-summary.txt", world.release) % {
        "vmid": vm.vmid, "connection": _connection(world, vm), "power": _power(world, vm),
        "question": _question_info(world, vm), "config": _config(world, vm),
        "tools": "toolsOk" if tools else "toolsNotInstalled",
        "tools_version": "guestToolsCurrent" if tools else "guestToolsNotInstalled",
        "tools_running": "guestToolsRunning" if tools else "guestToolsNotRunning",
        "guest_host": '"%s"' % vm.guest_host if tools else "<unset>"})
    return 0


def _config(world: World, vm: VM) -> str:
    """The section that names the VM; null where hostd has lost it (facts: 5a, documented)."""
    if world.is_invalid(vm):
        return "(vim.vm.Summary.ConfigSummary) null"
    text = texts.stored_block("get-summary-config.txt", world.release) % {
        "name": world.shown_name(vm), "path": file_column(vm), "guest": vm.guest,
        "uuid": uuid_with_dashes(vm.uuid), "instance_uuid": uuid_with_dashes(vm.vc_uuid),
        "annotation": vm.note}
    return text.rstrip("\n")


def _connection(world: World, vm: VM) -> str:
    return "invalid" if world.is_invalid(vm) else "connected"


def _power(world: World, vm: VM) -> str:
    return texts.api_power(_hostd_power(world, vm))


def _hostd_power(world: World, vm: VM) -> str:
    return "off" if world.is_invalid(vm) else vm.hostd_power


def _question_info(world: World, vm: VM) -> str:
    if not vm.question_pending:
        return "(vim.vm.QuestionInfo) null"
    text = texts.question_text(world.release, vm.faults.question).rstrip("\n")
    return ('(vim.vm.QuestionInfo) {\n         id = "0", \n         text = "%s"\n      }' % text)


async def _get_runtime(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    out.out(texts.stored_block("get-runtime.txt", world.release) % {
        "connection": _connection(world, vm), "power": _power(world, vm),
        "question": _question_info(world, vm)})
    return 0


async def _get_tasklist(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    if vm.faults.busy:
        out.out("(ManagedObjectReference) [\n"
                "   'vim.Task:haTask-%s-vim.VirtualMachine.removeAllSnapshots-2826',\n"
                "]\n" % vm.vmid)
    else:
        out.out("(ManagedObjectReference) []\n")
    return 0


async def _getstate(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    if vm.faults.getstate is not None:
        out.out(vm.faults.getstate)
        return vm.faults.getstate_status
    out.out("Retrieved runtime info\n%s\n" % texts.power_words(_hostd_power(world, vm)))
    return 0


# -- questions ---------------------------------------------------------------------------


async def _message(world: World, out: Output, vm: VM, rest: List[str]) -> int:
    if not vm.question_pending:
        out.out("No message.\n")
        return 0
    if len(rest) < 2:
        out.out("Virtual machine message 0:\n"
                + texts.question_text(world.release, vm.faults.question))
        return 0
    vm.faults.question = None
    world.answer_question(vm, cancel=rest[1] == "0")
    return 0


# -- power -------------------------------------------------------------------------------


def _fail(world: World, out: Output, what: str, fault: str) -> int:
    """End a power command with the failure text of the release (facts: 3.1)."""
    style = world.release.power_failure
    if style == "block":
        out.err(fault)
    elif style == "bare":
        out.err(what + " failed\n")
    else:
        out.err("%s failed: %s" % (what, fault))
    return 1


def _refusal(world: World, vm: VM) -> str:
    """The fault that refuses any change of power now, or ''."""
    if world.faults.read_only:
        return texts.no_permission(world.release, "vim.VirtualMachine:%s" % vm.vmid,
                                   "VirtualMachine.Interact.PowerOff")
    if world.is_invalid(vm):
        return texts.fault_block(world.release, "vim.fault.InvalidState",
                                 "The operation is not allowed in the current state.")
    if vm.faults.busy:
        return texts.fault_block(world.release, "vim.fault.TaskInProgress",
                                 "Operation failed since another task is in progress.",
                                 (("task", "'vim.Task:haTask-2826'"),))
    return ""


async def _power_off(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    out.out("Powering off VM:\n")
    refusal = _off_refusal(world, vm)
    if refusal:
        if vm.faults.refusal_invalidates:
            world.invalidate(vm)
        return _fail(world, out, "Power off", refusal)
    faults, cause = vm.faults, out.cause
    if faults.off == "hangs":
        return await out.hang()
    if faults.off == "late":
        done = world.change_power_later(faults.off_seconds, vm, "off", cause)
        if faults.off_blocks:
            await out.wait_for(done)
        return 0
    if faults.off != "ignored":
        world.inventory.change_power(vm, "off", cause)
    if faults.off == "hangs_after":
        return await out.hang()
    return 0


def _off_refusal(world: World, vm: VM) -> str:
    """The fault that refuses a power.off now, or ''."""
    refusal = _refusal(world, vm)
    if refusal:
        return refusal
    if vm.question_pending:
        return texts.question_pending(world.release, vm.faults.question)
    power = vm.hostd_power
    if power == "off" or (power == "suspended" and vm.faults.suspended_off == "refused"):
        return texts.invalid_power_state(world.release, "off", power)
    if vm.faults.off == "refused":
        return texts.fault_block(world.release, "vim.fault.InvalidState",
                                 "The operation is not allowed in the current state.")
    return ""


async def _power_on(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    out.out("Powering on VM:\n")
    faults, cause = vm.faults, out.cause
    refusal = _refusal(world, vm)
    if refusal:
        return _fail(world, out, "Power on", refusal)
    if vm.hostd_power == "on":
        return _fail(world, out, "Power on", texts.invalid_power_state(world.release, "on", "on"))
    if faults.question:
        world.ask_question(vm, cause)
        return await out.hang()
    if faults.on == "fails":
        return _fail(world, out, "Power on", texts.fault_block(
            world.release, "vim.fault.GenericVmConfigFault", "This host does not support AMD-V.",
            (("reason", '"This host does not support AMD-V."'),)))
    if faults.on == "hangs":
        return await out.hang()
    if faults.on == "late":
        await out.wait_for(world.change_power_later(faults.on_seconds, vm, "on", cause))
    elif faults.on != "ignored":
        world.inventory.change_power(vm, "on", cause)
    return 0


async def _power_reset(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    out.out("Reset VM:\n")
    refusal = _refusal(world, vm) or _unless_on(world, vm, "on")
    if refusal:
        return _fail(world, out, "Reset", refusal)
    world.inventory.reset(vm, out.cause)
    return 0


async def _power_suspend(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    out.out("Suspending VM:\n")
    refusal = _refusal(world, vm) or _unless_on(world, vm, "suspended")
    if refusal:
        return _fail(world, out, "Suspend", refusal)
    world.inventory.change_power(vm, "suspended", out.cause)
    return 0


def _unless_on(world: World, vm: VM, requested: str) -> str:
    """The fault of a VM that is not on, or ''."""
    if vm.hostd_power == "on":
        return ""
    return texts.invalid_power_state(world.release, requested, vm.hostd_power)


async def _power_shutdown(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    """The guest shuts itself down a moment later; nothing is printed (facts: 3.1)."""
    if not _refusal(world, vm) and vm.hostd_power == "on":
        world.change_power_later(1.0, vm, "off", out.cause)
    return 0


async def _power_reboot(world: World, out: Output, vm: VM, _rest: List[str]) -> int:
    if not _refusal(world, vm) and vm.hostd_power == "on":
        world.inventory.reset(vm, out.cause)
    return 0


_COMMANDS: Dict[str, Callable[[World, Output, VM, List[str]], Awaitable[int]]] = {
    "vmsvc/get.summary": _get_summary,
    "vmsvc/get.runtime": _get_runtime,
    "vmsvc/get.tasklist": _get_tasklist,
    "vmsvc/message": _message,
    "vmsvc/power.getstate": _getstate,
    "vmsvc/power.off": _power_off,
    "vmsvc/power.on": _power_on,
    "vmsvc/power.reset": _power_reset,
    "vmsvc/power.suspend": _power_suspend,
    "vmsvc/power.shutdown": _power_shutdown,
    "vmsvc/power.reboot": _power_reboot,
}

"""What `vim-cmd vmsvc/...` does and prints.

Each function of a command takes (host, out, vm, arguments) and returns the exit status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Awaitable, Callable, Dict, List

from . import texts
from .vms import VM, uuid_with_dashes

if TYPE_CHECKING:
    from .host import Host
    from .output import Output

_NO_ARGUMENT = {"vmsvc/getallvms"}


async def run(host: Host, out: Output, arguments: List[str]) -> int:
    """Carry out one vim-cmd call."""
    name, rest = "".join(arguments[:1]).lstrip("/"), arguments[1:]
    if name not in _COMMANDS and name not in _NO_ARGUMENT:
        await out.err("Invalid command '%s'.\n" % name)
        return 255
    if host.faults.permission_denied:
        await out.err(texts.fault_block(
            host.release, "vim.fault.NoPermission",
            "Permission to perform this operation was denied.",
            (("object", "'vim.Folder:ha-folder-root'"), ("privilegeId", '"System.View"'))))
        return 1
    if name in _NO_ARGUMENT:
        return await _getallvms(host, out)
    if not rest:
        await out.err("Insufficient arguments.\n")
        return 255
    return await _with_vm(host, out, name, rest)


async def _with_vm(host: Host, out: Output, name: str, rest: List[str]) -> int:
    vm = host.find_vm(rest[0])
    if vm is None:
        fault = texts.not_found(host.release, rest[0])
        await (out.err if host.faults.unknown_id_stream == "stderr" else out.out)(fault)
        return host.faults.unknown_id_status
    return await _COMMANDS[name](host, out, vm, rest[1:])


# -- listing -----------------------------------------------------------------------------


async def _getallvms(host: Host, out: Output) -> int:
    invalid = list(host.faults.invalid_vms)
    tell = out.out if host.faults.invalid_stream == "stdout" else out.err
    await tell("".join("Skipping invalid VM '%d'\n" % vmid for vmid in invalid))
    listed = [vm for vm in host.inventory.listed() if vm.vmid not in invalid]
    rows = [_row(host, vm) for vm in listed]
    lines = texts.table(texts.INVENTORY_HEADER, rows, host.pad_by_bytes)
    repeats = host.faults.row_repeats
    shown = lines[:1]
    for vm, line in zip(listed, lines[1:]):
        shown += [line] * repeats.get(vm.vmid or 0, 1)
    text = b"".join(texts.to_bytes(line) + b"\n" for line in shown + list(host.faults.extra_rows))
    await out.out(text)
    return 0


def _row(host: Host, vm: VM) -> List[str]:
    name = host.shown_name(vm)
    return [str(vm.vmid), name, _file_column(host, vm), vm.guest, vm.hardware, vm.note]


def _file_column(host: Host, vm: VM) -> str:
    if not vm.datastore:
        return "[] " + host.root.vmx_path(vm)
    return "[%s] %s/%s" % (vm.datastore, vm.directory, vm.vmx)


async def _get_summary(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    question = "(vim.vm.QuestionInfo) null"
    if vm.question_pending:
        question = "(vim.vm.QuestionInfo) {\n         id = \"0\"\n      }"
    uuid = uuid_with_dashes(vm.uuid)
    await out.out(texts.stored(
        "get-summary.txt", vmid=str(vm.vmid), power=texts.api_power(vm.hostd_power),
        question=question, name=host.shown_name(vm), path=_file_column(host, vm), guest=vm.guest,
        uuid=uuid, instance_uuid="52" + uuid[2:], annotation=vm.note))
    return 0


async def _get_runtime(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    await out.out(texts.stored("get-runtime.txt", power=texts.api_power(vm.hostd_power)))
    return 0


async def _get_tasklist(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    if vm.faults.busy:
        await out.out("(ManagedObjectReference) [\n"
                      "   'vim.Task:haTask-%s-vim.VirtualMachine.removeAllSnapshots-2826',\n"
                      "]\n" % vm.vmid)
    else:
        await out.out("(ManagedObjectReference) []\n")
    return 0


async def _getstate(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    if vm.faults.getstate is not None:
        await out.out(vm.faults.getstate)
        return vm.faults.getstate_status
    await out.out("Retrieved runtime info\n%s\n" % texts.power_words(vm.hostd_power))
    return 0


# -- questions ---------------------------------------------------------------------------


async def _message(host: Host, out: Output, vm: VM, rest: List[str]) -> int:
    if not vm.question_pending:
        await out.out("No message.\n")
        return 0
    if len(rest) < 2:
        await out.out("Virtual machine message 0:\n"
                      + texts.question_text(host.release, vm.faults.question))
        return 0
    vm.faults.question = None
    host.answer_question(vm, cancel=rest[1] == "0")
    return 0


def _question_fault(host: Host, vm: VM) -> str:
    question = texts.question_text(host.release, vm.faults.question)
    return texts.fault_block(
        host.release, "vim.fault.InvalidState",
        "The operation cannot be allowed at the current time because the virtual machine has a "
        "question pending:  '%s'." % question.rstrip("\n"))


# -- power -------------------------------------------------------------------------------


def _busy_fault(host: Host) -> str:
    return texts.fault_block(host.release, "vim.fault.TaskInProgress",
                             "Operation failed since another task is in progress.",
                             (("task", "'vim.Task:haTask-2826'"),))


async def _fail(host: Host, out: Output, what: str, fault: str) -> int:
    """End a power command with the failure text of the release (facts: 3.1)."""
    style = host.release.power_failure
    if style == "block":
        await out.err(fault)
    elif style == "bare":
        await out.err(what + " failed\n")
    else:
        await out.err("%s failed: %s" % (what, fault))
    return 1


async def _power_off(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    await out.out("Powering off VM:\n")
    refusal = _off_refusal(host, vm)
    if refusal:
        return await _fail(host, out, "Power off", refusal)
    faults, cause = vm.faults, out.cause
    if faults.off == "hangs":
        return await out.hang()
    if faults.off == "late":
        done = host.change_power_later(faults.off_seconds, vm, "off", cause)
        if faults.off_blocks:
            await done
        return 0
    if faults.off != "ignored":
        host.inventory.change_power(vm, "off", cause)
    if faults.off == "hangs_after":
        return await out.hang()
    return 0


def _off_refusal(host: Host, vm: VM) -> str:
    """The fault that refuses a power.off now, or ''."""
    if vm.faults.busy:
        return _busy_fault(host)
    if vm.question_pending:
        return _question_fault(host, vm)
    power = vm.hostd_power
    if power == "off" or (power == "suspended" and vm.faults.suspended_off == "refused"):
        return texts.invalid_power_state(host.release, "off", power)
    if vm.faults.off == "refused":
        return texts.fault_block(host.release, "vim.fault.InvalidState",
                                 "The operation is not allowed in the current state.")
    return ""


async def _power_on(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    await out.out("Powering on VM:\n")
    faults, cause = vm.faults, out.cause
    if faults.busy:
        return await _fail(host, out, "Power on", _busy_fault(host))
    if vm.hostd_power == "on":
        return await _fail(host, out, "Power on",
                           texts.invalid_power_state(host.release, "on", "on"))
    if faults.question:
        host.ask_question(vm, cause)
        return await out.hang()
    if faults.on == "fails":
        return await _fail(host, out, "Power on", texts.fault_block(
            host.release, "vim.fault.GenericVmConfigFault",
            "This host does not support AMD-V.",
            (("reason", '"This host does not support AMD-V."'),)))
    if faults.on == "hangs":
        return await out.hang()
    if faults.on == "late":
        await host.change_power_later(faults.on_seconds, vm, "on", cause)
    elif faults.on != "ignored":
        host.inventory.change_power(vm, "on", cause)
    return 0


async def _power_reset(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    await out.out("Reset VM:\n")
    if vm.hostd_power != "on":
        return await _fail(host, out, "Reset", texts.invalid_power_state(
            host.release, "on", vm.hostd_power))
    host.inventory.reset(vm, out.cause)
    return 0


async def _power_suspend(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    await out.out("Suspending VM:\n")
    if vm.hostd_power != "on":
        return await _fail(host, out, "Suspend", texts.invalid_power_state(
            host.release, "suspended", vm.hostd_power))
    host.inventory.change_power(vm, "suspended", out.cause)
    return 0


async def _power_shutdown(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    """The guest shuts itself down a moment later; nothing is printed (facts: 3.1)."""
    if vm.hostd_power == "on":
        host.change_power_later(1.0, vm, "off", out.cause)
    return 0


async def _power_reboot(host: Host, out: Output, vm: VM, _rest: List[str]) -> int:
    if vm.hostd_power == "on":
        host.inventory.reset(vm, out.cause)
    return 0


_COMMANDS: Dict[str, Callable[[Host, Output, VM, List[str]], Awaitable[int]]] = {
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

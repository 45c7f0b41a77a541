"""Lets another process look at and change a running host: JSON lines over a unix socket.

Requests, one a line: {"do": "set", "what": [["node1", "off", "ignored"], ["", "hostd", "hung"]]},
{"do": "vms"}, {"do": "commands"}, {"do": "events"}, {"do": "record"}, {"do": "logins"},
{"do": "clear"}, {"do": "unregister", "vm": "node1"}, {"do": "reregister", "vm": "node1"},
{"do": "invalidate", "vm": "node1"}, {"do": "rename", "vm": "node1", "name": "new"},
{"do": "copy", "vm": "node1", "datastore": "datastore2", "running": true},
{"do": "add", "vm": {"name": "new"}}, {"do": "new-host-key", "kind": "rsa"}, {"do": "drop"}.
Each is answered by one line: {"ok": true, "answer": ...} or {"ok": false, "error": "..."}.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import socketserver
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

from .faults import BadAnswer, Faults, LineCut, VMFaults
from .host import Host
from .login import Login
from .vms import VM
from .world import HostCommand, News

_VM_FIELDS = ("name", "power", "vmid", "datastore", "directory", "vmx", "note", "guest",
              "hardware", "uuid", "guest_host", "registered", "invalid")


def vm_from_dict(fields: Dict[str, Any]) -> VM:
    """A VM from JSON: the fields of VM, and those of VMFaults under "faults"."""
    fields = dict(fields)
    faults = VMFaults(**fields.pop("faults", {}))
    return VM(faults=faults, **fields)


def set_value(host: Host, vm_name: str, field: str, value: Any) -> None:
    """Set a fault or switch: of a VM, or of the host when vm_name is ''."""
    if vm_name:
        vm = host.vm(vm_name)
        if field in ("power", "note"):
            setattr(vm, field, value)
        else:
            _set_field(vm.faults, VMFaults, field, value)
    elif field == "hostd":
        host.set_hostd(value)
    elif field == "vim_cmd_absent":
        host.set_vim_cmd_absent(value)
    elif field in ("bad_answers", "cuts"):
        kind = BadAnswer if field == "bad_answers" else LineCut
        setattr(host.faults, field, [kind(**one) for one in value])
    elif field in {known.name for known in dataclasses.fields(Login)}:
        _set_field(host.login, Login, field, value)
    else:
        _set_field(host.faults, Faults, field, value)


def _set_field(place: Any, kind: Any, field: str, value: Any) -> None:
    if field not in {known.name for known in dataclasses.fields(kind)}:
        raise KeyError("there is no switch %r" % field)
    if isinstance(getattr(place, field), str) and not isinstance(value, str):
        raise ValueError("%s takes a text, not %r" % (field, value))
    setattr(place, field, value)


def as_dict(news: News) -> Dict[str, Any]:
    """A command or power event as JSON can hold it."""
    kind = "command" if isinstance(news, HostCommand) else "power"
    return {"kind": kind, **dataclasses.asdict(news)}


def _vm_truth(vm: VM) -> Dict[str, Any]:
    truth = {field: getattr(vm, field) for field in _VM_FIELDS}
    return {**truth, "world_id": vm.world_id, "faults": dataclasses.asdict(vm.faults)}


def _set_all(host: Host, request: Dict[str, Any]) -> None:
    for vm_name, field, value in request["what"]:
        set_value(host, vm_name, field, value)


_ACTIONS: Dict[str, Callable[[Host, Dict[str, Any]], Any]] = {
    "set": _set_all,
    "vms": lambda host, request: [_vm_truth(vm) for vm in host.vms],
    "commands": lambda host, request: host.commands,
    "record": lambda host, request: [as_dict(entry) for entry in list(host.record)],
    "events": lambda host, request: [as_dict(event) for event in host.power_events],
    "logins": lambda host, request: {
        "accepted": host.logins, "refused": host.auth_failures,
        "connections": host.connections_seen},
    "clear": lambda host, request: host.clear_record(),
    "unregister": lambda host, request: host.unregister(host.vm(request["vm"])),
    "reregister": lambda host, request: host.reregister(host.vm(request["vm"])),
    "invalidate": lambda host, request: host.invalidate(host.vm(request["vm"])),
    "rename": lambda host, request: host.rename(host.vm(request["vm"]), request["name"]),
    "copy": lambda host, request: host.copy(
        host.vm(request["vm"]), **{key: value for key, value in request.items()
                                   if key not in ("do", "vm")}).vmid,
    "add": lambda host, request: host.add_vm(vm_from_dict(request["vm"])).vmid,
    "new-host-key": lambda host, request: host.change_host_key(request.get("kind")),
    "drop": lambda host, request: host.drop_all_sessions(),
}


def carry_out(host: Host, request: Dict[str, Any]) -> Any:
    """Carry out one request; what it answers can be written as JSON."""
    return _ACTIONS[request["do"]](host, request)


class _Client(socketserver.StreamRequestHandler):
    server: "ControlSocket"

    def handle(self) -> None:
        for line in self.rfile:
            try:
                reply = {"ok": True, "answer": carry_out(self.server.host, json.loads(line))}
            except (KeyError, TypeError, ValueError) as problem:
                reply = {"ok": False, "error": str(problem.args[0] if problem.args else problem)}
            self.wfile.write(json.dumps(reply).encode() + b"\n")


class ControlSocket(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Serves the requests for one host. Only this user may connect."""

    daemon_threads = True

    def __init__(self, host: Host, path: Path):
        self.host = host
        self._path = path
        old_mask = os.umask(0o177)
        try:
            super().__init__(str(path), _Client)
        finally:
            os.umask(old_mask)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving and remove the socket."""
        self.shutdown()
        self.server_close()
        self._path.unlink(missing_ok=True)


def ask(path: str, request: Dict[str, Any]) -> Any:
    """Send one request to a running host; returns its answer, RuntimeError when it fails."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(json.dumps(request).encode() + b"\n")
        with line.makefile() as replies:
            reply = json.loads(replies.readline())
    if not reply["ok"]:
        raise RuntimeError(reply["error"])
    return reply["answer"]


def request_from_words(words: List[str]) -> Dict[str, Any]:
    """The request that `ctl` words mean: `set node1.off=ignored hostd=hung`, `vms`, ..."""
    action, rest = words[0], words[1:]
    if action == "set":
        return {"do": "set", "what": [_setting(word) for word in rest]}
    if action == "add":
        return {"do": "add", "vm": json.loads(rest[0])}
    if action in ("unregister", "reregister", "invalidate"):
        return {"do": action, "vm": rest[0]}
    if action == "rename":
        return {"do": action, "vm": rest[0], "name": rest[1]}
    if action == "copy":
        more = [_setting(word)[1:] for word in rest[1:]]
        return {"do": action, "vm": rest[0], **dict(more)}
    if action == "new-host-key":
        return {"do": action, "kind": rest[0] if rest else None}
    return {"do": action}


def _setting(word: str) -> List[Any]:
    """`VM.FIELD=VALUE` or `FIELD=VALUE`; VALUE is JSON, or a plain word."""
    key, equals, text = word.partition("=")
    if not equals:
        raise ValueError("not FIELD=VALUE: %r" % word)
    vm_name, _, field = key.rpartition(".")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    return [vm_name, field, value]

"""Where the VMs' files are, and what is in them: names of volumes, paths, texts of .vmx files."""

from __future__ import annotations

import functools
import hashlib
from typing import Dict, Optional, Tuple

from .vms import VM, uuid_with_blanks

VOLUMES = "/vmfs/volumes/"
# where VMs without a datastore live (facts: 1.1)
RAM_FOLDER = "/var/run/crx/infra"


@functools.lru_cache(maxsize=None)
def volume_uuid(datastore: str) -> str:
    """The volume's UUID, `58f72d53-3d2f86ee-e2b8-d4ae52e8199a` style (facts: 6)."""
    digits = hashlib.md5(datastore.encode("utf-8", "surrogateescape")).hexdigest()
    return "-".join((digits[:8], digits[8:16], digits[16:20], digits[20:]))


def vmx_path(vm: VM) -> str:
    """Where the .vmx is, as the process list prints it: with the volume's UUID (facts: 6)."""
    if not vm.datastore:
        return "%s/%s/%s" % (RAM_FOLDER, vm.directory, vm.vmx)
    return "%s%s/%s/%s" % (VOLUMES, volume_uuid(vm.datastore), vm.directory, vm.vmx)


def file_column(vm: VM) -> str:
    """Where the .vmx is, as vim-cmd prints it: `[datastore] directory/file.vmx` (facts: 1.1)."""
    if not vm.datastore:
        return "[] " + vmx_path(vm)
    return "[%s] %s/%s" % (vm.datastore, vm.directory, vm.vmx)


def split_path(path: str) -> Optional[Tuple[str, str]]:
    """(volume, the rest) of a path below /vmfs/volumes, or None. volume: its name or UUID."""
    if not path.startswith(VOLUMES):
        return None
    volume, _, rest = path[len(VOLUMES):].partition("/")
    return volume, rest


def vmx_text(vm: VM) -> str:
    """What a VM's .vmx holds: the lines that name it, and whether it is suspended."""
    uuid = uuid_with_blanks(vm.uuid)
    fields: Dict[str, str] = {
        ".encoding": "UTF-8",
        "config.version": "8",
        "virtualHW.version": vm.hardware.rpartition("-")[2],
        "displayName": vm.name,
        "guestOS": vm.guest,
        "uuid.bios": uuid,
        "uuid.location": uuid,
        "vc.uuid": uuid_with_blanks(vm.vc_uuid),
    }
    if vm.note:
        fields["annotation"] = vm.note
    if vm.power == "suspended":
        fields["checkpoint.vmState"] = vm.vmx.rpartition(".")[0] + ".vmss"
    elif vm.been_suspended:
        fields["checkpoint.vmState"] = ""
    return "".join('%s = "%s"\n' % (key, _escaped(value)) for key, value in fields.items())


def _escaped(value: str) -> str:
    return value.replace("|", "|7C").replace('"', "|22").replace("\n", "|0A")

"""A simulated standalone VMware ESXi host one can really ssh into. See README.md."""

from .faults import Answer, BadAnswer, Faults, LineCut, VMFaults
from .host import Host
from .login import Login, LoginTry
from .releases import RELEASES
from .vms import VM, PowerEvent
from .world import HostCommand, World

__all__ = ["Answer", "BadAnswer", "Faults", "Host", "HostCommand", "LineCut", "Login", "LoginTry",
           "PowerEvent", "RELEASES", "VM", "VMFaults", "World"]

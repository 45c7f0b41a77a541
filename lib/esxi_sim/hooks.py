"""Tells the outside world that a VM's power changed, without holding up the host."""

from __future__ import annotations

import logging
import queue
import subprocess
import threading
from typing import Callable, Dict, Optional

log = logging.getLogger("esxi_sim")

PowerHook = Callable[[str, str], None]


class PowerHooks:
    """Calls a function and runs a program with (VM name, new power) at each change.

    The changes of one VM are told in their order, one after the other; those of different VMs
    at the same time. program is run as `PROGRAM NAME STATE`.
    """

    def __init__(self, function: Optional[PowerHook] = None, program: Optional[str] = None):
        self.function = function
        self.program = program
        self._queues: Dict[str, "queue.Queue[Optional[str]]"] = {}
        self._threads: Dict[str, threading.Thread] = {}

    def tell(self, name: str, power: str) -> None:
        """Pass a change on; returns at once."""
        if not self.function and not self.program:
            return
        if name not in self._queues:
            self._queues[name] = queue.Queue()
            self._threads[name] = threading.Thread(target=self._work, args=(name,), daemon=True)
            self._threads[name].start()
        self._queues[name].put(power)

    def close(self, patience: float = 5.0) -> None:
        """Let the hooks under way finish, for at most `patience` seconds each."""
        for waiting in self._queues.values():
            waiting.put(None)
        for thread in self._threads.values():
            thread.join(patience)

    def _work(self, name: str) -> None:
        while True:
            power = self._queues[name].get()
            if power is None:
                return
            try:
                if self.function:
                    self.function(name, power)
                if self.program:
                    subprocess.run([self.program, name, power], stdin=subprocess.DEVNULL,
                                   check=True)
            except Exception:  # a broken hook must not stop the host
                log.exception("power hook for %s %s", name, power)

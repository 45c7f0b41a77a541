"""Waiting until something is so, and no longer."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import TypeVar

Seen = TypeVar("Seen")


def wait_for(what: str, look: Callable[[], Seen], within: float, every: float = 0.2) -> Seen:
    """Look again and again until `look` returns something true, and return that.

    AssertionError with `what` and the last thing seen after `within` seconds.
    """
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}")
        time.sleep(every)


class ClusterView:
    """What crm_mon says on one node, from its XML."""

    def __init__(self, xml: str):
        try:
            self.root = ET.fromstring(xml)
        except ET.ParseError:
            self.root = ET.Element("nothing")

    def _node(self, name: str) -> ET.Element:
        found = self.root.find(f"./nodes/node[@name='{name}']")
        return ET.Element("unknown") if found is None else found

    def is_online(self, name: str) -> bool:
        """Whether the node is a full member: not pending, not unclean."""
        node = self._node(name)
        states = [node.get(state) for state in ("online", "pending", "unclean")]
        return states == ["true", "false", "false"]

    def is_offline(self, name: str) -> bool:
        """Whether the node is known to be down, for certain."""
        node = self._node(name)
        return [node.get("online"), node.get("unclean")] == ["false", "false"]

    def devices(self) -> list[str]:
        """The fence devices that are configured, or not yet gone."""
        return [device.get("id", "") for device in self.root.findall("./resources/resource")]

    def started_on(self, resource: str) -> str:
        """The node on which the resource is Started, or nothing."""
        found = self.root.find(f"./resources/resource[@id='{resource}']")
        if found is None or found.get("role") != "Started" or found.get("failed") == "true":
            return ""
        node = found.find("node")
        return "" if node is None else node.get("name", "")

    def fence_events(self) -> list[dict[str, str]]:
        """The fencing history, newest first."""
        return [dict(event.attrib) for event in self.root.iter("fence_event")]

    def recurring_monitor_passed(self, resource: str) -> bool:
        """Whether a recurring monitor of the resource has ended well somewhere."""
        for history in self.root.findall(f".//resource_history[@id='{resource}']"):
            for operation in history.findall("operation_history"):
                if operation.get("interval", "0ms") not in ("0ms", "") and (
                    operation.get("task") == "monitor" and operation.get("rc") == "0"
                ):
                    return True
        return False

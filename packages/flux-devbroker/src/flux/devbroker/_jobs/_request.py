"""What a jobspec asks for: resources, tasks, time and names."""

from __future__ import annotations

import os
from typing import Any

from flux.devbroker._jobs._jobspec import JobspecError


class Request:
    """The resources and tasks of a job.

    Attributes:
        nslots: How many slots it needs.
        slot_size: Cores of each slot.
        gpus: GPUs of each slot.
        nnodes: Nodes that it asks for; 0 if it does not say.
        exclusive: Whether it wants whole nodes.
        ntasks: How many tasks it runs.
    """

    __slots__ = ("exclusive", "gpus", "nnodes", "nslots", "ntasks", "slot_size")

    def __init__(self, spec: dict[str, Any]) -> None:
        self.nslots = 0
        self.slot_size = 0
        self.gpus = 0
        self.nnodes = 0
        self.exclusive = False
        try:
            for resource in spec["resources"]:
                self._add(resource, 1, False)
            count = spec["tasks"][0]["count"]
            self.ntasks = int(count.get("total") or count["per_slot"] * self.nslots)
        except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError):
            raise JobspecError("the jobspec's resources or tasks are malformed") from None

    def _add(self, resource: dict[str, Any], times: int, in_slot: bool) -> None:
        kind, count = resource["type"], int(resource["count"])
        if kind == "node":
            self.nnodes = count
            self.exclusive = self.exclusive or bool(resource.get("exclusive"))
        elif kind == "slot":
            self.nslots += count * times
            in_slot, count = True, 1
        elif kind == "core" and in_slot:
            self.slot_size += count * times
        elif kind == "gpu" and in_slot:
            self.gpus += count * times
        times = count if in_slot else count * times
        for child in resource.get("with", ()):
            self._add(child, times, in_slot)

    @property
    def ncores(self) -> int:
        """How many cores it asks for."""
        return self.nslots * self.slot_size


def system(spec: dict[str, Any]) -> dict[str, Any]:
    """Return ``attributes.system``."""
    value: dict[str, Any] = spec["attributes"]["system"]
    return value


def table(where: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object within another; empty where there is none."""
    value = where.get(key)
    return value if isinstance(value, dict) else {}


def name(spec: dict[str, Any]) -> str:
    """Return a job's name: the one it was given, or else that of its command."""
    given = table(system(spec), "job").get("name")
    if isinstance(given, str):
        return given
    command: str = spec["tasks"][0]["command"][0]
    return os.path.basename(command)


def shell_options(spec: dict[str, Any]) -> dict[str, Any]:
    """Return ``attributes.system.shell.options``; empty where there are none."""
    return table(table(system(spec), "shell"), "options")


def queue(spec: dict[str, Any]) -> str | None:
    """Return the name of the queue that a job is for, if it says."""
    value = system(spec).get("queue")
    return value if isinstance(value, str) else None

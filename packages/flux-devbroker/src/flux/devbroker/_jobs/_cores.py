"""The cores of this machine, and who has which of them."""

from __future__ import annotations

import heapq
import os
from typing import Any

from flux.devbroker._jobs._request import Request, table
from flux.idset import IDset


class InfeasibleError(Exception):
    """A request can never be met; the text is for the one who made it."""


def configured_cores(config: dict[str, Any]) -> int | None:
    """Return how many cores the configuration (flux-config-resource(5)) gives to this machine.

    That is ``cores``, an idset, of the first entry of the array ``resource.config``; None if there
    is none.

    Raises:
        ValueError: It is malformed.
    """
    entries = table(config, "resource").get("config")
    if not isinstance(entries, list) or not entries:
        return None
    cores = entries[0].get("cores") if isinstance(entries[0], dict) else None
    if not isinstance(cores, str):
        raise ValueError("resource.config: cores is not an idset")
    return len(IDset(cores))


def count_cores() -> int:
    """Return how many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        # Not on this system.
        return os.cpu_count() or 1


class Cores:
    """Gives out cores, those with the least numbers first.

    Args:
        total: How many there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self._free = list(range(total))

    def check(self, request: Request) -> None:
        """See whether a request could be met if everything was free.

        Raises:
            InfeasibleError: It could not.
        """
        nslots, size = request.nslots, request.slot_size
        if not size:
            raise InfeasibleError("Unable to determine slot size")
        if request.exclusive:
            need = max(request.nnodes, 1)
            eligible = int(self.total >= size)
            if eligible < need:
                raise InfeasibleError(
                    f"unsatisfiable request: need {need} exclusive node(s), "
                    f"only {eligible} eligible"
                )
        elif request.nnodes:
            cores = nslots // request.nnodes * size
            eligible = int(self.total >= cores)
            if eligible < request.nnodes:
                raise InfeasibleError(
                    f"unsatisfiable request: need {request.nnodes} node(s) with {cores} cores "
                    f"each, only {eligible} eligible"
                )
        elif self.total // size < nslots:
            raise InfeasibleError(
                f"unsatisfiable request: need {nslots} slot(s) of {size} core(s), only "
                f"{self.total // size} such slot(s) available (total cores: {self.total})"
            )
        if request.gpus:
            raise InfeasibleError(
                f"unsatisfiable request: need {nslots} slot(s) with {request.gpus} GPU(s) each, "
                "only 0 available (total GPUs: 0)"
            )

    def take(self, request: Request) -> list[int] | None:
        """Return cores for a request, in order; None if there are not enough now."""
        need = self.total if request.exclusive else request.ncores
        if need > len(self._free):
            return None
        return [heapq.heappop(self._free) for _ in range(need)]

    def give_back(self, cores: list[int]) -> None:
        """Take back what `take` gave."""
        for core in cores:
            heapq.heappush(self._free, core)

    def reserve(self, cores: list[int]) -> None:
        """Take certain cores that are free."""
        self._free = sorted(set(self._free).difference(cores))

    def allocated(self) -> list[int]:
        """Return the cores that are taken, in order."""
        return sorted(set(range(self.total)).difference(self._free))


def summary(cores: list[int]) -> str:
    """Return what a scheduler annotates a job with."""
    text = str(IDset(cores))
    return f"rank0/core{text}" if len(cores) == 1 else f"rank0/core[{text}]"


def rlist(cores: list[int], nodelist: str) -> dict[str, object]:
    """Return an R object (RFC 20) of some cores, without times."""
    return {
        "version": 1,
        "execution": {
            "R_lite": [{"rank": "0", "children": {"core": str(IDset(cores))}}] if cores else [],
            "starttime": 0.0,
            "expiration": 0.0,
            "nodelist": [nodelist],
        },
    }

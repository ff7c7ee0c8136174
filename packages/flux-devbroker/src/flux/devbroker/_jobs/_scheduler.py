"""First come, first served, by priority, on the cores of this machine."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from flux.core.handle import Flux
from flux.devbroker._jobs import _states
from flux.devbroker._jobs._cores import Cores, InfeasibleError
from flux.devbroker._jobs._job import Job

if TYPE_CHECKING:
    from flux.devbroker._jobs._machine import Machine


class Scheduler:
    """Holds the jobs that wait for resources.

    Args:
        handle: The handle whose reactor is meant.
        cores: What there is to give out.

    Attributes:
        cores: What there is to give out.
        machine: Whom to tell; to be set.
        drained: Whether nothing is given out for now.
    """

    machine: Machine

    def __init__(self, handle: Flux, cores: Cores) -> None:
        self.cores = cores
        self.drained = False
        # The best first.  An entry counts as long as `_waiting` has it.
        self._heap: list[tuple[int, int]] = []
        self._waiting: dict[int, tuple[int, Job]] = {}
        self._scheduled = False
        self._timer = handle.timer_watcher_create(0.0, lambda *_args: self._schedule())

    def add(self, job: Job) -> None:
        """Have a job wait, in the place that its priority gives it."""
        try:
            self.cores.check(job.request)
        except InfeasibleError as exc:
            self.machine.exception(job, "alloc", 0, str(exc))
            return
        priority = -(job.priority or 0)
        entry = self._waiting.get(job.id)
        if entry is None or entry[0] != priority:
            self._waiting[job.id] = (priority, job)
            heapq.heappush(self._heap, (priority, job.id))
        self.wake()

    def remove(self, job: Job) -> None:
        """Have a job wait no more."""
        if self._waiting.pop(job.id, None) is not None:
            # It may have stood in the way of others.
            self.wake()

    def give_back(self, cores: list[int]) -> None:
        """Take back the cores of a job."""
        self.cores.give_back(cores)
        self.wake()

    def wake(self) -> None:
        """Look again, at the end of this turn, who can be served."""
        if not self._scheduled and self._waiting:
            self._scheduled = True
            self._timer.reset()

    def set_drained(self, drained: bool) -> None:
        """Give out nothing for now, or again."""
        self.drained = drained
        self.wake()

    def waiting(self) -> int:
        """Return how many jobs wait."""
        return len(self._waiting)

    def _schedule(self) -> None:
        self._scheduled = False
        heap = self._heap
        while heap:
            priority, jobid = heap[0]
            entry = self._waiting.get(jobid)
            if entry is None or entry[0] != priority:
                heapq.heappop(heap)
                continue
            job = entry[1]
            cores = self.cores.take(job.request)
            if cores is None:
                return
            heapq.heappop(heap)
            del self._waiting[jobid]
            assert job.state == _states.SCHED
            try:
                self.machine.allocate(job, cores)
            except Exception:
                # The others are to have their turn whatever is wrong with this one.
                self.wake()
                self.machine.exception(job, "alloc", 0, "unexpected exception in the broker")
                raise

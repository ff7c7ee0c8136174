"""How many jobs there are, by state and result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable

from flux.rpc import RPC

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["JobStats"]


class _QueueStats:
    """The statistics of a queue.

    Args:
        stats: What job-list says; None: nothing yet.
    """

    def __init__(self, stats: Mapping[str, Any] | None = None) -> None:
        self.queue_name = "" if stats is None else stats.get("name", "all")
        for name in JobStats.states:
            setattr(self, name, 0 if stats is None else stats["job_states"][name])
        for name in JobStats.stats:
            setattr(self, name, 0 if stats is None else stats[name])

    def __iadd__(self, other: _QueueStats) -> Self:
        self.queue_name = f"{self.queue_name},{other.queue_name}"
        for name in (*JobStats.states, *JobStats.stats):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self


class JobStats:
    """How many jobs there are: in each state; of each result; pending, running and active.

    All are -1 before the first update.  ``failed`` counts what did not succeed for any reason.

    Args:
        handle: The handle.
        queue: The queue or queues that count; None: all jobs.
    """

    QueueStats = _QueueStats
    states = ("depend", "priority", "sched", "run", "cleanup", "inactive", "total")
    stats = ("successful", "failed", "timeout", "canceled", "inactive_purged")
    derived_stats = ("pending", "running", "active")

    depend: int
    priority: int
    sched: int
    run: int
    cleanup: int
    inactive: int
    total: int
    successful: int
    failed: int
    timeout: int
    canceled: int
    inactive_purged: int
    pending: int
    running: int
    active: int

    def __init__(self, handle: Flux, queue: str | Iterable[str] | None = None) -> None:
        self.handle = handle
        self.queues = [queue] if isinstance(queue, str) else list(queue or ())
        self.callback: Callable[..., object] | None = None
        self.cb_kwargs: dict[str, Any] = {}
        for name in (*self.states, *self.stats, *self.derived_stats):
            setattr(self, name, -1)

    def _take(self, rpc: RPC) -> None:
        response = rpc.get()
        totals = _QueueStats(response)
        if self.queues:
            known = {entry["name"]: entry for entry in response["queues"]}
            totals = _QueueStats()
            for name in self.queues:
                if name not in known:
                    raise ValueError(f"no stats available for queue {name}")
                totals += _QueueStats(known[name])
        for name in (*self.states, *self.stats):
            setattr(self, name, getattr(totals, name))
        self.pending = self.depend + self.priority + self.sched
        self.running = self.run + self.cleanup
        self.active = self.total - self.inactive
        self.failed += self.timeout + self.canceled
        if self.callback is not None:
            self.callback(self, **self.cb_kwargs)

    def _request(self) -> RPC:
        return RPC(self.handle, "job-list.job-stats", {})

    def update(self, callback: Callable[..., object] | None = None, **kwargs: Any) -> None:
        """Ask for the numbers, and have the reactor take them.

        Args:
            callback: What to call then, with this object.
            **kwargs: More arguments for it.

        Raises:
            OSError: EPIPE, the connection is lost.
        """
        self.callback, self.cb_kwargs = callback, kwargs
        self._request().then(self._take)

    def update_sync(self) -> Self:
        """Ask for the numbers, and wait.

        Returns:
            This object.

        Raises:
            OSError: ENOSYS, there is no job-list service; EPIPE, the connection is lost.
            ValueError: There is no such queue.
        """
        self._take(self._request())
        return self

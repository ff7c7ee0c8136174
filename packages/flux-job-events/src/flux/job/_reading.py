"""Futures that are made of a job's eventlogs, whoever reads: a call, the reactor or asyncio."""

from __future__ import annotations

from functools import partial
from itertools import compress
from operator import not_
from typing import TYPE_CHECKING, Any, Callable
from weakref import ref

from flux._future import Failure, Future
from flux.job._jobid import JobID
from flux.job._request import check_handle
from flux.job.event import event_watch_async

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.eventlog import EventLogEvent
    from flux.job._watch import JobEventWatchFuture

__all__ = ["EventsFuture"]


class EventsFuture(Future):
    """A future whose results are made of what comes of eventlogs of a job.

    Subclasses say in `_read` and `_failed` what an event and the end of an eventlog lead to:
    results, which these return, and changes of `_state`, which they enter in `_changes`.  They are
    called again for the same event where an exception has come between; only then does it count.
    The watches end when nobody refers to the future any more.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle.
    """

    flux_handle: Flux
    _beginning = False

    def __init__(self, flux_handle: Flux, jobid: int | str) -> None:
        super().__init__(flux_handle=check_handle(flux_handle))
        self.jobid = JobID(jobid)
        self._watches: dict[str, JobEventWatchFuture | None] = {}
        self._state: dict[Any, Any] = {}
        self._changes: dict[Any, Any] = {}
        self._ended: list[str] = []

    def _read(self, eventlog: str, event: EventLogEvent) -> list[Any]:
        """Return the results that an event leads to."""
        raise NotImplementedError

    def _failed(self, eventlog: str, exc: OSError) -> list[Any]:
        """Return the results that the end of an eventlog leads to: ENODATA, or an error."""
        raise NotImplementedError

    def _known(self, key: Any, default: Any = None) -> Any:
        """Return a part of the state, as changed by events that do not count yet."""
        return self._changes.get(key, self._state.get(key, default))

    def _begin(self, eventlog: str) -> None:
        """Watch an eventlog, unless that was begun before."""
        if eventlog not in self._watches:
            # An exception may be raised in the inner `finally`, before it has done anything.
            try:
                try:
                    # Sending may read: what then comes is left alone until the watch is known.
                    self._beginning = True
                    watch = event_watch_async(self.flux_handle, self.jobid, eventlog)
                    # It must not keep alive who keeps it alive.
                    watch.observe(partial(_arrived, ref(self), eventlog))
                    self._watches[eventlog] = watch
                finally:
                    self._beginning = False
            finally:
                self._beginning = False

    def _end(self, *eventlogs: str) -> None:
        """Watch some eventlogs no more, once the events at hand count; or any of them."""
        self._ended += eventlogs or self._watches

    def _arrived(self, eventlog: str) -> None:
        while True:
            watch = self._watches.get(eventlog)
            if watch is None or not watch.results or self._beginning:
                return
            claim = watch.claim()
            batch = tuple(watch.results)
            changes: dict[Any, Any] = {}
            ended: list[str] = []
            self._changes, self._ended = changes, ended
            made: list[Any] = []
            for result in batch:
                try:
                    made += self._read(eventlog, watch.event_of(result))
                except OSError as exc:  # noqa: PERF203
                    made += self._failed(eventlog, exc)
            # Taken from there and put here in one C call, if nobody has been here meanwhile.  Who
            # begins another watch has, as that is sent: then all is made once more.
            where = map((slice(0, len(batch)),).__getitem__, claim)
            taken = map(not_, map(watch.results.__delitem__, where))
            taken = map(not_, map(self._state.update, compress((changes,), taken)))
            if not next(map(not_, map(self.results.extend, compress((made,), taken))), False):
                continue
            for name in ended:
                self._watches[name] = None
            # More than one may have come, for which `tell` asks for one place.
            self._passed = len(self.results) > 1
            self.tell()

    def under_way(self) -> bool:
        """Return True if an eventlog is being watched."""
        for eventlog in tuple(self._watches):
            # What came while an exception was on its way.
            self._arrived(eventlog)
        watches = tuple(self._watches.values())
        return any(watch is not None and watch.under_way() for watch in watches)

    def _wait(self, timeout: float) -> None:
        if self.under_way():
            self.flux_handle._session.wait(self.results.__len__, timeout)
        elif not self.results:
            super()._wait(timeout)


def _arrived(future: Callable[[], EventsFuture | None], eventlog: str, _watch: Future) -> None:
    alive = future()
    if alive is not None:
        alive._arrived(eventlog)


def failure(exc: OSError) -> Failure:
    """Return an error as the result of a future."""
    return Failure(exc.errno or 0, exc.strerror)

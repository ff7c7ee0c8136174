"""Watches of eventlogs: a future for one event after the other, and a generator made of it."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterator, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from flux._future import Failure
from flux._payload import PayloadError, decode_json
from flux._watch import WatchImplementation
from flux.constants import FLUX_NODEID_ANY, FLUX_RPC_STREAMING
from flux.eventlog import EventLogEvent, entry_fault
from flux.job._request import from_wire
from flux.rpc import RPC

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["EventWatch", "JobEventWatchFuture"]

T = TypeVar("T")

_TOPIC = "job-info.eventlog-watch"


class JobEventWatchFuture(WatchImplementation):
    """The events of an eventlog, one after the other; see `flux.job.event_watch_async`.

    With `then` the callback is called for each event; it takes it with `get_event`.  ``await``
    gives the next event or None.  The watch ends when nobody refers to the future any more.

    Args:
        future_handle: A streaming RPC to ``job-info.eventlog-watch``.  The new future replaces
            it: the old one gets no more responses.

    Raises:
        TypeError: It is not an RPC.
    """

    #: The job and the eventlog, where it is known.
    _of: tuple[int, str] | None = None

    @classmethod
    def watch(cls, flux_handle: Flux, jobid: int, eventlog: str) -> Self:
        """Begin to watch.

        Args:
            flux_handle: The handle.
            jobid: The job's id as it stands in a payload.
            eventlog: Path of the eventlog in the job's KVS directory.
        """
        self = cls.__new__(cls)
        request = {"id": jobid, "path": eventlog, "flags": 0}
        RPC.__init__(self, flux_handle, _TOPIC, request, FLUX_NODEID_ANY, FLUX_RPC_STREAMING)
        self.needs_cancel = True
        self._of = jobid, eventlog
        return self

    def get_event(self, autoreset: bool = True) -> EventLogEvent | None:
        """Wait for the next event.

        Args:
            autoreset: Go on to the event after it, which the next call then returns.  Otherwise
                that call returns the same event unless there is a `reset` before.

        Returns:
            The event, or None once the eventlog has ended or the watch was cancelled.

        Raises:
            OSError: ENOENT, there is no such job, or no such eventlog (where the log may still
                come, that of a job not yet started for instance, the call waits); EPERM, it is
                another user's job; EISDIR, the path is a directory; ENOSYS, the broker has no
                job services; ECONNRESET, the connection was lost; EPROTO, what came is not an
                eventlog entry (also a ValueError), after which the next call goes on.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        return self.get(autoreset)

    def get(self, autoreset: bool = True) -> EventLogEvent | None:
        """As `get_event`."""
        event: EventLogEvent | None = super().get(autoreset)
        return event

    def watch_get(self, future: Any) -> EventLogEvent:
        """Return the event in a response."""
        if not future.results:
            future.wait_for()
        return self.event_of(future.results[0])

    def event_of(self, result: Any) -> EventLogEvent:
        """Return the event in a result as it is queued.

        Raises:
            OSError: It is an error, ENODATA at the end; EPROTO, it is no event.
        """
        if result.__class__ is Failure:
            number, text = result.errnum, result.text
            if number != errno.ENODATA and text == os.strerror(number) and self._of:
                # Brokers say no more than that of an unknown job.
                jobid, eventlog = self._of
                text = f"{text}: eventlog '{eventlog}' of job {from_wire(jobid)}"
            raise OSError(number, text)
        return _event(result if result is None else decode_json(result))

    def watch_cancel(self, future: Any) -> None:
        """Ask for the end of the watch."""
        RPC.cancel(future, f"{_TOPIC}-cancel")


def _event(response: Any) -> EventLogEvent:
    text = response.get("event") if isinstance(response, dict) else None
    if not isinstance(text, str):
        raise PayloadError("a response of job-info.eventlog-watch has no event")
    try:
        # Several times as fast as what `EventLogEvent` does with text.
        entry = decode_json(text.encode() + b"\0")
    except ValueError as exc:
        raise PayloadError(f"an eventlog entry is not a JSON object: {exc}") from None
    if entry.__class__ is not dict:
        raise PayloadError(f"an eventlog entry is not a JSON object: {entry!r:.80}")
    fault = entry_fault(entry)
    if fault is not None:
        raise PayloadError(f"an eventlog entry is malformed: {fault}")
    return EventLogEvent(entry)


class EventWatch(Generator[T, None, None], AsyncIterator[T], Generic[T]):
    """What `flux.job.event_watch` returns: a generator of events, also for ``async for``.

    So is that of other functions, with what they give in place of events.  As a context manager it
    closes itself on exit.

    Args:
        begin: Begins to watch: returns a future that is an iterator, and whose `cancel` ends it.
    """

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin: Callable[[], Any] | None = begin
        self._future: Any = None

    def _started(self) -> Any:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            self._future = begin()
        return self._future

    def send(self, _value: None = None) -> T:
        """Return the next event, as ``next`` does."""
        future = self._started()
        if future is None:
            raise StopIteration
        try:
            event: T = next(future)
        except OSError:
            if future.error_string() is not None:
                self._future = None
            raise
        except StopIteration:
            self._future = None
            raise
        return event

    def throw(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> T:
        """Close the generator and raise an exception."""
        self.close()
        if isinstance(typ, BaseException):
            raise typ.with_traceback(tb)
        raise (typ() if val is None else val if isinstance(val, typ) else typ(val))

    def close(self) -> None:
        """End the watch."""
        self._begin = None
        future, self._future = self._future, None
        if future is not None:
            future.cancel()

    async def aclose(self) -> None:
        """End the watch."""
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        future = self._started()
        if future is None:
            raise StopAsyncIteration
        from flux._asyncio import Ready

        while not future.is_ready():
            await Ready(future)
        try:
            return self.send()
        except StopIteration:
            raise StopAsyncIteration from None

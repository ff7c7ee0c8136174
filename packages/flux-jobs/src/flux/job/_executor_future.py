"""The future of an executor: a job, as `concurrent.futures` has it, and its id and events."""

from __future__ import annotations

import concurrent.futures
import logging
from collections import deque
from threading import Condition, RLock, get_ident
from typing import TYPE_CHECKING, Any, Callable, ClassVar

from flux.job.event import MAIN_EVENTS, EventLogEvent

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["FluxExecutorFuture"]


class _Listener:
    """Calls back for one event after the other, in order and never for two at a time.

    No lock is held meanwhile: who comes while another thread is calling leaves the event to it.
    """

    def __init__(self, call: Callable[[EventLogEvent], None], past: list[EventLogEvent]) -> None:
        self._call = call
        self._events = deque(past)
        self._busy = RLock()
        self._calling = False

    def add(self, event: EventLogEvent) -> None:
        self._events.append(event)

    def deliver(self) -> None:
        while True:
            with self._busy:
                if self._calling or not self._events:
                    return
                self._calling = True
            try:
                self._call(self._events.popleft())
            finally:
                self._calling = False


class FluxExecutorFuture(concurrent.futures.Future):  # type: ignore[type-arg]
    """A job; its result is the highest exit status of its processes.

    That is minus the number of the signal which ended it, if one did.

    Besides what `concurrent.futures.Future` has it gives the job's id, and calls back for its
    events.  It runs, and cannot be cancelled any more, from when the executor has taken it up;
    `flux.job.cancel` cancels the job whenever it likes.

    Callbacks are called in a thread of the executor, or at once in that of the caller for what
    has been before.  One that waits for the future it is called for, and that it is on to
    complete, gets a RuntimeError.  What else they raise is logged.

    Args:
        owning_thread_id: The thread that completes the future.

    Attributes:
        EVENTS: Names of events that there are callbacks for.
    """

    EVENTS: ClassVar[frozenset[str]] = MAIN_EVENTS

    def __init__(self, owning_thread_id: int | None, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner = owning_thread_id
        self._lock = RLock()
        self._news = Condition(self._lock)
        self._jobid: Any = None
        self._jobid_error: BaseException | None = None
        self._jobid_known = False
        self._jobid_callbacks: list[Callable[[Self], object]] = []
        self._events: list[EventLogEvent] = []
        self._listeners: list[tuple[str, _Listener]] = []
        # Before any callback of the user's: it may ask for the id.
        super().add_done_callback(_settle)

    # -- the job's id

    def jobid(self, timeout: float | None = None) -> Any:
        """Wait for the id of the job.

        Args:
            timeout: Seconds to wait at most; None for no limit.

        Raises:
            concurrent.futures.TimeoutError: The time ran out.
            concurrent.futures.CancelledError: The future was cancelled before the job was
                submitted.
            RuntimeError: The job could not be submitted; or it is this very thread, within a
                callback, that is to do so.
        """
        with self._news:
            if not self._jobid_known and timeout is None and get_ident() == self._owner:
                raise RuntimeError("cannot wait for the id of a job from inside a callback")
            if not self._news.wait_for(lambda: self._jobid_known, timeout):
                raise concurrent.futures.TimeoutError
            if self._jobid_error is not None:
                raise self._jobid_error
            return self._jobid

    def add_jobid_callback(self, callback: Callable[[Self], object]) -> Self:
        """Have a function called once the id is known, or known not to come.

        Args:
            callback: Called with the future.

        Returns:
            The future.
        """
        with self._news:
            if not self._jobid_known:
                self._jobid_callbacks.append(callback)
                return self
        self._call(callback)
        return self

    def _set_jobid(self, jobid: Any, exc: BaseException | None = None) -> None:
        """Set the id, or what `jobid` is to raise.

        Raises:
            RuntimeError: It is set already.
        """
        with self._news:
            if self._jobid_known:
                raise RuntimeError("the job id of the future is set already")
            self._jobid, self._jobid_error = jobid, exc
            self._jobid_known = True
            callbacks, self._jobid_callbacks = self._jobid_callbacks, []
            self._news.notify_all()
        for callback in callbacks:
            self._call(callback)

    # -- events

    def add_event_callback(
        self, event: str, callback: Callable[[Self, EventLogEvent], object]
    ) -> Self:
        """Have a function called for each event of a name, those of the past included.

        Args:
            event: The name, one of `EVENTS`.
            callback: Called with the future and the event, for one event after the other.

        Returns:
            The future.

        Raises:
            ValueError: There are no events of that name.
        """
        if event not in self.EVENTS:
            raise ValueError(f"{event!r} is no event of a job: {', '.join(sorted(self.EVENTS))}")
        with self._lock:
            past = [entry for entry in self._events if entry.name == event]
            listener = _Listener(lambda entry: self._call(callback, entry), past)
            self._listeners.append((event, listener))
        listener.deliver()
        return self

    def _set_event(self, entry: EventLogEvent) -> None:
        """Tell of an event.

        Raises:
            ValueError: It has none of the names in `EVENTS`.
        """
        if entry.name not in self.EVENTS:
            raise ValueError(f"{entry.name!r} is no event of a job")
        with self._lock:
            self._events.append(entry)
            listeners = [listener for name, listener in self._listeners if name == entry.name]
            for listener in listeners:
                listener.add(entry)
        for listener in listeners:
            listener.deliver()

    # -- concurrent.futures

    def add_done_callback(self, fn: Callable[[Any], object]) -> Self:  # type: ignore[override]
        """As that of `concurrent.futures.Future`, but return the future."""
        super().add_done_callback(fn)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """As that of `concurrent.futures.Future`.

        Raises:
            RuntimeError: It is this very thread, within a callback, that is to complete the future.
            JobException: The job had a fatal exception.
            ValueError: There is no job of the id that was attached to.
            OSError: The job could not be submitted, or the connection was lost.
        """
        self._check_thread()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As that of `concurrent.futures.Future`.

        Raises:
            RuntimeError: It is this very thread, within a callback, that is to complete the future.
        """
        self._check_thread()
        return super().exception(timeout)

    def _check_thread(self) -> None:
        if get_ident() == self._owner and not self.done():
            raise RuntimeError("cannot wait for a future from inside a callback")

    def _call(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            callback(self, *args)
        except Exception:
            logging.getLogger("flux.job.executor").exception(
                "exception calling callback for %r", self
            )


def _settle(future: Any) -> None:
    """See that who waits for the id of a job that was never submitted does not wait for ever."""
    if future._jobid_known:
        return
    if future.cancelled():
        error: BaseException = concurrent.futures.CancelledError()
    else:
        exc = future.exception()
        if exc is None:
            return
        error = RuntimeError(f"job could not be submitted due to {exc!r}")
    future._set_jobid(None, error)

"""Following a journal: what happened so far, in order of time, then each event as it happens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, ClassVar

from flux.abc._backlog import SENTINEL, Item
from flux.abc._callbacks import Callback, Callbacks
from flux.abc._event import JournalEventBase
from flux.abc._stream import Stream, fails_again
from flux.constants import FLUX_RPC_STREAMING
from flux.rpc import RPC

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["JournalConsumerBase", "JournalEventBase"]

#: The journals known are kept by one service of the instance, that of the leader.
_NODEID = 0


class JournalConsumerBase(ABC):
    """The base of consumers of a journal: a streaming RPC whose responses hold eventlog entries.

    A subclass says with `process_response` and `create_event` how responses become events, and
    may override `request_payload`, `is_empty_response` and `SENTINEL_EVENT`.

    After `start` the events are read one by one with `poll`, with a ``for`` or ``async for``
    loop, or in a callback (`set_callback`).  `stop` asks the service to end the stream; after the
    last event comes None, or the loop ends.  As a context manager a consumer starts itself and
    on exit gives up the stream and what is left of it.

    With ``full`` the journal begins with its history, whose end the service marks.  The history
    is held back until it is complete and then sorted by timestamp; what follows comes in the
    order of arrival.  An event object is made when the event is delivered, not before.

    A fault in one response or entry is raised by the `poll` (or the loop, or ``reactor_run``)
    that meets it, and costs nothing but itself.  An error response ends the stream; it is raised
    after the events that came before it.

    Example:
        >>> with Consumer(flux.Flux(), "service.journal") as consumer:
        ...     for event in consumer:
        ...         print(event)

    Args:
        flux_handle: The handle.
        topic: Topic of the journal's request.
        cancel_topic: Topic of the request that ends the stream; that of the journal with
            ``-cancel`` appended if None.
        full: Expect a history.
        since: Leave out events that are not later than this time, in seconds since the epoch.
        include_sentinel: Deliver `SENTINEL_EVENT` between the history and the present.

    Attributes:
        handle: The handle.
        topic: As given.
        cancel_topic: As given, or the default.
        full: As given.
        since: As given.
        include_sentinel: As given.
    """

    #: What stands for the end of the history, see ``include_sentinel``.
    SENTINEL_EVENT: ClassVar[JournalEventBase] = JournalEventBase({})

    _stream: Stream | None = None
    _callback: Callback | None = None
    _callbacks: Callbacks | None = None

    def __init__(
        self,
        flux_handle: Flux,
        topic: str,
        cancel_topic: str | None = None,
        full: bool = True,
        since: float = 0.0,
        include_sentinel: bool = False,
    ) -> None:
        self.handle = flux_handle
        self.topic = topic
        self.cancel_topic = f"{topic}-cancel" if cancel_topic is None else cancel_topic
        self.full = full
        self.since = since
        self.include_sentinel = include_sentinel

    # -- for subclasses

    @property
    def request_payload(self) -> Any:
        """The payload of the request, an empty object by default."""
        return {}

    def is_empty_response(self, resp: Any) -> bool:
        """Return True if a response marks the end of the history.

        By default that is one without events which names nothing that it could be about: a
        filter may leave a response no events, but its ``id`` is not -1 then.

        Args:
            resp: The payload, decoded from JSON.
        """
        return isinstance(resp, dict) and resp.get("events") == [] and resp.get("id", -1) == -1

    @abstractmethod
    def process_response(self, resp: dict[str, Any]) -> dict[str, Any] | None:
        """Look at a response, once and as it arrives.

        Args:
            resp: The payload, decoded from JSON.

        Returns:
            Keyword arguments for `create_event`, for all the events of the response.
        """
        return {}

    if TYPE_CHECKING:
        # To a type checker it takes any arguments, so that a subclass may name its own.
        @abstractmethod
        def create_event(self, entry: dict[str, Any], *args: Any, **kw: Any) -> JournalEventBase:
            """Make an event."""
            return JournalEventBase(entry)

    else:

        @abstractmethod
        def create_event(self, entry, **kwargs):
            """Make an event, when it is about to be delivered.

            Args:
                entry: One of the response's ``events``.  One without a timestamp was given the
                    time of its arrival.
                **kwargs: What `process_response` returned for the response.

            Returns:
                An object of a class derived from `JournalEventBase`.
            """
            return JournalEventBase(entry)

    # -- the stream

    def start(self) -> Self:
        """Send the request.

        A second call restarts the stream as from the beginning: events may come again, or be
        missed where there is no history, and those not yet delivered are dropped.

        Returns:
            The consumer.

        Raises:
            OSError: EPIPE, the connection is lost.
        """
        self._give_up()
        rpc = RPC.__new__(RPC)
        try:
            payload = self.request_payload
            rpc.__init__(  # type: ignore[misc]
                self.handle, self.topic, payload, _NODEID, FLUX_RPC_STREAMING
            )
            self._stream = Stream(rpc, self.full)
        except BaseException:
            # A stream that nobody knows of would go on for ever.
            with suppress(OSError, RuntimeError):
                rpc.cancel(self.cancel_topic)
            raise
        if self._callback is not None:
            self._callbacks = Callbacks(self, self._stream)
        return self

    def stop(self) -> None:
        """Ask the service to end the stream.

        What it has sent until then is still delivered, and after that None.  Does nothing before
        `start` and after the end.

        Raises:
            OSError: EPIPE, the connection is lost.
        """
        if self._stream is not None:
            self._stream.cancel(self.cancel_topic)

    @property
    def rpc(self) -> RPC | None:
        """The request of the stream, or None before `start`."""
        return None if self._stream is None else self._stream.rpc

    def poll(self, timeout: float = -1.0) -> JournalEventBase | None:
        """Wait for the next event.

        Args:
            timeout: Seconds to wait at most; no limit if negative, or longer than the system can
                wait.

        Returns:
            The event, or None at the end of the stream and ever after.

        Raises:
            RuntimeError: The consumer was not started.
            ValueError: The timeout is NaN.
            TimeoutError: The time ran out.  Nothing is lost; a later call goes on.
            OSError: The error that ended the stream, then and ever after.  EPROTO, a response or
                entry is malformed; a later call goes on after it.
        """
        stream = self._stream
        if stream is None:
            raise RuntimeError("poll() called before start()")
        if not stream.ready():
            stream.wait(self, timeout)
        return self._next(stream)

    def _next(self, stream: Stream) -> JournalEventBase | None:
        """Return the next event of a stream that is ready, None after the last."""
        while True:
            found = stream.next()
            if found is None:
                return None
            item, taken = found
            try:
                event = self._event(item)
            except Exception:
                if fails_again(partial(self._event, item)):
                    next(taken, None)
                raise
            # A signal handler may have been faster.
            if next(taken, None) is not None:
                return event

    def set_callback(self, event_cb: Callable[..., Any], *args: Any, **kwargs: Any) -> Self:
        """Have the reactor call back for each event, and with None at the end of the stream.

        The error that ended a stream, and an error in the callback, is raised by
        ``reactor_run``.  The consumer stays alive until the end of the stream.

        Args:
            event_cb: Called as ``event_cb(event, *args, **kwargs)``, in place of one set before.
            *args: Passed on.
            **kwargs: Passed on.

        Returns:
            The consumer.

        Raises:
            TypeError: The callback is not callable.
        """
        if not callable(event_cb):
            raise TypeError(f"a callback must be callable, not {event_cb!r}")
        self._callback = (event_cb, args, kwargs)
        if self._stream is not None and self._callbacks is None:
            self._callbacks = Callbacks(self, self._stream)
        return self

    def _fold(self, arguments: Mapping[str, Any]) -> Any:
        """Put what `process_response` returned into the form to be kept through the history."""
        return arguments

    def _event(self, item: Item) -> JournalEventBase:
        """Make the event of an entry, whose arguments may have been through `_fold`."""
        entry, arguments = item
        if entry is SENTINEL:
            return self.SENTINEL_EVENT
        return self.create_event(entry, **arguments)

    # -- giving up

    def _give_up(self) -> None:
        """Have the service end the stream, and want nothing more of it."""
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            callbacks.stop()
        if self._stream is not None:
            self._stream.give_up(self.cancel_topic)

    def __enter__(self) -> Self:
        return self.start() if self._stream is None or self._stream.given_up else self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._give_up()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.__exit__(exc_type, exc, tb)

    def __del__(self) -> None:
        # The connection may be lost or another thread be using it: then there's nothing to do.
        with suppress(OSError, RuntimeError):
            self._give_up()

    # -- loops

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JournalEventBase:
        event = self.poll()
        if event is None:
            raise StopIteration
        return event

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JournalEventBase:
        from flux._asyncio import Ready

        while True:
            stream = self._stream
            if stream is None:
                raise RuntimeError("the consumer was not started")
            if stream.ready():
                break
            await Ready(stream.rpc)
            # Unless another task was faster.
            if stream.rpc.is_ready() and not stream.ready():
                stream.absorb(self)
        event = self._next(stream)
        if event is None:
            raise StopAsyncIteration
        return event

"""One run of a journal, from the request to the end of the stream."""

from __future__ import annotations

import errno
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flux._duration import limit
from flux.abc._backlog import Backlog, Item

if TYPE_CHECKING:
    from flux.abc.journal import JournalConsumerBase
    from flux.rpc import RPC

__all__ = ["Stream"]

#: Seconds that a wait which must not wait takes.  It still has to read what has arrived.
_MOMENT = 1e-6

_NO_ARGUMENTS: Mapping[str, Any] = {}


class Stream:
    """The responses to one request, turned into entries in the order of delivery.

    It doesn't refer to the consumer, so that a consumer which is forgotten is gone at once.

    Attributes:
        rpc: The request.
        backlog: The entries not yet delivered.
        end: The error that ended the stream, or None while it goes on.  Delivered last.
        given_up: Whether nobody wants it any more.
    """

    __slots__ = ("_cancelled", "backlog", "end", "given_up", "rpc")

    def __init__(self, rpc: RPC, full: bool) -> None:
        self.rpc = rpc
        self.backlog = Backlog(full)
        self.end: OSError | None = None
        self.given_up = False
        self._cancelled = False

    def ready(self) -> bool:
        """Return True if there is something to deliver, be it the end."""
        return bool(self.backlog) or self.end is not None

    def wait(self, consumer: JournalConsumerBase, timeout: float) -> None:
        """Block until there is something to deliver.

        Args:
            consumer: Knows what the responses mean.
            timeout: Seconds to wait at most; negative for no limit.

        Raises:
            ValueError: The timeout is NaN.
            TimeoutError: The time ran out.
            OSError: As `absorb`.
        """
        rpc = self.rpc
        left = timeout = limit(timeout)
        deadline = time.monotonic() + timeout
        while True:
            try:
                rpc.wait_for(left if timeout < 0 else max(_MOMENT, left))
            except TimeoutError:
                break
            while not self.ready() and rpc.is_ready():
                self.absorb(consumer)
            if self.ready():
                return
            if timeout >= 0:
                # Responses without anything to deliver yet must not prolong the wait.
                left = deadline - time.monotonic()
                if left <= 0:
                    break
        what = "the history is not complete" if self.backlog.historical else "no event"
        raise TimeoutError(errno.ETIMEDOUT, f"{consumer.topic}: {what} after {timeout:g} s")

    def absorb(self, consumer: JournalConsumerBase) -> None:
        """Take a response, which must be there.

        Args:
            consumer: Knows what the response means.

        Raises:
            OSError: EPROTO, the response or an entry in it is malformed.  The stream goes on.
            Exception: What the consumer's methods raise.  The stream goes on.
        """
        rpc = self.rpc
        backlog = self.backlog
        try:
            resp = rpc.get()
        except OSError as exc:
            if rpc.error_string() is None:
                # Not an error response, but one that cannot be read.
                rpc.reset()
                raise
            self.end = exc.with_traceback(None)
            # A continuation refers back to the consumer.
            rpc.stop()
            if backlog.historical:
                backlog.end_history(mark=False)
            return
        # First of all, so that no fault in the response keeps the next one from coming.
        rpc.reset()
        if consumer.is_empty_response(resp):
            if backlog.historical:
                backlog.end_history(consumer.include_sentinel)
            return
        events = resp.get("events") if isinstance(resp, dict) else None
        if not isinstance(events, list):
            raise OSError(
                errno.EPROTO, f"malformed response from {consumer.topic}: it has no list of events"
            )
        arguments: Any = consumer.process_response(resp) or _NO_ARGUMENTS
        if backlog.historical:
            arguments = consumer._fold(arguments)
        fault = backlog.add(events, arguments, consumer.since)
        if fault is not None:
            raise OSError(errno.EPROTO, f"malformed event from {consumer.topic}: {fault}")

    def take(self) -> Item | None:
        """Return the next entry, or None after the last; only if the stream is ready.

        Raises:
            OSError: The error that ended the stream, unless that is ENODATA.
        """
        item = self.backlog.pop()
        if item is None and self.end is not None and self.end.errno != errno.ENODATA:
            raise OSError(self.end.errno, self.end.strerror)
        return item

    def cancel(self, cancel_topic: str) -> None:
        """Have the service end the stream, unless that was asked for before.

        Args:
            cancel_topic: Topic of the request for that.
        """
        if not self._cancelled:
            self._cancelled = True
            self.rpc.cancel(cancel_topic)

    def give_up(self, cancel_topic: str) -> None:
        """Have the service end the stream, and want nothing more of it.

        Args:
            cancel_topic: Topic of the request for that.
        """
        if self.given_up:
            return
        self.given_up = True
        self.backlog = Backlog(False)
        if self.end is None:
            self.end = OSError(errno.ENODATA, "the journal was given up")
        self.rpc.stop()
        self.cancel(cancel_topic)

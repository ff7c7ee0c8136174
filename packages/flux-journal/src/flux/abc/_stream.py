"""One run of a journal, from the request to the end of the stream."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from flux._duration import limit
from flux.abc._backlog import Backlog, Item

if TYPE_CHECKING:
    from flux.abc.journal import JournalConsumerBase
    from flux.rpc import RPC

__all__ = ["Stream", "fails_again"]

#: Seconds that a wait which must not wait takes.  It still has to read what has arrived.
_MOMENT = 1e-6

_NO_ARGUMENTS: Mapping[str, Any] = {}


def fails_again(call: Callable[[], Any]) -> bool:
    """Return True if a call that has raised raises again.

    If it does not, the exception came from a signal handler, and costs nothing.
    """
    try:
        call()
    except Exception:
        return True
    return False


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
        # Again, if a signal handler came in between.
        while self.rpc.is_ready() and not self._absorb(consumer):
            pass

    def _absorb(self, consumer: JournalConsumerBase) -> bool:
        rpc = self.rpc
        backlog = self.backlog
        # The response leaves the future and its entries come into the backlog in one C call.
        taken = rpc.take_first(rpc.claim())
        try:
            resp = rpc.get()
        except OSError as exc:
            if rpc.error_string() is None:
                # Not an error response, but one that cannot be read.
                next(taken, None)
                raise
            if backlog.historical:
                next(backlog.end_history(False, iter((True,))))
            # A continuation refers back to the consumer.
            rpc.stop()
            # Last, as with it the stream is ready.
            self.end = exc.with_traceback(None)
            return True
        fault: BaseException | None = None
        if consumer.is_empty_response(resp):
            if backlog.historical:
                taken = backlog.end_history(consumer.include_sentinel, taken)
        else:
            try:
                taken, text = self._read(consumer, resp, taken)
                if text is not None:
                    text = f"malformed event from {consumer.topic}: {text}"
                    fault = OSError(errno.EPROTO, text)
            except Exception:
                # No fault in a response keeps the next one from coming.
                if fails_again(partial(self._read, consumer, resp, taken)):
                    next(taken, None)
                raise
        done = next(taken, self) is not self
        if done and fault is not None:
            raise fault
        return done

    def _read(
        self, consumer: JournalConsumerBase, resp: Any, taken: Iterator[Any]
    ) -> tuple[Iterator[Any], str | None]:
        events = resp.get("events") if isinstance(resp, dict) else None
        if not isinstance(events, list):
            raise OSError(
                errno.EPROTO, f"malformed response from {consumer.topic}: it has no list of events"
            )
        arguments: Any = consumer.process_response(resp) or _NO_ARGUMENTS
        if self.backlog.historical:
            arguments = consumer._fold(arguments)
        return self.backlog.add(events, arguments, consumer.since, taken)

    def next(self) -> tuple[Item, Iterator[Any]] | None:
        """Return the next entry and what removes it; None after the last, or if none is there.

        Raises:
            OSError: The error that ended the stream, unless that is ENODATA.
        """
        found = self.backlog.next(self.rpc.claim())
        if found is None and self.end is not None and self.end.errno != errno.ENODATA:
            raise OSError(self.end.errno, self.end.strerror)
        return found

    def cancel(self, cancel_topic: str) -> None:
        """Have the service end the stream, unless that was asked for before.

        Args:
            cancel_topic: Topic of the request for that.
        """
        if not self._cancelled:
            # In this order: asking twice does no harm.
            self.rpc.cancel(cancel_topic)
            self._cancelled = True

    def give_up(self, cancel_topic: str) -> None:
        """Have the service end the stream, and want nothing more of it.

        Args:
            cancel_topic: Topic of the request for that.
        """
        if self.given_up:
            return
        self.backlog = Backlog(False)
        if self.end is None:
            self.end = OSError(errno.ENODATA, "the journal was given up")
        self.rpc.stop()
        self.cancel(cancel_topic)
        self.given_up = True

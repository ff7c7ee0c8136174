"""Calling back for the events of a journal, from the reactor."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from flux.abc._stream import Stream
    from flux.abc.journal import JournalConsumerBase
    from flux.core.watchers import TimerWatcher
    from flux.rpc import RPC

__all__ = ["Callback", "Callbacks"]

#: A function, and the arguments to pass on to it.
Callback = tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]


class Callbacks:
    """Calls a function for each event of one stream, and with None at its end.

    Futures and timers refer to this object and it to the consumer, which thereby stays alive
    until the end of the stream.

    Args:
        consumer: The consumer.
        stream: Its stream.
    """

    def __init__(self, consumer: JournalConsumerBase, stream: Stream) -> None:
        self._consumer = consumer
        self._stream = stream
        self._stopped = False
        self._timer: TimerWatcher | None = None
        self._listen()
        if stream.ready():
            self._resume_later()

    def stop(self) -> None:
        """Do not call back any more."""
        if not self._stopped:
            self._stopped = True
            del self._consumer
            if self._timer is not None:
                self._timer.stop()
                self._timer = None

    def _listen(self) -> None:
        """Have the reactor call for responses, if it doesn't already."""
        if self._stream.end is None:
            try:
                self._stream.rpc.then(self._continue)
            except OSError as exc:
                if exc.errno != errno.EEXIST:
                    raise

    def _continue(self, _rpc: RPC) -> None:
        """Go on after a response; called by the reactor."""
        try:
            try:
                self._stream.absorb(self._consumer)
            finally:
                self._deliver()
        except BaseException:
            # What comes after a fault is not lost, if the reactor runs on.
            self._resume_later()
            raise

    def _deliver(self) -> None:
        """Call back for all there is."""
        stream = self._stream
        while not self._stopped:
            consumer = self._consumer
            item = stream.backlog.pop()
            event: Any = None
            if item is not None:
                event = consumer._event(item)
            elif stream.end is None:
                return
            else:
                # It is the end that is delivered now, be it an error.
                self.stop()
                stream.take()
            event_cb, args, kwargs = consumer._callback  # type: ignore[misc]
            event_cb(event, *args, **kwargs)

    def _resume_later(self) -> None:
        """Have the reactor go on, whether or not there will be another response."""
        if self._timer is None and not self._stopped:
            timer = self._consumer.handle.timer_watcher_create(0.0, self._resume)
            self._timer = timer.start()

    def _resume(self, *_args: Any) -> None:
        self._timer = None
        try:
            self._deliver()
        except BaseException:
            self._resume_later()
            raise
        finally:
            self._listen()

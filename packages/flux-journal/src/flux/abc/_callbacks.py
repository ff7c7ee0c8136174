"""Calling back for the events of a journal, from the reactor."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Any, Callable

from flux._future import Again
from flux.abc._stream import fails_again

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
        # As long as the end was not told.
        self._end = [1]
        self._timer: TimerWatcher | None = None
        self._listen()
        if stream.ready():
            self._resume_later()

    def stop(self) -> None:
        """Do not call back any more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if not self._stopped:
            self._stopped = True
            del self._consumer

    def _listen(self) -> None:
        """Have the reactor call for responses, if it doesn't already."""
        if self._stream.end is None:
            try:
                self._stream.rpc.then(Again(self._continue))
            except OSError as exc:
                if exc.errno != errno.EEXIST:
                    raise

    def _continue(self, _rpc: RPC) -> None:
        """Go on after a response; called by the reactor."""
        if self._stopped:
            return
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
            if not stream.ready():
                return
            event_cb, args, kwargs = consumer._callback  # type: ignore[misc]
            if kwargs:
                event_cb = partial(event_cb, **kwargs)
            try:
                found = stream.next()
            except OSError:
                self.stop()
                raise
            if found is not None:
                item, taken = found
                try:
                    event = consumer._event(item)
                except Exception:
                    if fails_again(partial(consumer._event, item)):
                        next(taken, None)
                    raise
                # Removed from the backlog and called back for in one C call.
                next(map(event_cb, compress((event,), taken), *zip(args)), None)
            elif self._end:
                next(map(event_cb, compress((None,), map(self._end.pop, (0,))), *zip(args)), None)
            else:
                self.stop()

    def _resume_later(self) -> None:
        """Have the reactor go on, whether or not there will be another response."""
        if self._timer is None and not self._stopped:
            # Repeated until it comes to its end.
            timer = self._consumer.handle.timer_watcher_create(0.0, self._resume, repeat=0.001)
            self._timer = timer.start()

    def _resume(self, *_args: Any) -> None:
        try:
            self._deliver()
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.stop()
        finally:
            self._listen()

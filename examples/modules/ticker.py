"""A streaming service: responses until the requester cancels the stream or goes away.

A stream is known by who asked for it and by the matchtag of the request.  Both `cancel` and
`disconnect` come from the same sender, so that nobody can end the streams of others.

flux module load ticker.py 0.5
"""

from __future__ import annotations

import errno
from typing import Any

from flux import Flux
from flux.brokermod import BrokerModule, request_handler
from flux.message import Message


def arguments(msg: Message) -> dict[str, Any]:
    """Return a request's payload, empty if it is not an object.

    What requesters do wrong must not raise: an exception would end the module.
    """
    try:
        payload = msg.payload
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


class Ticker(BrokerModule):
    """Counts at a period, given as argument in seconds, for all who watch."""

    def __init__(self, h: Flux, period: str = "1.0") -> None:
        super().__init__(h, period)
        self.streams: dict[tuple[str | None, int], Message] = {}
        self.count = 0
        self.timer = h.timer_watcher_create(0.0, self.tick, repeat=float(period))

    @request_handler("watch", allow_guest=True)
    def watch(self, msg: Message) -> None:
        """Begin a stream."""
        if not msg.streaming:
            self.handle.respond_error(msg, errno.EPROTO, "ticker.watch is a streaming method")
            return
        self.streams[msg.route_first(), msg.matchtag] = msg
        # There is nothing to do while nobody watches.
        self.timer.start()

    @request_handler("cancel", allow_guest=True)
    def cancel(self, msg: Message) -> None:
        """End a stream of the same sender: {"matchtag": int}.  Never answered itself."""
        matchtag = arguments(msg).get("matchtag")
        if isinstance(matchtag, int):
            stream = self.streams.pop((msg.route_first(), matchtag), None)
            if stream is not None:
                self.handle.respond_error(stream, errno.ENODATA)
        self.rest()

    @request_handler("disconnect", allow_guest=True)
    def disconnect(self, msg: Message) -> None:
        """Forget the streams of a sender that is gone; the broker sends this for it."""
        sender = msg.route_first()
        self.streams = {key: stream for key, stream in self.streams.items() if key[0] != sender}
        self.rest()

    def rest(self) -> None:
        """Stop the timer when nobody watches any more."""
        if not self.streams:
            self.timer.stop()

    def tick(self, *_args: Any) -> None:
        """Count, and tell all who watch."""
        self.count += 1
        for stream in self.streams.values():
            self.handle.respond(stream, {"count": self.count})

    def run(self) -> None:
        """Serve, then end all streams, so that nobody waits for a module that is gone."""
        super().run()
        for stream in self.streams.values():
            self.handle.respond_error(stream, errno.ENODATA)

"""Whom to tell when a sender of requests is gone, be it a client or a module."""

from __future__ import annotations

from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGFLAG_UPSTREAM,
)
from flux.message import Message

#: Longest service part of a topic, in bytes.  The original discards a request with a longer one.
MAX_TRACKED_SERVICE = 244

#: Distinct requests of a sender that are recognized at once as nothing new.
MAX_SEEN = 1024

#: Bits of a request that decide whether and where its sender's leaving is announced.
_TRACKED_BITS = FLUX_MSGFLAG_NORESPONSE | FLUX_MSGFLAG_UPSTREAM


class Departures:
    """The disconnect requests to send in the name of one sender, made from what it sends."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int, int]] = set()
        self._notices: dict[tuple[str, int, int], Message] = {}

    def track(self, msg: Message, topic: str) -> bool:
        """Note a request, whose route is complete; return False to drop it."""
        seen = (topic, msg.aux1, msg.bits & _TRACKED_BITS)
        if seen in self._seen:
            return True
        _topic, nodeid, bits = seen
        service, dot, _method = topic.rpartition(".")
        if len(service.encode()) > MAX_TRACKED_SERVICE:
            return False
        if len(self._seen) >= MAX_SEEN:
            self._seen.clear()
        self._seen.add(seen)
        if not bits & FLUX_MSGFLAG_NORESPONSE:
            key = (service + dot, nodeid, bits)
            if key not in self._notices:
                notice = msg.copy(payload=False)
                notice.raw_topic = key[0] + "disconnect"
                notice.bits = msg.bits & ~FLUX_MSGFLAG_STREAMING | FLUX_MSGFLAG_NORESPONSE
                self._notices[key] = notice
        return True

    def take(self) -> list[Message]:
        """Return the requests to send, once."""
        notices, self._notices = self._notices, {}
        return list(notices.values())

"""The requests that a module was given and has not answered."""

from __future__ import annotations

from flux.constants import FLUX_MSGFLAG_NORESPONSE, FLUX_MSGFLAG_STREAMING
from flux.message import Message


class Unanswered:
    """Requests by their route, and by their matchtag.

    Of each only what an answer needs is kept, and all of one sender are forgotten in one step
    when it is gone.
    """

    def __init__(self) -> None:
        self._by_route: dict[bytes, dict[int, tuple[str, int]]] = {}

    def add(self, msg: Message, topic: str) -> None:
        """Note a request that is delivered to the module."""
        bits = msg.bits
        route = msg.route or b""
        if bits & FLUX_MSGFLAG_NORESPONSE:
            if topic.endswith(".disconnect"):
                self._by_route.pop(route, None)
            return
        # Those without a matchtag cannot be told apart, nor does their sender wait.
        if msg.aux2:
            requests = self._by_route.get(route)
            if requests is None:
                requests = self._by_route[route] = {}
            requests[msg.aux2] = (topic, bits)

    def answered(self, msg: Message, route: bytes) -> None:
        """Note a response of the module, whose route is the request's."""
        if msg.aux1 or not msg.bits & FLUX_MSGFLAG_STREAMING:
            requests = self._by_route.get(route)
            if requests is not None:
                requests.pop(msg.aux2, None)

    def take(self) -> list[Message]:
        """Return what is left, as requests to answer, once."""
        left = []
        by_route, self._by_route = self._by_route, {}
        for route, requests in by_route.items():
            for matchtag, (topic, bits) in requests.items():
                msg = Message()
                msg.raw_topic = topic
                msg.bits = bits
                msg.route = route
                msg.aux2 = matchtag
                left.append(msg)
        return left

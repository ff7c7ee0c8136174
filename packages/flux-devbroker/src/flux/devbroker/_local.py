"""A service in the broker's own process, as the router sees it."""

from __future__ import annotations

from flux._connector import MemoryConnector
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.devbroker._router import OWNER_ROLES, Peer, Router, after_first
from flux.message import Message


class LocalPeer(Peer):
    """The broker's end of a `MemoryConnector`.

    Args:
        router: Where its messages go.
        uuid: Its identity.
        module: Whether it stands for a broker module, which has the broker as one hop more in
            the route of its requests, and not for a part of the broker itself.

    Attributes:
        connector: The service's end.
    """

    def __init__(self, router: Router, uuid: str, module: bool) -> None:
        super().__init__(uuid, router.owner)
        self._router = router
        self._hop = router.frame if module else b""
        # Credentials are filled in here, as they are for a module that is a process.
        self.connector = MemoryConnector(self.receive, (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE))
        router.add(self)

    def receive(self, msg: Message) -> None:
        """Take a message from the service."""
        mtype = msg.mtype
        if mtype == FLUX_MSGTYPE_RESPONSE:
            if msg.userid == FLUX_USERID_UNKNOWN and msg.rolemask == FLUX_ROLE_NONE:
                msg.userid = self.userid
                msg.rolemask = OWNER_ROLES
            route = after_first(msg.route) if self._hop else msg.route
            if route:
                self._router.response(msg, route)
            return
        if msg.raw_topic is None:
            return
        # The sender may keep its message and use it again.
        msg = msg.copy()
        if msg.userid == FLUX_USERID_UNKNOWN and msg.rolemask == FLUX_ROLE_NONE:
            msg.userid = self.userid
            msg.rolemask = OWNER_ROLES
        msg.route = self.key + (msg.route or b"")
        if mtype == FLUX_MSGTYPE_REQUEST:
            self._router.request(msg)
        elif mtype == FLUX_MSGTYPE_EVENT:
            self._router.publish(msg)

    def request(self, msg: Message) -> None:
        """Deliver a request."""
        if self._hop:
            msg.route = self._hop + (msg.route or b"")
        self.connector.deliver(msg)

    def response(self, msg: Message, route: bytes) -> None:
        """Deliver a response."""
        msg.route = route
        self.connector.deliver(msg)

    def event(self, msg: Message, stream: bytes) -> None:
        """Deliver an event."""
        self.connector.deliver(msg.copy())

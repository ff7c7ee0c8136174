"""A service in the broker's own process: its session, and how the router sees it."""

from __future__ import annotations

from typing import Any, Callable
from weakref import ref

from flux._codec import RequestEncoder, Splitter
from flux._future import Failure
from flux._session import Session
from flux.constants import (
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.devbroker._router import OWNER_ROLES, Peer, Router, after_first
from flux.message import Message
from flux.rpc import RPC


class LocalConnector:
    """Stands where a session has its connection; nothing goes through it."""

    # Credentials are filled in by the router, as they are for a module that is a process.
    credentials = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)

    def fileno(self) -> int:
        """Return -1: there is nothing to wait on."""
        return -1

    def send(self, data: bytes | memoryview) -> int:
        """Raise: messages are posted."""
        raise BlockingIOError

    def recv(self, size: int) -> bytes:
        """Raise: messages are delivered."""
        raise BlockingIOError

    def close(self) -> None:
        """Do nothing."""


class LocalSession(Session):
    """A session with a broker in this thread, which takes and gives messages as they are.

    Neither side encodes what the other would decode.

    Args:
        post: Called with each message that is sent.
    """

    local = True

    def __init__(self, post: Callable[[Message], None]) -> None:
        super().__init__(LocalConnector(), "the broker itself")
        self._post = post

    def close(self) -> None:
        """Post no more."""
        self._post = lambda msg: None

    def request(
        self, rpc: RPC | None, encoder: RequestEncoder, data: bytes | None, tag: int
    ) -> None:
        """Send a request; see `Session.request`."""
        msg = Message()
        msg.raw_topic = encoder.topic
        msg.bits = encoder.bits
        msg.aux1 = encoder.nodeid
        msg.aux2 = tag
        msg.data = data
        if rpc is not None:
            self.rpcs[tag] = ref(rpc)
        self.send_message(msg)

    def send(self, data: bytes) -> None:
        """Send an encoded message."""
        for msg in Splitter().messages(Message, data):
            self.send_message(msg)

    def send_message(self, msg: Message) -> None:
        """Send a message."""
        if self.error is not None:
            raise self._broken_pipe()
        if self._tx_counts is not None:
            self._tx_counts[msg.mtype] += 1
        self._post(msg)

    def respond(self, request: Message, data: bytes | None, errnum: int) -> None:
        """Send the response to a request."""
        self.send_message(request.respond(data, errnum))

    def deliver(self, msg: Message) -> None:
        """Take a message from the broker."""
        if msg.mtype == FLUX_MSGTYPE_RESPONSE:
            if self._rx_counts is not None:
                self._rx_counts[FLUX_MSGTYPE_RESPONSE] += 1
            entry = self.rpcs.get(msg.aux2)
            if entry is not None:
                if msg.aux1 or not msg.bits & FLUX_MSGFLAG_STREAMING:
                    del self.rpcs[msg.aux2]
                    self._tags.append(msg.aux2)
                rpc = entry()
                if rpc is not None:
                    result: Any = Failure(msg.aux1, msg.data) if msg.aux1 else msg.data
                    rpc.fulfill(result)
                return
        self.ready.append(msg)


class LocalPeer(Peer):
    """The broker's side of a `LocalSession`.

    Args:
        router: Where its messages go.
        uuid: Its identity.
        module: Whether it stands for a broker module, which has the broker as one hop more in
            the route of its requests, and not for a part of the broker itself.

    Attributes:
        session: The service's side.
    """

    def __init__(self, router: Router, uuid: str, module: bool) -> None:
        super().__init__(uuid, router.owner)
        self._router = router
        self._hop = router.frame if module else b""
        self.session = LocalSession(self.receive)
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
        self.session.deliver(msg)

    def response(self, msg: Message, route: bytes) -> None:
        """Deliver a response."""
        msg.route = route
        self.session.deliver(msg)

    def event(self, msg: Message, stream: bytes) -> None:
        """Deliver an event."""
        self.session.deliver(msg.copy())

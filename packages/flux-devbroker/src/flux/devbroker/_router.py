"""Routing: who gets which message.  No socket, no clock, no waiting.

A `Router` knows `Peer` objects, each a channel of the broker: the clients on the local socket, the
broker's own services, broker modules.  A message enters it with the sender's identity already
pushed onto its route, and leaves through the `Peer` method for its type.

Routes are handled as the raw bytes that they are on the wire (`flux._codec.WireMessage.route`).
The identities of this broker's peers have a fixed size, so that following a route back is one
slice and one dictionary look-up.
"""

from __future__ import annotations

import errno
from typing import Callable

from flux._codec import LONG, U32, encode, encode_frame
from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_PRIVATE,
    FLUX_MSGFLAG_UPSTREAM,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_NODEID_ANY,
    FLUX_ROLE_LOCAL,
    FLUX_ROLE_OWNER,
)
from flux.message import Message

#: Roles of whoever runs the broker, and of the broker's own messages.
OWNER_ROLES = FLUX_ROLE_OWNER | FLUX_ROLE_LOCAL

#: Distinct event topics whose audience is remembered.
MAX_AUDIENCES = 1024

#: Bytes of an identity as a route frame: a UUID in text form and its size.
FRAME_SIZE = 37

# The original bounds what it says of an unknown service with a buffer of this size.
_NO_SERVICE_SIZE = 63


class Peer:
    """One channel of the broker.

    Args:
        uuid: Its identity.
        userid: Who is at the other end.
        owner: Whether that is the owner of the broker.
        via: The route frame of another peer that its messages pass, if they do.

    Attributes:
        uuid: Its identity.
        key: The route frames that lead from the broker to it.
        userid: Who is at the other end.
        owner: Whether that is the owner of the broker.
        services: The names of the services that it has registered.
    """

    def __init__(self, uuid: str, userid: int, owner: bool = True, via: bytes = b"") -> None:
        self.uuid = uuid
        self.key = via + encode_frame(uuid.encode())
        self.userid = userid
        self.owner = owner
        self.services: set[str] = set()
        self._subscriptions: dict[str, int] = {}
        self._prefixes: tuple[str, ...] = ()

    def request(self, msg: Message) -> None:
        """Deliver a request for a service that the peer has registered."""
        raise NotImplementedError

    def response(self, msg: Message, route: bytes) -> None:
        """Deliver a response, whose route is to be as given."""
        raise NotImplementedError

    def event(self, msg: Message, stream: bytes) -> None:
        """Deliver an event, given as a message and encoded for a stream."""
        raise NotImplementedError

    def wants(self, topic: str) -> bool:
        """Return True if a subscription of the peer is a prefix of a topic."""
        return topic.startswith(self._prefixes)

    def subscribe(self, prefix: str) -> None:
        """Count one more subscription."""
        self._subscriptions[prefix] = self._subscriptions.get(prefix, 0) + 1
        self._prefixes = tuple(self._subscriptions)

    def unsubscribe(self, prefix: str) -> None:
        """Count one less.

        Raises:
            OSError: ENOENT, there is no such subscription.
        """
        count = self._subscriptions.get(prefix, 0)
        if not count:
            raise OSError(errno.ENOENT, f"there is no subscription to '{prefix}'")
        if count == 1:
            del self._subscriptions[prefix]
        else:
            self._subscriptions[prefix] = count - 1
        self._prefixes = tuple(self._subscriptions)


class Router:
    """The broker's tables, and the ways through them.

    Args:
        uuid: The broker's identity.
        owner: Its user id.

    Attributes:
        frame: The broker's identity as a route frame.
        rank: The broker's rank.
        sequence: Number of the newest event.
        services: Who serves which first word of a topic.
        peers: All channels, by the route frames that lead to them.
    """

    rank = 0

    def __init__(self, uuid: str, owner: int) -> None:
        self.uuid = uuid
        self.frame = encode_frame(uuid.encode())
        self.owner = owner
        self.sequence = 0
        self.services: dict[str, Peer] = {}
        self.peers: dict[bytes, Peer] = {}
        self._audiences: dict[str, tuple[Peer, ...]] = {}
        #: Takes a request for a service that there is not, if there may be one in a moment.
        self.hold: Callable[[Message], bool] = lambda msg: False

    # -- peers and their services

    def add(self, peer: Peer) -> None:
        """Take a new peer."""
        self.peers[peer.key] = peer

    def remove(self, peer: Peer) -> None:
        """Forget a peer, its services and its subscriptions."""
        del self.peers[peer.key]
        for name in peer.services:
            del self.services[name]
        peer.services.clear()
        self._audiences.clear()

    def add_service(self, name: str, peer: Peer) -> None:
        """Register a service.

        Raises:
            OSError: EINVAL, the name has a dot; EEXIST, it is taken.
        """
        if "." in name:
            raise OSError(errno.EINVAL, f"the service name '{name}' contains a dot")
        if name in self.services:
            raise OSError(errno.EEXIST, f"the service '{name}' exists already")
        self.services[name] = peer
        peer.services.add(name)

    def remove_service(self, name: str, peer: Peer) -> None:
        """Take back a registration.

        Raises:
            OSError: ENOENT, the peer has not registered the name.
        """
        if name not in peer.services:
            raise OSError(errno.ENOENT, f"the service '{name}' is not registered by the caller")
        peer.services.discard(name)
        del self.services[name]

    # -- messages

    def request(self, msg: Message) -> None:
        """Bring a request to the service it names, or answer it with an error."""
        nodeid = msg.aux1
        if msg.bits & FLUX_MSGFLAG_UPSTREAM:
            # Away from the rank that is named: there is nothing above rank 0.
            if nodeid == self.rank:
                self.refuse(msg, errno.EHOSTUNREACH)
                return
        elif nodeid != FLUX_NODEID_ANY and nodeid != self.rank:
            self.refuse(msg, errno.EHOSTUNREACH)
            return
        topic = msg.topic
        peer = self.services.get(topic.partition(".")[0])
        if peer is None:
            if not self.hold(msg):
                self.no_service(msg)
            return
        peer.request(msg)

    def no_service(self, msg: Message) -> None:
        """Answer a request that there is no such service."""
        text = f"No service matching {msg.topic} is registered".encode()
        self.refuse(msg, errno.ENOSYS, text[:_NO_SERVICE_SIZE])

    def refuse(self, msg: Message, errnum: int, text: bytes | None = None) -> None:
        """Answer a request with an error, in the broker's name, unless it wants no answer."""
        if msg.bits & FLUX_MSGFLAG_NORESPONSE:
            return
        answer = msg.respond(None if text is None else text + b"\0", errnum)
        answer.userid = self.owner
        answer.rolemask = OWNER_ROLES
        self.response(answer, answer.route or b"")

    def response(self, msg: Message, route: bytes) -> None:
        """Bring a response to the peer that a route leads to; drop it if that is gone."""
        peers = self.peers
        peer = peers.get(route[: 2 * FRAME_SIZE]) or peers.get(route[:FRAME_SIZE])
        if peer is not None:
            peer.response(msg, route[len(peer.key) :])

    def publish(self, msg: Message) -> int:
        """Number an event and bring it to its subscribers.

        Args:
            msg: The event, with the publisher's credentials, and the route it came by.

        Returns:
            Its sequence number.
        """
        self.sequence += 1
        topic = msg.topic
        audience = self._audiences.get(topic)
        if audience is None:
            if len(self._audiences) >= MAX_AUDIENCES:
                self._audiences.clear()
            audience = tuple(peer for peer in self.peers.values() if peer.wants(topic))
            self._audiences[topic] = audience
        if audience:
            msg.aux1 = self.sequence
            msg.route = self.frame + (msg.route or b"")
            stream = msg.to_stream()
            private = msg.bits & FLUX_MSGFLAG_PRIVATE
            for peer in audience:
                if not private or peer.owner or peer.userid == msg.userid:
                    peer.event(msg, stream)
        return self.sequence

    def subscribe(self, peer: Peer, prefix: str) -> None:
        """Have a peer get the events whose topic begins with a string."""
        peer.subscribe(prefix)
        self._audiences.clear()

    def unsubscribe(self, peer: Peer, prefix: str) -> None:
        """Take back one `subscribe`.

        Raises:
            OSError: ENOENT, there is no such subscription.
        """
        peer.unsubscribe(prefix)
        self._audiences.clear()


def after_first(route: bytes | None) -> bytes | None:
    """Return a route without its most recent hop, or None if it has none."""
    if not route:
        return None
    size = route[0]
    if size < 255:
        return route[1 + size :]
    return route[LONG.size + U32.unpack_from(route, 1)[0] :]


def response_stream(msg: Message, route: bytes) -> bytes:
    """Return a response as it goes on a connection, with another route than it came with."""
    return encode(
        FLUX_MSGTYPE_RESPONSE,
        msg.bits,
        msg.userid,
        msg.rolemask,
        msg.aux1,
        msg.aux2,
        msg.raw_topic,
        route,
        msg.data,
    )

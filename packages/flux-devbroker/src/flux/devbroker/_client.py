"""A client on the local socket, as the router sees it; the socket itself is `_server`'s.

The part of a broker that serves the local socket, connector-local, does more than pass messages:
it stamps credentials on what comes in, answers the requests that are about the connection itself
(event subscriptions and service names), and tells services when a client is gone.
"""

from __future__ import annotations

import errno
from typing import Any, Callable

from flux._codec import encode
from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_LOCAL,
    FLUX_ROLE_NONE,
    FLUX_ROLE_OWNER,
    FLUX_ROLE_USER,
    FLUX_USERID_UNKNOWN,
)
from flux.devbroker._departures import Departures
from flux.devbroker._router import OWNER_ROLES, Peer, Router, after_first, response_stream
from flux.devbroker._unpack import RequestError, unpack
from flux.message import Message


class Client(Peer):
    """One connection to the local socket.

    Args:
        router: Where its messages go.
        uuid: Its identity.
        via: The route frame of connector-local.
        userid: The user at the other end, as the kernel says.
        owner: Whether to trust what the client says of its credentials.
        write: Called with each encoded message for the client.

    Attributes:
        pid: The process at the other end, as the kernel says.
        received: Count of messages from the client.
        sent: Count of messages to the client.
    """

    pid = -1

    def __init__(
        self,
        router: Router,
        uuid: str,
        via: bytes,
        userid: int,
        owner: bool,
        write: Callable[[bytes], Any],
    ) -> None:
        super().__init__(uuid, userid, owner, via)
        self._router = router
        self._via = via
        self._write = write
        self.roles = OWNER_ROLES if owner else FLUX_ROLE_USER | FLUX_ROLE_LOCAL
        self.received = 0
        self.sent = 0
        self._departures = Departures()
        router.add(self)

    # -- from the client

    def receive(self, msg: Message) -> None:
        """Take a message from the client."""
        self.received += 1
        mtype = msg.mtype
        topic = msg.raw_topic
        if topic is None or mtype == FLUX_MSGTYPE_CONTROL:
            return
        if not self.owner:
            msg.userid = self.userid
            msg.rolemask = self.roles
        else:
            if msg.userid == FLUX_USERID_UNKNOWN:
                msg.userid = self.userid
            if msg.rolemask == FLUX_ROLE_NONE:
                msg.rolemask = self.roles
        if mtype == FLUX_MSGTYPE_REQUEST:
            answer = _ANSWERS.get(topic)
            if answer is not None:
                self._answer(msg, answer)
                return
            msg.route = self.key + (msg.route or b"")
            if self._departures.track(msg, topic):
                self._router.request(msg)
        elif mtype == FLUX_MSGTYPE_RESPONSE:
            # The most recent hop is this broker, which is not looked at.
            route = after_first(msg.route)
            if route:
                self._router.response(msg, route)
        else:
            # Nothing goes back to the publisher of an event, which is not put into its route.
            msg.route = self._via + (msg.route or b"")
            self._router.publish(msg)

    def leave(self) -> None:
        """Forget the client and tell every service that it has used."""
        self._router.remove(self)
        for notice in self._departures.take():
            self._router.request(notice)

    # -- to the client

    def request(self, msg: Message) -> None:
        """Deliver a request for a service of the client."""
        if "." not in msg.topic:
            self._router.refuse(msg, errno.ENOSYS)
            return
        self.sent += 1
        msg.route = self._router.frame + (msg.route or b"")
        self._write(msg.to_stream())

    def response(self, msg: Message, route: bytes) -> None:
        """Deliver a response."""
        self.sent += 1
        self._write(response_stream(msg, route))

    def event(self, msg: Message, stream: bytes) -> None:
        """Deliver an event."""
        self.sent += 1
        self._write(stream)

    # -- requests about the connection itself

    def _answer(self, msg: Message, method: Callable[[Client, Message], None]) -> None:
        errnum = 0
        try:
            method(self, msg)
        except OSError as exc:
            errnum = exc.errno or errno.EINVAL
        # The original honours NORESPONSE for the service methods only.
        if msg.bits & FLUX_MSGFLAG_NORESPONSE and msg.topic.startswith("service."):
            return
        self.sent += 1
        self._write(
            encode(
                FLUX_MSGTYPE_RESPONSE,
                0,
                FLUX_USERID_UNKNOWN,
                FLUX_ROLE_OWNER,
                errnum,
                msg.aux2,
                msg.raw_topic,
                b"",
                None,
            )
        )

    def _subscribe(self, msg: Message) -> None:
        self._router.subscribe(self, unpack(msg, topic=str)["topic"])

    def _unsubscribe(self, msg: Message) -> None:
        self._router.unsubscribe(self, unpack(msg, topic=str)["topic"])

    def _add_service(self, msg: Message) -> None:
        name = unpack(msg, service=str)["service"]
        if not msg.rolemask & FLUX_ROLE_OWNER and not name.startswith(f"{msg.userid}-"):
            raise RequestError(errno.EPERM)
        self._router.add_service(name, self)

    def _remove_service(self, msg: Message) -> None:
        self._router.remove_service(unpack(msg, service=str)["service"], self)


_ANSWERS: dict[str, Callable[[Client, Message], None]] = {
    "event.subscribe": Client._subscribe,
    "event.unsubscribe": Client._unsubscribe,
    "service.add": Client._add_service,
    "service.remove": Client._remove_service,
}

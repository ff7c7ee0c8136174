"""A broker module in a process of its own, as the router sees it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from flux.constants import (
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.devbroker._departures import Departures
from flux.devbroker._modules.unanswered import Unanswered
from flux.devbroker._router import OWNER_ROLES, Peer, Router, after_first, response_stream
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._modules.trace import Tracer

#: The one topic of which a muted module still gets responses.
STATUS_TOPIC = "module.status"


class ModulePeer(Peer):
    """The broker's end of a module's channel.

    Args:
        router: Where its messages go.
        uuid: Its identity.
        name: Its name.
        tracer: Who wants to see its messages.
        write: Called with each encoded message for the module.

    Attributes:
        name: As given.
        seen: When the module last sent something, as `time.time` tells; 0 if never.
        early: Messages written before the module first sent something.
        muted: Whether the module has said that it is about to end: it gets nothing more.
        unanswered: The requests that it was given and has not answered.
    """

    def __init__(
        self,
        router: Router,
        uuid: str,
        name: str,
        tracer: Tracer,
        write: Callable[[bytes], Any],
    ) -> None:
        super().__init__(uuid, router.owner)
        self.name = name
        self.seen = 0.0
        self.early = 0
        self.muted = False
        self.unanswered = Unanswered()
        self._router = router
        self._tracer = tracer
        self._write = write
        self._departures = Departures()
        self._deferred: list[bytes] | None = None

    # -- from the module

    def receive(self, msg: Message) -> None:
        """Take a message from the module."""
        self.seen = time.time()
        if self._tracer.requests:
            self._tracer.show("tx", self.name, msg)
        mtype = msg.mtype
        if mtype == FLUX_MSGTYPE_CONTROL:
            self._tracer.complain(f"module_cb({self.name}): unexpected control")
            return
        topic = msg.raw_topic
        if topic is None:
            return
        if msg.userid == FLUX_USERID_UNKNOWN and msg.rolemask == FLUX_ROLE_NONE:
            msg.userid = self.userid
            msg.rolemask = OWNER_ROLES
        if mtype == FLUX_MSGTYPE_RESPONSE:
            # The most recent hop is this broker, which is not looked at.
            route = after_first(msg.route)
            if route:
                self.unanswered.answered(msg, route)
                self._router.response(msg, route)
            return
        route = msg.route
        msg.route = self.key + (route or b"")
        if mtype == FLUX_MSGTYPE_EVENT:
            self._router.publish(msg)
        # What it passes on for others is for itself to follow up.
        elif route or self._departures.track(msg, topic):
            self._router.request(msg)

    def leave(self) -> None:
        """Tell every service that the module has used that it is gone."""
        for notice in self._departures.take():
            self._router.request(notice)

    # -- to the module

    def request(self, msg: Message) -> None:
        """Deliver a request for a service of the module."""
        if self.muted:
            self._router.no_service(msg)
            return
        if self._tracer.requests:
            self._tracer.show("rx", self.name, msg)
        self.unanswered.add(msg, msg.topic)
        msg.route = self._router.frame + (msg.route or b"")
        self._deliver(msg.to_stream())

    def command(self, topic: str, payload: Any = None, bits: int = 0) -> None:
        """Deliver a request of the broker itself, to which there is no answer."""
        msg = Message(FLUX_MSGTYPE_REQUEST)
        msg.topic = topic
        msg.payload = payload
        msg.bits = bits
        msg.userid = self.userid
        msg.rolemask = OWNER_ROLES
        if not self.muted:
            if self._tracer.requests and payload is None:
                self._tracer.show("rx", self.name, msg)
            msg.route = self._router.frame
            self._deliver(msg.to_stream())

    def response(self, msg: Message, route: bytes) -> None:
        """Deliver a response."""
        if self.muted and msg.raw_topic != STATUS_TOPIC:
            return
        if self._tracer.requests:
            self._tracer.show("rx", self.name, msg)
        self._deliver(response_stream(msg, route))

    def event(self, msg: Message, stream: bytes) -> None:
        """Deliver an event."""
        if not self.muted:
            if self._tracer.requests:
                self._tracer.show("rx", self.name, msg)
            self._deliver(stream)

    def _deliver(self, data: bytes) -> None:
        if not self.seen:
            self.early += 1
        if self._deferred is None:
            self._write(data)
        else:
            self._deferred.append(data)

    def defer(self, on: bool) -> None:
        """Hold back all messages to the module, or let those held back and all others go."""
        if on:
            if self._deferred is None:
                self._deferred = []
        elif self._deferred is not None:
            deferred, self._deferred = self._deferred, None
            for data in deferred:
                self._write(data)

"""What all services of the broker have in common.

Each is an ordinary broker module, on a handle of its own, that happens to run in the broker's
process.  So it must never wait: a blocking call would wait for its own thread.
"""

from __future__ import annotations

import errno
import functools
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from flux._codec import decode_frames
from flux.brokermod import BrokerModule
from flux.brokermod._handlers import Spec, _marker
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_ROLE_ALL, FLUX_ROLE_OWNER, FLUX_ROLE_USER
from flux.core.handle import Flux
from flux.devbroker._unpack import RequestError
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance
    from flux.devbroker._router import Peer

#: Who may call a method, besides the owner.
OWNER, USER, ALL = FLUX_ROLE_OWNER, FLUX_ROLE_USER, FLUX_ROLE_ALL

S = TypeVar("S", bound="Service")


def method(
    topic: str, role: int = OWNER
) -> Callable[[Callable[[S, Message], None]], Callable[[S, Message], None]]:
    """Declare a method of a service.

    The method answers the request by itself, or raises `RequestError` to have it answered so.

    Args:
        topic: What follows the service's name and a dot in the request's topic.
        role: Who may call it, besides the owner.
    """

    def decorate(func: Callable[[S, Message], None]) -> Callable[[S, Message], None]:
        @functools.wraps(func)
        def handler(self: S, msg: Message) -> None:
            try:
                func(self, msg)
            except RequestError as exc:
                self.handle.respond_error(msg, exc.errno or 0, exc.text)

        return _marker(Spec(FLUX_MSGTYPE_REQUEST, topic, rolemask=role))(handler)

    return decorate


class Service(BrokerModule):
    """A service of the broker.

    Args:
        h: Its handle.
        instance: The broker that it is part of.
    """

    def __init__(self, h: Flux, instance: Instance) -> None:
        self.instance = instance
        super().__init__(h)

    def sender(self, msg: Message) -> Peer:
        """Return the module, or part of the broker, that sent a request.

        Raises:
            RequestError: EPROTO, it came from elsewhere.
        """
        peer = self.instance.sender(msg.route)
        if peer is None:
            raise RequestError(errno.EPROTO)
        return peer

    def _log_exception(self, exc: Exception, where: str) -> None:
        # In place of a traceback each time, as for a module that ends with it.
        self.instance.faults.report(exc, where)

    @method("disconnect", USER)
    def disconnect(self, msg: Message) -> None:
        """Take note that a client that has used the service is gone."""

    def close(self) -> None:
        """Let go of what would outlive the broker."""


class Pending:
    """Requests that are to be answered again and again, until their sender ends that."""

    def __init__(self) -> None:
        self.requests: list[Message] = []

    def add(self, msg: Message) -> None:
        """Take a streaming request."""
        self.requests.append(msg)

    def respond(self, handle: Flux, payload: Any) -> None:
        """Answer all of them."""
        for msg in self.requests:
            handle.respond(msg, payload)

    def disconnect(self, notice: Message) -> None:
        """Drop, unanswered, the requests of a sender that is gone."""
        self.requests = [
            msg for msg in self.requests if not (same_sender(msg, notice) and may_end(msg, notice))
        ]

    def cancelled(self, request: Message, matchtag: int) -> Message | None:
        """Remove and return the request that its sender wants to end."""
        for i, msg in enumerate(self.requests):
            if msg.matchtag == matchtag and same_sender(msg, request) and may_end(msg, request):
                return self.requests.pop(i)
        return None


def same_sender(msg: Message, other: Message) -> bool:
    """Return True if two requests come from the same sender."""
    return sender_of(msg) == sender_of(other)


def sender_of(msg: Message) -> bytes:
    """Return the identity of a request's original sender: the first hop, which stands last."""
    frames = decode_frames(msg.route or b"")
    return frames[-1] if frames else b""


def may_end(msg: Message, other: Message) -> bool:
    """Return True if the sender of a request may end another, already known as the same peer's."""
    if other.rolemask & FLUX_ROLE_OWNER:
        return True
    return bool(other.rolemask & FLUX_ROLE_USER) and other.userid == msg.userid

"""Service ``event``: publishing, and the subscriptions of modules.

Clients' subscriptions never come here, see `flux.devbroker._client`.
"""

from __future__ import annotations

import binascii
import errno
import re

from flux.constants import FLUX_MSGFLAG_PRIVATE, FLUX_MSGTYPE_EVENT
from flux.devbroker._service import USER, Service, method
from flux.devbroker._unpack import Optional, RequestError, unpack
from flux.message import Message

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


class EventService(Service):
    """Publishes events."""

    @method("publish", USER)
    def publish(self, msg: Message) -> None:
        """Publish an event and answer with its sequence number."""
        fields = unpack(msg, topic=str, flags=int, payload=Optional(str, ""))
        flags = fields["flags"]
        if flags & ~FLUX_MSGFLAG_PRIVATE:
            raise RequestError(errno.EPROTO)
        event = Message(FLUX_MSGTYPE_EVENT)
        event.raw_topic = fields["topic"]
        event.bits = flags
        event.data = _payload(fields["payload"])
        event.userid = msg.userid
        event.rolemask = msg.rolemask
        self.handle.respond(msg, {"seq": self.instance.router.publish(event)})

    @method("subscribe")
    def subscribe(self, msg: Message) -> None:
        """Subscribe a module."""
        topic = unpack(msg, topic=str)["topic"]
        self.instance.router.subscribe(self.sender(msg), topic)
        self.handle.respond(msg)

    @method("unsubscribe")
    def unsubscribe(self, msg: Message) -> None:
        """Take back a subscription of a module."""
        topic = unpack(msg, topic=str)["topic"]
        try:
            self.instance.router.unsubscribe(self.sender(msg), topic)
        except OSError as exc:
            raise RequestError(exc.errno or errno.EINVAL) from None
        self.handle.respond(msg)


def _payload(text: str) -> bytes | None:
    """Decode base64, with or without its padding."""
    if not text:
        return None
    if not _BASE64.fullmatch(text):
        raise RequestError(errno.EPROTO)
    stripped = text.rstrip("=")
    try:
        return binascii.a2b_base64(stripped + "=" * (-len(stripped) % 4))
    except binascii.Error:
        raise RequestError(errno.EPROTO) from None

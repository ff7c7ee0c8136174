"""``module.trace``: showing to clients what goes to and from modules."""

from __future__ import annotations

import errno
import time
from fnmatch import fnmatchcase
from typing import Any, Callable

from flux.constants import (
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_RESPONSE,
)
from flux.core.handle import Flux
from flux.devbroker._service import Pending
from flux.devbroker._unpack import Optional, RequestError, unpack
from flux.message import Message

#: Its own responses are not shown: each would bring about another.
TOPIC = "module.trace"


class Tracer:
    """Those who want to see messages.

    Args:
        handle: Answers them.
        complain: Called with a text for the log.

    Attributes:
        requests: What each of them wants; there is nothing to do if it is empty.
        complain: As given.
    """

    def __init__(self, handle: Flux, complain: Callable[[str], None]) -> None:
        self._handle = handle
        self.complain = complain
        self._pending = Pending()
        self.requests: list[tuple[Message, dict[str, Any]]] = []

    def add(self, msg: Message) -> None:
        """Take a request.

        Raises:
            RequestError: EPROTO, it is malformed or not streaming.
        """
        wanted = unpack(msg, names=list, typemask=int, topic_glob=str, full=Optional(bool, False))
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(errno.EPROTO)
        self._pending.add(msg)
        self.requests.append((msg, wanted))

    def disconnect(self, notice: Message) -> None:
        """Forget a client that is gone."""
        self._pending.disconnect(notice)
        left = self._pending.requests
        self.requests = [item for item in self.requests if item[0] in left]

    def show(self, prefix: str, name: str, msg: Message) -> None:
        """Show a message to those who want to see it.

        Args:
            prefix: ``rx`` if it is for the module, ``tx`` if it comes from it.
            name: The module's name.
            msg: The message.
        """
        topic = msg.raw_topic or ""
        if topic == TOPIC:
            return
        errnum = msg.aux1 if msg.mtype == FLUX_MSGTYPE_RESPONSE else 0
        seen = {
            "timestamp": time.time(),
            "prefix": prefix,
            "rank": -1,
            "name": name,
            "type": msg.mtype,
            "topic": topic,
            "payload_size": 0 if errnum else len(msg.data or b""),
            "payload": None,
            "errnum": errnum,
            "errstr": "",
        }
        for request, wanted in self.requests:
            if (
                (wanted["names"] and name not in wanted["names"])
                or not msg.mtype & wanted["typemask"]
                or not fnmatchcase(topic, wanted["topic_glob"])
            ):
                continue
            details = {}
            if wanted["full"]:
                details = {"errstr": _text(msg)} if errnum else {"payload": _value(msg)}
            self._handle.respond(request, {**seen, **details})


def _text(msg: Message) -> str:
    try:
        return msg.payload_str or ""
    except ValueError:
        return ""


def _value(msg: Message) -> Any:
    try:
        return msg.payload
    except ValueError:
        return None

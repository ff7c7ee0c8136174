"""Flux messages (RFC 3)."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from flux import _codec
from flux._payload import decode_json, decode_text, encode_payload, encode_spelled
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_PAYLOAD,
    FLUX_MSGFLAG_PRIVATE,
    FLUX_MSGFLAG_ROUTE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGFLAG_TOPIC,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_NODEID_ANY,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.wrapper import Pimpl

if TYPE_CHECKING:
    from flux.core.watchers import MessageWatcher as MessageWatcher

__all__ = ["Message", "MessageWatcher", "msg_typestr"]

_TYPE_NAMES = {
    FLUX_MSGTYPE_REQUEST: "request",
    FLUX_MSGTYPE_RESPONSE: "response",
    FLUX_MSGTYPE_EVENT: "event",
    FLUX_MSGTYPE_CONTROL: "control",
}
_FIELDS = tuple(_codec.WireMessage.__annotations__)
_PRESENCE = FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_ROUTE


def msg_typestr(msg_type: int) -> str:
    """Return the name of a message type: "request", "response", "event" or "control".

    Other values give "unknown".
    """
    return _TYPE_NAMES.get(msg_type, "unknown")


def encode_topic(topic: str | bytes | None) -> str:
    """Check a topic string and return it as str.

    Raises:
        OSError: EINVAL, the topic is None.
        TypeError: The topic is neither str nor bytes.
        ValueError: The bytes are not UTF-8, or contain NUL, where brokers would cut the topic.
    """
    if isinstance(topic, bytes):
        topic = topic.decode()
    if isinstance(topic, str):
        if "\0" in topic:
            raise ValueError(f"topic must not contain NUL: {topic!r}")
        return topic
    if topic is None:
        raise OSError(errno.EINVAL, "Topic must not be None")
    raise TypeError(errno.EINVAL, f"Topic must be a string, not {type(topic)}")


def error_text(errnum: int, data: bytes | None) -> str:
    """Return what an error response says: its payload's text, or else what ``strerror`` says."""
    if data:
        try:
            text = decode_text(data)
        except ValueError:
            text = ""
        if text:
            return text
    try:
        return os.strerror(errnum)
    except OverflowError:
        # Any 32-bit number may come; strerror takes no more than a C int.
        return f"Unknown error {errnum}"


class Message(_codec.WireMessage):
    """One Flux message: request, response, event or control (RFC 3).

    Messages with the same fields are equal.  A message can be copied and pickled.

    Example:
        >>> msg = Message(FLUX_MSGTYPE_REQUEST)
        >>> msg.topic = "broker.ping"
        >>> msg.payload = {"seq": 1}

    Args:
        type_id: ``FLUX_MSGTYPE_REQUEST`` (the default), ``_RESPONSE``, ``_EVENT`` or ``_CONTROL``.
        handle: Another `Message`, whose fields are taken over; or a ``flux_msg_t *`` made by C
            code, likewise, which is then destroyed.

    Attributes:
        userid: User id of the sender; ``FLUX_USERID_UNKNOWN`` until a broker fills it in.
        rolemask: ``FLUX_ROLE_*`` bits of the sender; 0 until a broker fills them in (RFC 12).
        answered: True for a request once `flux.Flux.respond` or ``respond_error`` has given it its
            last response.

    Raises:
        OSError: EINVAL, unknown message type.
    """

    answered = False

    def __init__(self, type_id: int = FLUX_MSGTYPE_REQUEST, handle: Any = None) -> None:
        if handle is not None:
            if not isinstance(handle, _codec.WireMessage):
                from flux._cobjects import message_fields

                self.__dict__.update(message_fields(handle))
            else:
                self.__dict__.update(handle.__dict__)
        elif type_id != FLUX_MSGTYPE_REQUEST:
            self.type = type_id

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Message):
            return NotImplemented
        return self.answered == other.answered and all(
            getattr(self, name) == getattr(other, name) for name in _FIELDS
        )

    # A message may change, so that nothing in it can be hashed: as a key, or in a set, it stands
    # for itself and not for its value.
    __hash__ = object.__hash__

    @classmethod
    def from_event_encode(cls, topic: str | bytes, payload: Any = None) -> Message:
        """Make an event message.

        Args:
            topic: The event's topic.
            payload: None, a str or bytes used unmodified, or an object to send as JSON.
        """
        msg = cls(FLUX_MSGTYPE_EVENT)
        msg.raw_topic = encode_topic(topic)
        msg.data = encode_spelled(payload)
        return msg

    @classmethod
    def from_encoded(cls, data: bytes) -> Message:
        """Decode one message from its frames, as `encode` returns them.

        Raises:
            OSError: EPROTO, the bytes are not one well-formed message.
        """
        return _codec.decode(cls, bytes(data))

    def encode(self) -> bytes:
        """Return the message as its frames, without the length prefix used on streams.

        Raises:
            OSError: EINVAL, a field is out of range.
        """
        return self.to_stream()[_codec.PREFIX_SIZE :]

    def to_stream(self) -> bytes:
        """Return the message as it goes on a connection: a prefix, then the frames."""
        return _codec.encode(
            self.mtype,
            self.bits,
            self.userid,
            self.rolemask,
            self.aux1,
            self.aux2,
            self.raw_topic,
            self.route,
            self.data,
        )

    def copy(self, payload: bool = True) -> Message:
        """Return an independent copy, on request without the payload."""
        msg = self.__class__(handle=self)
        if not payload:
            msg.data = None
        return msg

    def respond(self, data: bytes | None, errnum: int = 0) -> Message:
        """Make the response to this request (RFC 6): same routes, topic, matchtag and flags.

        Args:
            data: An encoded payload frame, or None.
            errnum: 0 for success.
        """
        msg = self.__class__(handle=self)
        msg.mtype = FLUX_MSGTYPE_RESPONSE
        msg.userid = FLUX_USERID_UNKNOWN
        msg.rolemask = FLUX_ROLE_NONE
        msg.aux1 = errnum
        msg.data = data
        return msg

    # -- topic and payload

    @property
    def topic(self) -> str:
        """The topic string.

        Raises:
            OSError: EPROTO, the message has none.
        """
        if self.raw_topic is None:
            raise OSError(errno.EPROTO, f"the {self.type_str} message has no topic")
        return self.raw_topic

    @topic.setter
    def topic(self, value: str | bytes) -> None:
        self.raw_topic = encode_topic(value)

    @property
    def payload(self) -> Any:
        """The payload as a JSON value, or None if the message has none.

        Assign None, a str or bytes (used unmodified), or any object to send as JSON, whose text
        is then that of ``json.dumps``.

        Raises:
            OSError: EPROTO, the payload is not JSON (also a ValueError).
        """
        data = self.data
        return None if data is None else decode_json(data)

    @payload.setter
    def payload(self, value: Any) -> None:
        self.data = encode_spelled(value)

    @property
    def payload_str(self) -> str | None:
        """The payload as a string, or None if the message has none.

        Raises:
            OSError: EPROTO, the payload is not NUL-terminated UTF-8 (also a ValueError).
        """
        return None if self.data is None else decode_text(self.data)

    @payload_str.setter
    def payload_str(self, value: str | bytes | None) -> None:
        if value is not None and not isinstance(value, (str, bytes)):
            raise TypeError(f"payload_str must be str, bytes or None, not {type(value)}")
        self.data = encode_payload(value)

    @property
    def payload_bytes(self) -> bytes | None:
        """The payload frame as it is on the wire, with the final NUL that text has, or None."""
        return self.data

    @payload_bytes.setter
    def payload_bytes(self, value: bytes | None) -> None:
        self.data = None if value is None else bytes(value)

    def has_payload(self) -> bool:
        """Return True if there is a payload frame, even an empty one."""
        return self.data is not None

    # -- the fixed-size fields

    @property
    def type(self) -> int:
        """The message type, one of ``FLUX_MSGTYPE_*``.

        Changing it resets the fields that only the other type has.

        Raises:
            OSError: EINVAL, unknown message type.
        """
        return self.mtype

    @type.setter
    def type(self, value: int) -> None:
        if value not in _TYPE_NAMES:
            raise OSError(errno.EINVAL, f"{value} is not a message type (FLUX_MSGTYPE_*)")
        self.mtype = value
        self.aux1 = FLUX_NODEID_ANY if value == FLUX_MSGTYPE_REQUEST else 0
        self.aux2 = 0
        # Official senders always write a route delimiter, except in control messages.
        self.route = None if value == FLUX_MSGTYPE_CONTROL else (self.route or b"")

    @property
    def type_str(self) -> str:
        """The name of the message type."""
        return msg_typestr(self.mtype)

    @property
    def flags(self) -> int:
        """All ``FLUX_MSGFLAG_*`` bits.  Topic, payload and route follow from the fields."""
        return (
            self.bits
            | (self.raw_topic is not None and FLUX_MSGFLAG_TOPIC)
            | (self.data is not None and FLUX_MSGFLAG_PAYLOAD)
            | (self.route is not None and FLUX_MSGFLAG_ROUTE)
        )

    @flags.setter
    def flags(self, value: int) -> None:
        self.bits = value & 0xFF & ~_PRESENCE

    def _bit(self, bit: int, on: bool) -> None:
        self.bits = self.bits | bit if on else self.bits & ~bit

    @property
    def streaming(self) -> bool:
        """Whether the message belongs to a streaming RPC.  Setting it clears `noresponse`."""
        return bool(self.bits & FLUX_MSGFLAG_STREAMING)

    @streaming.setter
    def streaming(self, value: bool) -> None:
        self._bit(FLUX_MSGFLAG_STREAMING, value)
        if value:
            self._bit(FLUX_MSGFLAG_NORESPONSE, False)

    @property
    def noresponse(self) -> bool:
        """Whether a request wants no response.  Setting it clears `streaming`."""
        return bool(self.bits & FLUX_MSGFLAG_NORESPONSE)

    @noresponse.setter
    def noresponse(self, value: bool) -> None:
        self._bit(FLUX_MSGFLAG_NORESPONSE, value)
        if value:
            self._bit(FLUX_MSGFLAG_STREAMING, False)

    @property
    def private(self) -> bool:
        """Whether an event is only for its sender and the instance owner."""
        return bool(self.bits & FLUX_MSGFLAG_PRIVATE)

    @private.setter
    def private(self, value: bool) -> None:
        self._bit(FLUX_MSGFLAG_PRIVATE, value)

    def _check_type(self, field: str, *types: int) -> None:
        if self.mtype not in types:
            raise OSError(errno.EPROTO, f"a message of type {self.type_str} has no {field}")

    @property
    def nodeid(self) -> int:
        """Rank that a request is addressed to, or ``FLUX_NODEID_ANY``.

        Raises:
            OSError: EPROTO, the message is not a request.
        """
        self._check_type("nodeid", FLUX_MSGTYPE_REQUEST)
        return self.aux1

    @nodeid.setter
    def nodeid(self, value: int) -> None:
        self._check_type("nodeid", FLUX_MSGTYPE_REQUEST)
        self.aux1 = value

    @property
    def errnum(self) -> int:
        """Error number of a response, 0 for success.

        Raises:
            OSError: EPROTO, the message is not a response.
        """
        self._check_type("errnum", FLUX_MSGTYPE_RESPONSE)
        return self.aux1

    @errnum.setter
    def errnum(self, value: int) -> None:
        self._check_type("errnum", FLUX_MSGTYPE_RESPONSE)
        self.aux1 = value

    @property
    def seq(self) -> int:
        """Sequence number of an event, from 1, counted per instance; 0 if not yet published.

        Raises:
            OSError: EPROTO, the message is not an event.
        """
        self._check_type("sequence number", FLUX_MSGTYPE_EVENT)
        return self.aux1

    @seq.setter
    def seq(self, value: int) -> None:
        self._check_type("sequence number", FLUX_MSGTYPE_EVENT)
        self.aux1 = value

    @property
    def matchtag(self) -> int:
        """Number that ties responses to a request, ``FLUX_MATCHTAG_NONE`` if none.

        Raises:
            OSError: EPROTO, the message is neither request nor response.
        """
        self._check_type("matchtag", FLUX_MSGTYPE_REQUEST, FLUX_MSGTYPE_RESPONSE)
        return self.aux2

    @matchtag.setter
    def matchtag(self, value: int) -> None:
        self._check_type("matchtag", FLUX_MSGTYPE_REQUEST, FLUX_MSGTYPE_RESPONSE)
        self.aux2 = value

    @property
    def control_type(self) -> int:
        """Kind of a control message (RFC 3).

        Raises:
            OSError: EPROTO, the message is not a control message.
        """
        self._check_type("control type", FLUX_MSGTYPE_CONTROL)
        return self.aux1

    @control_type.setter
    def control_type(self, value: int) -> None:
        self._check_type("control type", FLUX_MSGTYPE_CONTROL)
        self.aux1 = value

    @property
    def control_status(self) -> int:
        """Status carried by a control message (RFC 3).

        Raises:
            OSError: EPROTO, the message is not a control message.
        """
        self._check_type("control status", FLUX_MSGTYPE_CONTROL)
        return self.aux2

    @control_status.setter
    def control_status(self, value: int) -> None:
        self._check_type("control status", FLUX_MSGTYPE_CONTROL)
        self.aux2 = value

    # -- routes

    @property
    def routes(self) -> list[str] | None:
        """Identities that the message passed, most recent hop first.

        An empty list where there is only the delimiter, None where there is not even that.

        Raises:
            OSError: EPROTO, an identity is not text.
        """
        if self.route is None:
            return None
        try:
            return [frame.decode() for frame in _codec.decode_frames(self.route)]
        except UnicodeDecodeError as exc:
            raise _codec.ProtocolError(f"a route identity is not UTF-8: {exc}") from None

    def route_count(self) -> int:
        """Return the number of identities in the route."""
        return len(_codec.decode_frames(self.route)) if self.route else 0

    def route_first(self) -> str | None:
        """Return the identity of the original sender, or None (that frame is the last one)."""
        routes = self.routes
        return routes[-1] if routes else None

    def route_last(self) -> str | None:
        """Return the identity of the most recent hop, or None."""
        routes = self.routes
        return routes[0] if routes else None

    def route_push(self, identity: str) -> None:
        """Add a most recent hop.

        Raises:
            OSError: EINVAL, the identity is empty, which would end the route.
        """
        if not identity:
            text = os.strerror(errno.EINVAL)
            raise OSError(errno.EINVAL, f"{text}: a route identity must not be empty")
        self.route = _codec.encode_frame(identity.encode()) + (self.route or b"")

    def route_clear(self) -> None:
        """Drop all identities and keep the delimiter."""
        self.route = b""

    # -- reading

    def decode(self) -> tuple[int, str, str | None]:
        """Return the message type, the topic and the payload string (None if there is none).

        Raises:
            OSError: The message is an error response; carries its errno and text.  EPROTO, the
                message has no topic or a payload that is not a string.
        """
        self.raise_for_error()
        return self.mtype, self.topic, self.payload_str

    def raise_for_error(self) -> None:
        """Raise the error that an error response carries; otherwise do nothing.

        Raises:
            OSError: With the response's errno, and its text or else that of ``strerror``.
        """
        if self.aux1 and self.mtype == FLUX_MSGTYPE_RESPONSE:
            raise OSError(self.aux1, self.error_string())

    def error_string(self) -> str:
        """Return the text of an error response: its payload, or what ``strerror`` says."""
        return error_text(self.errnum, self.data)

    def match(self, type_mask: int, match_tag: int, topic_match: Any) -> bool:
        """Return True if type, matchtag and topic are among those asked for.

        Args:
            type_mask: ``FLUX_MSGTYPE_*`` bits.
            match_tag: A matchtag, or ``FLUX_MATCHTAG_NONE`` for any.
            topic_match: A predicate on the topic, or None for any.
        """
        mtype = self.mtype
        if not mtype & type_mask:
            return False
        if match_tag != FLUX_MATCHTAG_NONE and (
            mtype & (FLUX_MSGTYPE_EVENT | FLUX_MSGTYPE_CONTROL) or self.aux2 != match_tag
        ):
            return False
        if topic_match is None:
            return True
        return self.raw_topic is not None and bool(topic_match(self.raw_topic))

    @property
    def handle(self) -> Any:
        """The message as a ``flux_msg_t *`` of libflux-core: a copy, which lives as long as this.

        Raises:
            OSError: There is no libflux-core.
        """
        from flux._cobjects import c_message

        return c_message(self)

    @property
    def pimpl(self) -> Pimpl:
        """The message under the names of the C library, for compatibility."""
        return Pimpl(self)

    def __repr__(self) -> str:
        text = f"<flux.Message {self.type_str}"
        if self.raw_topic is not None:
            text += f" {self.raw_topic}"
        if self.mtype == FLUX_MSGTYPE_RESPONSE and self.aux1:
            text += f" error {self.aux1}"
        if self.data is not None:
            text += f", payload of {len(self.data)} bytes"
        return text + ">"


def __getattr__(name: str) -> Any:
    # MessageWatcher stands above this module: it needs a handle.
    if name == "MessageWatcher":
        from flux.core.watchers import MessageWatcher

        return MessageWatcher
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The Flux message codec: bytes to messages and back, without I/O.

On a stream each message is an 8-byte prefix followed by frames, the last of which (PROTO) holds
all fixed-size fields.  RFC 3 gives the frames; where it and a running broker differ, the code
follows the broker and says so.

Reading has two stages, because most messages are responses whose reader is found by a number in
the PROTO frame and who needs the payload alone: `Splitter` cuts the stream and reads just enough
of PROTO to tell whose a message is; `decode` or `payload_of` then read the frames.

Nothing here waits, reads a clock or knows a socket.  Malformed input raises one error,
`ProtocolError`.  After a fault in the stream itself the position in it is unknown, so no attempt
is made to go on.
"""

from __future__ import annotations

import errno
import os
from struct import Struct, error
from typing import TypeVar

from flux._exceptions import reduce_exception
from flux.constants import (
    FLUX_MSGFLAG_PAYLOAD,
    FLUX_MSGFLAG_ROUTE,
    FLUX_MSGFLAG_TOPIC,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_NODEID_ANY,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)

#: Largest encoded message accepted or sent, in bytes.  A broker has no limit of its own; this
#: one keeps a corrupt length from turning into an attempt to buffer 4 GiB.
MAX_MESSAGE_SIZE = 1 << 30

#: Bytes of the PROTO frame, which every message ends with.
PROTO_SIZE = 20

#: Where, counted from the end of an encoded message, its type stands.
TYPE_OFFSET = 2 - PROTO_SIZE

#: Bytes in front of each message on a stream.
PREFIX_SIZE = 8

# The magic number travels in host byte order and the length counts the message alone; RFC 3
# says otherwise on both, and a 0.88 broker resets a connection that follows it there.
MAGIC = Struct("=I").pack(0xFFEE0012)
PREFIX = Struct(">4sI")
U32 = Struct(">I")
#: The size byte of a frame of fewer than 255 bytes.
SIZE = [bytes((n,)) for n in range(255)]
#: The five size bytes of a longer frame.
LONG = Struct(">BI")

# PROTO is handled together with the size byte before it: size 20, magic 0x8e, version 1, type.
_LEAD = 0x148E0100
_PROTO = Struct(">IBIIII")
_HEADER = Struct(">IB8xII")
_TRAILER_SIZE = PROTO_SIZE + 1
_TYPES = {
    _LEAD | mtype: mtype
    for mtype in (
        FLUX_MSGTYPE_REQUEST,
        FLUX_MSGTYPE_RESPONSE,
        FLUX_MSGTYPE_EVENT,
        FLUX_MSGTYPE_CONTROL,
    )
}

#: Distinct topics whose encoded frame is remembered, and these.
_MAX_TOPICS = 256
_topic_frames: dict[str, bytes] = {}

_PRESENCE = FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_ROUTE

#: What `Splitter` tells of a message: start, stop, type, flags, aux1 and aux2.
Span = tuple[int, int, int, int, int, int]


class ProtocolError(OSError):
    """A peer sent bytes that are not Flux messages, or a message is too long to be sent.

    Always carries ``EPROTO``.  A connection on which it occurred while reading is closed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(errno.EPROTO, f"{os.strerror(errno.EPROTO)}: {text}")

    __reduce__ = reduce_exception


class WireMessage:
    """The fields of one message as they stand on the wire.

    The defaults are those of a new request; they are class attributes so that making a message
    costs only the fields that differ.

    Attributes:
        mtype: One of the ``FLUX_MSGTYPE_*`` values.
        bits: The flag bits other than topic, payload and route, which follow from the fields.
        userid: Sender's user id.
        rolemask: Sender's roles, ``FLUX_ROLE_*`` bits.
        aux1: nodeid (request), errnum (response), sequence (event) or control type.
        aux2: matchtag (request, response) or control status.
        raw_topic: The topic string, or None.
        route: The encoded route frames without their delimiter, most recent hop first; None if
            the message carries no delimiter.
        data: The payload frame, including the final NUL that text payloads have; None if absent.
    """

    mtype: int = FLUX_MSGTYPE_REQUEST
    bits: int = 0
    userid: int = FLUX_USERID_UNKNOWN
    rolemask: int = FLUX_ROLE_NONE
    aux1: int = FLUX_NODEID_ANY
    aux2: int = 0
    raw_topic: str | None = None
    route: bytes | None = b""
    data: bytes | None = None


def encode_frame(data: bytes) -> bytes:
    """Encode one frame: its size in one byte, or 0xff and four bytes, then the data."""
    size = len(data)
    return (SIZE[size] if size < 255 else LONG.pack(255, size)) + data


def decode_frames(data: bytes) -> list[bytes]:
    """Split a run of encoded frames, such as `WireMessage.route`.

    Raises:
        ProtocolError: A frame overruns the data.
    """
    frames = []
    pos, end = 0, len(data)
    while pos < end:
        size = data[pos]
        pos += 1
        if size == 255:
            if pos + 4 > end:
                raise ProtocolError("a frame size is cut off")
            (size,) = U32.unpack_from(data, pos)
            pos += 4
        if pos + size > end:
            raise ProtocolError(f"a frame of {size} bytes overruns the message")
        frames.append(data[pos : pos + size])
        pos += size
    return frames


def _topic_frame(topic: str) -> bytes:
    """Encode a topic frame, and remember it: a service has few topics and many responses."""
    try:
        frame = encode_frame(topic.encode())
    except UnicodeEncodeError as exc:
        raise OSError(errno.EINVAL, f"the topic cannot be sent as UTF-8: {exc}") from None
    if len(_topic_frames) >= _MAX_TOPICS:
        _topic_frames.clear()
    _topic_frames[topic] = frame
    return frame


def encode(
    mtype: int,
    bits: int,
    userid: int,
    rolemask: int,
    aux1: int,
    aux2: int,
    topic: str | None,
    route: bytes | None,
    data: bytes | None,
) -> bytes:
    """Encode a message with its stream prefix.  The arguments are the fields of `WireMessage`.

    Raises:
        ProtocolError: The message exceeds `MAX_MESSAGE_SIZE`.
        OSError: EINVAL, a number does not fit its field.
    """
    if route is None:
        head = b""
    else:
        head = route + b"\0"
        bits |= FLUX_MSGFLAG_ROUTE
    if topic is not None:
        head += _topic_frames.get(topic) or _topic_frame(topic)
        bits |= FLUX_MSGFLAG_TOPIC
    if data is None:
        lead = data = b""
    else:
        size = len(data)
        lead = SIZE[size] if size < 255 else LONG.pack(255, size)
        bits |= FLUX_MSGFLAG_PAYLOAD
    total = len(head) + len(lead) + len(data) + _TRAILER_SIZE
    if total > MAX_MESSAGE_SIZE:
        raise ProtocolError(f"a message of {total} bytes exceeds the limit of {MAX_MESSAGE_SIZE}")
    try:
        proto = _PROTO.pack(_LEAD | mtype, bits, userid, rolemask, aux1, aux2)
    except error as exc:
        raise OSError(
            errno.EINVAL,
            f"{os.strerror(errno.EINVAL)}: a message field does not fit ({exc}): flags {bits}, "
            f"userid {userid}, rolemask {rolemask}, then {aux1} and {aux2}",
        ) from None
    return b"".join((PREFIX.pack(MAGIC, total), head, lead, data, proto))


class RequestEncoder:
    """Encodes requests that differ only in payload and matchtag, which is most of a program's.

    Everything before the payload and all of PROTO but the matchtag is computed once.

    Attributes:
        topic: The topic string.
        bits: The flag bits, as in `WireMessage`.
        nodeid: The rank addressed.
        head: The encoded route delimiter and topic, which the response will begin with as well.
    """

    __slots__ = ("_bare", "_tail", "_tail_bare", "bits", "head", "nodeid", "topic")

    def __init__(self, topic: str, bits: int, userid: int, rolemask: int, nodeid: int) -> None:
        plain = encode(FLUX_MSGTYPE_REQUEST, bits, userid, rolemask, nodeid, 0, topic, b"", None)
        full = encode(FLUX_MSGTYPE_REQUEST, bits, userid, rolemask, nodeid, 0, topic, b"", b"")
        self.topic = topic
        self.bits = bits
        self.nodeid = nodeid
        self.head = plain[PREFIX_SIZE:-_TRAILER_SIZE]
        self._tail_bare = plain[-_TRAILER_SIZE:-4]
        self._tail = full[-_TRAILER_SIZE:-4]
        self._bare = len(self.head) + _TRAILER_SIZE

    def encode(self, data: bytes | None, matchtag: int) -> bytes:
        """Encode one request with its stream prefix.

        Raises:
            ProtocolError: The message exceeds `MAX_MESSAGE_SIZE`.
        """
        if data is None:
            return b"".join(
                (PREFIX.pack(MAGIC, self._bare), self.head, self._tail_bare, U32.pack(matchtag))
            )
        size = len(data)
        if size < 255:
            lead = SIZE[size]
            total = self._bare + 1 + size
        else:
            lead = LONG.pack(255, size)
            total = self._bare + 5 + size
            if total > MAX_MESSAGE_SIZE:
                raise ProtocolError(
                    f"a message of {total} bytes exceeds the limit of {MAX_MESSAGE_SIZE}"
                )
        return b"".join(
            (PREFIX.pack(MAGIC, total), self.head, lead, data, self._tail, U32.pack(matchtag))
        )


M = TypeVar("M", bound=WireMessage)


def decode(cls: type[M], data: bytes, start: int = 0, stop: int | None = None) -> M:
    """Decode the message that fills ``data[start:stop]``, which has no stream prefix.

    Args:
        cls: The class to make; its ``__init__`` is not called.
        data: A buffer holding the whole message.
        start: Where the message begins.
        stop: Where it ends; the end of ``data`` if None.

    Raises:
        ProtocolError: The bytes are not one well-formed message.
    """
    if stop is None:
        stop = len(data)
    end = stop - _TRAILER_SIZE
    if end < start:
        raise ProtocolError(f"a message of {stop - start} bytes is too short")
    lead, bits, userid, rolemask, aux1, aux2 = _PROTO.unpack_from(data, end)
    mtype = _TYPES.get(lead)
    if mtype is None:
        raise ProtocolError("the PROTO frame has a wrong size, magic, version or type")
    msg = cls.__new__(cls)
    msg.mtype = mtype
    msg.userid = userid
    msg.rolemask = rolemask
    msg.aux1 = aux1
    msg.aux2 = aux2
    rest = bits & ~_PRESENCE
    if rest:
        msg.bits = rest
    # Positions only grow, so frames that overrun the message are all found by the one comparison
    # at the end; an index beyond the buffer itself is an IndexError or a struct.error.
    pos = start
    try:
        if bits & FLUX_MSGFLAG_ROUTE:
            size = data[pos]
            if size:
                pos = _skip_route(data, pos)
                msg.route = data[start:pos]
            pos += 1
        else:
            msg.route = None
        if bits & FLUX_MSGFLAG_TOPIC:
            size = data[pos]
            pos += 1
            if size == 255:
                (size,) = U32.unpack_from(data, pos)
                pos += 4
            msg.raw_topic = data[pos : pos + size].decode()
            pos += size
        if bits & FLUX_MSGFLAG_PAYLOAD:
            size = data[pos]
            pos += 1
            if size == 255:
                (size,) = U32.unpack_from(data, pos)
                pos += 4
            msg.data = data[pos : pos + size]
            pos += size
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"the topic is not UTF-8: {exc}") from None
    except (IndexError, error):
        pos = -1
    if pos != end:
        raise ProtocolError("the frames do not add up to the message")
    return msg


def _skip_route(data: bytes, pos: int) -> int:
    """Return the position of the route delimiter at or after ``pos``."""
    size = data[pos]
    while size:
        pos += 1 + size if size < 255 else 5 + U32.unpack_from(data, pos + 1)[0]
        size = data[pos]
    return pos


def payload_of(data: bytes, start: int, stop: int, bits: int, head: bytes) -> bytes | None:
    """Read only the payload frame of a message, checking all of it as `decode` does.

    Args:
        data: A buffer holding the message.
        start: Where the message begins.
        stop: Where it ends.
        bits: Its flags.
        head: How the message is expected to begin, up to the payload.

    Raises:
        ProtocolError: The frames do not add up to the message.
    """
    if bits & _PRESENCE != _PRESENCE or not data.startswith(head, start):
        return decode(WireMessage, data, start, stop).data
    pos = start + len(head)
    size = data[pos]
    pos += 1
    if size == 255:
        (size,) = U32.unpack_from(data, pos)
        pos += 4
    end = pos + size
    if end != stop - _TRAILER_SIZE:
        raise ProtocolError("the frames do not add up to the message")
    return data[pos:end]


def cut(data: bytes) -> tuple[list[Span], int, int, ProtocolError | None]:
    """Find the messages in a part of a stream that begins with one.

    Args:
        data: The part.

    Returns:
        The messages that are complete, where what follows them begins, how many bytes the message
        that begins there lacks at least, and the fault that ends the stream, or None.
    """
    spans: list[Span] = []
    size = len(data)
    pos = PREFIX_SIZE
    try:
        while pos <= size:
            magic, length = PREFIX.unpack_from(data, pos - PREFIX_SIZE)
            stop = pos + length
            if magic != MAGIC:
                raise ProtocolError("a message prefix has a wrong magic number")
            if not _TRAILER_SIZE <= length <= MAX_MESSAGE_SIZE:
                raise ProtocolError(
                    f"a message prefix gives a length of {length} bytes, "
                    f"not {_TRAILER_SIZE} to {MAX_MESSAGE_SIZE}"
                )
            if stop > size:
                break
            lead, bits, aux1, aux2 = _HEADER.unpack_from(data, stop - _TRAILER_SIZE)
            mtype = _TYPES.get(lead)
            if mtype is None:
                raise ProtocolError("a PROTO frame has a wrong size, magic, version or type")
            spans.append((pos, stop, mtype, bits, aux1, aux2))
            pos = stop + PREFIX_SIZE
        else:
            stop = pos
            pos -= PREFIX_SIZE
            if not MAGIC.startswith(data[pos : pos + 4]):
                raise ProtocolError("a message prefix has a wrong magic number")
            pos += PREFIX_SIZE
    except ProtocolError as exc:
        return spans, pos - PREFIX_SIZE, 0, exc
    pos -= PREFIX_SIZE
    return spans, pos, stop - size if pos < size else 0, None


class Splitter:
    """Cuts a byte stream into messages.

    Attributes:
        buffer: Where the spans returned by the last `feed` point into.
        error: The fault that ended the stream, or None.
        wanted: How many bytes the message that has begun still lacks, at least.
    """

    __slots__ = ("_parts", "buffer", "error", "wanted")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.buffer = b""
        self.wanted = 0
        self.error: ProtocolError | None = None

    def feed(self, data: bytes) -> list[Span]:
        """Take bytes from the stream, in pieces of any size, and find the messages completed.

        A fault sets `error`; messages before it are returned, no byte after it is looked at.
        """
        if self.error is not None:
            return []
        if self._parts:
            # Pieces are kept apart until they suffice, so that a long message that comes in
            # many of them is put together once.
            self._parts.append(data)
            # One byte more may show that what has begun is no prefix.
            if len(data) < self.wanted and len(self._parts[0]) >= PREFIX_SIZE:
                self.wanted -= len(data)
                return []
            data = b"".join(self._parts)
            self._parts = []
        self.buffer = data
        spans, pos, wanted, error = cut(data)
        if error is not None:
            self.error = error
            return spans
        self.wanted = wanted
        if pos < len(data):
            self._parts.append(data[pos:])
        return spans

    def messages(self, cls: type[M], data: bytes) -> list[M]:
        """Take bytes from the stream and return the complete messages, all fully decoded."""
        messages = []
        try:
            for start, stop, *_ in self.feed(data):
                messages.append(decode(cls, self.buffer, start, stop))
        except ProtocolError as exc:
            self.error = exc
        return messages

    def held(self) -> int:
        """Return how many bytes of an incomplete message are held back."""
        return sum(map(len, self._parts))

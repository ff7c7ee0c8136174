"""The codec against a table of vectors, in both directions, and against faults."""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux import _codec
from flux._codec import ProtocolError, RequestEncoder, Splitter, WireMessage
from flux.message import Message

ANY = 0xFFFFFFFF
LONG_NAME = "n" * 300


@dataclass
class Vector:
    """A message as fields, and the bytes that stand for it."""

    name: str
    fields: dict[str, Any]
    wire: bytes


def proto(mtype: int, flags: int, aux1: int, aux2: int, userid: int = ANY, roles: int = 0) -> bytes:
    return struct.pack(">BBBBBIIII", 20, 0x8E, 1, mtype, flags, userid, roles, aux1, aux2)


VECTORS = [
    Vector(
        "request",
        {"mtype": 1, "raw_topic": "a.b", "aux2": 5, "data": b'{"x":1}\0'},
        b"\0\x03a.b\x08" + b'{"x":1}\0' + proto(1, 0x0B, ANY, 5),
    ),
    Vector(
        "request without payload",
        {"mtype": 1, "raw_topic": "a.b", "aux1": 3},
        b"\0\x03a.b" + proto(1, 0x09, 3, 0),
    ),
    Vector(
        "request without route delimiter",
        {"mtype": 1, "raw_topic": "a.b", "route": None},
        b"\x03a.b" + proto(1, 0x01, ANY, 0),
    ),
    Vector(
        "request without topic",
        {"mtype": 1, "data": b"x"},
        b"\0\x01x" + proto(1, 0x0A, ANY, 0),
    ),
    Vector(
        "empty topic and empty payload",
        {"mtype": 1, "raw_topic": "", "data": b""},
        b"\0\0\0" + proto(1, 0x0B, ANY, 0),
    ),
    Vector(
        "response with routes",
        {
            "mtype": 2,
            "raw_topic": "a.b",
            "aux1": 38,
            "aux2": 7,
            "route": b"\x02r1\x02r2",
            "userid": 100,
            "rolemask": 5,
            "data": b"no\0",
        },
        b"\x02r1\x02r2\0\x03a.b\x03no\0" + proto(2, 0x0B, 38, 7, 100, 5),
    ),
    Vector(
        "event, private and marked by an application",
        {"mtype": 4, "bits": 0xA0, "raw_topic": "e", "aux1": 12, "aux2": 1},
        b"\0\x01e" + proto(4, 0xA9, 12, 1),
    ),
    Vector(
        "control",
        {"mtype": 8, "aux1": 1, "aux2": 2, "route": None},
        proto(8, 0, 1, 2),
    ),
    Vector(
        "frame of 254 bytes",
        {"mtype": 1, "raw_topic": "t", "data": b"d" * 254},
        b"\0\x01t\xfe" + b"d" * 254 + proto(1, 0x0B, ANY, 0),
    ),
    Vector(
        "frame of 255 bytes",
        {"mtype": 1, "raw_topic": "t", "data": b"d" * 255},
        b"\0\x01t\xff\0\0\0\xff" + b"d" * 255 + proto(1, 0x0B, ANY, 0),
    ),
    Vector(
        "long topic and long route",
        {"mtype": 1, "raw_topic": LONG_NAME, "route": b"\xff\0\0\x01\x2c" + LONG_NAME.encode()},
        b"\xff\0\0\x01\x2c%s\0\xff\0\0\x01\x2c%s" % (LONG_NAME.encode(), LONG_NAME.encode())
        + proto(1, 0x09, ANY, 0),
    ),
    Vector(
        "topic beyond ASCII",
        {"mtype": 1, "raw_topic": "päth.€"},
        b"\0\x09" + "päth.€".encode() + proto(1, 0x09, ANY, 0),
    ),
    Vector(
        "largest numbers",
        {"mtype": 2, "bits": 0xF4, "userid": ANY, "rolemask": ANY, "aux1": ANY, "aux2": ANY},
        b"\0" + proto(2, 0xFC, ANY, ANY, ANY, ANY),
    ),
]

FIELDS = ("mtype", "bits", "userid", "rolemask", "aux1", "aux2", "raw_topic", "route", "data")


def fields_of(msg: WireMessage) -> dict[str, Any]:
    return {name: getattr(msg, name) for name in FIELDS}


def expected_of(vector: Vector) -> dict[str, Any]:
    return {name: vector.fields.get(name, getattr(WireMessage, name)) for name in FIELDS}


def framed(wire: bytes) -> bytes:
    return struct.pack("=I", 0xFFEE0012) + struct.pack(">I", len(wire)) + wire


def encode(fields: dict[str, Any]) -> bytes:
    return _codec.encode(*(fields[name] for name in FIELDS))


vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)


@vectors
def test_fields_encode_to_the_bytes(vector):
    assert encode(expected_of(vector)) == framed(vector.wire)


@vectors
def test_bytes_decode_to_the_fields(vector):
    assert fields_of(_codec.decode(WireMessage, vector.wire)) == expected_of(vector)


@vectors
def test_a_message_within_a_buffer_decodes_alike(vector):
    data = b"\xff" * 40 + vector.wire + b"\xff" * 40
    msg = _codec.decode(WireMessage, data, 40, 40 + len(vector.wire))
    assert fields_of(msg) == expected_of(vector)


@vectors
def test_a_stream_is_split_whole_bytewise_and_with_trailing_bytes(vector):
    stream = framed(vector.wire)
    expected = expected_of(vector)

    splitter = Splitter()
    assert [fields_of(m) for m in splitter.messages(WireMessage, stream)] == [expected]
    assert splitter.held() == 0

    splitter = Splitter()
    for i in range(len(stream) - 1):
        assert splitter.messages(WireMessage, stream[i : i + 1]) == []
        assert splitter.held() == i + 1
    assert [fields_of(m) for m in splitter.messages(WireMessage, stream[-1:])] == [expected]
    assert splitter.held() == 0

    for extra in (1, 7, 8, 9, len(stream) - 1):
        splitter = Splitter()
        found = splitter.messages(WireMessage, stream + stream[:extra])
        assert [fields_of(m) for m in found] == [expected]
        assert splitter.held() == extra
        found = splitter.messages(WireMessage, stream[extra:])
        assert [fields_of(m) for m in found] == [expected]
    assert splitter.error is None


def test_many_messages_in_one_piece_come_out_in_order():
    splitter = Splitter()
    stream = b"".join(framed(vector.wire) for vector in VECTORS)
    found = splitter.messages(WireMessage, stream)
    assert [fields_of(m) for m in found] == [expected_of(vector) for vector in VECTORS]


def test_the_splitter_says_how_much_it_lacks():
    stream = framed(VECTORS[0].wire)
    splitter = Splitter()
    assert splitter.wanted == 0
    splitter.feed(stream[:3])
    assert splitter.wanted == 5
    splitter.feed(stream[3:8])
    assert splitter.wanted == len(stream) - 8
    splitter.feed(stream[8:])
    assert splitter.wanted == 0


def test_a_span_tells_what_dispatch_needs():
    vector = VECTORS[5]
    splitter = Splitter()
    [(start, stop, mtype, bits, aux1, aux2)] = splitter.feed(framed(vector.wire))
    assert splitter.buffer[start:stop] == vector.wire
    assert (mtype, bits, aux1, aux2) == (2, 0x0B, 38, 7)


PROTO = proto(1, 0x0B, ANY, 0)
MALFORMED = {
    "nothing": b"",
    "shorter than PROTO": PROTO[1:],
    "wrong PROTO size": b"\0\x01t\0\x15" + PROTO[1:],
    "wrong PROTO magic": b"\0\x01t\0" + PROTO[:1] + b"\x8d" + PROTO[2:],
    "wrong version": b"\0\x01t\0" + PROTO[:2] + b"\x02" + PROTO[3:],
    "type 0": b"\0\x01t\0" + proto(0, 0x0B, 0, 0),
    "type 3": b"\0\x01t\0" + proto(3, 0x0B, 0, 0),
    "no frames but flags": PROTO,
    "frames without flags": b"\0\x01t\0" + proto(1, 0, 0, 0),
    "a frame too many": b"\0\x01t\0\x01x" + PROTO,
    "a frame too few": b"\0\x01t" + PROTO,
    "route without delimiter": b"\x01r" + proto(1, 0x08, 0, 0),
    "topic overruns": b"\0\xf0t\0" + PROTO,
    "payload overruns": b"\0\x01t\x09x" + PROTO,
    "long frame overruns": b"\0\x01t\xff\0\0\xff\xffx" + PROTO,
    "frame of 4 GiB": b"\0\x01t\xff\xff\xff\xff\xffx" + PROTO,
    "frame size cut off": b"\0\x01t\xff" + PROTO,
    "payload ends within PROTO": b"\0\x01t\x02x" + PROTO,
    "topic not UTF-8": b"\0\x02\xc3(\x01x" + PROTO,
    "topic of truncated UTF-8": b"\0\x01\xc3\x01x" + PROTO,
    "topic of an encoded surrogate": b"\0\x03\xed\xa0\x80\x01x" + PROTO,
}
malformed = pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED.keys())


@malformed
@pytest.mark.parametrize("around", [b"", b"\0" * 64, b"\xff" * 64])
def test_malformed_messages_raise_protocol_error(wire, around):
    with pytest.raises(ProtocolError) as caught:
        _codec.decode(WireMessage, around + wire + around, len(around), len(around) + len(wire))
    assert caught.value.errno == errno.EPROTO
    assert "Protocol error: " in str(caught.value)


def test_every_truncation_of_a_message_is_malformed():
    wire = VECTORS[5].wire
    for stop in range(len(wire)):
        with pytest.raises(ProtocolError):
            _codec.decode(WireMessage, wire[:stop])
        # What follows in the buffer is not taken for the rest of it.
        with pytest.raises(ProtocolError):
            _codec.decode(WireMessage, wire, 0, stop)


MAGIC = struct.pack("=I", 0xFFEE0012)
DESYNCHRONISED = {
    "magic": b"\x13" + framed(VECTORS[0].wire)[1:],
    "magic in the other byte order": MAGIC[::-1] + framed(VECTORS[0].wire)[4:],
    "length of 0": MAGIC + bytes(4),
    "length below PROTO": MAGIC + b"\0\0\0\x14" + bytes(20),
    "length of 4 GiB": MAGIC + b"\xff\xff\xff\xff" + bytes(100),
    "length just over the limit": MAGIC + struct.pack(">I", _codec.MAX_MESSAGE_SIZE + 1),
    "PROTO": framed(b"\0\x01t\0" + PROTO[:1] + b"\x8d" + PROTO[2:]),
    "type": framed(b"\0\x01t\0" + proto(5, 0x0B, 0, 0)),
}


@pytest.mark.parametrize("bad", DESYNCHRONISED.values(), ids=DESYNCHRONISED.keys())
@pytest.mark.parametrize("bytewise", [False, True])
def test_a_fault_ends_the_stream_after_the_messages_before_it(bad, bytewise):
    good = framed(VECTORS[0].wire)
    splitter = Splitter()
    stream = good + bad + good
    found = []
    for i in range(0, len(stream), 1 if bytewise else len(stream)):
        found += splitter.messages(WireMessage, stream[i : i + 1] if bytewise else stream)
    assert [fields_of(m) for m in found] == [expected_of(VECTORS[0])]
    assert isinstance(splitter.error, ProtocolError)
    # No byte after it is looked at, and none is kept.
    assert splitter.messages(WireMessage, good) == []


@malformed
def test_malformed_frames_within_a_stream_set_the_error(wire):
    splitter = Splitter()
    assert splitter.messages(WireMessage, framed(wire)) == []
    assert isinstance(splitter.error, ProtocolError)


def test_a_wrong_magic_is_noticed_at_its_first_byte():
    splitter = Splitter()
    splitter.feed(framed(VECTORS[0].wire) + b"HTTP")
    assert splitter.error is not None
    splitter = Splitter()
    splitter.feed(b"H")
    assert splitter.error is not None


@pytest.mark.parametrize("field", ["userid", "rolemask", "aux1", "aux2", "bits"])
@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_numbers_out_of_range_cannot_be_encoded(field, value):
    with pytest.raises(OSError, match="does not fit") as caught:
        encode({**expected_of(VECTORS[0]), field: value})
    assert caught.value.errno == errno.EINVAL


def test_a_message_over_the_limit_cannot_be_encoded(monkeypatch):
    monkeypatch.setattr(_codec, "MAX_MESSAGE_SIZE", 1000)
    with pytest.raises(ProtocolError, match="exceeds the limit of 1000"):
        encode({**expected_of(VECTORS[0]), "data": b"x" * 1000})
    with pytest.raises(ProtocolError, match="exceeds the limit of 1000"):
        RequestEncoder("a.b", 0, ANY, 0, ANY).encode(b"x" * 1000, 1)


@pytest.mark.parametrize("size", [None, 0, 1, 253, 254, 255, 256, 70000])
def test_the_request_encoder_agrees_with_encode(size):
    data = None if size is None else b"d" * size
    fast = RequestEncoder("a.b", 0x40, 17, 5, 3).encode(data, 9)
    assert fast == _codec.encode(1, 0x40, 17, 5, 3, 9, "a.b", b"", data)


@vectors
@pytest.mark.parametrize("head", [b"\0\x03a.b", b"\0\x01t", b"\0\x02no", b"\x02r1\x02r2\0\x03a.b"])
def test_the_payload_alone_is_what_decode_finds(vector, head):
    data = b"\0" * 30 + vector.wire + b"\xff" * 30
    bits = vector.wire[-17]
    found = _codec.payload_of(data, 30, 30 + len(vector.wire), bits, head)
    assert found == expected_of(vector)["data"]


@malformed
@pytest.mark.parametrize("head", [b"\0\x01t", b"\0\x02no"])
def test_the_payload_of_a_malformed_message_raises_protocol_error(wire, head):
    def read() -> None:
        # The session splits first and only then looks for the payload.
        for start, stop, _mtype, bits, *_ in splitter.feed(framed(wire)):
            _codec.payload_of(splitter.buffer, start, stop, bits, head)
        if splitter.error is not None:
            raise splitter.error

    splitter = Splitter()
    with pytest.raises(ProtocolError):
        read()


def test_frames_split_and_join():
    frames = [b"", b"a", b"x" * 254, b"y" * 255, b"z" * 70000]
    encoded = b"".join(map(_codec.encode_frame, frames))
    assert _codec.decode_frames(encoded) == frames
    for cut in (1, 3, 200, 270, 500, 600, len(encoded) - 1):
        try:
            found = _codec.decode_frames(encoded[:cut])
        except ProtocolError:
            continue
        assert found == frames[: len(found)]


u32 = st.integers(0, ANY)
identities = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    msg = Message(draw(st.sampled_from([1, 2, 4, 8])))
    msg.bits = draw(st.integers(0, 255)) & ~0x0B
    msg.userid, msg.rolemask, msg.aux1, msg.aux2 = (draw(u32) for _ in range(4))
    msg.raw_topic = draw(st.none() | st.text(st.characters(exclude_categories=["Cs"])))
    msg.data = draw(st.none() | st.binary(max_size=600))
    msg.route = draw(st.sampled_from([None, b""]))
    for identity in draw(st.lists(identities, max_size=4)):
        msg.route_push(identity)
    return msg


@given(messages())
def test_decoding_an_encoded_message_gives_it_back(msg):
    again = Message.from_encoded(msg.encode())
    assert fields_of(again) == fields_of(msg)
    assert again.routes == msg.routes
    assert again.encode() == msg.encode()


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Return messages with a few bytes changed, and a few of their lengths repaired."""
    parts = []
    for msg in draw(st.lists(messages(), min_size=1, max_size=3)):
        wire = bytearray(msg.encode())
        for _ in range(draw(st.integers(0, 3))):
            wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255))
        parts.append(framed(bytes(wire)))
    return b"".join(parts)


@given(st.binary(max_size=200) | streams(), st.integers(1, 50))
def test_garbage_parses_or_raises_protocol_error(stream, step):
    splitter = Splitter()
    for i in range(0, len(stream), step):
        for msg in splitter.messages(Message, stream[i : i + step]):
            # What parsed is a message like any other.
            assert Message.from_encoded(msg.encode()).encode() == msg.encode()
    whole = Splitter()
    whole.messages(Message, stream)
    assert (whole.error is None) == (splitter.error is None)


@given(streams())
def test_the_payload_alone_of_garbage_is_what_decode_finds(stream):
    splitter = Splitter()
    for start, stop, _mtype, bits, *_ in splitter.feed(stream):
        try:
            expected = _codec.decode(WireMessage, splitter.buffer, start, stop).data
        except ProtocolError:
            continue
        assert _codec.payload_of(splitter.buffer, start, stop, bits, b"\0\x01t") == expected

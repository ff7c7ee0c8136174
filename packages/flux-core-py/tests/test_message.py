"""Messages: their fields, payloads and routes, and what is made of them."""

from __future__ import annotations

import errno
import os

import pytest

from flux import Message
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGFLAG_PAYLOAD,
    FLUX_MSGFLAG_PRIVATE,
    FLUX_MSGFLAG_ROUTE,
    FLUX_MSGFLAG_TOPIC,
    FLUX_MSGFLAG_USER1,
    FLUX_MSGTYPE_ANY,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_NODEID_ANY,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.message import msg_typestr

TYPES = {
    FLUX_MSGTYPE_REQUEST: "request",
    FLUX_MSGTYPE_RESPONSE: "response",
    FLUX_MSGTYPE_EVENT: "event",
    FLUX_MSGTYPE_CONTROL: "control",
}
types = pytest.mark.parametrize("mtype", TYPES)


@types
def test_a_new_message_has_the_defaults_of_the_protocol(mtype):
    msg = Message(mtype)
    assert (msg.type, msg.type_str, msg_typestr(mtype)) == (mtype, TYPES[mtype], TYPES[mtype])
    assert (msg.userid, msg.rolemask) == (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)
    assert msg.payload is None
    assert msg.payload_str is None
    assert not msg.has_payload()
    # Official senders write a route delimiter, except in control messages.
    control = mtype == FLUX_MSGTYPE_CONTROL
    assert msg.flags == (0 if control else FLUX_MSGFLAG_ROUTE)
    assert msg.routes == (None if control else [])


def test_a_message_is_a_request_unless_told_otherwise():
    msg = Message()
    assert (msg.type, msg.nodeid, msg.matchtag) == (1, FLUX_NODEID_ANY, FLUX_MATCHTAG_NONE)


@pytest.mark.parametrize("mtype", [0, 3, 5, 16, 255])
def test_there_are_four_message_types(mtype):
    with pytest.raises(OSError, match="not a message type") as caught:
        Message(mtype) if mtype else setattr(Message(), "type", mtype)
    assert caught.value.errno == errno.EINVAL
    assert msg_typestr(mtype) == "unknown"


@types
def test_all_types_survive_encode_and_decode(mtype):
    msg = Message(mtype)
    msg.topic = "a.topic"
    msg.payload = {"x": [1, "€"]}
    msg.userid, msg.rolemask = 17, 5
    again = Message.from_encoded(msg.encode())
    assert (again.type, again.topic, again.payload) == (mtype, "a.topic", {"x": [1, "€"]})
    assert (again.userid, again.rolemask, again.flags) == (17, 5, msg.flags)


FIELDS = {
    "nodeid": [FLUX_MSGTYPE_REQUEST],
    "matchtag": [FLUX_MSGTYPE_REQUEST, FLUX_MSGTYPE_RESPONSE],
    "errnum": [FLUX_MSGTYPE_RESPONSE],
    "seq": [FLUX_MSGTYPE_EVENT],
    "control_type": [FLUX_MSGTYPE_CONTROL],
    "control_status": [FLUX_MSGTYPE_CONTROL],
}


@types
@pytest.mark.parametrize("field", FIELDS)
def test_a_field_exists_only_in_the_types_that_carry_it(mtype, field):
    msg = Message(mtype)
    if mtype in FIELDS[field]:
        setattr(msg, field, 7)
        assert getattr(msg, field) == 7
        assert getattr(Message.from_encoded(msg.encode()), field) == 7
        return
    with pytest.raises(OSError, match=f"a message of type {TYPES[mtype]} has no") as caught:
        getattr(msg, field)
    assert caught.value.errno == errno.EPROTO
    with pytest.raises(OSError, match="has no"):
        setattr(msg, field, 7)


def test_a_changed_type_starts_with_that_type_s_defaults():
    msg = Message()
    msg.nodeid, msg.matchtag = 3, 9
    msg.type = FLUX_MSGTYPE_RESPONSE
    assert (msg.errnum, msg.matchtag) == (0, 0)
    msg.type = FLUX_MSGTYPE_REQUEST
    assert (msg.nodeid, msg.matchtag) == (FLUX_NODEID_ANY, 0)


@pytest.mark.parametrize("field", ["userid", "rolemask", "nodeid", "matchtag"])
@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_numbers_out_of_range_are_refused_when_encoding(field, value):
    msg = Message()
    setattr(msg, field, value)
    with pytest.raises(OSError, match="does not fit") as caught:
        msg.encode()
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize(
    ("value", "topic"), [("a.b", "a.b"), (b"a.b", "a.b"), ("", ""), ("€", "€")]
)
def test_topics_may_be_str_or_bytes(value, topic):
    msg = Message()
    msg.topic = value
    assert msg.topic == topic
    assert msg.flags & FLUX_MSGFLAG_TOPIC
    assert Message.from_encoded(msg.encode()).topic == topic


def test_a_missing_topic_is_an_error_of_the_protocol():
    with pytest.raises(OSError, match="the request message has no topic") as caught:
        _ = Message().topic
    assert caught.value.errno == errno.EPROTO


def test_a_topic_is_a_string():
    msg = Message()
    with pytest.raises(OSError, match="None") as caught:
        msg.topic = None  # type: ignore[assignment]
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(TypeError, match="Topic must be a string"):
        msg.topic = 17  # type: ignore[assignment]
    with pytest.raises(ValueError, match="utf-8"):
        msg.topic = b"\xff"
    for topic in ("a\0b", b"a\0b"):
        with pytest.raises(ValueError, match=r"topic must not contain NUL: 'a\\x00b'"):
            msg.topic = topic


def test_an_rpc_has_no_topic_with_nul(loop):
    with pytest.raises(ValueError, match="topic must not contain NUL"):
        loop.rpc("a.b\0c", {})


@pytest.mark.parametrize(
    ("value", "json", "text"),
    [
        ({"a": 1}, {"a": 1}, '{"a": 1}'),
        ({"b": [1, 1e16], 2: "é"}, {"b": [1, 1e16], "2": "é"}, '{"b": [1, 1e+16], "2": "é"}'),
        ('{"a": 1}', {"a": 1}, '{"a": 1}'),
        (b'{"a": 1}', {"a": 1}, '{"a": 1}'),
        ([1], [1], "[1]"),
        (None, None, None),
    ],
)
def test_payloads_are_set_as_json_str_bytes_or_none(value, json, text):
    msg = Message()
    msg.payload = {"old": 1}
    msg.payload = value
    assert (msg.payload, msg.payload_str) == (json, text)
    assert msg.has_payload() == (value is not None)
    assert bool(msg.flags & FLUX_MSGFLAG_PAYLOAD) == (value is not None)


@pytest.mark.parametrize("value", ["text, not JSON", b"bytes"])
def test_a_payload_that_is_not_json_is_read_as_a_string(value):
    msg = Message()
    msg.payload_str = value
    assert msg.payload_str == (value if isinstance(value, str) else value.decode())
    with pytest.raises(OSError, match="not JSON") as caught:
        _ = msg.payload
    assert caught.value.errno == errno.EPROTO
    msg.payload_str = None
    assert msg.payload_bytes is None


def test_payload_str_takes_no_objects():
    with pytest.raises(TypeError, match="payload_str must be"):
        Message().payload_str = {"a": 1}  # type: ignore[assignment]


def test_payload_bytes_are_the_frame_as_it_is():
    msg = Message()
    msg.payload_bytes = b"\0\xffany"
    assert Message.from_encoded(msg.encode()).payload_bytes == b"\0\xffany"
    with pytest.raises(OSError, match="not a NUL-terminated string"):
        _ = msg.payload_str
    msg.payload_bytes = b""
    assert msg.has_payload()
    assert Message.from_encoded(msg.encode()).payload_bytes == b""


def test_a_payload_that_cannot_be_sent_leaves_the_old_one():
    msg = Message()
    msg.payload = {"old": 1}
    with pytest.raises(OSError, match="nan"):
        msg.payload = {"new": float("nan")}
    assert msg.payload == {"old": 1}


def test_no_response_and_streaming_exclude_each_other():
    msg = Message()
    msg.streaming = True
    msg.noresponse = True
    assert (msg.streaming, msg.noresponse) == (False, True)
    msg.streaming = True
    assert (msg.streaming, msg.noresponse) == (True, False)
    msg.streaming = False
    assert msg.flags == FLUX_MSGFLAG_ROUTE


def test_flags_are_read_and_written_together():
    msg = Message()
    msg.topic = "a"
    msg.flags = FLUX_MSGFLAG_PRIVATE | FLUX_MSGFLAG_USER1 | FLUX_MSGFLAG_PAYLOAD
    assert msg.private
    # Topic, payload and route follow from the fields.
    expected = FLUX_MSGFLAG_PRIVATE | FLUX_MSGFLAG_USER1 | FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_ROUTE
    assert msg.flags == expected
    assert Message.from_encoded(msg.encode()).flags == expected
    msg.private = False
    assert msg.flags == expected & ~FLUX_MSGFLAG_PRIVATE


def test_the_most_recent_hop_is_first_and_the_sender_last():
    msg = Message()
    assert (msg.route_count(), msg.route_first(), msg.route_last()) == (0, None, None)
    for identity in ("client", "connector", "broker"):
        msg.route_push(identity)
    msg = Message.from_encoded(msg.encode())
    assert msg.routes == ["broker", "connector", "client"]
    assert (msg.route_count(), msg.route_first(), msg.route_last()) == (3, "client", "broker")
    msg.route_clear()
    assert msg.routes == []
    assert msg.flags & FLUX_MSGFLAG_ROUTE


def test_routes_that_are_not_text_are_an_error_of_the_protocol():
    msg = Message()
    msg.route_push("x")
    wire = msg.encode().replace(b"\x01x", b"\x01\xff")
    with pytest.raises(OSError, match="UTF-8") as caught:
        _ = Message.from_encoded(wire).routes
    assert caught.value.errno == errno.EPROTO


def test_an_empty_identity_cannot_be_pushed():
    # An empty frame would be taken for the end of the routes.
    with pytest.raises(OSError, match="empty") as caught:
        Message().route_push("")
    assert caught.value.errno == errno.EINVAL


def test_a_copy_is_independent():
    msg = Message(FLUX_MSGTYPE_EVENT)
    msg.topic = "a"
    msg.payload = {"x": 1}
    msg.route_push("r")
    other = msg.copy()
    assert other.encode() == msg.encode()
    other.topic, other.payload, other.seq, other.private = "b", None, 5, True
    other.route_push("s")
    assert (msg.topic, msg.payload, msg.seq, msg.private) == ("a", {"x": 1}, 0, False)
    assert msg.routes == ["r"]
    assert Message(handle=msg).encode() == msg.encode()


def test_a_copy_without_payload_keeps_the_rest():
    msg = Message()
    msg.topic, msg.payload, msg.matchtag = "a", {"x": 1}, 4
    other = msg.copy(payload=False)
    assert (other.topic, other.payload, other.matchtag) == ("a", None, 4)
    assert msg.payload == {"x": 1}


class Subclass(Message):
    pass


def test_subclasses_are_kept():
    assert isinstance(Subclass.from_encoded(Message().encode()), Subclass)
    assert isinstance(Subclass().copy(), Subclass)
    assert isinstance(Subclass.from_event_encode("a"), Subclass)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_messages_decode_from_any_buffer(kind):
    msg = Message()
    msg.topic = "a"
    assert Message.from_encoded(kind(msg.encode())).topic == "a"


@pytest.mark.parametrize(
    "data", [b"", b"x" * 10, Message().encode()[1:], b"\1" + Message().encode()]
)
def test_what_is_not_a_message_is_an_error_of_the_protocol(data):
    with pytest.raises(OSError, match="Protocol error") as caught:
        Message.from_encoded(data)
    assert caught.value.errno == errno.EPROTO


def test_an_event_is_made_in_one_call():
    msg = Message.from_event_encode("a.b", {"x": 1})
    assert (msg.type, msg.topic, msg.payload, msg.seq) == (FLUX_MSGTYPE_EVENT, "a.b", {"x": 1}, 0)


def test_decode_gives_type_topic_and_payload():
    msg = Message()
    msg.topic = "a"
    assert msg.decode() == (FLUX_MSGTYPE_REQUEST, "a", None)
    msg.payload = {"x": 1}
    assert msg.decode() == (FLUX_MSGTYPE_REQUEST, "a", '{"x": 1}')
    with pytest.raises(OSError, match="no topic"):
        Message().decode()


@pytest.mark.parametrize(
    ("payload", "text"), [(None, os.strerror(2)), ("it is gone", "it is gone"), ("", "")]
)
def test_an_error_response_raises_its_error(payload, text):
    msg = Message(FLUX_MSGTYPE_RESPONSE)
    msg.topic, msg.payload, msg.errnum = "a", payload, errno.ENOENT
    for raising in (msg.decode, msg.raise_for_error):
        with pytest.raises(FileNotFoundError) as caught:
            raising()
        assert caught.value.strerror == (text or os.strerror(errno.ENOENT))
    msg.errnum = 0
    msg.raise_for_error()


def test_an_unterminated_error_text_is_not_shown():
    msg = Message(FLUX_MSGTYPE_RESPONSE)
    msg.errnum, msg.payload_bytes = errno.EPERM, b"unterminated"
    assert msg.error_string() == os.strerror(errno.EPERM)


def test_a_response_keeps_what_ties_it_to_the_request():
    request = Message()
    request.topic, request.matchtag, request.streaming, request.nodeid = "a", 4, True, 9
    request.flags |= FLUX_MSGFLAG_USER1
    request.userid, request.rolemask, request.payload = 100, 5, {"x": 1}
    request.route_push("client")
    request.route_push("broker")
    response = request.respond(b"no\0", errno.EPERM)
    assert response.type == FLUX_MSGTYPE_RESPONSE
    assert (response.topic, response.matchtag, response.errnum) == ("a", 4, errno.EPERM)
    assert response.routes == ["broker", "client"]
    assert response.flags == request.flags
    assert (response.userid, response.rolemask) == (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)
    assert response.payload_str == "no"
    assert not request.respond(None).has_payload()


@pytest.mark.parametrize(
    ("type_mask", "tag", "topics", "expected"),
    [
        (FLUX_MSGTYPE_ANY, FLUX_MATCHTAG_NONE, None, True),
        (FLUX_MSGTYPE_EVENT, FLUX_MATCHTAG_NONE, None, False),
        (FLUX_MSGTYPE_REQUEST, 4, {"a"}, True),
        (FLUX_MSGTYPE_REQUEST, 5, None, False),
        (FLUX_MSGTYPE_REQUEST, 4, {"b"}, False),
    ],
)
def test_messages_match_by_type_tag_and_topic(type_mask, tag, topics, expected):
    msg = Message()
    msg.topic, msg.matchtag = "a", 4
    assert msg.match(type_mask, tag, None if topics is None else topics.__contains__) is expected


def test_events_match_no_tag_and_messages_without_topic_no_topic():
    assert not Message(FLUX_MSGTYPE_EVENT).match(FLUX_MSGTYPE_ANY, 1, None)
    assert not Message().match(FLUX_MSGTYPE_ANY, FLUX_MATCHTAG_NONE, lambda topic: True)


def test_a_message_describes_itself():
    msg = Message(FLUX_MSGTYPE_RESPONSE)
    msg.topic, msg.payload, msg.errnum = "a.b", "xy", 38
    assert repr(msg) == "<flux.Message response a.b error 38, payload of 3 bytes>"
    assert repr(Message(FLUX_MSGTYPE_CONTROL)) == "<flux.Message control>"


def test_the_message_module_also_has_the_watcher():
    import flux.core.watchers
    import flux.message

    assert flux.message.MessageWatcher is flux.core.watchers.MessageWatcher
    with pytest.raises(AttributeError, match="NoSuchName"):
        _ = flux.message.NoSuchName

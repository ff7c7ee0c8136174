"""Bad input: it ends its own connection, or is answered with an error, and does nothing else."""

from __future__ import annotations

import errno
import json
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flux._codec import encode_frame
from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_RESPONSE,
)
from flux.message import Message

PREFIX = struct.pack("=I", 0xFFEE0012)


def request(topic: str = "broker.ping", payload: Any = None) -> Message:
    msg = Message()
    msg.topic = topic
    msg.payload = {} if payload is None else payload
    msg.matchtag = 1
    return msg


def with_length(length: int, data: bytes = b"") -> bytes:
    return PREFIX + struct.pack(">I", length) + data


def altered(offset: int, value: int) -> bytes:
    """Return a request with one byte of the 20 of its PROTO frame changed."""
    data = bytearray(request().to_stream())
    data[len(data) - 20 + offset] = value
    return bytes(data)


def overrun() -> bytes:
    """Return a request whose topic frame is longer than the message."""
    data = bytearray(request().to_stream())
    data[9] = 0xFE
    return bytes(data)


BAD_STREAMS = {
    "text": b"GET / HTTP/1.1\r\n\r\n",
    "magic": struct.pack(">I", 0xFFEE0012) + struct.pack(">I", 40) + bytes(40),
    "length 0": with_length(0),
    "length less than PROTO": with_length(20, bytes(20)),
    "length beyond the limit": with_length(0xFFFFFFFF),
    "PROTO size": altered(-1, 19),
    "PROTO magic": altered(0, 0),
    "version": altered(1, 2),
    "type 0": altered(2, 0),
    "type 3": altered(2, 3),
    "type 16": altered(2, 16),
    "frame overrun": overrun(),
    "flags without frames": altered(3, 0x0B | 0x80)[:-28] + altered(3, 0),
    "topic not UTF-8": request().to_stream().replace(b"broker", b"\xff\xfe\xfd\xfc\xfb\xfa"),
}


@pytest.mark.parametrize("stream", BAD_STREAMS.values(), ids=BAD_STREAMS.keys())
def test_bytes_that_are_no_messages_end_the_connection_they_came_by(stream, raw_client):
    bystander, culprit = raw_client(), raw_client()
    assert culprit.request("broker.ping", {}).errnum == 0
    culprit.send_bytes(stream)
    assert culprit.at_end()
    assert bystander.request("broker.ping", {}).errnum == 0
    assert raw_client().request("broker.ping", {}).errnum == 0


def test_messages_before_the_bad_one_are_still_obeyed(raw_client):
    culprit, bystander = raw_client(), raw_client()
    culprit.send_bytes(request("attr.set", {"name": "test.a", "value": "1"}).to_stream() + b"junk")
    assert culprit.at_end()
    assert bystander.request("attr.get", {"name": "test.a"}).payload["value"] == "1"


def test_a_client_that_leaves_in_the_middle_of_a_message_is_gone(raw_client):
    culprit, bystander = raw_client(), raw_client()
    culprit.send_bytes(request().to_stream()[:-3])
    culprit.close()
    assert bystander.request("broker.ping", {}).errnum == 0


def test_messages_may_come_in_pieces_of_any_size(raw_client):
    client = raw_client()
    for byte in request().to_stream():
        client.send_bytes(bytes((byte,)))
    assert client.receive().errnum == 0
    client.send_bytes(request().to_stream() * 100)
    assert [client.receive().errnum for _ in range(100)] == [0] * 100


def test_a_payload_of_ten_megabytes_comes_back(flux_handle):
    pad = "x" * 10_000_000
    assert flux_handle.rpc("broker.ping", {"pad": pad}).get()["pad"] == pad


def test_messages_without_a_meaning_are_ignored(raw_client):
    client = raw_client()
    control = Message(FLUX_MSGTYPE_CONTROL)
    no_topic = Message()
    event_without_topic = Message(FLUX_MSGTYPE_EVENT)
    stray = Message(FLUX_MSGTYPE_RESPONSE)
    stray.topic = "broker.ping"
    lost = stray.copy()
    lost.route_push("nobody")
    long_route = stray.copy()
    long_route.route = encode_frame(b"x" * 300) * 2
    unanswerable = request("nosuch.method")
    unanswerable.bits = FLUX_MSGFLAG_NORESPONSE
    untracked = request("x" * 245 + ".y")
    for msg in (
        control,
        no_topic,
        event_without_topic,
        stray,
        lost,
        long_route,
        unanswerable,
        untracked,
    ):
        client.send(msg)
    assert client.request("broker.ping", {}, matchtag=7).matchtag == 7


def test_a_route_that_is_not_text_harms_nobody(raw_client):
    client, bystander = raw_client(), raw_client()
    for topic in ("broker.ping", "config.get", "groups.join"):
        msg = request(topic, {"name": "g"})
        msg.route = encode_frame(b"\xff\xfe")
        client.send(msg)
    client.close()
    assert bystander.request("broker.ping", {}).errnum == 0


TOPICS = [
    "attr.get",
    "attr.set",
    "attr.rm",
    "attr.list",
    "config.get",
    "config.load",
    "config.reload",
    "event.publish",
    "event.subscribe",
    "event.unsubscribe",
    "service.add",
    "service.remove",
    "log.dmesg",
    "log.clear",
    "log.stats-get",
    "log.setattr",
    "broker.ping",
    "broker.stats-get",
    "broker.stats-clear",
    "broker.rusage",
    "broker.debug",
    "broker.getenv",
    "broker.setenv",
    "broker.conf-builtin",
    "broker.config-reload",
    "groups.join",
    "groups.leave",
    "groups.get",
    "groups.stats-get",
    "overlay.topology",
    "overlay.health",
    "overlay.monitor",
    "overlay.disconnect-subtree",
    "state-machine.get",
    "state-machine.wait",
    "state-machine.monitor",
    "state-machine.post",
    "runat.push",
    "rexec.list",
    "module.list",
    "connector-local.stats-get",
    "connector-local.config-reload",
]
#: Methods that answer nothing to some requests that are in order.
SILENT = {"overlay.monitor"}
KEYS = st.sampled_from(
    [
        "name",
        "value",
        "force",
        "topic",
        "flags",
        "payload",
        "service",
        "follow",
        "nobacklog",
        "names",
        "env",
        "keys",
        "rank",
        "final",
        "commands",
        "op",
        "who",
        "seq",
        "access",
        "event",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["rank", "test.x", "a.b", "", "setbit", "!"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)
PAYLOADS = st.one_of(
    st.dictionaries(KEYS, VALUES, max_size=5).map(lambda v: json.dumps(v).encode() + b"\0"),
    VALUES.map(lambda v: json.dumps(v).encode() + b"\0"),
    st.binary(max_size=20),
    st.just(b'{"a":1e999}\0'),
    st.just(b"[" * 2000 + b"\0"),
    st.just(b"[" * 2000 + b"1" * 30 + b"]" * 2000 + b"\0"),
    st.just(b'{"name":NaN,"value":' + b"1" * 30 + b"}\0"),
)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(topic=st.sampled_from(TOPICS), data=st.none() | PAYLOADS, streaming=st.booleans())
def test_every_request_is_answered_whatever_its_payload(topic, data, streaming, raw_client):
    client = raw_client()
    msg = request(topic)
    msg.payload_bytes = data
    msg.streaming = streaming
    client.send(msg)
    if topic in SILENT:
        client.send(request("broker.ping", {}))
    answer = client.receive()
    assert answer.matchtag == 1
    assert answer.errnum != errno.ECONNRESET, answer.error_string()
    client.close()


def test_the_broker_has_not_complained_of_itself(flux_broker, raw_client):
    client = raw_client()
    for topic in TOPICS:
        if topic not in SILENT:
            client.request(topic, {"name": 1, "topic": None})
    assert "unexpected exception" not in flux_broker.stderr

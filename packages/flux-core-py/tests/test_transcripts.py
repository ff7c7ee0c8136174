"""Every message of the recorded conversations with a real broker (see transcripts/README.md)."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from flux import constants
from flux._codec import Splitter
from flux.message import Message

#: How many there are; fewer means that the corpus was damaged.
COUNT = 849

FLAGS = ["topic", "payload", "noresponse", "route", "upstream", "private", "streaming", "user1"]


@pytest.fixture(scope="module")
def corpus() -> list[tuple[dict[str, Any], bytes]]:
    path = Path(__file__).parent / "transcripts" / "messages.jsonl.gz"
    records = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    assert len(records) == COUNT
    return [(record, base64.b64decode(record["raw"])) for record in records]


def prefixed(raw: bytes) -> bytes:
    return struct.pack("=I", 0xFFEE0012) + struct.pack(">I", len(raw)) + raw


def test_each_message_is_reproduced_byte_for_byte(corpus):
    for record, raw in corpus:
        assert Message.from_encoded(raw).encode() == raw, record["file"]


def test_each_message_fed_byte_by_byte_comes_out_at_its_last_byte(corpus):
    splitter = Splitter()
    for record, raw in corpus:
        stream = prefixed(raw)
        step = 1 if len(stream) < 10_000 else 997
        found: list[Message] = []
        for i in range(0, len(stream), step):
            assert not found, record["file"]
            found = splitter.messages(Message, stream[i : i + step])
        [msg] = found
        assert msg.to_stream() == stream
    assert splitter.error is None


def test_all_messages_in_one_stream_come_out_in_order(corpus):
    splitter = Splitter()
    found = splitter.messages(Message, b"".join(prefixed(raw) for _, raw in corpus))
    assert [msg.encode() for msg in found] == [raw for _, raw in corpus]


def test_the_fields_are_those_that_were_recorded(corpus):
    for record, raw in corpus:
        msg = Message.from_encoded(raw)
        assert msg.type_str == record["type"]
        names = {name for name in FLAGS if msg.flags & getattr(constants, _constant(name))}
        assert names == set(record["flags"])
        assert msg.raw_topic == record["topic"]
        assert msg.routes == record["routes"]
        for field in ("userid", "rolemask", "nodeid", "matchtag", "errnum", "control_type"):
            if field in record:
                assert getattr(msg, field) == record[field]
        if "sequence" in record:
            assert (msg.seq, msg.aux2) == (record["sequence"], record["aux2"])
        if "control_status" in record:
            assert msg.control_status == record["control_status"]


def test_the_payloads_are_those_that_were_recorded(corpus):
    texts = 0
    for record, raw in corpus:
        msg = Message.from_encoded(raw)
        data = msg.payload_bytes
        assert (None if data is None else len(data)) == record["payload_size"]
        if data and data[-1:] != b"\0":
            with pytest.raises(OSError, match="NUL-terminated"):
                _ = msg.payload
        elif record["payload"] is not None:
            assert msg.payload == record["payload"]
        elif data and "payload_text" in record:
            texts += 1
            assert msg.payload_str == record["payload_text"]
    assert texts > 100


def _constant(flag: str) -> str:
    return f"FLUX_MSGFLAG_{flag.upper()}"

"""Payloads: what goes on the wire, and what is read from it."""

from __future__ import annotations

import contextlib
import errno
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux._payload import PayloadError, decode_json, decode_text, encode_payload
from flux.message import Message

ENCODED = [
    (None, None),
    ({}, b"{}\0"),
    ({"a": 1, "b": [True, None, 1.5]}, b'{"a":1,"b":[true,null,1.5]}\0'),
    ([1, 2], b"[1,2]\0"),
    ((1, 2), b"[1,2]\0"),
    (17, b"17\0"),
    (True, b"true\0"),
    ("", b"\0"),
    ("text", b"text\0"),
    ('{"not": "touched" }', b'{"not": "touched" }\0'),
    ("€", "€\0".encode()),
    (b"raw\xff", b"raw\xff\0"),
    (bytearray(b"raw"), b"raw\0"),
    (memoryview(b"raw"), b"raw\0"),
    ({1: "a", None: "b"}, b'{"1":"a","null":"b"}\0'),
    ({"s": "€"}, '{"s":"€"}\0'.encode()),
    ({"null": None, "text": "null"}, b'{"null":null,"text":"null"}\0'),
    ({"t": (1, 2)}, b'{"t":[1,2]}\0'),
    (
        {"max": 2**64 - 1, "min": -(2**63)},
        b'{"max":18446744073709551615,"min":-9223372036854775808}\0',
    ),
]


@pytest.mark.parametrize(("payload", "data"), ENCODED)
def test_payloads_encode_with_a_final_nul(payload, data):
    assert encode_payload(payload) == data


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ({"a": math.nan}, r"payload\['a'\] is nan"),
        ({"a": [1, {"b": math.inf}]}, r"payload\['a'\]\[1\]\['b'\] is inf"),
        ([-math.inf], r"payload\[0\] is -inf"),
        (math.nan, "payload is nan"),
        ({"n": None, "x": math.nan}, r"payload\['x'\] is nan"),
        ({"a": 1 << 70}, r"payload\['a'\] is an integer of 71 bits"),
        ({"a": -(1 << 63) - 1}, "64 is the limit"),
        (1 << 64, "payload is an integer of 65 bits"),
        ({1: math.nan}, r"payload\[1\] is nan"),
    ],
)
def test_numbers_that_json_cannot_express_are_refused_with_their_place(payload, text):
    with pytest.raises(PayloadError, match=text) as caught:
        encode_payload(payload)
    assert caught.value.errno == errno.EPROTO
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("payload", [object(), {"a": object()}, [{1, 2}], {"a": b"bytes"}])
def test_objects_that_json_has_no_form_for_are_a_type_error(payload):
    with pytest.raises(TypeError):
        encode_payload(payload)


@pytest.mark.parametrize("payload", ["\ud800", {"a": "\ud800"}, {"\ud800": 1}, ["\udfff\ud800"]])
def test_text_that_utf_8_cannot_express_is_a_documented_error(payload):
    with pytest.raises(PayloadError):
        encode_payload(payload)


def test_a_payload_that_contains_itself_is_a_documented_error():
    payload: dict[str, object] = {}
    payload["self"] = payload
    with pytest.raises((PayloadError, TypeError)):
        encode_payload(payload)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"{}\0", {}),
        (b' { "a" : 1 } \0', {"a": 1}),
        (b"[1]\0", [1]),
        (b'"s"\0', "s"),
        (b'{"a":1}\0what follows is ignored\0', {"a": 1}),
        (b'{"a":1,"a":2}\0', {"a": 2}),
        (b'{"a":18446744073709551615}\0', {"a": 2**64 - 1}),
    ],
)
def test_json_payloads_decode(data, value):
    assert decode_json(data) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        b"{}",
        b"{\0",
        b'{"a":1,}\0',
        b'{"a":1} x\0',
        b'{"a":NaN}\0',
        b'{"a":1e999}\0',
        b"{'a':1}\0",
        b'{"a":"\xff"}\0',
        b'{"a":"\xc3"}\0',
        b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"\0",
    ],
)
def test_what_is_not_json_is_an_error_of_the_protocol(data):
    with pytest.raises(PayloadError) as caught:
        decode_json(data)
    assert caught.value.errno == errno.EPROTO
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("number", [1 << 70, -(1 << 64), (1 << 64)])
def test_a_received_integer_never_changes_its_value(number):
    try:
        value = decode_json(b'{"a":%d}\0' % number)["a"]
    except PayloadError:
        return
    assert isinstance(value, int)
    assert value == number


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\0", ""), (b"text\0", "text"), (b"one\0two\0", "one"), ("€\0".encode(), "€")],
)
def test_text_payloads_end_at_the_first_nul(data, text):
    assert decode_text(data) == text


@pytest.mark.parametrize("data", [b"", b"text", b"\xc3\0", b"\xff\0"])
def test_what_is_not_terminated_utf_8_is_an_error_of_the_protocol(data):
    with pytest.raises(PayloadError):
        decode_text(data)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=10,
)


@given(json_values.filter(lambda value: not isinstance(value, str) and value is not None))
def test_json_values_survive_the_wire(value):
    msg = Message()
    msg.payload = value
    again = Message.from_encoded(msg.encode())
    assert again.payload == value
    assert json.loads(again.payload_str or "") == value


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_raise_payload_error(data):
    with contextlib.suppress(PayloadError):
        decode_json(data)
    with contextlib.suppress(PayloadError):
        decode_text(data)

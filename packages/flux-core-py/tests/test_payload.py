"""Payloads: what goes on the wire, and what is read from it."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import enum
import errno
import functools
import json
import math
import uuid
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux._payload import (
    PayloadError,
    decode_json,
    decode_text,
    encode_payload,
    encode_spelled,
)
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
        ({"t": (None, math.nan)}, r"payload\['t'\]\[1\] is nan"),
        (collections.OrderedDict(v=math.nan), r"payload\['v'\] is nan"),
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
    with pytest.raises(PayloadError, match=text):
        encode_spelled(payload)


@pytest.mark.parametrize("encode", [encode_payload, encode_spelled])
@pytest.mark.parametrize("number", [2**64 - 1, -(2**63), 10**19 - 1, 1 - 10**18])
def test_integers_of_64_bits_are_sent(encode, number):
    for payload in ([number], {1: number}):
        assert str(number).encode() in encode(payload)


@pytest.mark.parametrize("encode", [encode_payload, encode_spelled])
@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 1 - 10**19])
def test_integers_beyond_64_bits_are_not_sent(encode, number):
    for payload in ([number], {1: number}):
        with pytest.raises(PayloadError, match="64 is the limit"):
            encode(payload)


@dataclasses.dataclass
class Point:
    x: int = 1


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Shade(str, enum.Enum):
    DARK = "dark"


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "changed"


class Half(float):
    def __repr__(self):
        return "half"


class Pair(NamedTuple):
    a: int
    b: Any


NOT_JSON = [
    datetime.datetime(2026, 1, 1),
    datetime.date(2026, 1, 1),
    datetime.time(1),
    uuid.UUID(int=5),
    Point(),
    Point,
    Color.RED,
    {1},
    frozenset(),
    b"x",
    bytearray(b"x"),
    memoryview(b"x"),
    1j,
    ...,
    range(3),
    object(),
    iter([]),
]
EMPTY: Any = []

JSON = [
    Level.HIGH,
    Shade.DARK,
    Text("text"),
    Half(0.5),
    Pair(1, Shade.DARK),
    collections.OrderedDict(a=1),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    {2: 1, 1.5: 2, True: 3, None: 4, Level.HIGH: 5, Text("key"): 6},
    {1: "a", "1": "b"},
    {math.nan: 1, -math.inf: 2},
    (1, (2, [3])),
    [1e16, 1e-7, -0.0, 1.0],
    [True, False, None],
    '\u2028 \x7f / \\ " \x01',
    [[[[[[]]]]]] * 3,
    functools.reduce(lambda inner, _: [inner], range(400), EMPTY),
]
CONTAINERS = {
    "itself": lambda value: [value],
    "in a dict": lambda value: {"v": value},
    "nested": lambda value: {"v": [{"w": (None, value)}]},
    "in an OrderedDict": lambda value: collections.OrderedDict(v=value),
    "in a named tuple": lambda value: Pair(1, value),
    "beside a key that is no string": lambda value: {1: 2, "v": value},
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("value", NOT_JSON, ids=lambda value: type(value).__name__)
def test_what_json_dumps_does_not_take_is_a_type_error_wherever_it_is(value, container):
    payload = CONTAINERS[container](value)
    with pytest.raises(TypeError):
        json.dumps(payload)
    with pytest.raises(TypeError):
        encode_payload(payload)
    with pytest.raises(TypeError):
        encode_spelled(payload)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("value", JSON, ids=lambda value: repr(value)[:30])
def test_what_json_dumps_takes_is_sent_as_that_has_it(value, container):
    payload = CONTAINERS[container](value)
    text = json.dumps(payload, ensure_ascii=False)
    assert encode_spelled(payload) == text.encode() + b"\0"
    data = encode_payload(payload)
    assert data is not None
    assert json.loads(data[:-1]) == json.loads(text)
    assert b": " not in data


@pytest.mark.parametrize("value", [object(), 1j, {1}])
def test_a_payload_by_itself_may_be_no_other_object_either(value):
    for encode in (encode_payload, encode_spelled):
        with pytest.raises(TypeError):
            encode(value)


@pytest.mark.parametrize("key", [(1, 2), b"key", Color.RED, datetime.date(2026, 1, 1)])
def test_keys_are_those_of_json_dumps(key):
    with pytest.raises(TypeError):
        encode_payload({key: 1})


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

from __future__ import annotations

import errno
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flux.kvs
from flux import Flux
from flux.kvs._values import decode_value, encode_raw, encode_value
from flux.kvs.treeobj import decode_val, val

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    # Whatever a str can hold, lone surrogates included.
    | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_json_is_read_back_as_it_was(value: Any) -> None:
    data = encode_value("k", value)
    assert decode_value(data) == value
    # What others read there.
    assert json.loads(data) == value


@given(st.binary())
def test_bytes_are_never_lost(data: bytes) -> None:
    assert encode_value("k", data) == encode_raw("k", data) == data
    assert decode_val(val(data)) == data
    value = decode_value(data)
    if isinstance(value, bytes):
        assert value == data
    elif isinstance(value, str) and value.encode("utf-8", "surrogatepass") == data:
        pass
    elif value is None:
        assert data == b"" or json.loads(data) is None
    else:
        expected = json.loads(data.decode())
        assert value == expected or (math.isnan(value) and math.isnan(expected))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_raw_text_is_stored_as_it_is(text: str) -> None:
    assert encode_raw("k", text) == text.encode()


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (b"", None),
        (b"null", None),
        (b'"text"', "text"),
        (b"text", "text"),
        (b"{", "{"),
        (b" 1 ", 1),
        (b"12345678901234567890123", 12345678901234567890123),
        (b"18446744073709551615", 2**64 - 1),
        (b"-Infinity", -math.inf),
        (b'"\\ud800"', "\ud800"),
        (b"\xef\xbb\xbf1", "\ufeff1"),
        (b"[" * 100_000, "[" * 100_000),
        (b"a\0b", "a\0b"),
        (b"\xff\0\xfe", b"\xff\0\xfe"),
    ],
    ids=lambda item: repr(item)[:24],
)
def test_what_a_stored_value_stands_for(stored: bytes, value: Any) -> None:
    assert decode_value(stored) == value


@pytest.mark.parametrize(
    "value",
    [object(), {"a"}, math.nan, [math.inf], bytearray(b"x"), {(1, 2): 3}],
    ids=lambda value: type(value).__name__,
)
def test_a_value_that_is_no_json_is_refused_before_anything_is_sent(value: Any, peer: Any) -> None:
    with pytest.raises(TypeError, match=r"'a\.b'"):
        flux.kvs.put(peer.handle, "a.b", value)
    assert flux.kvs.commit(peer.handle) is None
    assert peer.quiet()


def test_a_value_that_contains_itself() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(TypeError, match="'k'"):
        encode_value("k", value)


def test_raw_values_are_bytes_or_text(handle: Flux) -> None:
    with pytest.raises(TypeError, match="bytes or str"):
        flux.kvs.put(handle, "k", 1, raw=True)
    with pytest.raises(AttributeError):
        flux.kvs.put(handle, "k", 1, raw=True)


@pytest.mark.parametrize(
    "value", [1, 1.5, None, "text", "ä", [1, {"a": None}], b"\xde\xad\xbe\xef", True]
)
def test_values_through_a_broker(handle: Flux, top: str, value: Any) -> None:
    flux.kvs.put(handle, f"{top}.k", value)
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f"{top}.k") == value


def test_values_of_any_size(handle: Flux, top: str) -> None:
    # Those beyond 54 bytes are blobs of their own.
    for size in (0, 1, 53, 54, 55, 1_000_000):
        data = b"\xff" * size
        flux.kvs.put(handle, f"{top}.k", data)
        flux.kvs.commit(handle)
        assert flux.kvs.lookup(handle, f"{top}.k").get_raw() == data
    assert flux.kvs.lookup(handle, f"{top}.k", 16).get_treeobj()["type"] == "valref"


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800"])
def test_keys_that_cannot_be(handle: Flux, key: str) -> None:
    txn = flux.kvs.KVSTxn(handle)
    for call in (
        lambda: flux.kvs.get(handle, key),
        lambda: flux.kvs.exists(handle, key),
        lambda: flux.kvs.isdir(handle, key),
        lambda: flux.kvs.get_dir(handle, key),
        lambda: flux.kvs.kvs_watch_async(handle, key),
        lambda: flux.kvs.put(handle, key, 1),
        lambda: flux.kvs.put_mkdir(handle, key),
        lambda: flux.kvs.put_unlink(handle, key),
        lambda: flux.kvs.put_symlink(handle, key, "a"),
        lambda: txn.append(key, b"x"),
    ):
        with pytest.raises(OSError, match="KVS key") as caught:
            call()
        assert caught.value.errno == errno.EINVAL
    assert txn.txn == []
    assert flux.kvs.commit(handle) is None


def test_a_key_is_a_string(handle: Flux) -> None:
    with pytest.raises(TypeError, match="b'a'"):
        flux.kvs.get(handle, b"a")  # type: ignore[arg-type]


def test_keys_with_doubled_and_outer_dots(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}..a.b.", 1)
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f".{top}.a..b") == 1


def test_join() -> None:
    assert flux.kvs.join("a", "", "b.c") == "a.b.c"
    assert flux.kvs.join() == ""

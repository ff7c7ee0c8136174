"""Message payloads: JSON and strings to the NUL-terminated text of the wire, and back (RFC 3)."""

from __future__ import annotations

import errno
import json
import math
from typing import Any

from orjson import dumps as _dumps
from orjson import loads as _loads

# To find runs of digits that may be an integer beyond 64 bits, faster than a regular expression.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TWENTY_DIGITS = b"0" * 20

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


class PayloadError(OSError, ValueError):
    """A payload cannot be sent as, or read as, what was asked for.

    An ``OSError`` with ``EPROTO``, as a broker answers such a payload, and a ``ValueError``, as
    the json module raises.
    """

    def __init__(self, text: str) -> None:
        super().__init__(errno.EPROTO, text)


def encode_payload(payload: Any) -> bytes | None:
    """Encode a payload as it goes on the wire.

    Args:
        payload: None for no payload; a str or bytes, used unmodified; anything else is
            serialized as JSON.

    Returns:
        The payload frame with its final NUL, or None.

    Raises:
        PayloadError: NaN, an infinity or an integer beyond 64 bits, with its place in the
            payload; text that is not Unicode; a payload that contains itself.
        TypeError: An object that JSON has no form for.
    """
    if payload.__class__ is dict:
        try:
            data = _dumps(payload)
        except TypeError:
            return _encode_slowly(payload)
        # orjson writes NaN and infinities as null; the value must not change unnoticed.
        if b"null" in data:
            _check(payload, "payload")
        return data + b"\0"
    if payload is None:
        return None
    if isinstance(payload, str):
        return _encode_text(payload) + b"\0"
    if isinstance(payload, (bytes, bytearray, memoryview)):
        return bytes(payload) + b"\0"
    return _encode_slowly(payload)


def _encode_slowly(payload: Any) -> bytes:
    """Encode with the json module, which also takes non-string keys and surrogate escapes."""
    try:
        _check(payload, "payload")
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise PayloadError("the payload is nested too deeply, or contains itself") from None
    return _encode_text(text) + b"\0"


def _encode_text(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise PayloadError(f"the payload cannot be sent as UTF-8: {exc}") from None


def _check(value: Any, where: str) -> None:
    """Raise PayloadError if a number within has no form in the JSON of a Flux message."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PayloadError(f"{where} is {value}, which JSON cannot express")
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise PayloadError(
                f"{where} is an integer of {value.bit_length()} bits: 64 is the limit"
            )
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(item, f"{where}[{key!r}]")
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")


def decode_text(data: bytes) -> str:
    """Return the string of a payload frame: what stands before the first NUL.

    Raises:
        PayloadError: The frame has no final NUL, or the text is not UTF-8.
    """
    if not data or data[-1]:
        raise PayloadError("the payload is not a NUL-terminated string")
    try:
        return data[: data.index(0)].decode()
    except UnicodeDecodeError as exc:
        raise PayloadError(f"the payload is not UTF-8: {exc}") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def decode_json(data: bytes) -> Any:
    """Return the JSON value of a payload frame.

    Raises:
        PayloadError: The frame is not NUL-terminated JSON.
    """
    if not data or data[-1]:
        raise PayloadError("the payload is not a NUL-terminated string")
    try:
        # orjson reads an integer beyond 64 bits as the nearest float.
        if _TWENTY_DIGITS in data.translate(_DIGITS):
            return json.loads(data[:-1], parse_constant=_refuse)
        return _loads(data[:-1])
    except RecursionError:
        raise PayloadError("the payload is nested too deeply") from None
    except ValueError as exc:
        error = exc
    # Text after the first NUL is to be ignored; none but odd senders have any.
    text = decode_text(data)
    try:
        return _loads(text)
    except ValueError:
        raise PayloadError(f"the payload is not JSON: {error}") from None

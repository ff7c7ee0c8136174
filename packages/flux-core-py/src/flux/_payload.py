"""Message payloads: JSON and strings to the NUL-terminated text of the wire, and back (RFC 3)."""

from __future__ import annotations

import errno
import json
import math
from marshal import dumps as _refuse_other_types
from typing import Any

from orjson import dumps as _dumps
from orjson import loads as _loads

from flux._exceptions import reduce_exception

# To find runs of digits that may be an integer beyond 64 bits, faster than a regular expression.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TWENTY_DIGITS = b"0" * 20
_MANY_DIGITS = b"0" * 19

_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_spelled = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

_INT_MIN, _INT_MAX = -(1 << 63), (1 << 64) - 1


class PayloadError(OSError, ValueError):
    """A payload cannot be sent as, or read as, what was asked for.

    An ``OSError`` with ``EPROTO``, as a broker answers such a payload, and a ``ValueError``, as
    the json module raises.
    """

    def __init__(self, text: str) -> None:
        super().__init__(errno.EPROTO, text)

    __reduce__ = reduce_exception


def encode_payload(payload: Any) -> bytes | None:
    """Encode a payload as it goes on the wire, JSON without blanks.

    Args:
        payload: None for no payload; a str or bytes, used unmodified; anything else that
            ``json.dumps`` takes is serialized as JSON.

    Returns:
        The payload frame with its final NUL, or None.

    Raises:
        PayloadError: NaN, an infinity or an integer beyond 64 bits, with its place in the
            payload; text that is not Unicode; a payload that contains itself.
        TypeError: An object that ``json.dumps`` does not take, wherever in the payload.
    """
    if payload.__class__ is not dict:
        if payload is None:
            return None
        if isinstance(payload, (str, bytes, bytearray, memoryview)):
            return _encode_raw(payload)
    try:
        # orjson takes more than json.dumps does (enum members, UUIDs, dates, dataclasses), and
        # some of it cannot be switched off.  marshal takes exact built-in types alone.
        _refuse_other_types(payload)
        data = _dumps(payload)
    except (TypeError, ValueError):
        return _encode_slowly(payload, _compact)
    # orjson writes NaN and infinities as null; the value must not change unnoticed.
    if b"null" in data and _loads(data) != payload:
        _check(payload, "payload")
    return data + b"\0"


def encode_spelled(payload: Any) -> bytes | None:
    """Encode like `encode_payload`, but spell JSON as ``json.dumps`` does, with blanks.

    So do flux-core's bindings, whose text programs read back and compare.
    """
    if payload is None:
        return None
    if isinstance(payload, (str, bytes, bytearray, memoryview)):
        return _encode_raw(payload)
    return _encode_slowly(payload, _spelled)


def _encode_raw(payload: str | bytes | bytearray | memoryview) -> bytes:
    if isinstance(payload, str):
        return _encode_text(payload) + b"\0"
    return bytes(payload) + b"\0"


def _encode_slowly(payload: Any, encoder: json.JSONEncoder) -> bytes:
    """Encode with the json module: its types and keys are the rule of what may be a payload."""
    try:
        data = _encode_text(encoder.encode(payload))
        if _MANY_DIGITS in data.translate(_DIGITS):
            _check(payload, "payload")
        return data + b"\0"
    except (ValueError, RecursionError) as exc:
        if isinstance(exc, PayloadError):
            raise
    # Something is wrong, and that says where; but NaN may be a key, whose text is "NaN".
    try:
        _check(payload, "payload")
        separators = (encoder.item_separator, encoder.key_separator)
        return _encode_text(json.dumps(payload, ensure_ascii=False, separators=separators)) + b"\0"
    except (ValueError, RecursionError) as exc:
        if isinstance(exc, PayloadError):
            raise
        raise PayloadError("the payload is nested too deeply, or contains itself") from None


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

"""Reading the payload of a request, as strictly as the original does.

An integer field takes neither 1.0 nor true, a boolean neither 0 nor 1, and an optional field may
be absent but not null.  What does not fit is EPROTO, without a text.  A string ends at its first
NUL, as C code sees it, also within a list; the name of a member must have none.
"""

from __future__ import annotations

import errno
import re
from typing import Any

from flux._payload import decode_json, encode_payload
from flux.message import Message


class RequestError(OSError):
    """A request is to be answered with an error.

    Args:
        errnum: An errno.
        text: What to say of it; nothing if None, and the caller's ``strerror`` then does.
    """

    def __init__(self, errnum: int, text: str | None = None) -> None:
        super().__init__(errnum, text)
        self.text = text


class Optional:
    """An optional field of a payload.

    Args:
        kind: Its type.
        default: Its value where it is absent.
    """

    def __init__(self, kind: type, default: Any = None) -> None:
        self.kind = kind
        self.default = default


def payload_object(msg: Message) -> dict[str, Any]:
    """Return the payload of a message, which must be a JSON object.

    Raises:
        RequestError: EPROTO, it is not, or a member's name in it contains NUL.
    """
    if msg.data is None:
        raise RequestError(errno.EPROTO)
    try:
        value = decode_json(msg.data)
        if len(msg.data) > _LONG and _LONG_NUMBER(msg.data):
            # It may be beyond 64 bits, which nobody could be told again.
            encode_payload(value)
    except (ValueError, RecursionError):
        raise RequestError(errno.EPROTO) from None
    if value.__class__ is not dict:
        raise RequestError(errno.EPROTO)
    if _NUL in msg.data:
        _refuse_nul_in_names(value)
    return value  # type: ignore[no-any-return]


def unpack(msg: Message, **fields: type | Optional) -> dict[str, Any]:
    """Return the fields asked for of a message's payload.

    Args:
        msg: The message.
        **fields: The type of each field: str, int, bool, float, dict, list, or object for any;
            within `Optional` where the field may be absent.

    Raises:
        RequestError: EPROTO, a field is missing or has another type.
    """
    payload = payload_object(msg)
    values = {}
    for name, kind in fields.items():
        if isinstance(kind, Optional):
            if name not in payload:
                values[name] = kind.default
                continue
            kind = kind.kind
        value = payload.get(name, _ABSENT)
        # By class: a bool is no int here.
        if value is _ABSENT or (value.__class__ is not kind and kind is not object):
            raise RequestError(errno.EPROTO)
        values[name] = cut(value) if kind in (str, list) and _NUL in (msg.data or b"") else value
    return values


def cut(value: Any) -> Any:
    """Return a value whose strings, at every depth, end where C strings would: at the first NUL."""
    if isinstance(value, str):
        return value.partition("\0")[0]
    if isinstance(value, list):
        return [cut(item) for item in value]
    if isinstance(value, dict):
        return {key: cut(item) for key, item in value.items()}
    return value


def _refuse_nul_in_names(value: Any) -> None:
    if isinstance(value, dict):
        if any("\0" in name for name in value):
            raise RequestError(errno.EPROTO)
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _refuse_nul_in_names(item)


def no_payload(msg: Message) -> None:
    """Check the payload of a request to a method that takes none; one that is text is ignored.

    Raises:
        RequestError: EPROTO, it is not NUL-terminated.
    """
    data = msg.data
    if data is not None and (not data or data[-1]):
        raise RequestError(errno.EPROTO)


_ABSENT: Any = object()
#: How JSON spells NUL, which is not allowed as it is.
_NUL = b"\\u0000"
_LONG = 18
_LONG_NUMBER = re.compile(rb"[0-9]{19}").search

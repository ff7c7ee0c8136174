"""Signed requests (RFC 15) with the mechanism "none": a header, a payload and no signature."""

from __future__ import annotations

import base64
import binascii

#: Prefixes of the header's values by type.
_INTEGER, _STRING = "i", "s"
_KEYS = frozenset(("version", "userid", "mechanism"))


def unwrap(text: str) -> tuple[int, bytes]:
    """Take a signed request apart.

    Returns:
        The user id that it claims, and the payload.

    Raises:
        ValueError: It is malformed, or signed with another mechanism.
    """
    try:
        header, payload, signature = text.split(".")
        userid = _header(base64.b64decode(header, validate=True))
        data = base64.b64decode(payload, validate=True)
    except (binascii.Error, UnicodeDecodeError) as exc:
        raise ValueError(str(exc)) from None
    if signature != "none":
        raise ValueError("not signed with the mechanism none")
    return userid, data


def _header(data: bytes) -> int:
    items = data.decode().split("\0")
    if items.pop() or len(items) % 2:
        raise ValueError("an item of the header is cut off")
    values = dict(zip(items[::2], items[1::2]))
    if values.keys() != _KEYS or len(items) != 2 * len(_KEYS):
        raise ValueError("keys are missing in the header, or unknown")
    if values["version"] != f"{_INTEGER}1" or values["mechanism"] != f"{_STRING}none":
        raise ValueError("unknown version or mechanism")
    userid = values["userid"]
    if userid[:1] != _INTEGER or not (userid[1:].isascii() and userid[1:].isdigit()):
        raise ValueError("the user id is not a number")
    return int(userid[1:])

"""Signing jobspecs: the mechanism ``none`` of RFC 15, the only one without a key."""

from __future__ import annotations

import base64

__all__ = ["sign_none"]


def sign_none(payload: bytes, userid: int) -> str:
    """Return a payload wrapped in the form of a signed one.

    It proves nothing: a broker takes it from the instance owner only, whom it knows by the
    connection.

    Args:
        payload: What to sign.
        userid: Who signs.
    """
    # Each value has a letter for its type; each item a NUL after it.
    header = f"version\0i1\0userid\0i{userid}\0mechanism\0snone\0".encode()
    return ".".join((_base64(header), _base64(payload), "none"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

"""Keys and values, checked before anything is sent.

A value is bytes to the KVS.  As in flux-core's bindings it is JSON where it can be read as that,
else text, else bytes.
"""

from __future__ import annotations

import errno
import json
from typing import Any

from orjson import loads

from flux.kvs.treeobj import is_text

# Finite numbers only: NaN and the infinities have no form in JSON.
_encode = json.JSONEncoder(allow_nan=False).encode

# To find runs of digits that may be an integer beyond 64 bits, faster than a regular expression.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_TWENTY_DIGITS = b"0" * 20


class RawValueError(TypeError, AttributeError):
    """A raw value is neither bytes nor str; an AttributeError for those who know flux-core's."""


def check_key(key: str) -> str:
    """Return a key.

    Raises:
        TypeError: It is not a string.
        OSError: EINVAL, it is empty, or has what no key can have.
    """
    if not isinstance(key, str):
        raise TypeError(f"a KVS key is a str, not {key!r}")
    if not key:
        raise OSError(errno.EINVAL, "a KVS key cannot be empty; '.' is the root")
    if "\0" in key or not is_text(key):
        raise OSError(errno.EINVAL, f"a KVS key cannot have NUL or a lone surrogate: {key!r}")
    return key


def prefix_of(path: str) -> str:
    """Return what the keys below a directory begin with."""
    if not path or path == ".":
        return ""
    return path if path.endswith(".") else f"{path}."


def join(*args: str) -> str:
    """Join the parts of a key, as `os.path.join` does those of a path; empty ones are left out.

    Example:
        >>> join("a", "", "b")
        'a.b'
    """
    return ".".join([part for part in args if part])


def encode_value(key: str, value: Any) -> bytes:
    """Return a value as it is stored: bytes as they are, anything else as JSON.

    Raises:
        TypeError: There is no JSON for it.
    """
    if isinstance(value, bytes):
        return value
    try:
        return _encode(value).encode("ascii")
    except (TypeError, ValueError, RecursionError) as exc:
        raise TypeError(f"the value for KVS key '{key}' has no form in JSON: {exc}") from None


def encode_raw(key: str, value: bytes | str) -> bytes:
    """Return a raw value as it is stored.

    Raises:
        TypeError: It is neither bytes nor str.
        ValueError: It is a str that has no form in UTF-8.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    raise RawValueError(f"the raw value for KVS key '{key}' is bytes or str, not {value!r}")


def decode_value(data: bytes) -> Any:
    """Return what a stored value stands for: JSON, else a str, else bytes; None for no byte."""
    if not data:
        return None
    try:
        # orjson reads an integer beyond 64 bits as the nearest float.
        if len(data) < 20 or _TWENTY_DIGITS not in data.translate(_DIGITS):
            return loads(data)
    except ValueError:
        pass
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    # Stricter than json is orjson only with what few write: NaN, lone surrogates, deep nesting.
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text

"""Tree objects, of which the KVS is made (RFC 11), and blobrefs, by which they refer to others.

A tree object is a dict with ``ver``, ``type`` and ``data``, as JSON decodes it.
"""

from __future__ import annotations

import errno
import hashlib
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from typing import Any

from orjson import OPT_SORT_KEYS, dumps

__all__ = [
    "DIRECTORIES",
    "MAX_NESTED",
    "TreeObject",
    "blobref",
    "decode_base64",
    "decode_val",
    "directory",
    "dirref",
    "encode",
    "invalid",
    "is_blobref",
    "is_directory",
    "is_text",
    "symlink",
    "val",
    "validate",
    "valref",
]

#: A tree object as JSON decodes it.
TreeObject = dict[str, Any]

#: The types of directories.
DIRECTORIES = ("dir", "dirref")

#: How deep directories may be within a tree object: each level costs one of recursion.
MAX_NESTED = 50

_BLOBREF = re.compile(r"sha1-[0-9a-f]{40}|sha256-[0-9a-f]{64}")


# -- making them


def val(data: bytes) -> TreeObject:
    """Return a value as it is, in base64."""
    return {"ver": 1, "type": "val", "data": b2a_base64(data, newline=False).decode("ascii")}


def valref(*refs: str) -> TreeObject:
    """Return a value that is the blobs of these blobrefs, one after the other."""
    return {"ver": 1, "type": "valref", "data": list(refs)}


def directory(entries: Mapping[str, TreeObject] | None = None) -> TreeObject:
    """Return a directory, empty without entries."""
    return {"ver": 1, "type": "dir", "data": dict(entries or {})}


def dirref(ref: str) -> TreeObject:
    """Return a directory that is stored as the blob of this blobref."""
    return {"ver": 1, "type": "dirref", "data": [ref]}


def symlink(target: str, namespace: str | None = None) -> TreeObject:
    """Return a symbolic link.

    Args:
        target: The key that it leads to, from the root on.
        namespace: The namespace of that key; None for the one that the link is in.
    """
    data = {"target": target}
    if namespace is not None:
        data["namespace"] = namespace
    return {"ver": 1, "type": "symlink", "data": data}


# -- reading them


def is_directory(obj: TreeObject) -> bool:
    """Return True for a directory, stored by itself or not."""
    return obj["type"] in DIRECTORIES


def decode_val(obj: Any) -> bytes:
    """Return the value that a ``val`` holds.

    Raises:
        ValueError: It is not a ``val``, or its data is not base64.
    """
    try:
        if obj["type"] != "val":
            raise ValueError(f"a {obj['type']} is not a value")
        return decode_base64(obj["data"])
    except (LookupError, TypeError):
        raise ValueError("not a tree object") from None


def decode_base64(text: str) -> bytes:
    """Return what a base64 text stands for.

    Raises:
        ValueError: It is not base64.
    """
    data = a2b_base64(text)
    # The decoder skips what is not base64; then this is not the text of what it returned.
    if len(text) != (len(data) + 2) // 3 * 4:
        raise ValueError("the value is not base64")
    return data


def validate(obj: Any, hash_name: str | None = None, depth: int = 0) -> str:
    """Check a tree object and return its type.

    Base64 is not checked, as brokers don't either.

    Args:
        obj: The tree object.
        hash_name: The hash of all blobrefs in it; None for any.
        depth: How many others it is within.

    Raises:
        OSError: EINVAL, it is none.
    """
    if obj.__class__ is not dict or len(obj) != 3 or obj.get("ver").__class__ is not int:
        raise invalid()
    if obj["ver"] != 1:
        raise invalid()
    type_ = obj.get("type")
    data: Any = obj.get("data")
    if type_ == "val":
        good = data.__class__ is str
    elif type_ in ("valref", "dirref"):
        good = data.__class__ is list and bool(data)
        good = good and all(is_blobref(ref, hash_name) for ref in data)
    elif type_ == "dir":
        good = isinstance(data, dict) and depth < MAX_NESTED and all(map(is_text, data))
        for entry in data.values() if good else ():
            validate(entry, hash_name, depth + 1)
    elif type_ == "symlink":
        good = (
            data.__class__ is dict
            and data.get("target").__class__ is str
            and data.get("namespace", "").__class__ is str
        )
    else:
        good = False
    if not good:
        raise invalid()
    return str(type_)


def invalid() -> OSError:
    """Return the error for something that is not a tree object, or not the one it should be."""
    return OSError(errno.EINVAL, "invalid tree object")


def is_blobref(value: Any, hash_name: str | None = None) -> bool:
    """Return True for a blobref, of a certain hash if one is given."""
    return (
        value.__class__ is str
        and _BLOBREF.fullmatch(value) is not None
        and (hash_name is None or value.startswith(f"{hash_name}-"))
    )


def is_text(value: str) -> bool:
    """Return True if a string has a form in UTF-8: a lone surrogate has none."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- storing them


def encode(obj: TreeObject) -> bytes:
    """Return a tree object as it is stored: compact JSON with sorted keys.

    Raises:
        OSError: EINVAL, it has something that cannot be written.
    """
    try:
        return dumps(obj, option=OPT_SORT_KEYS)
    except TypeError:
        raise invalid() from None


def blobref(blob: bytes, hash_name: str = "sha1") -> str:
    """Return the blobref of a blob.

    Args:
        blob: The blob.
        hash_name: The instance's broker attribute ``content.hash``.
    """
    return f"{hash_name}-{hashlib.new(hash_name, blob).hexdigest()}"

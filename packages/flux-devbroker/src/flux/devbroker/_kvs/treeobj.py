"""Tree objects (RFC 11), and how they are kept: as the text that they have in a directory's blob.

A *fragment* is a tree object as compact JSON with sorted keys.  Most of what the KVS holds is never
looked at again once it is stored, and as a fragment it costs no more than its text.  Such a text
ends with the type and the version, so that its type is known without parsing it.
"""

from __future__ import annotations

import binascii
import errno
import re
from typing import Any

from orjson import loads

from flux.kvs import treeobj as shared

#: Longest base64 text of a value that is kept in its directory and not as a blob of its own.
MAX_INLINE = 72

#: How deep a key may be.  What goes through the tree does so by recursion, of which Python has only
#: so much.
MAX_DEPTH = 200

#: The hash of blobs.
HASH = "sha1"

_VERSION_END = b'","ver":1}'
_DIRREF = b'{"data":["sha1-%b"],"type":"dirref","ver":1}'
_VALREF_HEAD, _VALREF_TAIL = b'{"data":[', b'],"type":"valref","ver":1}'

# A blobref within quotes, and the comma that separates it from the next one.
_REF_SIZE = len('"sha1-"') + 40
_REF_STEP = _REF_SIZE + 1


def kind(fragment: bytes) -> bytes:
    """Return the type of a fragment: ``val``, ``valref``, ``dir``, ``dirref`` or ``symlink``."""
    end = len(fragment) - len(_VERSION_END)
    return fragment[fragment.rfind(b'"', 0, end) + 1 : end]


def validate(obj: Any) -> str:
    """Check a tree object, whose blobrefs must be of the hash in use, and return its type.

    Raises:
        OSError: EINVAL, it is none.
    """
    return shared.validate(obj, HASH)


def is_blobref(value: Any) -> bool:
    """Return True for a blobref of the hash in use."""
    return shared.is_blobref(value, HASH)


def data_of(fragment: bytes) -> Any:
    """Return what a fragment has for ``data``."""
    return loads(fragment)["data"]


def blobref(digest: bytes) -> str:
    """Return the blobref for a digest."""
    return f"{HASH}-{digest.hex()}"


def digest_of(ref: str) -> bytes:
    """Return the digest that a blobref names."""
    return bytes.fromhex(ref[len(HASH) + 1 :])


# -- directories by reference


def dirref(digest: bytes) -> bytes:
    """Return the fragment that refers to a directory."""
    return _DIRREF % digest.hex().encode()


def dirref_digest(fragment: bytes) -> bytes:
    """Return the digest in a ``dirref``.

    Raises:
        OSError: ENOTRECOVERABLE, it has not just one.
    """
    refs = data_of(fragment)
    if len(refs) != 1:
        raise OSError(errno.ENOTRECOVERABLE, "a dirref with several blobrefs")
    return digest_of(refs[0])


# -- values


def decode_val(text: str) -> bytes:
    """Return the value that a ``val`` holds.

    Raises:
        OSError: EPROTO, the text is not base64.
    """
    try:
        return shared.decode_base64(text)
    except ValueError:
        raise OSError(errno.EPROTO, "a value is not base64") from None


def encode_val(data: bytes) -> bytes:
    """Return the fragment that holds a value."""
    return b'{"data":"%b","type":"val","ver":1}' % binascii.b2a_base64(data, newline=False)


def valref(digest: bytes) -> bytes:
    """Return the fragment of a value that is one blob."""
    return b'%b"sha1-%b"%b' % (_VALREF_HEAD, digest.hex().encode(), _VALREF_TAIL)


def valref_append(fragment: bytes, digest: bytes) -> bytes:
    """Return a ``valref`` with one more blob at its end."""
    refs = fragment[: -len(_VALREF_TAIL)]
    return b'%b,"sha1-%b"%b' % (refs, digest.hex().encode(), _VALREF_TAIL)


def valref_count(fragment: bytes) -> int:
    """Return the number of blobs of a ``valref``."""
    size = len(fragment) - len(_VALREF_HEAD) - len(_VALREF_TAIL)
    return (size + 1) // _REF_STEP


def valref_digests(fragment: bytes, start: int = 0) -> list[bytes]:
    """Return the digests of a ``valref``'s blobs, from a certain one on."""
    first = len(_VALREF_HEAD) + start * _REF_STEP + len('"sha1-')
    return [
        bytes.fromhex(fragment[i : i + 40].decode())
        for i in range(first, len(fragment) - len(_VALREF_TAIL), _REF_STEP)
    ]


# -- keys


def normalize(key: str) -> str:
    """Return a key without doubled, leading and trailing separators; ``.`` is the root."""
    if ".." in key:
        key = re.sub(r"\.+", ".", key)
    if len(key) > 1 and key[0] == ".":
        key = key[1:]
    if len(key) > 1 and key[-1] == ".":
        key = key[:-1]
    return key

"""Broker addresses: which connector a URI names, and the path-like forms (flux_open(3))."""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

#: Where flux-core's system instance listens when neither an argument nor FLUX_URI says otherwise.
DEFAULT_URI = "local:///run/flux/local"


class URI(NamedTuple):
    """A native URI: the connector's name and what it makes of the rest."""

    scheme: str
    path: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def to_str(uri: str | bytes | os.PathLike[str] | None) -> str | None:
    """Return a URI argument as str, None where the default is meant.

    Raises:
        TypeError: The argument is of another type.
    """
    if uri is None or isinstance(uri, str):
        return uri
    if isinstance(uri, (bytes, os.PathLike)):
        return os.fsdecode(uri)
    raise TypeError(f"a Flux URI must be str or bytes, not {type(uri).__name__}")


def default() -> str:
    """Return the URI of the enclosing instance: FLUX_URI, or the system's."""
    return os.environ.get("FLUX_URI", DEFAULT_URI)


def parse(uri: str) -> URI:
    """Split a native URI.  Without ``://`` the whole string is the scheme."""
    scheme, _, path = uri.partition("://")
    return URI(scheme, path)


def levels_up(uri: str) -> float | None:
    """Return how many parents up a path-like URI leads, infinity for the root.

    Returns:
        None if the URI is not path-like.

    Raises:
        OSError: EINVAL, the URI begins like a path and is not one.
    """
    if uri.startswith("/"):
        if uri != "/":
            raise OSError(errno.EINVAL, f"{uri}: invalid URI")
        return float("inf")
    if not uri.startswith("."):
        return None
    levels = 0
    for element in uri.split("/"):
        if element == "..":
            levels += 1
        elif element not in ("", "."):
            raise OSError(errno.EINVAL, f"{uri}: invalid URI path element '{element}'")
    return levels

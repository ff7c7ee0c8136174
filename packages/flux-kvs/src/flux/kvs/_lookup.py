"""Looking up keys."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from flux._payload import PayloadError
from flux.constants import (
    FLUX_KVS_STREAM,
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_INITIAL_SENTINEL,
    FLUX_NODEID_ANY,
    FLUX_RPC_STREAMING,
)
from flux.kvs import treeobj
from flux.kvs._future import KVSFuture, field, namespace_name
from flux.kvs._root import Root, rootdir
from flux.kvs._values import check_key, decode_value
from flux.kvs.treeobj import TreeObject

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "KVSLookupFuture",
    "exists",
    "exists_async",
    "get_key_direct",
    "isdir",
    "isdir_async",
    "lookup",
]

_WATCHING = FLUX_KVS_WATCH | FLUX_KVS_WAITCREATE | FLUX_KVS_STREAM
_STREAMING = FLUX_KVS_WATCH | FLUX_KVS_STREAM


def look_up(
    future: KVSFuture[Any],
    flux_handle: Flux,
    key: str,
    flags: int,
    namespace: str | None,
    at: Root | None,
) -> None:
    """Send the request of a future that looks a key up."""
    request: dict[str, Any] = {"key": check_key(key), "flags": flags}
    if at is None:
        namespace = request["namespace"] = namespace_name(namespace)
    else:
        if flags & _WATCHING:
            raise OSError(errno.EINVAL, "a root does not change: there is nothing to wait for")
        request["rootdir"] = rootdir(at)
        namespace = None
    topic = "kvs-watch.lookup" if flags & _WATCHING else "kvs.lookup"
    streaming = FLUX_RPC_STREAMING if flags & _STREAMING else 0
    KVSFuture.__init__(
        future, flux_handle, topic, request, None, FLUX_NODEID_ANY, streaming, key, namespace
    )
    future._links = True


class KVSLookupFuture(KVSFuture[Any]):
    """A lookup; see `lookup`.  ``await`` gives what `get` returns.

    With flags that make several responses, ``for`` and ``async for`` give the value of each, until
    ENODATA.
    """

    _sentinel = False

    def __init__(
        self,
        flux_handle: Flux,
        key: str,
        flags: int = 0,
        namespace: str | None = None,
        at: Root | None = None,
    ) -> None:
        look_up(self, flux_handle, key, flags, namespace, at)
        if flags & FLUX_KVS_WATCH_INITIAL_SENTINEL:
            self._sentinel = True

    def get(self) -> Any:
        """Wait for the value and return it.

        Returns:
            What the value stands for if it is JSON, otherwise a str if it is text, otherwise
            bytes; None if it is empty, and for the response that
            ``FLUX_KVS_WATCH_INITIAL_SENTINEL`` asks for.  (`get_raw` returns what is stored in
            any case.)

        Raises:
            OSError: ENOENT, there is no such key; EISDIR, it is a directory; ELOOP, its symbolic
                links have no end; each with the key as ``filename``.  ENOTSUP, there is no such
                namespace; EPERM, it is another user's; ENODATA, a stream has ended; ECONNRESET, the
                connection was lost; EPROTO, the response is malformed.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        return KVSFuture.get(self)

    def get_raw(self) -> bytes:
        """Wait for the value and return its bytes, which may be none.

        Raises:
            OSError: As `get`.
        """
        return _raw(self.response())

    def get_treeobj(self) -> TreeObject:
        """Wait for the tree object and return it.

        Raises:
            OSError: As `get`.
        """
        return treeobj_of(self.response())

    def get_symlink(self) -> tuple[str | None, str]:
        """Wait for the target of a symbolic link, looked up with ``FLUX_KVS_READLINK``.

        Returns:
            The namespace, None if it is that of the link, and the key.

        Raises:
            OSError: As `get`; EINVAL, it is not a symbolic link.
        """
        obj = self.get_treeobj()
        if obj["type"] != "symlink":
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self._key)
        return obj["data"].get("namespace"), obj["data"]["target"]

    def _read(self, response: Any) -> Any:
        if response is None and self._sentinel:
            return None
        return decode_value(_raw(response))


def treeobj_of(response: Any) -> TreeObject:
    """Return the tree object in a response.

    Raises:
        PayloadError: There is none.
    """
    obj: TreeObject = field(response, "val", dict)
    try:
        treeobj.validate(obj)
    except OSError:
        raise PayloadError("a response of the KVS has no valid tree object") from None
    return obj


def directory_of(response: Any) -> TreeObject:
    """Return the directory in the response to a lookup of one.

    Raises:
        PayloadError: There is none.
    """
    obj = treeobj_of(response)
    if obj["type"] != "dir":
        raise PayloadError(f"a response of the KVS has a {obj['type']} in place of a directory")
    return obj


def _raw(response: Any) -> bytes:
    try:
        return treeobj.decode_val(response["val"])
    except (LookupError, TypeError):
        raise PayloadError("a response of the KVS has no value") from None
    except ValueError as exc:
        raise PayloadError(f"a response of the KVS has no value: {exc}") from None


def lookup(
    flux_handle: Flux,
    key: str,
    flags: int = 0,
    namespace: str | None = None,
    *,
    at: Root | None = None,
) -> KVSLookupFuture:
    """Look up a key in any way that there is (flux_kvs_lookup(3)).

    `get`, `get_dir` and `kvs_watch_async` are this with less to say.

    Args:
        flux_handle: The handle.
        key: The key.
        flags: ``FLUX_KVS_READDIR`` for a directory, ``FLUX_KVS_READLINK`` for a symbolic link,
            ``FLUX_KVS_TREEOBJ`` for the tree object as it is stored; ``FLUX_KVS_WAITCREATE`` to
            wait until there is such a key; ``FLUX_KVS_STREAM`` for the value blob by blob;
            ``FLUX_KVS_WATCH`` and the other ``FLUX_KVS_WATCH_*`` for it whenever it changes.
        namespace: The namespace; None for that of the environment variable FLUX_KVS_NAMESPACE, or
            ``primary`` without one.
        at: The root to look it up at; None for the current one of the namespace.

    Returns:
        A future for the value, the tree object, or one after the other.

    Raises:
        OSError: EINVAL, there can be no such key, or it is not a root.
        TypeError: The key is not a string.
    """
    return KVSLookupFuture(flux_handle, key, flags, namespace, at)


def get_key_direct(
    flux_handle: Flux, key: str, namespace: str | None = None, *, at: Root | None = None
) -> Any:
    """Return the value of a key, which must not be a directory; else as `get`.

    Args:
        flux_handle: The handle.
        key: The key.
        namespace: The namespace; None as for `lookup`.
        at: The root to look it up at; None for the current one.

    Raises:
        OSError: EISDIR, the key is a directory; and as `get`.
        TypeError: The key is not a string.
    """
    return KVSLookupFuture(flux_handle, key, 0, namespace, at).get()


class _Exists(KVSFuture[bool]):
    """Whether there is such a key: there is if its value arrives."""

    _of_value = True

    def __init__(self, flux_handle: Flux, key: str, namespace: str | None, at: Root | None) -> None:
        look_up(self, flux_handle, key, 0, namespace, at)

    def _read(self, response: Any) -> bool:
        return self._of_value

    def _failed(self, exc: OSError) -> bool:
        if exc.errno not in (errno.ENOENT, errno.EISDIR):
            self._explain(exc)
        return exc.errno == errno.EISDIR


class _IsDir(_Exists):
    """Whether a key is a directory: it is if the lookup of a value says so."""

    _of_value = False


def exists(
    flux_handle: Flux, key: str, namespace: str | None = None, *, at: Root | None = None
) -> bool:
    """Return True if there is such a key, and where symbolic links lead is one as well.

    Args:
        flux_handle: The handle.
        key: The key.
        namespace: The namespace; None as for `lookup`.
        at: The root to look it up at; None for the current one.

    Raises:
        OSError: As `get`, but for ENOENT.
        TypeError: The key is not a string.
    """
    return _Exists(flux_handle, key, namespace, at).get()


def exists_async(
    flux_handle: Flux, key: str, namespace: str | None = None, *, at: Root | None = None
) -> KVSFuture[bool]:
    """As `exists`, but return a future."""
    return _Exists(flux_handle, key, namespace, at)


def isdir(
    flux_handle: Flux, key: str, namespace: str | None = None, *, at: Root | None = None
) -> bool:
    """Return True if a key is a directory, or a symbolic link to one.

    Args:
        flux_handle: The handle.
        key: The key.
        namespace: The namespace; None as for `lookup`.
        at: The root to look it up at; None for the current one.

    Raises:
        OSError: As `get`, but for ENOENT.
        TypeError: The key is not a string.
    """
    return _IsDir(flux_handle, key, namespace, at).get()


def isdir_async(
    flux_handle: Flux, key: str, namespace: str | None = None, *, at: Root | None = None
) -> KVSFuture[bool]:
    """As `isdir`, but return a future."""
    return _IsDir(flux_handle, key, namespace, at)

"""Watching a key: its value, and again whenever it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flux._watch import WatchImplementation
from flux.constants import (
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_FULL,
    FLUX_KVS_WATCH_UNIQ,
)
from flux.kvs._lookup import KVSLookupFuture
from flux.rpc import RPC

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux

__all__ = ["KVSWatchFuture", "WatchImplementation", "kvs_watch_async"]


class KVSWatchFuture(WatchImplementation, KVSLookupFuture):
    """The values of a key, one after the other; see `kvs_watch_async`.

    ``async for`` and ``for`` give the values until the watch is cancelled.  In a ``with`` block it
    is at the end of that, else when nobody refers to it any more.

    Args:
        future_handle: A streaming RPC to ``kvs-watch.lookup``, `lookup` returns one.  The new
            future replaces it: the old one gets no more responses.

    Raises:
        TypeError: It is not an RPC.
    """

    @classmethod
    def watch(cls, flux_handle: Flux, key: str, flags: int, namespace: str | None) -> Self:
        """Begin to watch, as `lookup` does with the flags."""
        self = cls.__new__(cls)
        KVSLookupFuture.__init__(self, flux_handle, key, flags, namespace)
        self.needs_cancel = True
        return self

    def watch_get(self, future: Any) -> Any:
        """Return the value in a response."""
        return KVSLookupFuture.get(future)

    def watch_cancel(self, future: Any) -> None:
        """Ask for the end of the watch."""
        RPC.cancel(future)

    def get(self, autoreset: bool = True) -> Any:
        """Wait for the next value and return it.

        Args:
            autoreset: Go on to the value after it, which the next call then returns.  Otherwise
                that call returns the same one unless there is a `reset` before.

        Returns:
            What the value stands for, as `flux.kvs.get` returns it; also None once the watch was
            cancelled.

        Raises:
            OSError: ENOENT, there is no such key, or no more; EISDIR, it is a directory; ENOTSUP,
                there is no such namespace, or no more; EPERM, it is another user's; ECONNRESET,
                the connection was lost; EPROTO, a response is malformed (also a ValueError), after
                which the next call goes on.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        return super().get(autoreset)


def kvs_watch_async(
    flux_handle: Flux,
    key: str,
    namespace: str | None = None,
    waitcreate: bool = False,
    uniq: bool = False,
    full: bool = False,
) -> KVSWatchFuture:
    """Follow the value of a key.

    Example:
        >>> async for value in kvs_watch_async(handle, "progress"):
        ...     print(value)

    Args:
        flux_handle: The handle.
        key: The key.
        namespace: The namespace; None for that of the environment variable FLUX_KVS_NAMESPACE, or
            ``primary`` without one.
        waitcreate: Wait for the key where there is none yet, and for the namespace.
        uniq: Leave out values that are the same as the one before.
        full: Also notice what changes the value without naming the key, such as the removal of the
            directory that it is in.

    Returns:
        A future for the value as it is, and then after each commit that writes the key.

    Raises:
        OSError: EINVAL, there can be no such key.
        TypeError: The key is not a string.
    """
    flags = FLUX_KVS_WATCH
    if waitcreate:
        flags |= FLUX_KVS_WAITCREATE
    if uniq:
        flags |= FLUX_KVS_WATCH_UNIQ
    if full:
        flags |= FLUX_KVS_WATCH_FULL
    return KVSWatchFuture.watch(flux_handle, key, flags, namespace)

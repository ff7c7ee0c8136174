"""`WatchImplementation`, on which watches of the KVS and of eventlogs are built.

It is public as `flux.kvs.WatchImplementation`.
"""

from __future__ import annotations

import errno
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from flux.rpc import RPC

__all__ = ["WatchImplementation"]


class WatchImplementation(RPC, ABC):
    """A stream of responses, taken one after the other until it is cancelled.

    Subclasses say with `watch_get` what a response stands for, and with `watch_cancel` how to end
    the stream.  With `then` the callback is called for each response; it takes it with `get`.
    ``await`` gives the next one or None, ``for`` and ``async for`` give all.  The stream is
    cancelled when nobody refers to the future any more.

    Args:
        future_handle: A streaming RPC.  The new future replaces it: the old one gets no more
            responses.

    Attributes:
        needs_cancel: Whether the stream has neither ended nor been cancelled.

    Raises:
        TypeError: It is not an RPC.
    """

    needs_cancel = False

    def __init__(self, future_handle: RPC) -> None:
        if not isinstance(future_handle, RPC):
            raise TypeError(f"a watch is made of an RPC, not of {future_handle!r}")
        future_handle.hand_over(self)
        self.needs_cancel = True

    @abstractmethod
    def watch_get(self, future: Any) -> Any:
        """Return what a response stands for.

        Args:
            future: This future; ``RPC.get(future)`` is the response.
        """

    @abstractmethod
    def watch_cancel(self, future: Any) -> None:
        """Ask the service to end the stream.

        Args:
            future: This future; ``RPC.cancel(future)`` sends the request of RFC 6.
        """

    def get(self, autoreset: bool = True) -> Any:
        """Wait for the next response and return what it stands for.

        Args:
            autoreset: Go on to the one after it, which the next call then returns.  Otherwise
                that call returns the same one unless there is a `reset` before.

        Returns:
            What `watch_get` makes of it, or None once the stream has ended.

        Raises:
            OSError: The stream has failed; EPROTO, a response is malformed, after which the next
                call goes on.
        """
        try:
            return self._take(autoreset)
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                return None
            raise

    def _take(self, autoreset: bool = True) -> Any:
        """As `get`, but raise ENODATA at the end."""
        try:
            value = self.watch_get(self)
        except OSError:
            if self.error_string() is not None:
                self.needs_cancel = False
            elif autoreset and self.is_ready():
                # A response that cannot be read does not end the stream.
                self.reset()
            raise
        if autoreset:
            self.reset()
        return value

    def cancel(self, stop: bool = False) -> None:  # type: ignore[override]
        """Ask for the end of the stream.

        It then ends after what is already on its way.  Does nothing where it has ended or was
        cancelled before.

        Args:
            stop: Also do not call the callback any more.

        Raises:
            OSError: EPIPE, the connection is lost.
        """
        if self.needs_cancel:
            # In this order: asking twice does no harm, and an exception may come between.
            self.watch_cancel(self)
            self.needs_cancel = False
        if stop:
            self.stop()

    def __next__(self) -> Any:
        try:
            return self._take()
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                raise StopIteration from None
            raise

    def __exit__(self, *_exc: object) -> None:
        self.cancel(stop=True)

    def __del__(self) -> None:
        # The connection may be lost or another thread be using it: then there's nothing to do.
        with suppress(OSError, RuntimeError):
            self.cancel()

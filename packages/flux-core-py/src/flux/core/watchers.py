"""Watchers: what the reactor calls, and when (flux_watcher_start(3))."""

from __future__ import annotations

import errno
import fnmatch
import re
import signal
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, Optional

from flux._duration import DurationError, seconds
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_POLLIN,
    FLUX_POLLOUT,
    FLUX_ROLE_OWNER,
)
from flux.message import encode_topic

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux
    from flux.core.reactor import Reactor

__all__ = [
    "CheckWatcher",
    "FDWatcher",
    "IdleWatcher",
    "MessageWatcher",
    "PrepareWatcher",
    "SignalWatcher",
    "TimerWatcher",
    "Watcher",
]


class Watcher:
    """Base of all watchers: a callback that can be started and stopped.

    A started watcher is kept alive by what it is started on; one that is stopped lives as long as
    its user refers to it.  Usable as a context manager that starts and stops it.

    Attributes:
        flux_handle: The handle, which is also the callback's first argument.
        callback: What is called.
        args: Passed to the callback as its last argument.
        active: Whether the watcher is started.
    """

    #: What `call_once` tells as the events.
    _revents = 0

    def __init__(
        self, flux_handle: Flux, callback: Callable[..., Any] | None, args: Any = None
    ) -> None:
        self.flux_handle = flux_handle
        self.callback = callback
        self.args = args
        self.active = False
        self._referenced = True
        self._destroyed = False

    def _add(self, reactor: Reactor) -> None:
        raise NotImplementedError

    def _remove(self, reactor: Reactor) -> None:
        raise NotImplementedError

    def start(self) -> Self:
        """Start the watcher.  Starting it again does nothing.

        Raises:
            OSError: EINVAL, the watcher has been destroyed.
        """
        if self._destroyed:
            raise OSError(errno.EINVAL, "the watcher has been destroyed")
        reactor = self.flux_handle.get_reactor()
        try:
            if not self.active:
                self._add(reactor)
                self.active = True
            if self._referenced:
                # Also if it is started: a `stop` may have been cut short after it let go.
                reactor.hold(self)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> Self:
        """Stop the watcher.  Stopping it again does nothing."""
        # All of it each time: an exception may have kept an earlier call from ending.
        self.active = False
        reactor = self.flux_handle._reactor
        if reactor is not None:
            reactor.release(self)
            self._remove(reactor)
        return self

    def ref(self) -> Self:
        """Let the watcher keep the reactor running while it is started, which is the default."""
        if not self._referenced:
            self._referenced = True
            if self.active:
                self.flux_handle.get_reactor().hold(self)
        return self

    def unref(self) -> Self:
        """Let the reactor return even if the watcher is still started."""
        if self._referenced:
            self._referenced = False
            if self.active:
                self.flux_handle.get_reactor().release(self)
        return self

    def is_active(self) -> bool:
        """Return True if the watcher is started."""
        return self.active

    def is_referenced(self) -> bool:
        """Return True if the watcher keeps the reactor running while it is started."""
        return self._referenced

    def destroy(self) -> None:
        """Stop the watcher for good."""
        self.stop()
        self.flux_handle.del_watcher(self)
        self._destroyed = True

    def invoke(self, revents: int) -> None:
        """Call the callback as ``callback(handle, watcher, revents, args)``."""
        assert self.callback is not None
        self.callback(self.flux_handle, self, revents, self.args)

    def call_once(self, taken: Iterator[Any]) -> None:
        """Call the callback, if and when this watcher can be taken from an iterator.

        That and the call are one C call, so that an exception comes before both or after both.
        """
        assert self.callback is not None
        arguments = (self.flux_handle,), taken, (self._revents,), (self.args,)
        next(map(self.callback, *arguments), None)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()


class TimerWatcher(Watcher):
    """Calls back once after a time, or repeatedly (flux_timer_watcher_create(3)).

    Args:
        flux_handle: The handle whose reactor runs the timer.
        after: Seconds from `start` to the first call, at least 0.
        callback: Called as ``callback(handle, watcher, revents, args)``.
        repeat: Seconds between further calls; 0 for none.
        args: Passed to the callback.

    Raises:
        OSError: EINVAL, a negative time.
        ValueError: NaN.
    """

    def __init__(
        self,
        flux_handle: Flux,
        after: float,
        callback: Callable[..., Any],
        repeat: float = 0,
        args: Any = None,
    ) -> None:
        super().__init__(flux_handle, callback, args)
        self.after, self.repeat = self._check(after, repeat)
        self._delay, self.interval = self.after, self.repeat

    @staticmethod
    def _check(after: float, repeat: float) -> tuple[float, float]:
        try:
            after, repeat = seconds(after, "after"), seconds(repeat, "repeat")
        except DurationError as exc:
            raise DurationError(exc.errno, f"{exc.strerror}, and not negative") from None
        if after < 0 or repeat < 0:
            raise OSError(
                errno.EINVAL, f"timer times must not be negative: after={after:g} repeat={repeat:g}"
            )
        return after, repeat

    def _add(self, reactor: Reactor) -> None:
        reactor.add_timer(self, self._delay)

    def _remove(self, reactor: Reactor) -> None:
        reactor.remove_timer(self)

    @property
    def active(self) -> bool:
        """Whether the timer is started and will fire."""
        reactor = self.flux_handle._reactor
        return reactor is not None and reactor.has_timer(self)

    @active.setter
    def active(self, value: bool) -> None:
        pass  # The reactor knows.

    def reset(self, after: float | None = None, repeat: float | None = None) -> None:
        """Arm the timer from scratch, whether or not it is started.

        Args:
            after: Seconds to the first call; as given at creation if None.
            repeat: Seconds between further calls; as given at creation if None.

        Raises:
            OSError: EINVAL, a negative time.
        """
        self._delay, self.interval = self._check(
            self.after if after is None else after, self.repeat if repeat is None else repeat
        )
        self.stop()
        self.start()


class FDWatcher(Watcher):
    """Calls back when a descriptor is ready (flux_fd_watcher_create(3)).

    Args:
        flux_handle: The handle whose reactor watches the descriptor.
        fd_int: The descriptor.  It stays the user's to close, after the watcher is stopped.
        events: ``FLUX_POLLIN`` and ``FLUX_POLLOUT`` bits to wait for.  An error makes the
            descriptor ready for both; ``FLUX_POLLERR`` is accepted beside them.
        callback: Called as ``callback(handle, watcher, fd, revents, args)``.
        args: Passed to the callback.

    Raises:
        OSError: EINVAL, not a descriptor, or nothing to wait for.
    """

    def __init__(
        self,
        flux_handle: Flux,
        fd_int: int,
        events: int,
        callback: Callable[..., Any],
        args: Any = None,
    ) -> None:
        super().__init__(flux_handle, callback, args)
        if fd_int < 0:
            raise OSError(errno.EINVAL, f"{fd_int} is not a file descriptor")
        if not events & (FLUX_POLLIN | FLUX_POLLOUT):
            raise OSError(
                errno.EINVAL, f"neither FLUX_POLLIN nor FLUX_POLLOUT to wait for in {events:#x}"
            )
        self.fd_int = fd_int
        self.events = events

    def _add(self, reactor: Reactor) -> None:
        reactor.add_fd(self)

    def _remove(self, reactor: Reactor) -> None:
        reactor.remove_fd(self)

    def invoke(self, revents: int) -> None:
        """Call the callback with the descriptor and what it is ready for."""
        assert self.callback is not None
        self.callback(self.flux_handle, self, self.fd_int, revents, self.args)


class PrepareWatcher(Watcher):
    """Calls back once per reactor iteration, before the reactor waits.

    Args:
        flux_handle: The handle whose reactor is meant.
        callback: Called as ``callback(handle, watcher, revents, args)``.
        args: Passed to the callback.
    """

    def _add(self, reactor: Reactor) -> None:
        reactor.prepares[self] = None

    def _remove(self, reactor: Reactor) -> None:
        reactor.prepares.pop(self, None)


class CheckWatcher(Watcher):
    """Calls back once per reactor iteration, after the wait and before all other callbacks.

    Args:
        flux_handle: The handle whose reactor is meant.
        callback: Called as ``callback(handle, watcher, revents, args)``.
        args: Passed to the callback.
    """

    def _add(self, reactor: Reactor) -> None:
        reactor.checks[self] = None

    def _remove(self, reactor: Reactor) -> None:
        reactor.checks.pop(self, None)


class IdleWatcher(Watcher):
    """Keeps the reactor from blocking while it is started.

    Args:
        flux_handle: The handle whose reactor is meant.
        callback: Called as ``callback(handle, watcher, revents, args)`` in each iteration that
            finds no descriptor, timer or signal ready; may be None.
        args: Passed to the callback.
    """

    def __init__(
        self, flux_handle: Flux, callback: Callable[..., Any] | None = None, args: Any = None
    ) -> None:
        super().__init__(flux_handle, callback, args)

    def _add(self, reactor: Reactor) -> None:
        reactor.idles[self] = None

    def _remove(self, reactor: Reactor) -> None:
        reactor.idles.pop(self, None)


class SignalWatcher(Watcher):
    """Calls back, from the reactor, after a signal arrived (flux_signal_watcher_create(3)).

    While the watcher is started the signal does nothing else; the last watcher of a signal to
    stop puts the previous handler back.  Start it in the main thread.

    Args:
        flux_handle: The handle whose reactor is meant.
        signal_int: The signal's number.
        callback: Called as ``callback(handle, watcher, signum, args)``.
        args: Passed to the callback.

    Raises:
        OSError: EINVAL, not a signal number.
    """

    def __init__(
        self,
        flux_handle: Flux,
        signal_int: int,
        callback: Callable[..., Any],
        args: Any = None,
    ) -> None:
        super().__init__(flux_handle, callback, args)
        self.signal_int = self._revents = int(signal_int)
        if not 1 <= self.signal_int < signal.NSIG:
            raise OSError(errno.EINVAL, f"invalid signal number {signal_int}")

    def _add(self, reactor: Reactor) -> None:
        reactor.add_signal(self)

    def _remove(self, reactor: Reactor) -> None:
        reactor.remove_signal(self)


TopicMatch = Optional[Callable[[str], Any]]


def topic_matcher(glob: str | None) -> TopicMatch:
    """Return a predicate for topics that match a glob, as fnmatch(3) without flags.

    None, the empty string and "*" match every message, and give None.
    """
    if glob is None or glob in ("", "*"):
        return None
    if not any(char in glob for char in "*?["):
        return glob.__eq__
    return re.compile(fnmatch.translate(glob)).match


class MessageWatcher(Watcher):
    """Calls back for messages (flux_msg_handler_create(3)).

    A request goes to the watcher that was created last among those that match; an event to all.

    Args:
        flux_handle: The handle whose messages are meant.
        type_mask: ``FLUX_MSGTYPE_*`` bits to match.
        callback: Called as ``callback(handle, watcher, message, args)``.
        topic_glob: Topic, or glob in the manner of fnmatch(3), to match; None for any.
        match_tag: Matchtag to match, ``FLUX_MATCHTAG_NONE`` for any.
        rolemask: ``FLUX_ROLE_*`` bits, one of which the sender must have, besides the owner; the
            owner alone if None.
        args: Passed to the callback.

    Raises:
        TypeError: ``topic_glob`` is not a string.
    """

    def __init__(
        self,
        flux_handle: Flux,
        type_mask: int,
        callback: Callable[..., Any],
        topic_glob: str | bytes | None = "*",
        match_tag: int = FLUX_MATCHTAG_NONE,
        rolemask: int | None = None,
        args: Any = None,
    ) -> None:
        super().__init__(flux_handle, callback, args)
        self.type_mask = type_mask
        self.match_tag = match_tag
        self.topic_glob = None if topic_glob is None else encode_topic(topic_glob)
        self.matches = topic_matcher(self.topic_glob)
        self.rolemask = FLUX_ROLE_OWNER | (rolemask or 0)

    def allow_rolemask(self, rolemask: int) -> None:
        """Also admit senders with any of these roles (flux_msg_handler_allow_rolemask(3))."""
        self.rolemask |= rolemask

    def deny_rolemask(self, rolemask: int) -> None:
        """No longer admit senders by these roles; the owner cannot be denied."""
        self.rolemask = FLUX_ROLE_OWNER | (self.rolemask & ~rolemask)

    def _add(self, reactor: Reactor) -> None:
        self.flux_handle._add_message_watcher(self)

    def _remove(self, reactor: Reactor) -> None:
        self.flux_handle._remove_message_watcher(self)

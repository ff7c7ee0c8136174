"""The reactor: waits for descriptors, timers and signals, and calls watchers.

`Reactor` knows watchers only by the few methods of `flux.core.watchers.Watcher`, and handles only
as `Source`.  One iteration, as in libev on which flux-core's reactor stands: prepare watchers,
wait, check watchers, then what became ready; see flux_reactor_create(3).

Signals need neither a self-pipe nor a wakeup descriptor: the handler raises a private exception
out of the wait, and only there, where nothing can be lost by it.
"""

from __future__ import annotations

import errno
import heapq
import selectors
import signal
import threading
import time
from collections.abc import Sized
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Protocol

from flux.constants import (
    FLUX_POLLIN,
    FLUX_POLLOUT,
    FLUX_REACTOR_NOWAIT,
    FLUX_REACTOR_ONCE,
)

if TYPE_CHECKING:
    from flux.core.watchers import (
        CheckWatcher,
        FDWatcher,
        IdleWatcher,
        PrepareWatcher,
        SignalWatcher,
        TimerWatcher,
    )

__all__ = ["Reactor", "Source", "tls"]

#: Longest single wait in seconds; see `flux._sigint` for why waits in the main thread are cut up.
_SLICE = 1.0

#: Entries of timers that were disarmed which may stay in the heap in any case.
_IDLE_TIMERS = 64


class ThreadState(threading.local):
    """What the reactors of one thread share.

    Attributes:
        reactor_depth: How many reactor runs are under way, one inside another.
        exception: An exception from a callback that is still to be raised.
    """

    reactor_depth: int = 0
    exception: BaseException | None = None


tls = ThreadState()


class Source(Protocol):
    """A handle's message stream, as the reactor sees it.

    Attributes:
        held: Futures whose continuations wait for messages; while there are any, the source
            keeps the reactor running.
        ready: What `dispatch` will take.
        local: Whether messages come from within this thread: nothing to read, write or wait for.
    """

    local: bool

    @property
    def held(self) -> Sized:
        """Futures whose continuations wait for messages; any keeps the reactor running."""

    @property
    def ready(self) -> Sized:
        """What `dispatch` will take."""

    def fileno(self) -> int:
        """Return a descriptor to wait on, or -1."""

    def begin(self) -> None:
        """Note that a run begins: output is written once a turn from now on."""

    def end(self) -> None:
        """Note that a run ends, and write what is left."""

    def prepare(self) -> tuple[bool, bool]:
        """Write what is to be written; return whether work is ready, and output still unsent."""

    def receive(self) -> None:
        """Read what has arrived."""

    def dispatch(self, reactor: Reactor) -> None:
        """Call the callbacks of what is ready."""


class _Wake(BaseException):
    """Raised by a signal handler out of the wait."""


class Reactor:
    """An event loop.

    Each handle makes one when it first needs it; `flux.Flux.set_reactor` shares one among
    handles of the same thread.
    """

    def __init__(self) -> None:
        self._selector: selectors.BaseSelector | None = None
        self._fds: dict[int, list[FDWatcher]] = {}
        # Each with the descriptor it was attached with; clones of a handle share theirs.
        self._sources: dict[Source, int] = {}
        # Those that never have one: only what is ready matters, so many of them cost little.
        self._local: dict[Source, None] = {}
        self._writing: set[int] = set()
        # The heap tells the order; an entry counts while `_armed` has its serial number.
        self._timers: list[tuple[float, int]] = []
        self._armed: dict[int, TimerWatcher] = {}
        self._serial = 0
        #: Called before each wait.
        self.prepares: list[PrepareWatcher] = []
        #: Called after each wait.
        self.checks: list[CheckWatcher] = []
        #: Keep the reactor from waiting; called in iterations that find nothing else to do.
        self.idles: list[IdleWatcher] = []
        self._signals: list[SignalWatcher] = []
        self._signalled: list[SignalWatcher] = []
        self._waiting = False
        #: Called when something happened that the reactor would not notice by itself; set by
        #: whoever runs it one iteration at a time.
        self.wake: Callable[[], Any] | None = None
        self._depth = 0
        self._error = False
        self._active = 0
        #: True once a stop was asked for; callbacks still due are then left for the next run.
        self.stopping = False

    # -- running

    def run(self, flags: int = 0) -> int:
        """Process events until nothing referenced is left, or `stop` is called.

        Args:
            flags: ``FLUX_REACTOR_NOWAIT`` for one iteration without blocking,
                ``FLUX_REACTOR_ONCE`` for one that blocks until at least one event is handled.

        Returns:
            The number of watchers still active and referenced; -1 after `stop_error`, and after
            an exception in a callback, which is then in ``tls.exception``.

        Raises:
            OSError: EINVAL, unknown flags.
        """
        if flags & ~(FLUX_REACTOR_NOWAIT | FLUX_REACTOR_ONCE):
            raise OSError(errno.EINVAL, f"invalid reactor flags {flags:#x}")
        self._error = self.stopping = False
        self._depth += 1
        if self._depth == 1:
            for source in self._sources:
                source.begin()
        try:
            while True:
                self._iterate(block=not flags & FLUX_REACTOR_NOWAIT)
                if flags or self.stopping or not (self._active > 0 or self.active()):
                    break
        finally:
            self._depth -= 1
            if not self._depth:
                for source in self._sources:
                    source.end()
        return -1 if self._error else self.active()

    def stop(self) -> None:
        """Make `run` return after the callback that is running."""
        self._error = False
        self._stop()

    def stop_error(self) -> None:
        """Make `run` return -1 after the callback that is running."""
        self._error = True
        self._stop()

    def _stop(self) -> None:
        self.stopping = True
        if self.wake is not None and not self._depth:
            self.wake()

    def fail(self, exc: BaseException) -> None:
        """Stop with an exception, which the thread's next ``raise_if_exception`` raises."""
        tls.exception = exc
        self.stop_error()

    def active(self) -> int:
        """Return how many referenced watchers, and handles waited on, keep the reactor running."""
        active = self._active
        for sources in (self._sources, self._local):
            for source in sources:
                if source.held:
                    active += 1
        return active

    def fileno(self) -> int:
        """Return a descriptor that polls readable when something is ready."""
        return self._select().fileno()  # type: ignore[attr-defined,no-any-return]

    def timeout(self) -> float | None:
        """Return in how many seconds the next iteration is due; None if only input is awaited."""
        if any(source.ready for source in (*self._sources, *self._local)):
            return 0.0
        timeout = self._timeout()
        if self._signals and (timeout is None or timeout > _SLICE):
            return _SLICE
        return timeout

    def _iterate(self, block: bool) -> None:
        if self.prepares:
            for prepare in tuple(self.prepares):
                if prepare.active:
                    self._call(prepare, 0)
        if block and not self.stopping and (self._active > 0 or self.active()):
            timeout = self._timeout()
        else:
            timeout = 0.0
        for source, fd in self._sources.items():
            ready, unsent = source.prepare()
            if ready:
                timeout = 0.0
            if unsent != (fd in self._writing):
                self._watch_writing(fd, source, unsent)
        for source in self._local:
            if source.ready:
                timeout = 0.0
                break
        events = self._wait(timeout)
        if self.checks:
            for check in tuple(self.checks):
                if check.active:
                    self._call(check, 0)
        busy = False
        for key, mask in events:
            watchers = key.data
            if watchers.__class__ is not list:
                if mask & selectors.EVENT_READ:
                    watchers.receive()
                continue
            busy = True
            revents = (FLUX_POLLIN if mask & selectors.EVENT_READ else 0) | (
                FLUX_POLLOUT if mask & selectors.EVENT_WRITE else 0
            )
            for watcher in tuple(watchers):
                if watcher.active and watcher.events & revents:
                    self._call(watcher, watcher.events & revents)
        if self._timers and self._fire_timers():
            busy = True
        while self._signalled and not self.stopping:
            busy = True
            signal_watcher = self._signalled.pop(0)
            if signal_watcher.active:
                self._call(signal_watcher, 0)
        for source in tuple(self._sources):
            source.dispatch(self)
        for source in tuple(self._local):
            if source.ready:
                source.dispatch(self)
        if not busy:
            for idle in tuple(self.idles):
                if idle.active and idle.callback is not None:
                    self._call(idle, 0)

    def _timeout(self) -> float | None:
        """Return how long to wait at most, in seconds; None for no limit."""
        if self.idles:
            return 0.0
        timers = self._timers
        while timers and timers[0][1] not in self._armed:
            heapq.heappop(timers)
        if not timers:
            return None
        return max(0.0, timers[0][0] - time.monotonic())

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._selector is None:
            if timeout == 0.0:
                return []
            self._selector = selectors.DefaultSelector()
        if not self._signals:
            return self._selector.select(timeout)
        if timeout == 0.0:
            return self._selector.select(0)
        deadline = None if timeout is None else time.monotonic() + timeout
        left = _SLICE if timeout is None else timeout
        # Handlers run in the main thread; that is the only one they may throw out of its wait.
        self._waiting = threading.get_ident() == threading.main_thread().ident
        try:
            # Signals are looked for only now: one from here on wakes the wait by itself.
            while not self._signalled:
                events = self._selector.select(min(_SLICE, left))
                if events:
                    return events
                if deadline is not None:
                    left = deadline - time.monotonic()
                    if left <= 0.0:
                        return events
            return self._selector.select(0)
        except _Wake:
            return []
        finally:
            self._waiting = False

    def _call(self, watcher: Any, revents: int) -> None:
        if self.stopping:
            return
        try:
            watcher.invoke(revents)
        except Exception as exc:
            self.fail(exc)

    # -- references

    def ref(self) -> None:
        """Count one more active watcher that keeps the reactor running."""
        self._active += 1

    def unref(self) -> None:
        """Count one less."""
        self._active -= 1

    # -- handles

    def attach(self, source: Source) -> None:
        """Serve a handle's message stream from now on."""
        if source in self._sources:
            return
        if source.local:
            self._local[source] = None
            return
        fd = source.fileno()
        if fd >= 0 and fd not in self._sources.values():
            self._select().register(fd, selectors.EVENT_READ, source)
        self._sources[source] = fd
        if self._depth:
            source.begin()

    def detach(self, source: Source) -> None:
        """Stop serving a handle's message stream."""
        self._local.pop(source, None)
        fd = self._sources.pop(source, None)
        if fd is None:
            return
        if fd >= 0:
            self._writing.discard(fd)
            self._select().unregister(fd)
            for other, other_fd in self._sources.items():
                if other_fd == fd:
                    self._select().register(fd, selectors.EVENT_READ, other)
                    break
        if self._depth:
            source.end()

    def _watch_writing(self, fd: int, source: Source, on: bool) -> None:
        if fd < 0:
            return
        events = selectors.EVENT_READ
        if on:
            events |= selectors.EVENT_WRITE
            self._writing.add(fd)
        else:
            self._writing.discard(fd)
        self._select().modify(fd, events, source)

    def _select(self) -> selectors.BaseSelector:
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        return self._selector

    # -- descriptors

    def add_fd(self, watcher: FDWatcher) -> None:
        """Start to watch a descriptor; several watchers may share one."""
        watchers = self._fds.setdefault(watcher.fd_int, [])
        watchers.append(watcher)
        try:
            self._update_fd(watcher.fd_int, watchers)
        except BaseException:
            self.remove_fd(watcher)
            raise

    def remove_fd(self, watcher: FDWatcher) -> None:
        """Stop watching a descriptor."""
        watchers = self._fds[watcher.fd_int]
        watchers.remove(watcher)
        if not watchers:
            del self._fds[watcher.fd_int]
        self._update_fd(watcher.fd_int, watchers)

    def _update_fd(self, fd: int, watchers: list[FDWatcher]) -> None:
        selector = self._select()
        events = 0
        for watcher in watchers:
            if watcher.events & FLUX_POLLIN:
                events |= selectors.EVENT_READ
            if watcher.events & FLUX_POLLOUT:
                events |= selectors.EVENT_WRITE
        # Registered anew rather than modified: the number may meanwhile have been closed and
        # given to another file, which the kernel then does not know under it.
        try:
            selector.unregister(fd)
        except KeyError:
            pass
        if events:
            try:
                selector.register(fd, events, watchers)
            except PermissionError:
                raise OSError(
                    errno.EPERM, f"descriptor {fd} is a regular file, which is always ready"
                ) from None

    # -- timers

    def add_timer(self, watcher: TimerWatcher, after: float) -> None:
        """Arm a timer to fire once, ``after`` seconds from now."""
        self._schedule(watcher, time.monotonic() + after)

    def remove_timer(self, watcher: TimerWatcher) -> None:
        """Disarm a timer."""
        # Its entry stays in the heap and is skipped; too many of those are cleared out at once.
        del self._armed[watcher.serial]
        timers = self._timers
        if len(timers) > _IDLE_TIMERS and len(timers) > 2 * len(self._armed):
            timers[:] = [entry for entry in timers if entry[1] in self._armed]
            heapq.heapify(timers)

    def _schedule(self, watcher: TimerWatcher, when: float) -> None:
        self._serial += 1
        watcher.serial = self._serial
        self._armed[self._serial] = watcher
        heapq.heappush(self._timers, (when, self._serial))
        if self.wake is not None and not self._depth:
            self.wake()

    def _fire_timers(self) -> bool:
        """Call the timers that are due, but none armed meanwhile; return whether there was one."""
        timers = self._timers
        now = time.monotonic()
        newest = self._serial
        fired = False
        while timers and timers[0][0] <= now and timers[0][1] <= newest and not self.stopping:
            due, serial = heapq.heappop(timers)
            watcher = self._armed.pop(serial, None)
            if watcher is None:
                continue
            fired = True
            if watcher.interval > 0:
                # From when it was due, so that a repeating timer does not drift; but one that is
                # late does not fire in a burst.
                self._schedule(watcher, max(due + watcher.interval, now))
            else:
                watcher.expire()
            self._call(watcher, 0)
        return fired

    # -- signals

    def add_signal(self, watcher: SignalWatcher) -> None:
        """Catch a signal.

        Raises:
            OSError: EINVAL, the signal cannot be caught, or this is not the main thread.
        """
        _signal_table.add(self, watcher)
        self._signals.append(watcher)

    def remove_signal(self, watcher: SignalWatcher) -> None:
        """Stop catching it; the last watcher of a signal puts the previous handler back."""
        self._signals.remove(watcher)
        _signal_table.remove(self, watcher)

    def take_signal(self, watcher: SignalWatcher) -> bool:
        """Return whether a watcher's signal arrived and was not yet told, and forget it."""
        if watcher not in self._signalled:
            return False
        self._signalled = [other for other in self._signalled if other is not watcher]
        return True

    def signalled(self, watcher: SignalWatcher) -> None:
        """Note, in a signal handler, that a watcher's signal arrived."""
        self._signalled.append(watcher)


class _SignalTable:
    """Which watchers of which reactors want each signal, and the handlers they displaced."""

    def __init__(self) -> None:
        self._wanted: dict[int, list[tuple[Reactor, SignalWatcher]]] = {}
        self._previous: dict[int, Any] = {}

    def add(self, reactor: Reactor, watcher: SignalWatcher) -> None:
        signum = watcher.signal_int
        wanted = self._wanted.get(signum)
        if wanted is None:
            try:
                self._previous[signum] = signal.signal(signum, self._on_signal)
            except ValueError:
                raise OSError(
                    errno.EINVAL, "signals can only be watched from the main thread"
                ) from None
            wanted = self._wanted[signum] = []
        wanted.append((reactor, watcher))

    def remove(self, reactor: Reactor, watcher: SignalWatcher) -> None:
        signum = watcher.signal_int
        wanted = self._wanted[signum]
        if len(wanted) == 1:
            # First, so that a signal in this instant still reaches the watcher or that handler.
            previous = self._previous.pop(signum)
            # None stands for a handler that was not installed from Python.
            signal.signal(signum, signal.SIG_DFL if previous is None else previous)
            del self._wanted[signum]
        wanted.remove((reactor, watcher))

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        waiting = False
        for reactor, watcher in self._wanted.get(signum, ()):
            reactor.signalled(watcher)
            if reactor._waiting:
                reactor._waiting = False
                waiting = True
            elif reactor.wake is not None:
                reactor.wake()
        if waiting:
            raise _Wake


_signal_table = _SignalTable()

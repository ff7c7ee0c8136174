"""The reactor: waits for descriptors, timers and signals, and calls watchers.

`Reactor` knows watchers only by the few methods of `flux.core.watchers.Watcher`, and handles only
as `Source`.  One iteration, as in libev on which flux-core's reactor stands: prepare watchers,
wait, check watchers, then what became ready; see flux_reactor_create(3).

As in `flux._session`, anything may come between any two instructions.  Here it takes less to be
safe.  What is started stands in dictionaries, where adding and removing can be repeated; what
follows from them (the selector, whether to run on) is made anew where it is in doubt; and what is
to happen once, such as the call of a timer, leaves its place in the same C call that makes it.

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
from collections import deque
from collections.abc import Iterator
from itertools import compress, count, repeat
from operator import is_not, not_
from types import FrameType
from typing import TYPE_CHECKING, Any, Callable, Protocol
from weakref import ref

from flux._duration import one_wait
from flux._fork import inert_after_fork, lost_by_fork
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
        Watcher,
    )

__all__ = ["Reactor", "Source", "tls"]

#: Longest single wait in the main thread, in seconds.  A handler that Python runs within the wait
#: may do what is waited for; that, and a signal in the instant before the system call, is seen
#: this late.
_SLICE = 1.0

_use_up = deque[object](maxlen=0).extend

_READ_WRITE = selectors.EVENT_READ | selectors.EVENT_WRITE
_ALL = (slice(None),)

#: Entries of timers that were disarmed which may stay in the heap in any case.
_IDLE_TIMERS = 64


#: When a timer is due, a number that makes entries differ, and the timer.
_Entry = tuple[float, int, "ref[TimerWatcher]"]


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
    """A handle's message stream, as the reactor sees it."""

    #: Whether messages come from within this thread: nothing to read, write or wait for.
    local: bool
    #: What `dispatch` will take.
    ready: deque[Any]

    def waits(self) -> bool:
        """Return True if there are continuations for which the reactor is to run on."""

    def fileno(self) -> int:
        """Return a descriptor to wait on, or -1."""

    def begin(self, reactor: Reactor) -> None:
        """Note that a run begins, in this thread: output is written once a turn from now on."""

    def end(self, reactor: Reactor) -> None:
        """Note that a run ends, and write what is left.  Doing so again is harmless."""

    def prepare(self) -> tuple[bool, bool]:
        """Write what is to be written; return whether work is ready, and output still unsent."""

    def receive(self) -> Any:
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
        # What the selector knows, as far as it is known to know it.
        self._registered: dict[int, int] = {}
        self._fds: dict[int, dict[FDWatcher, None]] = {}
        # Each with the descriptor it was attached with; clones of a handle share theirs.
        self._sources: dict[Source, int] = {}
        # Those that never have one: only what is ready matters, so many of them cost little.
        self._local: dict[Source, None] = {}
        # The heap tells the order.  An entry counts while the timer is armed for that time.
        self._timers: list[_Entry] = []
        self._armed: dict[TimerWatcher, _Entry] = {}
        self._serials = count()
        self._claim: Iterator[int] = iter(())
        #: Called before each wait.
        self.prepares: dict[PrepareWatcher, None] = {}
        #: Called after each wait.
        self.checks: dict[CheckWatcher, None] = {}
        #: Keep the reactor from waiting; called in iterations that find nothing else to do.
        self.idles: dict[IdleWatcher, None] = {}
        self._signals: dict[SignalWatcher, None] = {}
        self._signalled: list[SignalWatcher] = []
        #: Whether the main thread waits in this reactor.
        self.waiting = False
        #: Called when something happened that the reactor would not notice by itself; set by
        #: whoever runs it one iteration at a time.
        self.wake: Callable[[], Any] | None = None
        self._depth = 0
        self._error = False
        # Started watchers that keep the reactor running.
        self._held: dict[Watcher, None] = {}
        #: True once a stop was asked for; callbacks still due are then left for the next run.
        self.stopping = False
        self._lost: OSError | None = None
        inert_after_fork(self, Reactor._disown)

    def __del__(self) -> None:
        # A selector is part of a cycle, and would keep its descriptor until that is collected.
        self._close_selector()

    def _close_selector(self) -> None:
        selector, self._selector = self._selector, None
        self._registered = {}
        if selector is not None:
            selector.close()

    def _disown(self) -> None:
        """In a forked child: let go of the selector, which the kernel has shared."""
        self._close_selector()
        self.wake = None
        self._lost = lost_by_fork("the reactor")
        for watcher in tuple(self._signals):
            watcher.stop()

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
        depth = self._depth
        # An exception may be raised in the inner `finally`, before it has done anything.
        try:
            try:
                self._depth = depth + 1
                if not depth:
                    for source in tuple(self._sources):
                        source.begin(self)
                running = True
                while running:
                    self._iterate(block=not flags & FLUX_REACTOR_NOWAIT)
                    running = not flags and not self.stopping and self._runs()
            finally:
                self._leave(depth)
        finally:
            self._leave(depth)
        self._raise_if_lost()
        return -1 if self._error else self.active()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise OSError(self._lost.errno, self._lost.strerror)

    def _leave(self, depth: int) -> None:
        if self._depth > depth:
            if not depth:
                for source in tuple(self._sources):
                    source.end(self)
            self._depth = depth

    def _runs(self) -> bool:
        """Return True if there is anything to run for."""
        if self._held:
            return True
        for sources in (self._sources, self._local):
            for source in tuple(sources):
                if source.waits():
                    return True
        return False

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
        active = len(self._held)
        for sources in (self._sources, self._local):
            active += sum(source.waits() for source in tuple(sources))
        return active

    def fileno(self) -> int:
        """Return a descriptor that polls readable when something is ready."""
        self._update_selector()
        return self._selector.fileno()  # type: ignore[union-attr,no-any-return]

    def timeout(self) -> float | None:
        """Return in how many seconds the next iteration is due; None if only input is awaited."""
        if any(source.ready for source in (*self._sources, *self._local)):
            return 0.0
        timeout = one_wait(self._timeout())
        if self._signals and (timeout is None or timeout > _SLICE):
            return _SLICE
        return timeout

    def _iterate(self, block: bool) -> None:
        self._raise_if_lost()
        if self.prepares:
            for prepare in tuple(self.prepares):
                if prepare.active:
                    self._call(prepare, 0)
        timeout = self._timeout() if block and not self.stopping and self._runs() else 0.0
        for source, fd in tuple(self._sources.items()):
            ready, unsent = source.prepare()
            if ready:
                timeout = 0.0
            if fd >= 0:
                self._watch(fd, _READ_WRITE if unsent else selectors.EVENT_READ)
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
            fd = key.fd
            watchers = self._fds.get(fd)
            if watchers is None:
                if mask & selectors.EVENT_READ:
                    self._receive(fd)
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
        if self._signalled and self._call_signalled():
            busy = True
        for source in tuple(self._sources):
            source.dispatch(self)
        for source in tuple(self._local):
            if source.ready:
                source.dispatch(self)
        if not busy:
            for idle in tuple(self.idles):
                if idle.active and idle.callback is not None:
                    self._call(idle, 0)

    def _receive(self, fd: int) -> None:
        for source, other in self._sources.items():
            if other == fd:
                source.receive()
                return

    def _look(self) -> Iterator[int]:
        """Return a claim to what is looked at from now on; see `flux._session`."""
        _use_up(self._claim)
        self._claim = claim = repeat(0, 1)
        return claim

    def _timeout(self) -> float | None:
        """Return how long to wait at most, in seconds; None for no limit."""
        if self.idles:
            return 0.0
        timers = self._timers
        while timers:
            claim = self._look()
            entry = timers[0] if timers else None
            if entry is None:
                break
            if self._counts(entry):
                return max(0.0, entry[0] - time.monotonic())
            next(map(heapq.heappop, map((timers,).__getitem__, claim)), None)
        return None

    def _wait(self, timeout: float | None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for descriptors, signals, or what a handler does meanwhile."""
        if timeout == 0.0:
            if self._selector is None:
                return []
            return self._selector.select(0)
        self._update_selector()
        selector = self._selector
        assert selector is not None
        if threading.get_ident() != threading.main_thread().ident:
            return selector.select(one_wait(timeout))
        deadline = None if timeout is None else time.monotonic() + timeout
        left = _SLICE if timeout is None else timeout
        before = self.waiting
        try:
            try:
                self.waiting = True
                # Signals are looked for only now: one from here on wakes the wait by itself.
                while not self._signalled:
                    events = selector.select(min(_SLICE, left))
                    if events or self.stopping or any(source.ready for source in self._sources):
                        return events
                    if deadline is not None:
                        left = deadline - time.monotonic()
                        if left <= 0.0:
                            return events
                return selector.select(0)
            finally:
                self.waiting = before
        except _Wake:
            return []
        finally:
            self.waiting = before

    def _call(self, watcher: Any, revents: int) -> None:
        if self.stopping:
            return
        try:
            watcher.invoke(revents)
        except Exception as exc:
            self.watcher_failed(watcher, exc)

    def watcher_failed(self, watcher: Watcher, exc: Exception) -> None:
        """Take what the callback of a watcher has raised."""
        self.fail(exc)

    # -- references

    def hold(self, watcher: Watcher) -> None:
        """Run on as long as a watcher is started."""
        self._held[watcher] = None

    def release(self, watcher: Watcher) -> None:
        """Take back `hold`."""
        self._held.pop(watcher, None)

    # -- handles

    def attach(self, source: Source) -> None:
        """Serve a handle's message stream from now on."""
        if source.local:
            self._local[source] = None
        elif source not in self._sources:
            self._sources[source] = source.fileno()
            if self._depth:
                source.begin(self)

    def detach(self, source: Source) -> None:
        """Stop serving a handle's message stream."""
        self._local.pop(source, None)
        fd = self._sources.pop(source, None)
        if fd is not None:
            if fd >= 0 and fd not in self._sources.values():
                self._watch(fd, 0)
            source.end(self)

    # -- descriptors

    def _watch(self, fd: int, events: int) -> None:
        """Tell the selector what to wait for, unless it knows."""
        registered = self._registered
        if registered.get(fd, 0) == events:
            return
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        selector = self._selector
        try:
            if fd in registered:
                selector.unregister(fd)
                registered.pop(fd, None)
            if events:
                selector.register(fd, events)
                registered[fd] = events
        except PermissionError:
            registered.pop(fd, None)
            raise OSError(
                errno.EPERM, f"descriptor {fd} is a regular file, which is always ready"
            ) from None
        except BaseException:
            # It may know something else now: begin anew.
            self._close_selector()
            if self.wake is not None:
                self.wake()
            raise

    def _update_selector(self) -> None:
        """See that the selector exists and knows all descriptors."""
        if self._selector is None:
            self._selector = selectors.DefaultSelector()
        for fd in self._sources.values():
            if fd >= 0 and fd not in self._registered:
                self._watch(fd, selectors.EVENT_READ)
        # Each of these is registered when it is added, and needs another look only where the
        # selector is a new one: a turn is not to cost more the more descriptors there are.
        if len(self._registered) < len(self._sources) + len(self._fds):
            for fd in tuple(self._fds):
                if fd not in self._registered:
                    self._watch(fd, self._wanted(fd))

    def add_fd(self, watcher: FDWatcher) -> None:
        """Start to watch a descriptor; several watchers may share one."""
        self._fds.setdefault(watcher.fd_int, {})[watcher] = None
        self._rewatch(watcher.fd_int)

    def remove_fd(self, watcher: FDWatcher) -> None:
        """Stop watching a descriptor."""
        watchers = self._fds.get(watcher.fd_int)
        if watchers is not None and watcher in watchers:
            watchers.pop(watcher, None)
            if not watchers:
                self._fds.pop(watcher.fd_int, None)
            self._rewatch(watcher.fd_int)

    def _rewatch(self, fd: int) -> None:
        # Registered anew rather than modified: the number may meanwhile have been closed and
        # given to another file, which the kernel then does not know under it.
        self._watch(fd, 0)
        self._watch(fd, self._wanted(fd))

    def _wanted(self, fd: int) -> int:
        events = 0
        for watcher in self._fds.get(fd, ()):
            if watcher.events & FLUX_POLLIN:
                events |= selectors.EVENT_READ
            if watcher.events & FLUX_POLLOUT:
                events |= selectors.EVENT_WRITE
        return events

    # -- timers

    def add_timer(self, watcher: TimerWatcher, after: float) -> None:
        """Arm a timer to fire once, ``after`` seconds from now."""
        entry = self._push(watcher, time.monotonic() + after)
        self._armed[watcher] = entry
        if self.wake is not None and not self._depth:
            self.wake()

    def remove_timer(self, watcher: TimerWatcher) -> None:
        """Disarm a timer."""
        # Its entry stays in the heap and is skipped; too many of those are cleared out at once.
        self._armed.pop(watcher, None)
        timers = self._timers
        if len(timers) > _IDLE_TIMERS and len(timers) > 2 * len(self._armed):
            claim = self._look()
            kept = [entry for entry in tuple(timers) if self._counts(entry)]
            heapq.heapify(kept)
            next(map(timers.__setitem__, map(_ALL.__getitem__, claim), (kept,)), None)

    def has_timer(self, watcher: TimerWatcher) -> bool:
        """Return True if a timer is armed."""
        return watcher in self._armed

    def _counts(self, entry: _Entry) -> bool:
        watcher = entry[2]()
        return watcher is not None and self._armed.get(watcher) is entry

    def _push(self, watcher: TimerWatcher, when: float) -> _Entry:
        entry = (when, next(self._serials), ref(watcher))
        # As long as it isn't in `_armed` as well, the entry means nothing.
        heapq.heappush(self._timers, entry)
        return entry

    def _fire_timers(self) -> bool:
        """Call the timers that are due, but none armed meanwhile; return whether there was one."""
        timers = self._timers
        armed = self._armed
        now = time.monotonic()
        newest = next(self._serials)
        fired = False
        while not self.stopping:
            claim = self._look()
            if not timers:
                break
            entry = timers[0]
            due, serial, watched = entry
            watcher = watched()
            if watcher is None or armed.get(watcher) is not entry:
                next(map(heapq.heappop, map((timers,).__getitem__, claim)), None)
                continue
            if due > now or serial > newest:
                break
            fired = True
            taken: Iterator[Any]
            if watcher.interval > 0:
                # From when it was due, so that a repeating timer does not drift; but one that is
                # late does not fire in a burst.
                later = (self._push(watcher, max(due + watcher.interval, now)),)
                mine = map((watcher,).__getitem__, claim)
                taken = map(not_, map(armed.__setitem__, mine, later))
            else:
                mine = map((watcher,).__getitem__, claim)
                taken = map(is_not, map(armed.pop, mine), map(self._held.pop, (watcher,), (0,)))
            # Disarmed, or armed anew, and called: in one.
            try:
                watcher.call_once(compress((watcher,), taken))
            except Exception as exc:
                self.fail(exc)
        return fired

    # -- signals

    def add_signal(self, watcher: SignalWatcher) -> None:
        """Catch a signal.

        Raises:
            OSError: EINVAL, the signal cannot be caught, or this is not the main thread.
        """
        self._signals[watcher] = None
        _signal_table.add(self, watcher)

    def remove_signal(self, watcher: SignalWatcher) -> None:
        """Stop catching it; the last watcher of a signal puts the previous handler back."""
        self._signals.pop(watcher, None)
        _signal_table.remove(self, watcher)

    def signalled(self, watcher: SignalWatcher) -> None:
        """Note, in a signal handler, that a watcher's signal arrived."""
        self._signalled.append(watcher)

    def _call_signalled(self) -> bool:
        """Call the watchers whose signals arrived; return whether there was one."""
        signalled = self._signalled
        called = False
        while not self.stopping:
            claim = self._look()
            if not signalled:
                break
            watcher = signalled[0]
            called = True
            taken = map(signalled.pop, claim)
            try:
                if watcher.active:
                    watcher.call_once(taken)
                else:
                    next(taken, None)
            except Exception as exc:
                self.fail(exc)
        return called


class _SignalTable:
    """Which watchers of which reactors want each signal, and the handlers they displaced."""

    def __init__(self) -> None:
        self._wanted: dict[int, dict[SignalWatcher, Reactor]] = {}
        self._previous: dict[int, Any] = {}

    def add(self, reactor: Reactor, watcher: SignalWatcher) -> None:
        signum = watcher.signal_int
        wanted = self._wanted.setdefault(signum, {})
        wanted[watcher] = reactor
        if signum in self._previous:
            return
        try:
            # Known before it is displaced, so that it can be put back whatever happens.
            self._previous[signum] = signal.getsignal(signum)
            signal.signal(signum, self._on_signal)
        except (ValueError, OSError) as exc:
            self._previous.pop(signum, None)
            wanted.pop(watcher, None)
            if isinstance(exc, OSError):
                raise
            raise OSError(
                errno.EINVAL, "signals can only be watched from the main thread"
            ) from None

    def remove(self, reactor: Reactor, watcher: SignalWatcher) -> None:
        signum = watcher.signal_int
        wanted = self._wanted.get(signum, {})
        if watcher in wanted and len(wanted) == 1 and signum in self._previous:
            # First, so that a signal in this instant still reaches the watcher or that handler.
            previous = self._previous[signum]
            # None stands for a handler that was not installed from Python.
            signal.signal(signum, signal.SIG_DFL if previous is None else previous)
            self._previous.pop(signum, None)
        wanted.pop(watcher, None)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        waiting = False
        for watcher, reactor in tuple(self._wanted.get(signum, {}).items()):
            reactor.signalled(watcher)
            if reactor.waiting:
                reactor.waiting = False
                waiting = True
            elif reactor.wake is not None:
                reactor.wake()
        if waiting:
            raise _Wake


_signal_table = _SignalTable()

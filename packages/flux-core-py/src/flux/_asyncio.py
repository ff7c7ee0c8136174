"""asyncio as the driver of a handle.

Awaiting a future attaches the handle's reactor to the running loop: the loop then runs one
iteration of it whenever its selector has something, or a timer is due.  So continuations, message
watchers, timers and signals work under asyncio as they do under ``reactor_run``.  The reactor is
detached when nothing awaits and nothing keeps it running.  Until then the loop's thread is inside
all of its handles, and other threads are kept out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from threading import get_ident
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_REACTOR_NOWAIT
from flux.core.reactor import tls

if TYPE_CHECKING:
    from flux._future import Future
    from flux._session import Session
    from flux.core.handle import Flux
    from flux.core.reactor import Reactor


class Driver:
    """Runs a reactor from an asyncio loop."""

    def __init__(self, reactor: Reactor, session: Session, loop: asyncio.AbstractEventLoop) -> None:
        self.reactor = reactor
        self.loop = loop
        #: Whoever waits in the loop.
        self.waiting: set[object] = set()
        self._sessions: dict[Session, tuple[int]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._fd = -1
        self._ended = False
        try:
            self.add(session)
            self._watch()
            reactor.wake = self.wake
        except BaseException:
            self.detach()
            raise

    def add(self, session: Session) -> None:
        """Drive a session as well.

        Raises:
            RuntimeError: Another thread is using the handle.
        """
        if session not in self._sessions:
            self._sessions[session] = token = (get_ident(),)
            try:
                session.enter(token)
                session.wake = self.wake
            except BaseException:
                self._sessions.pop(session, None)
                session.leave(token)
                raise

    def _watch(self) -> None:
        """Have the loop watch the reactor's selector, which may be a new one."""
        fd = self.reactor.fileno()
        if fd != self._fd:
            self._fd = fd
            self.loop.add_reader(fd, self._turn)

    def wake(self) -> None:
        """Have an iteration run soon; may be called from a signal handler."""
        if self.loop.is_closed():
            self.detach()
        elif not self._due:
            self.loop.call_soon_threadsafe(self._turn)
            self._due = True

    def _turn(self) -> None:
        self._due = False
        if self._ended:
            return
        completed = False
        try:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.reactor.run(FLUX_REACTOR_NOWAIT)
            exc, tls.exception = tls.exception, None
            if exc is not None:
                self.failed(exc)
            if not self.waiting and (not self.reactor.active() or isinstance(exc, ConnectionError)):
                self.detach()
                completed = True
                return
            self._watch()
            timeout = self.reactor.timeout()
            if timeout == 0:
                self.wake()
            elif timeout is not None:
                self._timer = self.loop.call_later(timeout, self._turn)
            completed = True
        finally:
            if not completed:
                # A signal handler has raised: what there is to do still is.
                self._due = False
                self.wake()

    def failed(self, exc: BaseException) -> None:
        """Report what a callback raised, in the way of asyncio."""
        self.loop.call_exception_handler(
            {"message": "Exception in a Flux callback", "exception": exc}
        )

    def detach(self) -> None:
        """Take the reactor out of the loop.  Doing so again is harmless."""
        self._ended = True
        if self._fd >= 0 and not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        if self._timer is not None:
            self._timer.cancel()
        for session, token in tuple(self._sessions.items()):
            session.wake = None
            session.leave(token)
        if getattr(self.reactor.wake, "__self__", None) is self:
            self.reactor.wake = None


def attach(flux_handle: Flux) -> Driver:
    """Have the running asyncio loop drive a handle.

    Raises:
        RuntimeError: No loop is running, or another thread is using the handle.
    """
    loop = asyncio.get_running_loop()
    reactor = flux_handle.get_reactor()
    session = flux_handle._session
    previous = getattr(session.wake, "__self__", None)
    if isinstance(previous, Driver) and previous.loop.is_closed():
        # It is what keeps this thread out.
        previous.detach()
    driver = getattr(reactor.wake, "__self__", None)
    if isinstance(driver, Driver) and driver.loop is not loop and driver.loop.is_closed():
        driver.detach()
        driver = None
    flux_handle._attach()
    if isinstance(driver, Driver) and driver.loop is loop:
        driver.add(session)
    else:
        if isinstance(driver, Driver):
            driver.detach()
        driver = Driver(reactor, session, loop)
    # Something may have become ready without the descriptor telling.
    driver.wake()
    return driver


def wait(future: Future) -> Generator[Any, None, None]:
    """Wait for a future in the running loop.

    Raises:
        RuntimeError: The future has no handle that the loop could drive.
    """
    flux_handle = future.flux_handle
    if flux_handle is None:
        raise RuntimeError("a future without a Flux handle cannot be awaited")
    driver = attach(flux_handle)
    waiter = driver.loop.create_future()

    def ready(_future: Future) -> None:
        if not waiter.done():
            waiter.set_result(None)

    try:
        driver.waiting.add(waiter)
        future.observe(ready)
        if not future.is_ready():
            yield from waiter
    finally:
        try:
            future.unobserve(ready)
        finally:
            driver.waiting.discard(waiter)
            driver.wake()


class Ready:
    """Awaitable that waits for a future without taking its result."""

    def __init__(self, future: Future) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, None, None]:
        return wait(self.future)

"""asyncio as the driver of a handle.

Awaiting a future attaches the handle's reactor to the running loop: the loop then runs one
iteration of it whenever its selector has something, or a timer is due.  So continuations, message
watchers, timers and signals work under asyncio as they do under ``reactor_run``.  The reactor is
detached when nothing awaits and nothing keeps it running.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
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
        self.session = session
        self.loop = loop
        self.waiting = 0
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._fd = reactor.fileno()
        loop.add_reader(self._fd, self._turn)
        reactor.wake = session.wake = self.wake

    def wake(self) -> None:
        """Have an iteration run soon; may be called from a signal handler."""
        if self.loop.is_closed():
            self.reactor.wake = self.session.wake = None
        elif not self._due:
            self._due = True
            self.loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._due = False
        if self.reactor.wake is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.reactor.run(FLUX_REACTOR_NOWAIT)
        exc, tls.exception = tls.exception, None
        if exc is not None:
            self.failed(exc)
        if not self.waiting and (not self.reactor.active() or isinstance(exc, ConnectionError)):
            self.detach()
            return
        timeout = self.reactor.timeout()
        if timeout == 0:
            self.wake()
        elif timeout is not None:
            self._timer = self.loop.call_later(timeout, self._turn)

    def failed(self, exc: BaseException) -> None:
        """Report what a callback raised, in the way of asyncio."""
        self.loop.call_exception_handler(
            {"message": "Exception in a Flux callback", "exception": exc}
        )

    def detach(self) -> None:
        """Take the reactor out of the loop."""
        if self.reactor.wake is not None:
            self.reactor.wake = self.session.wake = None
            self.loop.remove_reader(self._fd)
            if self._timer is not None:
                self._timer.cancel()


def attach(flux_handle: Flux) -> Driver:
    """Have the running asyncio loop drive a handle.

    Raises:
        RuntimeError: No loop is running.
    """
    loop = asyncio.get_running_loop()
    reactor = flux_handle.get_reactor()
    flux_handle._attach()
    driver = getattr(reactor.wake, "__self__", None)
    if not isinstance(driver, Driver) or driver.loop is not loop:
        driver = Driver(reactor, flux_handle._session, loop)
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

    driver.waiting += 1
    future.observe(ready)
    try:
        if not future.is_ready():
            yield from waiter
    finally:
        future.unobserve(ready)
        driver.waiting -= 1
        driver.wake()


class Ready:
    """Awaitable that waits for a future without taking its result."""

    def __init__(self, future: Future) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, None, None]:
        return wait(self.future)

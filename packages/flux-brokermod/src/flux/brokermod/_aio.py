"""Runs a module that has ``async def`` handlers: its reactor inside an asyncio loop.

Each message for such a handler gets a task of its own.  Handlers that are not async, timers and
all else run as they do in ``reactor_run``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Callable

from flux._asyncio import Driver
from flux.core.reactor import tls

if TYPE_CHECKING:
    from flux import Flux, Message
    from flux.brokermod._module import BrokerModule


class ModuleDriver(Driver):
    """Drives a reactor until something stops it.

    Attributes:
        stopped: Done once the reactor was stopped; has the exception if it failed.
    """

    def __init__(self, handle: Flux, loop: asyncio.AbstractEventLoop) -> None:
        self.stopped: asyncio.Future[int] = loop.create_future()
        reactor = handle.get_reactor()
        # An earlier run may have been stopped; this one has not.
        reactor.stopping = False
        super().__init__(reactor, handle._session, loop)
        # Stay in the loop even when nothing awaits a future of the handle.
        self.waiting.add(self)

    def _turn(self) -> None:
        # A task may have stopped the reactor between two turns, and a turn resets that.
        if not self.reactor.stopping:
            super()._turn()
        if self.reactor.stopping:
            self._stop()

    def failed(self, exc: BaseException) -> None:
        """Note what a callback raised; it stopped the reactor."""
        tls.exception = exc

    def _stop(self) -> None:
        exc, tls.exception = tls.exception, None
        if self.stopped.done():
            return
        if exc is not None:
            self.stopped.set_exception(exc)
        else:
            self.stopped.set_result(-1 if self.reactor._error else 0)


class Runner:
    """One run of a module under asyncio.

    Args:
        module: The module.
    """

    def __init__(self, module: BrokerModule) -> None:
        self._module = module
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> int:
        """Handle messages until the module is stopped.

        Returns:
            As `flux.Flux.reactor_run`.

        Raises:
            OSError: The connection to the broker is lost.
            Exception: What a callback raised.
        """
        return asyncio.run(self._main())

    async def _main(self) -> int:
        handle: Flux = self._module.handle
        handle._attach()
        driver = ModuleDriver(handle, asyncio.get_running_loop())
        self._module._runner = self
        try:
            with handle.in_reactor():
                driver.wake()
                return await driver.stopped
        finally:
            self._module._runner = None
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            driver.detach()

    def start(self, method: Callable[[Message], Coroutine[Any, Any, Any]], msg: Message) -> None:
        """Start the handling of one message."""
        task = asyncio.get_running_loop().create_task(self._handle(method, msg))
        # The loop itself keeps only weak references.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _handle(
        self, method: Callable[[Message], Coroutine[Any, Any, Any]], msg: Message
    ) -> None:
        module = self._module
        try:
            await method(msg)
        except asyncio.CancelledError:
            module._handler_ended(msg)
            raise
        except Exception as exc:
            module._handler_failed(exc, msg)
            module.handle.get_reactor().fail(exc)

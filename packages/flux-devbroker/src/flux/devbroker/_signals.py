"""Signals as input for the reactor: one pipe, written by the interpreter's own C handler.

The reactor's signal watchers would do; but with them each turn of the loop costs a little more,
and the broker's loop is what each message has to pass.
"""

from __future__ import annotations

import os
import signal
from typing import Any, Callable

from flux.constants import FLUX_POLLIN
from flux.core.handle import Flux


class SignalPipe:
    """Calls functions, from the reactor, when signals arrive.  For the main thread.

    Args:
        handle: The handle whose reactor is meant.
    """

    def __init__(self, handle: Flux) -> None:
        self._callbacks: dict[int, Callable[[], Any]] = {}
        self._previous: dict[int, Any] = {}
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._watcher = handle.fd_watcher_create(
            self._reader, lambda *_args: self._read(), FLUX_POLLIN
        )
        self._watcher.start()

    def catch(self, signum: int, callback: Callable[[], Any]) -> None:
        """Call a function for a signal from now on."""
        self._callbacks[signum] = callback
        previous = signal.signal(signum, lambda *_args: None)
        self._previous.setdefault(signum, previous)

    def _read(self) -> None:
        try:
            numbers = os.read(self._reader, 1024)
        except BlockingIOError:
            return
        for signum in numbers:
            callback = self._callbacks.get(signum)
            if callback is not None:
                callback()

    def close(self) -> None:
        """Put everything back as it was."""
        self._watcher.stop()
        for signum, previous in self._previous.items():
            signal.signal(signum, signal.SIG_DFL if previous is None else previous)
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._reader)
        os.close(self._writer)

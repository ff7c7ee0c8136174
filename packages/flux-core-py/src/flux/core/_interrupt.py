"""Ctrl-C while a reactor runs: KeyboardInterrupt once the callback that is running has returned."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from flux import _sigint
from flux.core.watchers import SignalWatcher

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.core.reactor import Reactor


@contextmanager
def interruptible(flux_handle: Flux, reactor: Reactor) -> Iterator[None]:
    """Return a context for a run of a reactor, which SIGINT stops.

    Outside the main thread, which alone receives signals, it does nothing.

    Args:
        flux_handle: The handle to watch for the signal with.
        reactor: The reactor.

    Raises:
        KeyboardInterrupt: SIGINT was received.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        # None stands for a handler that was not installed from Python and could not be put back.
        or signal.getsignal(signal.SIGINT) is None
    ):
        yield
        return
    if _sigint.take_noted():
        raise KeyboardInterrupt
    interrupted = False

    def interrupt(*_args: Any) -> None:
        nonlocal interrupted
        interrupted = True
        reactor.stop()

    watcher = SignalWatcher(flux_handle, signal.SIGINT, interrupt).unref()
    take = partial(reactor.take_signal, watcher)
    watcher.start()
    _sigint.noted.append(take)
    try:
        yield
    finally:
        _sigint.noted.remove(take)
        watcher.stop()
        # It may have come in the last callback.
        interrupted = take() or interrupted
    if interrupted:
        raise KeyboardInterrupt from flux_handle.set_exception(None)

"""Waiting, in the reactor, for a child process to end."""

from __future__ import annotations

import os
import subprocess
import threading
from typing import Any, Callable

from flux.constants import FLUX_POLLIN
from flux.core.handle import Flux

#: Whether the system has descriptors for processes, which poll readable when they have ended.
HAVE_PIDFD = hasattr(os, "pidfd_open")


class ExitWatch:
    """Calls back, once, when a child process has ended.

    Where the system has no descriptors for processes, a thread waits for each.

    Args:
        handle: The handle whose reactor is meant.
        process: The process.
        callback: Called when it has ended; it is reaped by `subprocess.Popen.poll`.
        pidfd: Whether to use a descriptor for the process.

    Raises:
        OSError: There is no descriptor left.
    """

    def __init__(
        self,
        handle: Flux,
        process: subprocess.Popen[Any],
        callback: Callable[[], Any],
        pidfd: bool = HAVE_PIDFD,
    ) -> None:
        self._callback = callback
        self._thread: threading.Thread | None = None
        if pidfd:
            self._fd = os.pidfd_open(process.pid)
        else:
            self._fd, writer = os.pipe()
            self._thread = threading.Thread(target=_wait, args=(process, writer), daemon=True)
            self._thread.start()
        self._watcher = handle.fd_watcher_create(
            self._fd, lambda *_args: self._ended(), FLUX_POLLIN
        )
        self._watcher.start()

    def _ended(self) -> None:
        self.stop()
        self._callback()

    def stop(self) -> None:
        """Wait no more.  Without a process descriptor, only after the process has ended."""
        if self._fd >= 0:
            self._watcher.stop()
            if self._thread is not None:
                self._thread.join()
            os.close(self._fd)
            self._fd = -1


def _wait(process: subprocess.Popen[Any], writer: int) -> None:
    process.wait()
    # The end of file is the sign.
    os.close(writer)

"""Waiting, in the reactor, for a child process to end."""

from __future__ import annotations

import os
import subprocess
from typing import Any, Callable

from flux.constants import FLUX_POLLIN
from flux.core.handle import Flux
from flux.core.watchers import Watcher

#: Whether the system has descriptors for processes, which poll readable when they have ended.
HAVE_PIDFD = hasattr(os, "pidfd_open")

#: Seconds between looks at a process that there is no descriptor for.
POLL_INTERVAL = 0.02

#: The wait status that stands for one that was lost: exit code 1, as success is not known.
UNKNOWN_STATUS = 1 << 8


class ExitWatch:
    """Calls back, once, when a child process has ended.

    The process stays a zombie where the system can tell of its end without reaping it, so that its
    process group stays ours.

    Args:
        handle: The handle whose reactor is meant.
        process: The process.
        callback: Called with the wait status; with `UNKNOWN_STATUS` if the process was reaped by
            somebody else.
        pidfd: Whether to use a descriptor for the process, if there is one to be had.
    """

    def __init__(
        self,
        handle: Flux,
        process: subprocess.Popen[Any],
        callback: Callable[[int], Any],
        pidfd: bool = HAVE_PIDFD,
    ) -> None:
        self._process = process
        self._callback = callback
        self._fd = -1
        self._watcher: Watcher
        if pidfd:
            try:
                self._fd = os.pidfd_open(process.pid)
            except OSError:
                # None is left, or the kernel is an old one.
                pass
        if self._fd >= 0:
            self._watcher = handle.fd_watcher_create(self._fd, self._look, FLUX_POLLIN)
        else:
            self._watcher = handle.timer_watcher_create(
                POLL_INTERVAL, self._look, repeat=POLL_INTERVAL
            )
        self._watcher.start()

    def _look(self, *_args: Any) -> None:
        status = _wait_status(self._process)
        if status is not None:
            self.stop()
            self._callback(status)

    def stop(self) -> None:
        """Wait no more."""
        self._watcher.stop()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _wait_status(process: subprocess.Popen[Any]) -> int | None:
    """Return the wait status of a process, None if it has not ended."""
    if not hasattr(os, "waitid"):
        returncode = process.poll()
        if returncode is None:
            return None
        return -returncode if returncode < 0 else returncode << 8
    try:
        info = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except OSError:
        # Somebody else has reaped it, a handler of SIGCHLD perhaps, and nobody can tell any more
        # how it ended.  To ask again would be to ask for ever, whatever the error is.
        return UNKNOWN_STATUS
    if info is None:
        return None
    if info.si_code == os.CLD_EXITED:
        return info.si_status << 8
    return info.si_status | (0x80 if info.si_code == os.CLD_DUMPED else 0)

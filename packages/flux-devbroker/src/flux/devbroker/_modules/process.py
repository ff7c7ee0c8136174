"""The process of a module: a loader, with its end of the module's channel."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from typing import Callable

from flux.core.handle import Flux
from flux.devbroker._exit import ExitWatch

#: What the system says of a program that is not one.  All else is about this process.
_NOT_A_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP)

#: Exit code that flux(1) has for a command that there is not.
NO_COMMAND = 1


class Loader:
    """A running loader, in a process group of its own.

    Args:
        handle: The handle whose reactor watches it.
        word: What to call it.
        ended: Called once it has ended.

    Attributes:
        pid: Its process id, 0 if there was none.
        returncode: As of `subprocess.Popen`; None until it has ended.
    """

    def __init__(self, handle: Flux, word: str, ended: Callable[[], None]) -> None:
        self.word = word
        self.pid = 0
        self.returncode: int | None = None
        self._handle = handle
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: ExitWatch | None = None

    def start(self, argv: list[str] | None, env: dict[str, str], channel: socket.socket) -> bool:
        """Start it.

        Args:
            argv: Its words; None if there is no such loader.
            env: Its environment, less what tells of the channel.
            channel: Its end of the channel.

        Returns:
            False if there is no such program, which is then as one that has ended.

        Raises:
            OSError: There is no room for a process.
            ValueError: A word has a NUL in it.
        """
        if argv is None:
            return self._missing(f"`{self.word}' is not a flux command.  See 'flux --help'")
        fd = channel.fileno()
        try:
            self._process = subprocess.Popen(
                argv,
                env={**env, "FLUX_MODULE_URI": f"fd://{fd}"},
                stdin=subprocess.DEVNULL,
                pass_fds=(fd,),
                # Out of reach of a terminal's Ctrl-C, and signalled with all that it starts.
                start_new_session=True,
            )
        except OSError as exc:
            if exc.errno in _NOT_A_PROGRAM:
                return self._missing(f"{argv[0]}: {exc.strerror}")
            raise
        self.pid = self._process.pid
        self._watch = ExitWatch(self._handle, self._process, self._has_ended)
        return True

    def _missing(self, text: str) -> bool:
        # It is flux(1) that says so with the original, on the broker's standard error.
        sys.stderr.write(f"flux: {text}\n")
        sys.stderr.flush()
        self.returncode = NO_COMMAND
        return False

    def _has_ended(self, _status: int) -> None:
        assert self._process is not None
        # What it has left in its group ends with it.
        self.kill()
        self.returncode = self._process.wait()
        self._ended()

    def kill(self) -> None:
        """Send SIGKILL to it and to all in its group."""
        if self._process is not None and self.returncode is None:
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                # None are left, or none but zombies.
                pass

    def destroy(self) -> None:
        """Kill it and wait for that; nobody is told."""
        if self._process is not None and self.returncode is None:
            self.kill()
            self.returncode = self._process.wait()
            if self._watch is not None:
                self._watch.stop()

    def failure(self) -> str:
        """Return how it ended without a word from the module."""
        code = self.returncode
        assert code is not None
        if code < 0:
            return f"loader ({self.word}) killed by {signal.strsignal(-code) or f'signal {-code}'}"
        text = f"loader ({self.word}) exited with exit code {code}"
        return text if code else f"{text} but did not report module status"

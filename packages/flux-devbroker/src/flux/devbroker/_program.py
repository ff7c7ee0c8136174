"""Programs that the broker runs in its life: the initial program, and cleanup commands."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import Callable, NamedTuple

from flux.devbroker._hints import hint
from flux.devbroker._signals import SignalPipe

#: Exit codes of a program that cannot be run, as a shell has them.
NOT_FOUND = 127
NOT_EXECUTABLE = 126

#: Errors that are about the program, and not about what there is room for.
_OWN_FAULT = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.ENAMETOOLONG)

#: What the first, the second and every further call of `Program.hang_up` sends.
_URGENCY = (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL)


class Result(NamedTuple):
    """How a program ended."""

    code: int
    text: str


class Program:
    """A program to run.

    Args:
        argv: Its words.
        text: What to call it in the log.
    """

    def __init__(self, argv: list[str], text: str | None = None) -> None:
        self.argv = argv
        self.text = " ".join(argv) if text is None else text
        self._process: subprocess.Popen[bytes] | None = None
        self._error: OSError | None = None
        self._started = 0.0
        self._hung_up = False
        self._own_group = False

    @classmethod
    def shell(cls, command: str) -> Program:
        """Return a shell command."""
        return cls([_shell(), "-c", command], command)

    @classmethod
    def initial(cls, words: list[str]) -> Program:
        """Return the initial program that a command line asks for.

        Several words are run as they are, and so is one that is the path of a program; any other
        single word is a shell command.  None at all stands for an interactive shell.

        Raises:
            ValueError: There is no terminal for an interactive shell.
        """
        if not words:
            if not sys.stdin.isatty():
                raise ValueError("stdin is not a tty - can't run interactive shell")
            return cls([_shell()])
        if len(words) == 1:
            word = words[0]
            if not (os.path.isfile(word) and os.access(word, os.X_OK)):
                return cls.shell(word)
        return cls(words)

    def start(
        self, env: dict[str, str], signals: SignalPipe, done: Callable[[Result], None]
    ) -> None:
        """Start it.

        Args:
            env: Its environment.
            signals: What tells of children.
            done: Called when it has ended.
        """
        self._started = time.monotonic()
        signals.catch(signal.SIGCHLD, lambda: self._look(done))
        # At a terminal it stays in the group that the terminal sends its signals to.
        self._own_group = not os.isatty(0)
        try:
            self._process = subprocess.Popen(self.argv, env=env, start_new_session=self._own_group)
        except OSError as exc:
            self._error = exc
            # Told in the way of any other end, when the caller is ready for it.
            signal.raise_signal(signal.SIGCHLD)

    def _look(self, done: Callable[[Result], None]) -> None:
        """See whether the program has ended."""
        took = f"{time.monotonic() - self._started:.1f}s"
        if self._error is not None:
            error, self._error = self._error, None
            code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
            why = error.strerror if error.errno in _OWN_FAULT else hint(error)
            how = f"error launching process: {why}"
        elif self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            self._process = None
            code = status if status >= 0 else 128 - status
            how = "Exited" if status >= 0 else signal.strsignal(-status) or "Killed"
            if self._hung_up and not code:
                # It was not done, whatever it says.
                code = 1
                how = "aborted after exit with rc=0"
        else:
            return
        done(Result(code, f"{self.text} {how} (rc={code}) {took}"))

    def hang_up(self, times: int) -> None:
        """Tell the program to end.

        Args:
            times: How often that was asked for, which makes it more urgent.
        """
        self._hung_up = True
        self._signal(_URGENCY[min(times, len(_URGENCY)) - 1])

    def _signal(self, signum: int) -> None:
        if self._process is not None and self._process.poll() is None:
            if self._own_group:
                os.killpg(self._process.pid, signum)
            else:
                self._process.send_signal(signum)

    def kill(self) -> None:
        """End the program at once, and wait for that."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def _shell() -> str:
    return os.environ.get("SHELL") or "/bin/sh"

"""`Task`: one real process of a job, its pipes, and whatever it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import Any, Callable

from flux.constants import FLUX_POLLIN, FLUX_POLLOUT
from flux.core.handle import Flux
from flux.core.watchers import FDWatcher, Watcher
from flux.devbroker._exit import ExitWatch

#: Bytes to read from a pipe at a time.
READ_SIZE = 64 * 1024

#: Bytes that may wait for a task to read them from its standard input.
MAX_STDIN = 16 * 1024 * 1024

STREAMS = ("stdout", "stderr")

#: Where processes run whose working directory is not there.
FALLBACK_DIRECTORY = "/tmp"


class Task:
    """A process, in a session and process group of its own.

    It is complete when the process has exited and its output pipes are closed.  What is left of
    its process group then is killed.

    Args:
        handle: The handle whose reactor is meant.
        rank: Its number within the job.
        output: Called with the task, the name of a stream and what came; nothing at the end.
        exited: Called when the process has exited.
        completed: Called when there is nothing left of it.

    Attributes:
        rank: Its number within the job.
        pid: Its process id.
        status: Its wait status; None until it has exited.
        complete: Whether nothing is left of it.
    """

    def __init__(
        self,
        handle: Flux,
        rank: int,
        output: Callable[[Task, str, bytes], None],
        exited: Callable[[Task], None],
        completed: Callable[[Task], None],
    ) -> None:
        self.rank = rank
        self.pid = 0
        self.status: int | None = None
        self._handle = handle
        self._output = output
        self._exited = exited
        self._completed = completed
        self._process: subprocess.Popen[bytes]
        self._readers: dict[str, FDWatcher] = {}
        self._stdin: int | None = None
        self._stdin_watcher: Watcher | None = None
        self._stdin_data = bytearray()
        self._stdin_closing = False
        self.complete = False
        #: Called with why, if the broker cannot serve it any longer.
        self.on_failure: Callable[[str], Any] = lambda _text: None

    def start(self, argv: list[str], env: dict[str, str], cwd: str, files: dict[str, Any]) -> None:
        """Start the process.

        Args:
            argv: Its words.
            env: Its environment.
            cwd: Its working directory.
            files: Open files to use in place of pipes, by the name of the stream.

        Raises:
            OSError: It cannot be run.
            ValueError: A word or variable has a NUL in it.
        """
        pipe = subprocess.PIPE
        process = self._process = subprocess.Popen(
            argv,
            env=env,
            cwd=cwd,
            stdin=files.get("stdin", pipe),
            stdout=files.get("stdout", pipe),
            stderr=files.get("stderr", pipe),
            bufsize=0,
            start_new_session=True,
        )
        self.pid = process.pid
        for name in STREAMS:
            file = getattr(process, name)
            if file is not None:
                self._read_from(name, file.fileno())
        if process.stdin is not None:
            self._stdin = process.stdin.fileno()
            os.set_blocking(self._stdin, False)
        ExitWatch(self._handle, process, self._has_exited)

    # -- the end

    def _has_exited(self, status: int) -> None:
        self.status = status
        self._close_stdin()
        self._exited(self)
        self._check_complete()

    def _check_complete(self) -> None:
        if self.status is None or self._readers:
            return
        self.signal(signal.SIGKILL)
        self._process.wait()
        self.complete = True
        self._completed(self)

    def signal(self, signum: int) -> None:
        """Send a signal to the process and to all that it has started and kept in its group."""
        try:
            os.killpg(self.pid, signum)
        except (ProcessLookupError, PermissionError):
            # None are left, or none but zombies.
            pass

    def _give_up(self, text: str) -> None:
        """Have it end by SIGKILL: its pipes cannot be served."""
        self._close_stdin()
        for name in tuple(self._readers):
            self._readers.pop(name).stop()
            getattr(self._process, name).close()
        self.signal(signal.SIGKILL)
        self.on_failure(text)
        self._check_complete()

    def abandon(self) -> None:
        """Wait no more for those who hold the pipes open, if the process has exited."""
        if self.status is not None and self._readers:
            for name in tuple(self._readers):
                self._readers.pop(name).stop()
                getattr(self._process, name).close()
                self._output(self, name, b"")
            self._check_complete()

    # -- output

    def _read_from(self, name: str, fd: int) -> None:
        os.set_blocking(fd, False)
        watcher = self._handle.fd_watcher_create(
            fd, lambda *_args: self._read(name, fd), FLUX_POLLIN, self._give_up
        )
        self._readers[name] = watcher
        watcher.start()

    def _read(self, name: str, fd: int) -> bool:
        """Read once; return False if there was nothing."""
        try:
            data = os.read(fd, READ_SIZE)
        except BlockingIOError:
            return False
        if not data:
            self._readers.pop(name).stop()
            getattr(self._process, name).close()
        self._output(self, name, data)
        if not data:
            self._check_complete()
        return True

    def pause(self) -> None:
        """Read no output for now, so that the process has to wait."""
        for watcher in self._readers.values():
            watcher.stop()

    def resume(self) -> None:
        """Read output again."""
        for watcher in self._readers.values():
            watcher.start()

    # -- input

    def write(self, data: bytes) -> None:
        """Have the process read something from its standard input."""
        if self._stdin is not None and not self._stdin_closing:
            self._stdin_data += data
            self._write()

    def end_input(self) -> None:
        """Close its standard input, after what is still to be read."""
        self._stdin_closing = True
        self._write()

    def has_room(self, size: int) -> bool:
        """Return True if there is room for more input."""
        return len(self._stdin_data) + size <= MAX_STDIN

    def _write(self) -> None:
        if self._stdin is None:
            return
        try:
            while self._stdin_data:
                del self._stdin_data[: os.write(self._stdin, self._stdin_data)]
        except BlockingIOError:
            if self._stdin_watcher is None:
                self._stdin_watcher = self._handle.fd_watcher_create(
                    self._stdin, lambda *_args: self._write(), FLUX_POLLOUT, self._give_up
                )
                self._stdin_watcher.start()
            return
        except OSError:
            # It reads no more.
            self._stdin_closing = True
        if self._stdin_closing:
            self._close_stdin()
        elif self._stdin_watcher is not None:
            self._stdin_watcher.stop()
            self._stdin_watcher = None

    def _close_stdin(self) -> None:
        if self._stdin is None:
            return
        if self._stdin_watcher is not None:
            self._stdin_watcher.stop()
            self._stdin_watcher = None
        self._stdin = None
        self._stdin_data.clear()
        assert self._process.stdin is not None
        self._process.stdin.close()

"""A broker process, as the process sees it that asked for it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Hashable
from typing import Any

from _flux.boot import command
from flux.devbroker._launch import surroundings

#: Seconds for a broker to start, which takes it less than one.
START_TIMEOUT = 30.0

#: Seconds for a broker to end before it is killed.
STOP_TIMEOUT = 10.0

#: Whether there can be a warm parent: elsewhere than on Linux a fork without exec may crash in
#: libraries of the system, and there is no safe way to ask for the umask.
CAN_WARM = sys.platform == "linux"

_READ_SIZE = 1 << 16


class LaunchError(Exception):
    """The warm parent could not be started, or went away; the text says which."""


class Process:
    """A broker process.

    Args:
        line: The socket that is its standard input and output.

    Attributes:
        pid: The process.
        returncode: As that of `subprocess.Popen`, once it has ended; 0 also where nobody can tell.
    """

    pid: int

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._owner = os.getpid()
        self.returncode = 0
        _processes.add(self)

    @property
    def is_ours(self) -> bool:
        """False in a fork of the process that started it, to which it doesn't belong."""
        return self._owner == os.getpid()

    def exchange(self, options: dict[str, Any]) -> bytes:
        """Give the broker its options and wait until it is ready.

        Returns:
            What it says then; b"" if it ends instead.

        Raises:
            TimeoutError: It is not ready within `START_TIMEOUT`.
        """
        self._line.settimeout(START_TIMEOUT)
        answer = b""
        try:
            self._line.sendall(json.dumps(options).encode() + b"\n")
            while not answer.endswith(b"\n"):
                data = self._line.recv(_READ_SIZE)
                if not data:
                    return b""
                answer += data
        except (BrokenPipeError, ConnectionResetError):
            return b""
        except socket.timeout:
            raise TimeoutError(f"the broker did not start within {START_TIMEOUT:g} s") from None
        return answer

    def end(self) -> None:
        """Tell the broker to end and wait until it has, killing it if it does not.

        Doing so again is harmless.

        Raises:
            TimeoutError: It had to be killed.
        """
        if self._line.fileno() < 0:
            return
        try:
            self._line.settimeout(STOP_TIMEOUT)
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_WR)
            try:
                # No other process has the other end of the line.
                while self._line.recv(_READ_SIZE):
                    pass
            except ConnectionResetError:
                # Options that a broker which is gone had not read.
                pass
            except socket.timeout:
                raise TimeoutError(f"the broker did not end within {STOP_TIMEOUT:g} s") from None
        except BaseException:
            self.kill()
            raise
        finally:
            self.returncode = self._reap()
            self.close()

    def kill(self) -> None:
        """Kill the broker, unless it was waited for.  Until then its pid stays its own."""
        if self._line.fileno() >= 0:
            os.kill(self.pid, signal.SIGKILL)

    def _reap(self) -> int:
        raise NotImplementedError

    def close(self) -> None:
        """Hold nothing of it any more."""
        self._line.close()


class _Spawned(Process):
    """A child of this process, with an interpreter of its own."""

    def __init__(self, line: socket.socket, theirs: socket.socket, stderr: int) -> None:
        super().__init__(line)
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command("flux.devbroker._launch.child"),
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=stderr,
            # A terminal's Ctrl-C is for the program that uses the broker, which then stops it.
            start_new_session=True,
        )
        self.pid = self._process.pid

    def kill(self) -> None:
        self._process.kill()

    def _reap(self) -> int:
        return self._process.wait()


class _Forked(Process):
    """A fork of the warm parent, which tells us how it ended.

    Args:
        line: As for `Process`.
        watch: Where the parent tells it.

    Raises:
        LaunchError: The parent does not answer.
        OSError: It cannot fork.
    """

    def __init__(self, line: socket.socket, watch: socket.socket) -> None:
        watch.settimeout(STOP_TIMEOUT)
        self._watch = watch
        self._told = watch.makefile("rb", 0)
        with contextlib.suppress(OSError):
            self.pid = int(self._told.readline() or b"0")
        if not getattr(self, "pid", 0):
            self._told.close()
            raise LaunchError("the warm parent has ended")
        if self.pid < 0:
            self._told.close()
            raise OSError(-self.pid, f"cannot fork a broker: {os.strerror(-self.pid)}")
        super().__init__(line)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):  # Without the parent, nothing holds the pid.
            super().kill()

    def _reap(self) -> int:
        status = b""
        with contextlib.suppress(OSError):
            status = self._told.readline()
            # Now the parent may reap it, which it has when it closes its end.
            self._watch.shutdown(socket.SHUT_WR)
            self._told.read()
        # Without the parent nobody knows.
        return int(status or b"0")

    def close(self) -> None:
        super().close()
        self._told.close()
        self._watch.close()


class _Parent:
    """The warm parent of this process, as far as there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identity: Hashable = None
        self._control: socket.socket | None = None

    def control(self, stderr: int) -> tuple[socket.socket, bool]:
        """Return the parent's control, and whether it was started for that.

        Args:
            stderr: Where a new one is to write what keeps it from starting.
        """
        identity = surroundings.identity()
        with self._lock:
            if self._control is not None and self._identity == identity:
                return self._control, False
            self._close()
            self._control = _start(stderr)
            self._identity = identity
            return self._control, True

    def forget(self, control: socket.socket | None = None) -> None:
        """Let it end, as it does when its control is closed: any, or the one of this control."""
        with self._lock:
            if control in (None, self._control):
                self._close()

    def after_fork(self) -> None:
        """In a fork: it belongs to the other process alone, and is not to wait for this one."""
        self._lock = threading.Lock()
        self._close()

    def _close(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            control.close()


_parent = _Parent()
_processes: weakref.WeakSet[Process] = weakref.WeakSet()


def launch(stderr: int, warm: bool) -> tuple[Process, dict[str, Any] | None]:
    """Start a process that is to become a broker when it gets its options.

    Args:
        stderr: Descriptor that is to be its standard error.
        warm: Whether to have the warm parent fork it, if there can be one.

    Returns:
        The process, and what it is to take over from this one, if it doesn't by itself.

    Raises:
        LaunchError: There is no warm parent, and none can be started.
        OSError: The process cannot be made.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            if not (warm and CAN_WARM):
                return _Spawned(ours, theirs, stderr), None
            return _fork(ours, theirs, stderr), surroundings.capture()
    except BaseException:
        ours.close()
        raise


def warm_up() -> None:
    """Start the warm parent now, unless there is one or can't be.

    Raises:
        LaunchError: It cannot be started.
        OSError: The process cannot be made.
    """
    if CAN_WARM:
        _parent.control(subprocess.DEVNULL)


def cool_down() -> None:
    """Let the warm parent end.  The brokers that it has forked go on, until they are stopped."""
    _parent.forget()


def _fork(ours: socket.socket, theirs: socket.socket, stderr: int) -> Process:
    directory = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        while True:
            control, new = _parent.control(stderr)
            watch, parents = socket.socketpair()
            with parents, contextlib.suppress(OSError):
                fds = [theirs.fileno(), stderr, directory, parents.fileno()]
                socket.send_fds(control, [b"\0"], fds)
            try:
                return _Forked(ours, watch)
            except OSError:
                watch.close()
                raise
            except LaunchError:
                # Somebody has killed it.
                watch.close()
                _parent.forget(control)
                if new:
                    raise
    finally:
        os.close(directory)


def _start(stderr: int) -> socket.socket:
    ours, theirs = socket.socketpair()
    with theirs:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command("flux.devbroker._launch.warm"),
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            start_new_session=True,
        )
    ours.settimeout(START_TIMEOUT)
    try:
        ready = ours.recv(1)
    except socket.timeout:
        process.kill()
        ready = b""
    # What was started has gone on as another process, and has ended.
    process.wait()
    if not ready:
        ours.close()
        raise LaunchError("the warm parent of the brokers did not start")
    return ours


def _after_fork() -> None:
    _parent.after_fork()
    for process in _processes:
        process.close()


atexit.register(_parent.forget)
os.register_at_fork(after_in_child=_after_fork)

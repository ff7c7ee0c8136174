"""`Broker`: a development broker in a process of its own, for tests and tools."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
import weakref
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from flux.core.handle import Flux
from flux.devbroker._rundir import make_private_directory

if TYPE_CHECKING:
    from typing_extensions import Self

#: Seconds for a broker to start, which takes it less than one.
START_TIMEOUT = 30.0

#: Seconds for a broker to end before it is killed.
STOP_TIMEOUT = 10.0

#: Bytes of the broker's standard error that an error message shows, from its end.
MAX_STDERR = 4096


class BrokerError(Exception):
    """The broker could not be started, or ended when nobody had asked it to.

    Attributes:
        stderr: What it wrote to its standard error.
    """

    def __init__(self, text: str, stderr: str) -> None:
        super().__init__(text, stderr)
        self.stderr = stderr

    def __str__(self) -> str:
        text, stderr = self.args
        shown = stderr[-MAX_STDERR:].strip()
        return f"{text}\n{shown}" if shown else str(text)


class Broker:
    """A development broker, running from now on until `stop`.

    It ends with the process that started it, however that ends.  As a context manager it is
    stopped on exit.

    Example:
        >>> with Broker(config={"tbon": {"topo": "kary:2"}}) as broker:
        ...     broker.handle().conf_get("tbon.topo")
        'kary:2'

    Args:
        config: The configuration.
        attributes: Attributes to set, as on the command line of a broker.
        log_level: Least urgent severity of the log lines that go to standard error, 0 to 7.
        allow_guests: Admit other users: ``access.allow-guest-user`` of the configuration.

    Attributes:
        uri: Where to connect.
        pid: The broker's process.

    Raises:
        BrokerError: It cannot be started.
        OSError: Its directory or process cannot be made.
    """

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        attributes: dict[str, str] | None = None,
        log_level: int | None = None,
        allow_guests: bool = False,
    ) -> None:
        config = dict(config or {})
        if allow_guests:
            config["access"] = {**config.get("access", {}), "allow-guest-user": True}
        attributes = dict(attributes or {})
        if log_level is not None:
            attributes["log-stderr-level"] = str(log_level)
        rundir = None
        if "rundir" not in attributes:
            # Made here, so that it can be removed here whatever becomes of the broker.
            rundir = attributes["rundir"] = make_private_directory()
            attributes["rundir-cleanup"] = "1"
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the broker
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._start({"attributes": attributes, "config": config}, rundir)
        except BaseException:
            self._stderr.close()
            if rundir is not None:
                shutil.rmtree(rundir, ignore_errors=True)
            raise

    def _start(self, options: dict[str, Any], rundir: str | None) -> None:
        request = json.dumps(options).encode() + b"\n"
        process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-m", "flux.devbroker", "broker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            # A terminal's Ctrl-C is for the program that uses the broker, which then stops it.
            start_new_session=True,
        )
        self._finalizer = weakref.finalize(self, _end, process, rundir, self._stderr)
        try:
            line = _exchange(process, request)
            if not line:
                status = _status(process.wait(STOP_TIMEOUT))
                raise BrokerError(f"the broker did not start ({status})", self._read_stderr())
        except BaseException:
            process.kill()
            self._finalizer()
            raise
        ready = json.loads(line)
        self.uri: str = ready["uri"]
        self._path: str = ready["path"]
        self.pid = process.pid
        self._process = process

    # -- using it

    def handle(self, flags: int = 0) -> Flux:
        """Return a new connection to the broker.

        Args:
            flags: ``FLUX_O_*`` flags, see `flux.Flux`.
        """
        return Flux(self.uri, flags)

    @property
    def environ(self) -> dict[str, str]:
        """The environment for programs that are to use the broker.

        It is this process's own with ``FLUX_URI``, and a ``PATH`` on which ``flux`` is the command
        of this package.
        """
        env = dict(os.environ, FLUX_URI=self.uri)
        env["PATH"] = os.pathsep.join((self._path, env.get("PATH") or os.defpath))
        return env

    @property
    def stderr(self) -> str:
        """What the broker has written to its standard error so far."""
        return self._read_stderr()

    def _read_stderr(self) -> str:
        if self._stderr.closed:
            return self._last_stderr
        # With its own offset: the broker writes with the same one as this descriptor.
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), size, 0).decode("utf-8", "replace")

    _last_stderr = ""

    # -- ending it

    def stop(self) -> None:
        """End the broker, and wait until nothing is left of it.  Doing so again is harmless.

        Raises:
            BrokerError: It ended with an error, now or before.
        """
        self._finish(kill=False)

    def kill(self) -> None:
        """End the broker as a crash would, and remove what is left of it."""
        self._finish(kill=True)

    def _finish(self, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        self._last_stderr = ""
        _hang_up(process)
        self._last_stderr = self._read_stderr()
        self._finalizer()
        if kill:
            return
        if process.returncode:
            text = f"the broker failed ({_status(process.returncode)})"
            raise BrokerError(text, self._last_stderr)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if exc is None:
            self.stop()
        else:
            # What went wrong with the broker must not hide what went wrong before.
            try:
                self.stop()
            except BrokerError:
                pass


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """Give a broker its options and wait until it says that it is ready; b"" if it ends instead.

    Its standard input stays open: at the end of it the broker ends.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        return b""
    with process.stdout as stdout, selectors.DefaultSelector() as selector:
        selector.register(stdout, selectors.EVENT_READ)
        if not selector.select(START_TIMEOUT):
            raise TimeoutError(f"the broker did not start within {START_TIMEOUT:g} s")
        return stdout.readline()


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    """Close a broker's standard input and wait for it to end, killing it if it does not."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                # Options that a broker which is gone had not read.
                pass
    try:
        process.wait(STOP_TIMEOUT)
    except BaseException:
        process.kill()
        process.wait()
        raise


def _end(process: subprocess.Popen[bytes], rundir: str | None, stderr: IO[bytes]) -> None:
    """Leave nothing behind, also where nobody called `Broker.stop`."""
    try:
        _hang_up(process)
    except subprocess.TimeoutExpired:
        pass
    if rundir is not None:
        shutil.rmtree(rundir, ignore_errors=True)
    stderr.close()


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"

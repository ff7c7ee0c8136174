"""`Broker`: a development broker in a process of its own, for tests and tools."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from flux.core.handle import Flux
from flux.devbroker._hints import explained
from flux.devbroker._launch import LaunchError, Process, launch
from flux.devbroker._rundir import make_private_directory

if TYPE_CHECKING:
    from typing_extensions import Self

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
    stopped on exit.  In a fork of that process it can be used, but not stopped.

    The first one of a process starts a warm parent as well, a process that has imported all that a
    broker needs and forks one in a few milliseconds.

    Example:
        >>> with Broker(config={"tbon": {"topo": "kary:2"}}) as broker:
        ...     broker.handle().conf_get("tbon.topo")
        'kary:2'

    Args:
        config: The configuration.
        attributes: Attributes to set, as on the command line of a broker.
        log_level: Least urgent severity of the log lines that go to standard error, 0 to 7.
        allow_guests: Admit other users: ``access.allow-guest-user`` of the configuration.
        warm: False for a broker that is a child of this process and has an interpreter of its own,
            which takes longer to start.  So is each on systems other than Linux.

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
        warm: bool = True,
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
        self._process: Process | None = None
        try:
            self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the broker
        except OSError as exc:
            if rundir is not None:
                shutil.rmtree(rundir, ignore_errors=True)
            raise explained(exc, "cannot make a file for the broker's standard error") from None
        try:
            self._start({"attributes": attributes, "config": config}, rundir, warm)
        except OSError as exc:
            self._abandon(rundir)
            raise explained(exc, "cannot start a broker") from None
        except BaseException:
            self._abandon(rundir)
            raise

    def _abandon(self, rundir: str | None) -> None:
        self._stderr.close()
        if rundir is not None:
            shutil.rmtree(rundir, ignore_errors=True)

    def _start(self, options: dict[str, Any], rundir: str | None, warm: bool) -> None:
        try:
            process, surroundings = launch(self._stderr.fileno(), warm)
        except LaunchError as exc:
            raise BrokerError(str(exc), self._read_stderr()) from None
        self._finalizer = weakref.finalize(self, _end, process, rundir, self._stderr)
        try:
            answer = process.exchange({**options, "surroundings": surroundings})
            if not answer:
                process.end()
                status = _status(process.returncode)
                raise BrokerError(f"the broker did not start ({status})", self._read_stderr())
        except BaseException:
            process.kill()
            self._finalizer()
            raise
        ready = json.loads(answer)
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
        if process is None or not process.is_ours:
            return
        if kill:
            process.kill()
        self._last_stderr = ""
        process.end()
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


def _end(process: Process, rundir: str | None, stderr: IO[bytes]) -> None:
    """Leave nothing behind, also where nobody called `Broker.stop`."""
    if process.is_ours:
        try:
            process.end()
        except TimeoutError:
            pass
        if rundir is not None:
            shutil.rmtree(rundir, ignore_errors=True)
    stderr.close()


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"

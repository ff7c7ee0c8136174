"""Brokers to test with: each kind is started, found and ended in the same way."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path

from flux import Flux
from flux.devbroker import Broker
from harness.fluxcore import UnavailableError, find_flux, official_environ

#: Seconds for an instance of flux-core to start, and to end.
START_LIMIT = 60.0
STOP_LIMIT = 60.0

_KEEPER = Path(__file__).with_name("keeper.py")


class InstanceError(Exception):
    """An instance did not start, or did not end well."""


class Instance(ABC):
    """A running Flux instance.

    Attributes:
        uri: Where rank 0 listens.
        environ: The environment for programs that are to use it.
        flux: Path of its ``flux`` command.
    """

    uri: str
    environ: dict[str, str]
    flux: str

    @abstractmethod
    def stop(self) -> None:
        """End it and wait until nothing is left of it.

        Raises:
            InstanceError: It failed.
        """

    @abstractmethod
    def crash(self) -> None:
        """End its leader as a crash would, and wait until nothing is left of the instance."""


class DevBroker(Instance):
    """The development broker.

    Args:
        rundir: The directory of its socket; None for one of its own.
    """

    def __init__(self, rundir: str | None = None) -> None:
        self._broker = Broker(attributes={} if rundir is None else {"rundir": rundir})
        self.uri = self._broker.uri
        self.environ = self._broker.environ
        flux = shutil.which("flux", path=self.environ["PATH"])
        assert flux is not None
        self.flux = flux

    def stop(self) -> None:
        """End it."""
        self._broker.stop()

    def crash(self) -> None:
        """Kill it."""
        self._broker.kill()


class FluxCore(Instance):
    """An instance of flux-core, started with ``flux start``.

    Args:
        flux: Path of flux-core's ``flux`` command.
        ranks: How many brokers it is to have.
        rundir: The directory of its sockets; None for one of its own.

    Raises:
        InstanceError: It does not start.
    """

    def __init__(self, flux: str, ranks: int = 1, rundir: str | None = None) -> None:
        options = [f"--test-size={ranks}"]
        if rundir is not None:
            options.append(f"--test-rundir={rundir}")
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the instance
        self._process = subprocess.Popen(
            [flux, "start", *options, sys.executable, str(_KEEPER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=official_environ(flux),
            # A terminal's Ctrl-C is for the tests, which then end the instance.
            start_new_session=True,
        )
        try:
            self.uri = self._read_uri()
        except BaseException:
            self._kill()
            self._stderr.close()
            raise
        self.flux = flux
        self.environ = official_environ(flux, self.uri)

    def _read_uri(self) -> str:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            line = self._process.stdout.readline() if selector.select(START_LIMIT) else b""
        if not line:
            raise InstanceError(f"the instance of flux-core did not start\n{self._errors()}")
        return line.decode().strip()

    def _errors(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """End it.  Does nothing after a crash."""
        if self._stderr.closed:
            return
        try:
            status = self._end()
            if status:
                raise InstanceError(f"flux start ended with {status}\n{self._errors()}")
        finally:
            self._stderr.close()

    def crash(self) -> None:
        """Kill its leader, whereupon ``flux start`` ends the others."""
        with Flux(self.uri) as handle:
            os.kill(int(handle.attr_get("broker.pid")), signal.SIGKILL)
        try:
            self._end()
        finally:
            self._stderr.close()

    def _end(self) -> int:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            return self._process.wait(STOP_LIMIT)
        except BaseException:
            self._kill()
            raise

    def _kill(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Given(Instance):
    """An instance that somebody else runs.

    Args:
        uri: Where it listens.
        prefix: The prefix of the flux-core whose command is to be used, if not that on PATH.
    """

    def __init__(self, uri: str, prefix: str | None) -> None:
        self.uri = uri
        try:
            self.flux = find_flux(prefix)
            self.environ = official_environ(self.flux, uri)
        except UnavailableError:
            flux = shutil.which("flux")
            if flux is None:
                raise
            self.flux = flux
            self.environ = dict(os.environ, FLUX_URI=uri)

    def stop(self) -> None:
        """Leave it alone."""

    def crash(self) -> None:
        """Refuse: it is not ours."""
        raise InstanceError(f"{self.uri} is not for the tests to end")

"""A cell of the matrix: what the scenarios know of the broker that they run on."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from flux import Flux
from flux.devbroker import BrokerError
from harness.fluxcore import UnavailableError, find_flux
from harness.instances import DevBroker, FluxCore, Given, Instance, InstanceError

#: Seconds that anything may take.
LIMIT = 30.0

#: What stands before a URI to have it opened through libflux-core.
_LIBFLUX = "libflux+"

#: The module that the scenarios load.
MODULE = Path(__file__).parents[1] / "modules" / "matrix.py"

_SHIM = """\
#!/bin/sh
PYTHONPATH='{path}' exec '{python}' -m flux.brokermod "$@"
"""


def not_applicable(reason: str) -> NoReturn:
    """End a scenario that the cell cannot have.

    Args:
        reason: Why; the same words for the same reason, as the results count them.
    """
    pytest.skip(reason)


class Cell:
    """A broker, a connector and this Python.

    Args:
        broker: ``devbroker``, ``flux-core`` or the URI of a running instance.
        connector: ``native`` or ``libflux``.
        ranks: How many brokers an instance of flux-core is to have.
        prefix: Where flux-core is installed, see `find_flux`.

    Attributes:
        broker: ``devbroker``, ``flux-core`` or ``URI``.
        connector: As given.
        instance: The instance that the scenarios share.
        version: The broker's version.
        size: How many brokers the instance has.
        loader: Path of a module loader of this Python.

    Raises:
        UnavailableError: The cell cannot run here.
    """

    def __init__(
        self, broker: str, connector: str = "native", ranks: int = 1, prefix: str | None = None
    ) -> None:
        self.broker = broker if broker in ("devbroker", "flux-core") else "URI"
        self.connector = connector
        self._flux = find_flux(prefix) if broker == "flux-core" else ""
        if ranks > 1 and broker != "flux-core":
            raise UnavailableError(f"--ranks={ranks} is for --broker=flux-core, not {broker}")
        if connector == "libflux":
            _offer_library(prefix)
        self._scratch = Path(tempfile.mkdtemp(prefix="flux-"))
        try:
            self.loader = self._make_loader()
            if self.broker == "URI":
                self.instance: Instance = Given(broker, prefix)
            else:
                self.instance = self._start(ranks)
        except (BrokerError, InstanceError) as exc:
            shutil.rmtree(self._scratch)
            raise UnavailableError(f"cannot start {broker}: {exc}") from None
        except BaseException:
            shutil.rmtree(self._scratch)
            raise
        try:
            with self.connect() as handle:
                self.version = handle.attr_get("version")
                self.size = int(handle.attr_get("size"))
        except OSError as exc:
            self.close()
            raise UnavailableError(f"cannot connect to {self.uri}: {exc.strerror}") from None

    def _make_loader(self) -> str:
        installed = os.path.join(sysconfig.get_path("scripts"), "flux-brokermod")
        if os.path.exists(installed):
            return installed
        # The distributions are on PYTHONPATH only, which a real broker does not know.
        shim = self._scratch / "loader"
        path = os.environ.get("PYTHONPATH", "")
        shim.write_text(_SHIM.format(path=path, python=sys.executable))
        shim.chmod(0o700)
        return str(shim)

    def _start(self, ranks: int = 1, rundir: str | None = None) -> Instance:
        if self.broker == "devbroker":
            return DevBroker(rundir)
        return FluxCore(self._flux, ranks, rundir)

    # -- the shared instance

    @property
    def uri(self) -> str:
        """Where to connect, by the cell's connector."""
        return self.prefixed(self.instance.uri)

    def prefixed(self, uri: str) -> str:
        """Return a URI for the cell's connector."""
        return _LIBFLUX + uri if self.connector == "libflux" else uri

    def connect(self, instance: Instance | None = None) -> Flux:
        """Return a new handle on an instance, the shared one by default."""
        return Flux(self.prefixed((instance or self.instance).uri))

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the instance's ``flux`` command to its end.

        Args:
            *words: Its arguments.
            check: Fail the test if it fails.
        """
        done = subprocess.run(
            [self.instance.flux, *words],
            env=self.instance.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if check and done.returncode:
            pytest.fail(f"flux {' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
        return done

    def attached(self, *words: str) -> subprocess.Popen[str]:
        """Start ``python -m flux.brokermod`` on the shared instance, through the connector."""
        return subprocess.Popen(
            [sys.executable, "-m", "flux.brokermod", *words],
            env=dict(os.environ, FLUX_URI=self.uri),
            stderr=subprocess.PIPE,
            text=True,
        )

    # -- instances of a scenario's own

    def need_local(self) -> None:
        """End a scenario that must share files and processes with the broker, if it does not."""
        if not self.instance.uri.startswith("local://"):
            not_applicable("the instance is not on this machine")

    def need_ranks(self, count: int) -> None:
        """End a scenario that needs several brokers, if there are fewer."""
        if self.size < count:
            not_applicable(f"needs {count} ranks")

    @contextmanager
    def own_instance(self, rundir: str) -> Iterator[Instance]:
        """Run an instance that a scenario may end.

        Args:
            rundir: The directory of its socket; that of a later instance may be the same.
        """
        if self.broker == "URI":
            not_applicable("would end an instance that is not the tests' own")
        instance = self._start(rundir=rundir)
        try:
            yield instance
        except BaseException:
            # What went wrong here matters more than what goes wrong with the instance now.
            try:
                instance.stop()
            except Exception:
                pass
            raise
        else:
            instance.stop()

    def close(self) -> None:
        """End the shared instance.

        Raises:
            InstanceError: It failed.
            BrokerError: It failed.
        """
        try:
            self.instance.stop()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _offer_library(prefix: str | None) -> None:
    """Have the library of the flux-core that is used found, by us and by the programs we start."""
    # Without a flux-core the library may be in one of the other places where it is looked for.
    with suppress(UnavailableError):
        directory = os.path.dirname(find_flux(prefix))
        os.environ["PATH"] = os.pathsep.join((directory, os.environ.get("PATH", os.defpath)))


def loaded_library() -> str | None:
    """Return the name of the libflux-core file that this process has loaded, None if none."""
    try:
        maps = Path("/proc/self/maps").read_text()
    except OSError:
        return None
    for line in maps.splitlines():
        name = line.rpartition("/")[2]
        if name.startswith("libflux-core.so"):
            return name
    return None


def python_version() -> str:
    """Return this Python's version."""
    return ".".join(map(str, sys.version_info[:3]))


def our_version() -> str:
    """Return the version of our distributions, "source" where they are not installed."""
    try:
        return importlib.metadata.version("flux-core-py")
    except importlib.metadata.PackageNotFoundError:
        return "source"

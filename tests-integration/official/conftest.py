"""Runs programs of flux-core on the development broker, or says once why that cannot be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from flux.devbroker import Broker
from harness.cell import python_version
from harness.fluxcore import UnavailableError, find_flux, official_environ
from harness.official import Official
from harness.results import RESULTS

FLUX = pytest.StashKey[str]()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Find flux-core."""
    config = session.config
    try:
        flux = find_flux(config.option.flux_prefix)
    except UnavailableError as exc:
        raise pytest.UsageError(f"programs of flux-core cannot run: {exc}") from None
    shown = subprocess.check_output([flux, "version"], env=official_environ(flux), text=True)
    versions = dict(line.split(":", 1) for line in shown.splitlines() if ":" in line)
    with Broker() as broker, broker.handle() as handle:
        version = handle.attr_get("version")
    config.stash[FLUX] = flux
    config.stash[RESULTS].cell.update(
        broker="devbroker",
        version=version,
        connector="official",
        ranks=1,
        official=versions["libflux-core"].strip(),
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what runs on what."""
    cell = config.stash[RESULTS].cell
    return (
        f"programs of flux-core {cell['official']}; broker: devbroker {cell['version']}; "
        f"Python of the broker: {python_version()}"
    )


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The broker that the tests share."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def flux(request: pytest.FixtureRequest, broker: Broker) -> Official:
    """Flux-core's ``flux`` command, on the shared broker."""
    return Official(request.config.stash[FLUX], broker)

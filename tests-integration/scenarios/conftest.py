"""Starts the cell that was asked for, or says once why it cannot run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from _flux import _core
from flux import Flux
from harness.cell import Cell, loaded_library, python_version
from harness.fluxcore import UnavailableError
from harness.results import CLOSERS, RESULTS
from harness.service import Service

CELL = pytest.StashKey[Cell]()

_numbers = itertools.count()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the cell."""
    config = session.config
    if config.option.collectonly:
        return
    broker, connector = config.option.broker, config.option.connector
    try:
        cell = Cell(broker, connector, config.option.ranks, config.option.flux_prefix)
    except UnavailableError as exc:
        raise pytest.UsageError(f"cell {broker} x {connector} cannot run: {exc}") from None
    config.stash[CELL] = cell
    config.stash[CLOSERS] = [cell.close]
    config.add_cleanup(cell.close)
    config.stash[RESULTS].cell.update(
        broker=cell.broker, version=cell.version, connector=connector, ranks=cell.size
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out what is special about the other connector."""
    special = collection_path.name == "test_libflux.py"
    return True if special and config.option.connector != "libflux" else None


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what the scenarios run on."""
    cell = config.stash.get(CELL, None)
    if cell is None:
        return None
    # Not asked for otherwise, as that would load it.
    library = _core.library() if loaded_library() else "none loaded"
    return (
        f"broker: {cell.broker} {cell.version}, {cell.size} rank(s); "
        f"connector: {cell.connector}; library: {library}; Python: {python_version()}"
    )


@pytest.fixture(autouse=True)
def _forget(request: pytest.FixtureRequest) -> Iterator[None]:
    """Drop the test's handles before it is seen whether the test has left anything behind."""
    yield
    request.node.funcargs.clear()


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Cell:
    """The cell."""
    return request.config.stash[CELL]


@pytest.fixture
def handle(cell: Cell) -> Iterator[Flux]:
    """A handle of the test's own on the shared instance."""
    with cell.connect() as handle:
        yield handle


@pytest.fixture
def name() -> str:
    """A name for a service or topic that nobody else uses on the instance."""
    return f"scenario-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def service(cell: Cell, name: str) -> Iterator[Service]:
    """A service on a handle of its own, in another thread."""
    service = Service(cell.connect, name)
    yield service
    service.stop()

"""Options and rules of the integration tests.

usage: pytest tests-integration/scenarios [--broker=devbroker|flux-core|URI]
           [--flux-prefix=DIR] [--connector=native|libflux] [--ranks=N] [--results=FILE]
       pytest tests-integration/official [--flux-prefix=DIR] [--results=FILE]

The first runs the scenarios on one cell of the matrix, the second flux-core's own programs on the
development broker.  What was asked for and cannot run is an error.
"""

from __future__ import annotations

import datetime
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flux.devbroker._launch import cool_down
from harness import leftovers
from harness.cell import loaded_library, our_version, python_version
from harness.results import CLOSERS, FAILS, RESULTS, WORKS, Results

MARK = pytest.StashKey[str]()
LEFT = pytest.StashKey[list[leftovers.Process]]()

#: Seconds that a test may take before it is interrupted.
TEST_LIMIT = 50

#: Seconds for what a session started to be gone once it was told to go.
GONE_LIMIT = 10.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options that choose a cell."""
    group = parser.getgroup("flux", "Flux integration tests")
    group.addoption(
        "--broker",
        default="devbroker",
        metavar="devbroker|flux-core|URI",
        help="the broker to run on; default: the development broker",
    )
    group.addoption(
        "--flux-prefix",
        metavar="DIR",
        help="where flux-core is installed; default: the environment variable FLUX_PREFIX, or "
        "the first flux on PATH that is not the development broker's",
    )
    group.addoption(
        "--connector",
        default="native",
        choices=("native", "libflux"),
        help="how to connect: with this project's own connector or through libflux-core",
    )
    group.addoption(
        "--ranks", default=1, type=int, help="how many brokers an instance of flux-core has"
    )
    group.addoption("--results", type=Path, metavar="FILE", help="write results to this file")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, and share with the other tests the check that nothing is left behind."""
    config.addinivalue_line(
        "markers",
        f"command(name, outcome, note): what the test shows of a command of flux-core, "
        f"that it '{WORKS}' or '{FAILS}'",
    )
    results = Results(config.getoption("results"))
    config.stash[RESULTS] = results
    config.pluginmanager.register(results)
    config.stash[MARK] = leftovers.mark()
    path = config.rootpath / "packages" / "conftest.py"
    spec = importlib.util.spec_from_file_location("packages_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config.pluginmanager.register(module)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Complete the results, end what the session shared, and see whether anything outlived it."""
    config = session.config
    config.stash[RESULTS].cell.update(
        python=python_version(),
        ours=our_version(),
        library=loaded_library(),
        date=datetime.date.today().isoformat(),
    )
    yield
    for close in config.stash.get(CLOSERS, []):
        close()
    cool_down()
    left = leftovers.wait_gone(config.stash[MARK], GONE_LIMIT)
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        config.stash[LEFT] = left


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Name what was left behind."""
    for process in terminalreporter.config.stash.get(LEFT, []):
        terminalreporter.write_line(f"left behind: process {process}", red=True)


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    """Interrupt a test that hangs."""

    def expire(_signum: int, _frame: object) -> None:
        pytest.fail(f"took more than {TEST_LIMIT} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(TEST_LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)

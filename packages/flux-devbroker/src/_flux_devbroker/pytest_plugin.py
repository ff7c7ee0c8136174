"""Fixtures for pytest: a fresh development broker for each test that asks for one.

``flux_broker`` is a `flux.devbroker.Broker` and ``flux_handle`` a connection to it.  The arguments
of `Broker` can be given by a mark::

    @pytest.mark.flux_broker(config={"tbon": {"topo": "kary:2"}})
    def test_topology(flux_handle):
        ...
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from flux import Flux
    from flux.devbroker import Broker

__all__ = ["flux_broker", "flux_handle"]


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers", "flux_broker(**options): arguments of the Broker that the test is to get"
    )


def _broker_class() -> type[Broker]:
    """Return `Broker`, imported only now: tests that need none do not wait for that.

    Nor do they fail where another `flux` comes first on the path, as pytest loads this plugin in
    each project.
    """
    try:
        from flux.devbroker import Broker
    except ImportError as exc:
        found = getattr(sys.modules.get("flux"), "__file__", None)
        where = f" (the `flux` that Python found is {found})" if found else ""
        pytest.fail(f"there is no flux.devbroker to start a broker with: {exc}{where}", False)
    return Broker


@pytest.fixture(scope="session")
def _flux_warm_parent() -> Iterator[None]:
    """What forks the brokers: older than any test, so that none is seen to leave it behind."""
    _broker_class()
    from flux.devbroker import _launch

    _launch.warm_up()
    yield
    _launch.cool_down()


@pytest.fixture
def flux_broker(request: pytest.FixtureRequest, _flux_warm_parent: None) -> Iterator[Broker]:
    """A development broker of the test's own.  What it writes to stderr is shown on failure."""
    broker_class = _broker_class()
    options = {}
    for mark in reversed(list(request.node.iter_markers("flux_broker"))):
        options.update(mark.kwargs)
    with broker_class(**options) as broker:
        try:
            yield broker
        finally:
            sys.stderr.write(broker.stderr)


@pytest.fixture
def flux_handle(flux_broker: Broker) -> Iterator[Flux]:
    """A connection to the test's broker."""
    with flux_broker.handle() as handle:
        yield handle

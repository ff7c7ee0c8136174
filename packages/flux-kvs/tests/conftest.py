"""What the tests share: a development broker, a directory of each test's own, a scripted peer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

import flux.kvs
from flux import Flux
from flux.devbroker import Broker
from scripted import Peer, limit

__all__ = ["limit"]

_numbers = itertools.count()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """Return one broker for all tests."""
    with Broker() as broker:
        yield broker


@pytest.fixture
def handle(broker: Broker) -> Iterator[Flux]:
    """Return a handle of the test's own."""
    with broker.handle() as handle:
        yield handle


@pytest.fixture
def top(handle: Flux) -> str:
    """Return the key of an empty directory of the test's own."""
    key = f"test{next(_numbers)}"
    flux.kvs.get_dir(handle).mkdir(key)
    return key


@pytest.fixture
def namespace(handle: Flux) -> str:
    """Return a namespace of the test's own."""
    name = f"ns{next(_numbers)}"
    flux.kvs.namespace_create(handle, name)
    return name


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Return a `Peer` with its handle."""
    peer = Peer(Path(__file__).parent)
    yield peer
    peer.close()

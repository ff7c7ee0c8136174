"""What the tests share: a scripted peer in place of a broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scripted import Peer, limit

__all__ = ["limit"]


@pytest.fixture
def peer() -> Iterator[Peer]:
    """Return a `Peer` with its handle."""
    peer = Peer(Path(__file__).parent / "data")
    yield peer
    peer.close()

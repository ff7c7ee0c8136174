"""Handles on other ranks of an instance than the leader."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flux import Flux
from harness.cell import Cell


@contextmanager
def on_rank(cell: Cell, rank: int) -> Iterator[Flux]:
    """Connect to a certain rank of the shared instance, which must be on this machine."""
    cell.need_local()
    with cell.connect() as leader:
        request = {"name": "local-uri"}
        uri = leader.rpc("attr.get", request, nodeid=rank).get()["value"]
    with Flux(cell.prefixed(uri)) as handle:
        yield handle

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import ExitStack

import pytest

import flux
from flux import Flux
from harness.cell import Cell


def test_a_handle_knows_where_it_is(cell: Cell, handle: Flux) -> None:
    assert handle.get_rank() == 0
    assert int(handle.attr_get("size")) == cell.size
    assert handle.attr_get("version") == cell.version


def test_the_default_is_the_instance_around(cell: Cell) -> None:
    program = "import flux; h = flux.Flux(); print(h.attr_get('local-uri'))"
    env = dict(os.environ, FLUX_URI=cell.uri)
    shown = subprocess.check_output([sys.executable, "-c", program], env=env, text=True)
    with cell.connect() as handle:
        assert shown.strip() == handle.attr_get("local-uri")


def test_handles_are_independent(cell: Cell, handle: Flux) -> None:
    with cell.connect() as other:
        other.event_subscribe("nothing.of.the.kind")
        assert other.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1
    assert handle.rpc("broker.ping", {"seq": 2}).get()["seq"] == 2


def test_many_handles_at_once(cell: Cell) -> None:
    with ExitStack() as stack:
        handles = [stack.enter_context(cell.connect()) for _ in range(20)]
        pings = [handle.rpc("broker.ping", {"seq": n}) for n, handle in enumerate(handles)]
        assert [ping.get()["seq"] for ping in pings] == list(range(20))


def test_a_clone_shares_the_connection(handle: Flux) -> None:
    clone = handle.clone()
    assert clone.rpc("broker.ping", {"seq": 3}).get()["seq"] == 3


def test_nobody_at_the_address(cell: Cell) -> None:
    missing = cell.uri + ".not-there"
    with pytest.raises(OSError, match="not-there") as caught:
        flux.Flux(missing)
    assert caught.value.errno == errno.ENOENT

from __future__ import annotations

import errno

import pytest

from flux import Flux
from flux.constants import FLUX_NODEID_ANY, FLUX_NODEID_UPSTREAM
from harness.cell import MODULE, Cell
from harness.ranks import on_rank


def test_addressing_each_rank(cell: Cell, handle: Flux) -> None:
    for rank in range(cell.size):
        ping = handle.rpc("broker.ping", {"seq": rank}, nodeid=rank).get()
        assert ping["seq"] == rank
        assert handle.rpc("attr.get", {"name": "rank"}, nodeid=rank).get()["value"] == str(rank)


def test_any_rank_is_the_nearest(handle: Flux) -> None:
    response = handle.rpc("attr.get", {"name": "rank"}, nodeid=FLUX_NODEID_ANY).get()
    assert response["value"] == "0"


def test_a_rank_that_there_is_not(cell: Cell, handle: Flux) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.rpc("broker.ping", {"seq": 1}, nodeid=cell.size).get()
    assert caught.value.errno == errno.EHOSTUNREACH


def test_upstream_of_the_leader_is_nobody(handle: Flux) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.rpc("broker.ping", {"seq": 1}, nodeid=FLUX_NODEID_UPSTREAM).get()
    assert caught.value.errno == errno.EHOSTUNREACH


def test_a_handle_on_another_rank(cell: Cell) -> None:
    cell.need_ranks(2)
    with on_rank(cell, cell.size - 1) as handle:
        assert handle.get_rank() == cell.size - 1


def test_upstream_is_the_parent(cell: Cell) -> None:
    cell.need_ranks(2)
    with on_rank(cell, 1) as handle:
        response = handle.rpc("attr.get", {"name": "rank"}, nodeid=FLUX_NODEID_UPSTREAM).get()
    assert response["value"] == "0"


def test_events_reach_every_rank(cell: Cell, handle: Flux, name: str) -> None:
    cell.need_ranks(2)
    with on_rank(cell, cell.size - 1) as far:
        far.event_subscribe(name)
        seq = handle.event_publish(f"{name}.a", payload={"n": 1}).get()["seq"]
        event = far.event_recv(f"{name}.a")
        assert event is not None
        assert (event.seq, event.payload) == (seq, {"n": 1})


def test_events_come_from_every_rank(cell: Cell, handle: Flux, name: str) -> None:
    cell.need_ranks(2)
    handle.event_subscribe(name)
    with on_rank(cell, cell.size - 1) as far:
        far.event_publish(f"{name}.a", payload={"n": 2}).get()
        event = handle.event_recv(f"{name}.a")
    assert event is not None
    assert event.payload == {"n": 2}


def test_a_service_is_found_from_further_down(cell: Cell, handle: Flux) -> None:
    cell.need_ranks(2)
    with on_rank(cell, cell.size - 1) as far:
        # The job manager is on the leader only.
        assert far.rpc("job-list.list", {"max_entries": 1, "attrs": []}).get()["jobs"] is not None
        assert far.rpc("kvs.getroot", {"namespace": "primary"}, nodeid=0).get()["owner"] >= 0


def test_a_module_on_another_rank(cell: Cell, handle: Flux, name: str) -> None:
    cell.need_ranks(2)
    cell.need_local()
    rank = cell.size - 1
    cell.command(
        "exec", f"--rank={rank}", cell.instance.flux, "module", "load",
        f"--name={name}", f"--loader={cell.loader}", str(MODULE),
    )  # fmt: skip
    try:
        assert handle.rpc(f"{name}.info", nodeid=rank).get()["rank"] == rank
        with pytest.raises(OSError, match=name):
            handle.rpc(f"{name}.info", nodeid=0).get()
    finally:
        cell.command("exec", f"--rank={rank}", cell.instance.flux, "module", "remove", name)

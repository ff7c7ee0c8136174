"""What the scheduler of a development broker has."""

from __future__ import annotations

import errno

import pytest

from flux.devbroker import Broker
from flux.resource import SchedResourceList, resource_list
from flux.resource.list import ResourceListRPC


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def test_all_of_it_is_free_without_jobs(broker: Broker) -> None:
    with broker.handle() as handle:
        found = resource_list(handle).get()
        assert found.all.nnodes == 1
        assert str(found.all) == str(found.up) == str(found["free"])
        assert found.down.ncores == found.allocated.ncores == 0
        assert [found[state].state for state in ("all", "up")] == ["all", "up"]
        assert str(found.all.nodelist) == handle.attr_get("hostlist")
        found.filter("1-9")
        assert found.all.nnodes == 0


def test_there_is_another_service_to_ask(broker: Broker) -> None:
    with broker.handle() as handle:
        lists: list[SchedResourceList] = []
        rpc = ResourceListRPC(handle, "resource.not-there")
        rpc.then(lambda future: lists.append(future.get()))
        handle.reactor_run()
        assert lists[0].all.nnodes == 1
        with pytest.raises(OSError, match="Errno") as caught:
            ResourceListRPC(handle, "resource.sched-status", nodeid=7).get()
        assert caught.value.errno == errno.EHOSTUNREACH


def test_states_and_constraints() -> None:
    r = {
        "version": 1,
        "execution": {
            "R_lite": [{"rank": "0-3", "children": {"core": "0-1"}}],
            "nodelist": ["n[0-3]"],
        },
    }
    part = {
        "version": 1,
        "execution": {
            "R_lite": [{"rank": "1", "children": {"core": "0-1"}}],
            "nodelist": ["n1"],
        },
    }
    found = SchedResourceList({"all": r, "down": part, "allocated": None})
    assert str(found.up.ranks) == str(found.free.ranks) == "0,2-3"
    some = found.copy_constraint({"hostlist": ["n[0-1]"]})
    assert (str(some.all.ranks), str(some.up.ranks)) == ("0-1", "0")
    found.filter("n[2-3]")
    assert str(found.all.ranks) == "2-3"
    with pytest.raises(AttributeError, match="not 'idle'"):
        found["idle"]

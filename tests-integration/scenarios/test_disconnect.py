from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator

import pytest

from flux import Flux
from flux.constants import FLUX_RPC_STREAMING
from flux.future import Future
from harness.cell import Cell


@pytest.fixture
def rundir() -> Iterator[str]:
    """A directory for sockets, with a path short enough."""
    with tempfile.TemporaryDirectory(prefix="flux-") as path:
        yield path


def lost(future: Future) -> bool:
    """Whether a future fails as one does whose connection is lost."""
    with pytest.raises(OSError, match=r"\w") as caught:
        future.get()
    return caught.value.errno in (errno.ECONNRESET, errno.EPIPE)


def test_a_waiting_program_learns_that_the_broker_is_gone(cell: Cell, rundir: str) -> None:
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        stream = handle.rpc("log.dmesg", {"follow": True, "nobacklog": True}, 0, FLUX_RPC_STREAMING)
        handle.rpc("broker.ping", {"seq": 1}).get()
        instance.crash()
        with pytest.raises(OSError, match=r"\w") as caught:
            for _ in stream:
                pass
        assert caught.value.errno == errno.ECONNRESET


def test_callbacks_learn_it_too(cell: Cell, rundir: str) -> None:
    failed: list[bool] = []
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        handle.service_register("mine").get()
        # Nobody answers it.
        handle.rpc("mine.method").then(lambda future: failed.append(lost(future)))
        instance.crash()
        assert handle.reactor_run() == 0
    assert failed == [True]


def test_the_reactor_learns_it_too(cell: Cell, rundir: str) -> None:
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        watcher = handle.msg_watcher_create(lambda *_args: None, topic_glob="mine.*").start()
        instance.crash()
        with pytest.raises(OSError, match=r"\w") as caught:
            handle.reactor_run()
        watcher.stop()
    assert caught.value.errno == errno.ECONNRESET


def test_a_lost_handle_stays_lost(cell: Cell, rundir: str) -> None:
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        handle.rpc("broker.ping", {"seq": 1}).get()
        instance.crash()
        for _ in range(2):
            with pytest.raises(OSError, match=r"\w") as caught:
                handle.rpc("broker.ping", {"seq": 2}).get()
            assert caught.value.errno in (errno.ECONNRESET, errno.EPIPE)


def test_reconnecting_to_a_restarted_broker(cell: Cell, rundir: str) -> None:
    with cell.own_instance(rundir) as instance:
        uri = instance.uri
        with cell.connect(instance) as handle:
            before = handle.attr_get("broker.uuid")
            assert handle.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1
    with pytest.raises(OSError, match=r"\w"):
        cell.connect(instance)
    with cell.own_instance(rundir) as instance:
        assert instance.uri == uri
        with cell.connect(instance) as handle:
            assert handle.attr_get("broker.uuid") != before
            assert handle.rpc("broker.ping", {"seq": 2}).get()["seq"] == 2


def test_reconnecting_after_a_crash(cell: Cell, rundir: str) -> None:
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        handle.rpc("broker.ping", {"seq": 1}).get()
        instance.crash()
    with cell.own_instance(rundir) as instance, cell.connect(instance) as handle:
        assert handle.rpc("broker.ping", {"seq": 2}).get()["seq"] == 2


def test_a_closed_handle_says_so(cell: Cell) -> None:
    with cell.connect() as handle:
        future = handle.rpc("broker.ping", {"seq": 1})
    with pytest.raises(OSError, match="closed"):
        future.get()


def test_others_are_not_disturbed(cell: Cell, handle: Flux) -> None:
    with cell.connect() as other:
        other.event_subscribe("any")
        stream = other.rpc("log.dmesg", {"follow": True}, flags=FLUX_RPC_STREAMING)
        del stream
    assert handle.rpc("broker.ping", {"seq": 1}).get()["seq"] == 1

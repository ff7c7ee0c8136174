from __future__ import annotations

import errno

import pytest

from flux import Flux
from flux.constants import FLUX_RPC_STREAMING
from harness.cell import Cell
from harness.service import Service


def test_another_handle_calls_a_service(cell: Cell, service: Service) -> None:
    with cell.connect() as one, cell.connect() as other:
        assert one.rpc(f"{service.name}.echo", {"from": 1}).get() == {"from": 1}
        assert other.rpc(f"{service.name}.echo", {"from": 2}).get() == {"from": 2}


def test_a_name_is_given_once(handle: Flux, service: Service) -> None:
    with pytest.raises(FileExistsError):
        handle.service_register(service.name).get()


def test_a_name_given_up_is_free(handle: Flux, name: str) -> None:
    for _ in range(2):
        handle.service_register(name).get()
        handle.service_unregister(name).get()
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.service_unregister(name).get()
    assert caught.value.errno == errno.ENOENT


def test_a_service_goes_with_its_handle(cell: Cell, handle: Flux, name: str) -> None:
    service = Service(cell.connect, name)
    assert handle.rpc(f"{name}.echo", {}).get() == {}
    service.stop()
    with pytest.raises(OSError, match=r"\w") as caught:
        handle.rpc(f"{name}.echo", {}).get()
    assert caught.value.errno == errno.ENOSYS


def test_a_service_learns_that_a_requester_is_gone(
    cell: Cell, handle: Flux, service: Service
) -> None:
    handle.event_subscribe(f"{service.name}.gone")
    with cell.connect() as other:
        stream = other.rpc(f"{service.name}.follow", flags=FLUX_RPC_STREAMING)
        assert next(stream) == {"following": True}
    assert handle.event_recv(f"{service.name}.gone") is not None


def test_methods_of_a_service_that_has_none_of_that_name(handle: Flux, name: str) -> None:
    handle.service_register(name).get()
    watcher = handle.msg_watcher_create(lambda *_args: None, topic_glob=f"{name}.known")
    future = handle.rpc(f"{name}.unknown")
    future.then(lambda _future: watcher.stop())
    watcher.start()
    handle.reactor_run()
    with pytest.raises(OSError, match=r"\w") as caught:
        future.get()
    assert caught.value.errno == errno.ENOSYS

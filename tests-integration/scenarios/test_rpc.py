from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

import pytest

from flux import Flux
from flux.constants import FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.future import Future
from harness.cell import LIMIT, Cell
from harness.service import Service


def test_get_waits_for_the_response(handle: Flux, service: Service) -> None:
    assert handle.rpc(f"{service.name}.echo", {"a": [1, "two", None]}).get() == {
        "a": [1, "two", None]
    }


def test_text_is_passed_as_it_is(handle: Flux, service: Service) -> None:
    payload = {"text": "Grüße, 世界 🙂", "escapes": '\\"\n\t', "float": 0.1, "big": 2**62}
    assert handle.rpc(f"{service.name}.echo", payload).get() == payload


def test_a_large_payload_goes_through(handle: Flux, service: Service) -> None:
    payload = {"data": "x" * 5_000_000}
    assert handle.rpc(f"{service.name}.echo", payload).get() == payload


def test_responses_come_to_callbacks_in_the_reactor(handle: Flux, service: Service) -> None:
    seen: list[int] = []

    def collect(future: Future, scale: int) -> None:
        seen.append(future.get()["n"] * scale)

    for n in range(100):
        handle.rpc(f"{service.name}.echo", {"n": n}).then(collect, 10)
    assert handle.reactor_run() == 0
    assert seen == [n * 10 for n in range(100)]


def test_a_thousand_outstanding(handle: Flux, service: Service) -> None:
    futures = [handle.rpc(f"{service.name}.echo", {"n": n}) for n in range(1000)]
    assert [future.get()["n"] for future in reversed(futures)] == list(reversed(range(1000)))


def test_waiting_within_a_callback(handle: Flux, service: Service) -> None:
    seen: list[Any] = []

    def ask_again(future: Future) -> None:
        seen.append(future.get())
        seen.append(handle.rpc(f"{service.name}.echo", {"inner": True}).get())

    handle.rpc(f"{service.name}.echo", {"inner": False}).then(ask_again)
    handle.reactor_run()
    assert seen == [{"inner": False}, {"inner": True}]


def test_a_stream_ends_with_enodata(handle: Flux, service: Service) -> None:
    stream = handle.rpc(f"{service.name}.count", {"to": 50}, flags=FLUX_RPC_STREAMING)
    assert [response["number"] for response in stream] == list(range(50))


def test_a_stream_by_hand(handle: Flux, service: Service) -> None:
    stream = handle.rpc(f"{service.name}.count", {"to": 2}, flags=FLUX_RPC_STREAMING)
    for number in range(2):
        assert stream.get()["number"] == number
        stream.reset()
    with pytest.raises(OSError, match=r"\w") as caught:
        stream.get()
    assert caught.value.errno == errno.ENODATA


def test_a_stream_in_callbacks(handle: Flux, service: Service) -> None:
    numbers: list[int] = []
    errnums: list[int | None] = []

    def collect(stream: Future) -> None:
        try:
            numbers.append(stream.get()["number"])
            stream.reset()
        except OSError as exc:
            errnums.append(exc.errno)

    stream = handle.rpc(f"{service.name}.count", {"to": 20}, flags=FLUX_RPC_STREAMING)
    stream.then(collect)
    handle.reactor_run()
    assert (numbers, errnums) == (list(range(20)), [errno.ENODATA])


def test_a_stream_is_cancelled(handle: Flux, service: Service) -> None:
    stream = handle.rpc(f"{service.name}.follow", flags=FLUX_RPC_STREAMING)
    assert next(stream) == {"following": True}
    stream.cancel()
    assert list(stream) == []


def test_await(cell: Cell, service: Service) -> None:
    async def main() -> list[int]:
        with cell.connect() as handle:
            futures = [handle.rpc(f"{service.name}.echo", {"n": n}) for n in range(100)]
            return [(await future)["n"] for future in futures]

    assert asyncio.run(main()) == list(range(100))


def test_await_at_the_same_time(cell: Cell, service: Service) -> None:
    async def main() -> list[int]:
        with cell.connect() as handle:

            async def one(n: int) -> int:
                response = await handle.rpc(f"{service.name}.echo", {"n": n})
                return int(response["n"])

            return await asyncio.gather(*(one(n) for n in range(100)))

    assert asyncio.run(main()) == list(range(100))


def test_async_for(cell: Cell, service: Service) -> None:
    async def main() -> list[int]:
        with cell.connect() as handle:
            stream = handle.rpc(f"{service.name}.count", {"to": 50}, flags=FLUX_RPC_STREAMING)
            return [response["number"] async for response in stream]

    assert asyncio.run(main()) == list(range(50))


def test_await_raises_the_services_error(cell: Cell, service: Service) -> None:
    async def main() -> None:
        with cell.connect() as handle:
            await handle.rpc(f"{service.name}.fail", {"errnum": errno.EBUSY, "text": "later"})

    with pytest.raises(OSError, match="later") as caught:
        asyncio.run(main())
    assert caught.value.errno == errno.EBUSY


def test_no_response(handle: Flux, service: Service) -> None:
    handle.rpc(f"{service.name}.note", {"n": 1}, flags=FLUX_RPC_NORESPONSE)
    handle.rpc(f"{service.name}.note", {"n": 2}, flags=FLUX_RPC_NORESPONSE)
    assert handle.rpc(f"{service.name}.notes").get() == {"notes": [{"n": 1}, {"n": 2}]}


def test_an_error_has_the_services_errno_and_text(handle: Flux, service: Service) -> None:
    future = handle.rpc(f"{service.name}.fail", {"errnum": errno.EXDEV, "text": "not here"})
    with pytest.raises(OSError, match="not here") as caught:
        future.get()
    assert caught.value.errno == errno.EXDEV


def test_an_error_without_text(handle: Flux, service: Service) -> None:
    with pytest.raises(FileNotFoundError):
        handle.rpc(f"{service.name}.fail", {"errnum": errno.ENOENT}).get()


def test_a_service_that_does_not_exist(handle: Flux, name: str) -> None:
    with pytest.raises(OSError, match=name) as caught:
        handle.rpc(f"{name}.method").get()
    assert caught.value.errno == errno.ENOSYS


def test_waiting_has_a_limit(handle: Flux, service: Service) -> None:
    stream = handle.rpc(f"{service.name}.follow", flags=FLUX_RPC_STREAMING)
    stream.wait_for(LIMIT).get()
    stream.reset()
    with pytest.raises(TimeoutError):
        stream.wait_for(0.01)
    stream.cancel()
    assert list(stream) == []


def test_a_request_carries_its_senders_credentials(handle: Flux, service: Service) -> None:
    sender = handle.rpc(f"{service.name}.sender").get()
    assert sender["userid"] == os.getuid()

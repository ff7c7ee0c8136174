"""All that waits can be awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Callable

import pytest

import flux.kvs
from flux import Flux
from flux.devbroker import Broker


@pytest.fixture
def run(broker: Broker) -> Callable[[Callable[[Flux], Coroutine[Any, Any, None]]], None]:
    """Runs a coroutine function with a handle."""

    def run(main: Callable[[Flux], Coroutine[Any, Any, None]]) -> None:
        async def with_handle() -> None:
            with broker.handle() as handle:
                await main(handle)

        asyncio.run(with_handle())

    return run


def test_reading(run: Any, top: str) -> None:
    async def main(handle: Flux) -> None:
        flux.kvs.put(handle, f"{top}.d.a", 1)
        flux.kvs.put(handle, f"{top}.b", None)
        await flux.kvs.commit_async(handle)
        assert await flux.kvs.get_async(handle, f"{top}.d.a") == 1
        assert await flux.kvs.get_async(handle, f"{top}.b") is None
        # Without blocking, although it takes a second request.
        assert list(await flux.kvs.get_async(handle, f"{top}.d")) == ["a"]
        assert await flux.kvs.exists_async(handle, f"{top}.d") is True
        assert await flux.kvs.exists_async(handle, f"{top}.c") is False
        assert await flux.kvs.isdir_async(handle, f"{top}.d") is True
        assert await flux.kvs.isdir_async(handle, f"{top}.b") is False
        d = await flux.kvs.get_dir_async(handle, top)
        assert await d.get_async("d.a") == 1
        assert await d.exists_async("b")
        with pytest.raises(FileNotFoundError) as caught:
            await flux.kvs.get_async(handle, f"{top}.c")
        assert caught.value.filename == f"{top}.c"

    run(main)


def test_writing(run: Any, top: str) -> None:
    async def main(handle: Flux) -> None:
        async with flux.kvs.KVSTxn(handle, top) as txn:
            txn.put("a", 1)
        async with txn:
            pass
        async with await flux.kvs.get_dir_async(handle, top) as d:
            d["b"] = 2
        first = await d.fill_async({"c": 3})
        second = await d.mkdir_async("d", {"e": 4})
        assert second.sequence == first.sequence + 1
        assert await flux.kvs.wait_version_async(handle, second.sequence)
        assert (await flux.kvs.getroot_async(handle)).ref == second.ref
        walk = flux.kvs.walk(top, flux_handle=handle, at=second)
        assert [(path, [*files]) async for path, _ds, files in walk] == [
            ("d", ["e"]),
            ("", ["a", "b", "c"]),
        ]
        assert [path async for path, _ds, _fs in walk] == []

    run(main)


def test_waiting_for_a_version(run: Any, top: str) -> None:
    async def main(handle: Flux) -> None:
        now = (await flux.kvs.getroot_async(handle)).sequence
        waiting = asyncio.ensure_future(_await(flux.kvs.wait_version_async(handle, now + 2)))
        await flux.kvs.commit_async(handle)
        assert not waiting.done()
        root = await flux.kvs.commit_async(handle)
        assert (await waiting).sequence == root.sequence == now + 2

    async def _await(future: Any) -> Any:
        return await future

    run(main)


def test_watching(run: Any, top: str) -> None:
    async def main(handle: Flux) -> None:
        async def count() -> None:
            for n in range(3):
                async with flux.kvs.KVSTxn(handle, top) as txn:
                    txn.put("n", n)

        watch = flux.kvs.kvs_watch_async(handle, f"{top}.n", waitcreate=True)
        task = asyncio.ensure_future(count())
        seen = []
        async for value in watch:
            seen.append(value)
            if value == 2:
                watch.cancel()
        await task
        assert seen == [0, 1, 2]

    run(main)


def test_namespaces_and_checkpoints(run: Any) -> None:
    async def main(handle: Flux) -> None:
        await flux.kvs.namespace_create_async(handle, "async")
        assert "async" in await flux.kvs.namespace_list_async(handle)
        with pytest.raises(OSError, match="File exists: 'async'"):
            await flux.kvs.namespace_create_async(handle, "async")
        await flux.kvs.namespace_remove_async(handle, "async")
        await flux.kvs.commit_async(handle, flux.constants.FLUX_KVS_SYNC)
        assert await flux.kvs.kvs_checkpoint_lookup_async(handle)
        await flux.kvs.dropcache_async(handle)

    run(main)


def test_many_at_a_time(run: Any, top: str) -> None:
    async def main(handle: Flux) -> None:
        async def one(n: int) -> Any:
            async with flux.kvs.KVSTxn(handle, top) as txn:
                txn.put(f"k{n}", n)
            return await flux.kvs.get_async(handle, f"{top}.k{n}")

        assert await asyncio.gather(*map(one, range(50))) == list(range(50))

    run(main)


def test_chains(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 41)
    future = flux.kvs.commit_async(handle).and_then(
        lambda _f: flux.kvs.get_async(handle, f"{top}.a")
    )
    assert future.get() == 41
    missing = flux.kvs.get_async(handle, f"{top}.b").and_then(lambda _f: None)
    with pytest.raises(FileNotFoundError, match=f"'{top}.b'"):
        missing.get()
    # A missing key is an answer to that, not an error.
    assert flux.kvs.exists_async(handle, f"{top}.b").and_then(lambda _f: None).get() is False

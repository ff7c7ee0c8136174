from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from typing import Any

import pytest

import flux.kvs
from flux import Flux
from flux.constants import FLUX_KVS_NO_MERGE, FLUX_KVS_SYNC, FLUX_KVS_TREEOBJ
from harness.cell import Cell


@pytest.fixture
def key(handle: Flux, name: str) -> Iterator[str]:
    """The key of a directory that is removed afterwards."""
    flux.kvs.get_dir(handle).mkdir(name)
    yield name
    flux.kvs.put_unlink(handle, name)
    flux.kvs.commit(handle)


@pytest.fixture
def namespace(handle: Flux, name: str) -> Iterator[str]:
    """A namespace that is removed afterwards."""
    flux.kvs.namespace_create(handle, name)
    yield name
    flux.kvs.namespace_remove(handle, name)


@pytest.mark.parametrize(
    "value",
    [1, -1.5, "text", "\u263a", None, True, [1, "a"], {"a": {"b": []}}, b"\xde\xad\xbe\xef", 2**70],
    ids=str,
)
def test_values_come_back(handle: Flux, key: str, value: Any) -> None:
    flux.kvs.put(handle, f"{key}.a", value)
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f"{key}.a") == value


def test_large_values(handle: Flux, key: str) -> None:
    value = "x" * 2_000_000
    flux.kvs.put(handle, f"{key}.a", value)
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f"{key}.a") == value
    obj = flux.kvs.lookup(handle, f"{key}.a", FLUX_KVS_TREEOBJ).get_treeobj()
    assert obj["type"] == "valref"


def test_directories(handle: Flux, key: str) -> None:
    with flux.kvs.get_dir(handle, key) as d:
        d["a"] = 1
        d.mkdir("sub", {"b": 2, "c.d": 3})
        d["sub"]["e"] = 4
    d = flux.kvs.get_dir(handle, key)
    assert dict(d["sub.c"]) == {"d": 3}
    assert d.list_all() == (["a"], ["sub"])
    assert list(d["sub"].files()) == ["b", "e"]
    del d["sub.b"]
    d.commit()
    assert "sub.b" not in d
    walk = flux.kvs.walk(key, topdown=True, flux_handle=handle)
    assert [(path, list(ds), list(fs)) for path, ds, fs in walk] == [
        ("", ["sub"], ["a"]),
        ("sub", ["c"], ["e"]),
        ("sub.c", [], ["d"]),
    ]


def test_all_or_nothing(handle: Flux, key: str) -> None:
    flux.kvs.put(handle, f"{key}.a", 1)
    flux.kvs.put(handle, ".", 1)
    with pytest.raises(OSError, match="Invalid argument") as caught:
        flux.kvs.commit(handle)
    assert caught.value.errno == errno.EINVAL
    assert not flux.kvs.exists(handle, f"{key}.a")


def test_a_commit_is_seen_everywhere(cell: Cell, handle: Flux, key: str) -> None:
    flux.kvs.put(handle, f"{key}.a", 1)
    root = flux.kvs.commit(handle, FLUX_KVS_NO_MERGE)
    assert root is not None
    with cell.connect() as other:
        assert flux.kvs.wait_version(other, root.sequence).sequence >= root.sequence
        assert flux.kvs.get(other, f"{key}.a") == 1
        assert flux.kvs.get(other, f"{key}.a", at=root) == 1


def test_a_snapshot(handle: Flux, key: str) -> None:
    flux.kvs.put(handle, f"{key}.d.a", 1)
    root = flux.kvs.commit(handle)
    assert root is not None
    flux.kvs.put(handle, f"{key}.d.a", 2)
    flux.kvs.put(handle, f"{key}.d.b", 2)
    flux.kvs.commit(handle)
    assert dict(flux.kvs.get_dir(handle, f"{key}.d", at=root)) == {"a": 1}
    assert dict(flux.kvs.get_dir(handle, f"{key}.d")) == {"a": 2, "b": 2}


def test_appends_and_links(handle: Flux, key: str, namespace: str) -> None:
    flux.kvs.put(handle, "there", "yes")
    flux.kvs.commit(handle, namespace=namespace)
    with flux.kvs.KVSTxn(handle, key) as txn:
        txn.append("log", "one ")
        txn.append("log", b"two")
        txn.symlink("in", f"{key}.log")
        txn.symlink("out", "there", target_namespace=namespace)
    assert flux.kvs.get(handle, f"{key}.in") == "one two"
    assert flux.kvs.get(handle, f"{key}.out") == "yes"


def test_namespaces(handle: Flux, namespace: str) -> None:
    assert namespace in flux.kvs.namespace_list(handle)
    with pytest.raises(FileExistsError):
        flux.kvs.namespace_create(handle, namespace)
    flux.kvs.put(handle, "a", 1)
    assert flux.kvs.commit(handle, namespace=namespace).sequence == 1  # type: ignore[union-attr]
    assert flux.kvs.get(handle, "a", namespace=namespace) == 1
    with pytest.raises(OSError, match=f"no KVS namespace '{namespace}.not'") as caught:
        flux.kvs.get(handle, "a", namespace=f"{namespace}.not")
    assert caught.value.errno == errno.EOPNOTSUPP


def test_errors_name_the_key(handle: Flux, key: str) -> None:
    flux.kvs.put(handle, f"{key}.a", 1)
    flux.kvs.put_symlink(handle, f"{key}.loop", f"{key}.loop")
    flux.kvs.commit(handle)
    cases: list[tuple[str, Any, int]] = [
        (f"{key}.b", flux.kvs.get, errno.ENOENT),
        (f"{key}.a.b", flux.kvs.get, errno.ENOENT),
        (f"{key}.a", flux.kvs.get_dir, errno.ENOTDIR),
        (key, flux.kvs.get_key_direct, errno.EISDIR),
        (f"{key}.loop", flux.kvs.get, errno.ELOOP),
    ]
    for name, call, number in cases:
        with pytest.raises(OSError, match=f"'{name}'") as caught:
            call(handle, name)
        assert (caught.value.errno, caught.value.filename) == (number, name)


def test_checkpoints(handle: Flux, key: str) -> None:
    flux.kvs.put(handle, f"{key}.a", 1)
    root = flux.kvs.commit(handle, FLUX_KVS_SYNC)
    assert root is not None
    for cache_bypass in (False, True):
        newest = flux.kvs.kvs_checkpoint_lookup(handle, cache_bypass)[0]
        assert newest["sequence"] >= root.sequence
    flux.kvs.dropcache(handle)
    assert flux.kvs.get(handle, f"{key}.a") == 1


def test_watching_with_callbacks(handle: Flux, key: str) -> None:
    values: list[Any] = []

    def changed(watch: flux.kvs.KVSWatchFuture) -> None:
        value = watch.get()
        if value is None:
            return
        values.append(value)
        if value == 3:
            watch.cancel()
        else:
            flux.kvs.put(handle, f"{key}.a", value + 1)
            flux.kvs.commit_async(handle)

    flux.kvs.put(handle, f"{key}.a", 1)
    flux.kvs.commit(handle)
    flux.kvs.kvs_watch_async(handle, f"{key}.a").then(changed)
    handle.reactor_run()
    assert values == [1, 2, 3]


def test_watching_what_is_not_there_yet(handle: Flux, key: str) -> None:
    with pytest.raises(FileNotFoundError):
        flux.kvs.kvs_watch_async(handle, f"{key}.a").get()
    with flux.kvs.kvs_watch_async(handle, f"{key}.a", waitcreate=True, full=True) as watch:
        flux.kvs.put(handle, f"{key}.a", 1)
        flux.kvs.commit(handle)
        assert next(watch) == 1
        flux.kvs.put_unlink(handle, key)
        flux.kvs.commit(handle)
        with pytest.raises(FileNotFoundError):
            next(watch)


def test_all_of_it_under_asyncio(cell: Cell, key: str) -> None:
    async def count(handle: Flux) -> None:
        for n in range(5):
            async with flux.kvs.KVSTxn(handle, key) as txn:
                txn.put("n", n)
                txn.put(f"d.k{n}", n)

    async def main() -> None:
        with cell.connect() as handle:
            task = asyncio.ensure_future(count(handle))
            seen = []
            watch = flux.kvs.kvs_watch_async(handle, f"{key}.n", waitcreate=True)
            async for value in watch:
                seen.append(value)
                if value == 4:
                    watch.cancel()
            await task
            # Commits that were made one may be seen as one.
            assert seen == sorted(seen)
            values = await asyncio.gather(
                *[flux.kvs.get_async(handle, f"{key}.d.k{n}") for n in range(5)]
            )
            assert values == [*range(5)]
            d = await flux.kvs.get_async(handle, f"{key}.d")
            assert len(d) == 5
            walk = flux.kvs.walk(key, flux_handle=handle)
            assert [path async for path, _directories, _files in walk] == ["d", ""]

    asyncio.run(main())

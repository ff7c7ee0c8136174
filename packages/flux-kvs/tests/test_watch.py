from __future__ import annotations

import errno
import gc
from typing import Any

import pytest

import flux.kvs
from flux import Flux
from flux.constants import (
    FLUX_KVS_STREAM,
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_APPEND,
    FLUX_KVS_WATCH_INITIAL_SENTINEL,
)
from flux.kvs import KVSWatchFuture, WatchImplementation, treeobj
from flux.rpc import RPC


def write(handle: Flux, key: str, value: Any) -> None:
    txn = flux.kvs.KVSTxn(handle)
    txn.put(key, value)
    txn.commit()


def watchers(handle: Flux) -> int:
    count: int = handle.rpc("kvs-watch.stats-get").get()["watchers"]
    return count


def test_the_value_and_each_that_follows(handle: Flux, top: str) -> None:
    write(handle, f"{top}.a", 1)
    watch = flux.kvs.kvs_watch_async(handle, f"{top}.a")
    assert isinstance(watch, KVSWatchFuture)
    assert watch.get() == 1
    write(handle, f"{top}.a", 1)
    write(handle, f"{top}.a", {"b": 2})
    assert watch.get() == 1
    assert watch.get(autoreset=False) == {"b": 2}
    assert watch.get() == {"b": 2}
    watch.cancel()
    assert watch.get() is None
    assert watch.get() is None
    assert list(watch) == []


def test_only_what_is_new(handle: Flux, top: str) -> None:
    write(handle, f"{top}.a", 1)
    with flux.kvs.kvs_watch_async(handle, f"{top}.a", uniq=True) as watch:
        assert next(watch) == 1
        write(handle, f"{top}.a", 1)
        write(handle, f"{top}.a", 2)
        assert next(watch) == 2
    assert watchers(handle) == 0


def test_waiting_for_a_key(handle: Flux, top: str) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        flux.kvs.kvs_watch_async(handle, f"{top}.a").get()
    assert caught.value.filename == f"{top}.a"
    watch = flux.kvs.kvs_watch_async(handle, f"{top}.a", waitcreate=True)
    once = flux.kvs.lookup(handle, f"{top}.a", FLUX_KVS_WAITCREATE)
    write(handle, f"{top}.a", "there")
    assert watch.get() == once.get() == "there"
    watch.cancel()
    assert list(watch) == []


def test_a_directory_above_is_removed(handle: Flux, top: str) -> None:
    write(handle, f"{top}.d.a", 1)
    watch = flux.kvs.kvs_watch_async(handle, f"{top}.d.a", full=True)
    assert watch.get() == 1
    flux.kvs.put_unlink(handle, f"{top}.d")
    flux.kvs.commit(handle)
    with pytest.raises(FileNotFoundError):
        watch.get()
    # So often as it is asked.
    with pytest.raises(FileNotFoundError):
        next(watch)
    assert not watch.needs_cancel


def test_in_the_reactor(handle: Flux, top: str) -> None:
    values: list[Any] = []

    def changed(watch: KVSWatchFuture, arg: str) -> None:
        assert arg == "arg"
        value = watch.get()
        if value is None:
            return
        values.append(value)
        if value == 3:
            watch.cancel()
        else:
            write(handle, f"{top}.a", value + 1)

    write(handle, f"{top}.a", 1)
    flux.kvs.kvs_watch_async(handle, f"{top}.a").then(changed, "arg")
    handle.reactor_run()
    assert values == [1, 2, 3]


def test_it_is_cancelled_when_nobody_refers_to_it(handle: Flux, top: str) -> None:
    write(handle, f"{top}.a", 1)
    watch = flux.kvs.kvs_watch_async(handle, f"{top}.a")
    assert watch.get() == 1
    assert watchers(handle) == 1
    del watch
    gc.collect()
    # The request to cancel and this one go to the same service, in order.
    assert watchers(handle) == 0


def test_made_of_an_rpc(handle: Flux, top: str) -> None:
    write(handle, f"{top}.a", 1)
    watch = KVSWatchFuture(flux.kvs.lookup(handle, f"{top}.a", FLUX_KVS_WATCH))
    assert watch.get() == 1
    watch.cancel()
    assert watch.get() is None
    with pytest.raises(TypeError, match="RPC"):
        KVSWatchFuture(1)  # type: ignore[arg-type]


def test_a_watch_of_one_s_own(handle: Flux, top: str) -> None:
    class Lengths(WatchImplementation):
        def watch_get(self, future: Any) -> Any:
            return len(treeobj.decode_val(RPC.get(future)["val"]))

        def watch_cancel(self, future: Any) -> None:
            RPC.cancel(future)

    write(handle, f"{top}.a", b"four")
    watch = Lengths(flux.kvs.lookup(handle, f"{top}.a", FLUX_KVS_WATCH))
    assert watch.get() == 4
    watch.cancel()
    assert watch.get() is None


def test_what_is_appended(handle: Flux, top: str) -> None:
    txn = flux.kvs.KVSTxn(handle, top)
    for text in ("a", "b"):
        txn.append("log", text)
        txn.commit()
    assert list(flux.kvs.lookup(handle, f"{top}.log", FLUX_KVS_STREAM)) == ["a", "b"]
    flags = FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | FLUX_KVS_WATCH_INITIAL_SENTINEL
    log = flux.kvs.lookup(handle, f"{top}.log", flags)
    assert [next(log) for _ in range(3)] == ["a", "b", None]
    txn.append("log", "c")
    txn.commit()
    assert next(log) == "c"
    log.cancel()
    assert list(log) == []


def test_a_namespace_that_goes(handle: Flux, namespace: str) -> None:
    flux.kvs.put(handle, "a", 1)
    flux.kvs.commit(handle, namespace=namespace)
    watch = flux.kvs.kvs_watch_async(handle, "a", namespace=namespace)
    assert watch.get() == 1
    flux.kvs.namespace_remove(handle, namespace)
    with pytest.raises(OSError, match=f"there is no KVS namespace '{namespace}'") as caught:
        watch.get()
    assert caught.value.errno == errno.EOPNOTSUPP

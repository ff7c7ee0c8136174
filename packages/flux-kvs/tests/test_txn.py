from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

import pytest

import flux.kvs
from flux import Flux
from flux.constants import (
    FLUX_KVS_NO_MERGE,
    FLUX_KVS_READLINK,
    FLUX_KVS_SYNC,
    FLUX_KVS_TREEOBJ,
    FLUX_KVS_TXN_COMPACT,
)
from flux.kvs import KVSTxn, treeobj


def test_nothing_is_there_before_the_commit(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    assert not flux.kvs.exists(handle, f"{top}.a")
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f"{top}.a") == 1
    # It is not staged any more.
    assert flux.kvs.commit(handle) is None


def test_a_commit_tells_of_the_new_root(handle: Flux, top: str) -> None:
    before = flux.kvs.getroot(handle)
    flux.kvs.put(handle, f"{top}.a", 1)
    root = flux.kvs.commit(handle)
    assert root is not None
    assert root.sequence == before.sequence + 1
    assert root.ref == flux.kvs.getroot(handle).ref != before.ref
    assert flux.kvs.wait_version(handle, root.sequence).ref == root.ref


def test_a_handle_has_a_transaction_of_its_own(handle: Flux, broker: Any, top: str) -> None:
    with broker.handle() as other:
        flux.kvs.put(handle, f"{top}.a", 1)
        flux.kvs.put(other, f"{top}.b", 2)
        flux.kvs.commit(other)
        assert not flux.kvs.exists(handle, f"{top}.a")
        assert flux.kvs.exists(handle, f"{top}.b")


def test_all_kinds_of_changes(handle: Flux, top: str) -> None:
    txn = KVSTxn(handle, top)
    txn.mkdir("d")
    txn.put("d.a", 1)
    txn.put("d.b", 2)
    txn.put("raw", "text", raw=True)
    txn.symlink("l", f"{top}.d.a")
    txn.put_treeobj("t", treeobj.val(b"7"))
    txn.append("log", "a")
    txn.append("log", b"b")
    txn.commit()
    with KVSTxn(handle, f"{top}.") as txn:
        txn.unlink("d.b")
    assert flux.kvs.get(handle, f"{top}.l") == 1
    assert flux.kvs.get(handle, f"{top}.raw") == "text"
    assert flux.kvs.get(handle, f"{top}.t") == 7
    assert flux.kvs.lookup(handle, f"{top}.log").get_raw() == b"ab"
    assert not flux.kvs.exists(handle, f"{top}.d.b")


def test_all_or_nothing(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    flux.kvs.put(handle, ".", 1)
    with pytest.raises(OSError, match="Invalid") as caught:
        flux.kvs.commit(handle)
    assert caught.value.errno == errno.EINVAL
    assert not flux.kvs.exists(handle, f"{top}.a")
    # The next one does not fail for the same reason.
    assert flux.kvs.commit(handle) is None


def test_an_error_names_the_key_if_there_is_one(handle: Flux, top: str) -> None:
    flux.kvs.put_mkdir(handle, f"{top}.d")
    flux.kvs.commit(handle)
    txn = KVSTxn(handle, top)
    txn.append("d", b"x")
    with pytest.raises(IsADirectoryError) as caught:
        txn.commit()
    assert caught.value.filename == f"{top}.d"
    assert txn.txn == []


def test_a_transaction_that_is_passed_on_stays_staged(handle: Flux, top: str) -> None:
    txn = KVSTxn(handle)
    flux.kvs.put(handle, f"{top}.a", 1, _kvstxn=txn)
    flux.kvs.put_mkdir(handle, f"{top}.d", _kvstxn=txn.txn)
    flux.kvs.commit(handle, _kvstxn=txn)
    flux.kvs.put_unlink(handle, f"{top}.a", _kvstxn=txn)
    flux.kvs.commit(handle, _kvstxn=txn.txn)
    assert not flux.kvs.exists(handle, f"{top}.a")
    assert flux.kvs.isdir(handle, f"{top}.d")
    assert len(txn.txn) == 3
    txn.clear()
    assert txn.commit() is None
    with pytest.raises(TypeError, match="KVSTxn"):
        flux.kvs.put(handle, "a", 1, _kvstxn=1)  # type: ignore[arg-type]


def test_it_commits_also_when_the_block_fails(handle: Flux, top: str) -> None:
    with suppress(ZeroDivisionError), KVSTxn(handle, top) as txn:
        txn.put("a", 1)
        txn.put("b", 1 // 0)
    assert flux.kvs.exists(handle, f"{top}.a")


def test_appends_to_a_key_are_made_one(handle: Flux, top: str) -> None:
    txn = KVSTxn(handle, top)
    for text in ("a", "b", "c"):
        txn.append("log", text)
        txn.append("other", text * 2)
    txn.put("v", 1)
    txn.commit(FLUX_KVS_TXN_COMPACT)
    # One append makes a value, several make a list of blobs.
    assert flux.kvs.lookup(handle, f"{top}.log", FLUX_KVS_TREEOBJ).get_treeobj()["type"] == "val"
    assert flux.kvs.lookup(handle, f"{top}.log").get_raw() == b"abc"
    assert flux.kvs.lookup(handle, f"{top}.other").get_raw() == b"aabbcc"


@pytest.mark.parametrize("change", ["log", "", "log.below"])
def test_appends_keep_their_order_among_other_changes(handle: Flux, top: str, change: str) -> None:
    for flags in (0, FLUX_KVS_TXN_COMPACT):
        txn = KVSTxn(handle)
        key = f"{top}.d.log"
        txn.append(key, "a")
        txn.append(key, "b")
        txn.unlink(flux.kvs.join(top, "d", change))
        txn.append(key, "c")
        txn.append(key, "d")
        txn.commit(flags)
        expected = "abcd" if change == "log.below" else "cd"
        assert flux.kvs.get(handle, key) == expected
        flux.kvs.put_unlink(handle, key)
        flux.kvs.commit(handle)


def test_flags(handle: Flux, top: str, namespace: str) -> None:
    for flags in (FLUX_KVS_NO_MERGE, FLUX_KVS_SYNC, FLUX_KVS_SYNC | FLUX_KVS_TXN_COMPACT):
        flux.kvs.put(handle, f"{top}.a", flags)
        assert flux.kvs.commit(handle, flags) is not None
        assert flux.kvs.get(handle, f"{top}.a") == flags
    flux.kvs.put(handle, "a", 1)
    with pytest.raises(OSError, match="Invalid"):
        flux.kvs.commit(handle, FLUX_KVS_SYNC, namespace=namespace)


def test_symbolic_links(handle: Flux, top: str, namespace: str) -> None:
    flux.kvs.put(handle, "there", 1)
    flux.kvs.commit(handle, namespace=namespace)
    flux.kvs.put_symlink(handle, f"{top}.in", f"{top}.nowhere")
    flux.kvs.put_symlink(handle, f"{top}.out", "there", target_namespace=namespace)
    flux.kvs.put_symlink(handle, f"{top}.loop", f"{top}.loop")
    flux.kvs.commit(handle)
    assert flux.kvs.get(handle, f"{top}.out") == 1
    assert not flux.kvs.exists(handle, f"{top}.in")
    link = flux.kvs.lookup(handle, f"{top}.out", FLUX_KVS_READLINK)
    assert link.get_symlink() == (namespace, "there")
    link = flux.kvs.lookup(handle, f"{top}.in", FLUX_KVS_READLINK)
    assert link.get_symlink() == (None, f"{top}.nowhere")
    with pytest.raises(OSError, match="symbolic links") as caught:
        flux.kvs.get(handle, f"{top}.loop")
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, f"{top}.loop")


def test_a_link_that_cannot_be_followed(handle: Flux, top: str) -> None:
    flux.kvs.put_symlink(handle, f"{top}.l", "a", target_namespace="nowhere")
    flux.kvs.commit(handle)
    txn = KVSTxn(handle, top)
    txn.append("l", b"x")
    for call in (txn.commit, lambda: flux.kvs.get(handle, f"{top}.l")):
        with pytest.raises(OSError, match="symbolic link") as caught:
            call()
        assert caught.value.errno == errno.EOPNOTSUPP
        assert caught.value.filename == f"{top}.l"
        # That of the link is another one.
        assert "primary" not in str(caught.value)


def test_a_value_is_not_a_link(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    flux.kvs.commit(handle)
    for flags in (FLUX_KVS_READLINK, FLUX_KVS_TREEOBJ):
        with pytest.raises(OSError, match=f"Invalid argument: '{top}.a'"):
            flux.kvs.lookup(handle, f"{top}.a", flags).get_symlink()


def test_without_a_handle(handle: Flux) -> None:
    txn = KVSTxn()
    txn.put("a", 1)
    with pytest.raises(ValueError, match="handle"):
        txn.commit()
    # It can still be committed with one.
    assert len(txn.txn) == 1
    with pytest.raises(ValueError, match="handle"):
        flux.kvs.put(None, "a", 1)
    with pytest.raises(TypeError, match="target"):
        txn.symlink("a", 1)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="empty"):
        KVSTxn(handle, "a").put("", 1)


def test_a_namespace(handle: Flux, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with KVSTxn(handle, namespace=namespace) as txn:
        txn.put("a", 1)
    assert flux.kvs.get(handle, "a", namespace=namespace) == 1
    assert not flux.kvs.exists(handle, "a")
    monkeypatch.setenv("FLUX_KVS_NAMESPACE", namespace)
    assert flux.kvs.get(handle, "a") == 1
    flux.kvs.put(handle, "b", 2)
    root = flux.kvs.commit(handle)
    assert root is not None
    assert root.namespace == namespace
    assert flux.kvs.get_dir(handle).list_all() == (["a", "b"], [])

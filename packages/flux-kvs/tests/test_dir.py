from __future__ import annotations

import errno
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flux.kvs
from flux import Flux
from flux.devbroker import Broker
from flux.kvs import KVSDir, treeobj


def test_a_directory_is_a_mapping(handle: Flux, top: str) -> None:
    d = KVSDir(handle, top)
    d["a"] = 1
    d["sub.b"] = [2]
    d.commit()
    d = KVSDir(handle, top)
    assert list(d) == ["a", "sub"]
    assert len(d) == 2
    assert d["a"] == d.get("a") == 1
    assert d["sub"]["b"] == d["sub.b"] == [2]
    assert [key in d for key in ("a", "c", "", "a.b", "\0")] == [True, False, False, False, False]
    assert d.get("c", "none") == "none"
    assert repr(d) == f"<flux.kvs.KVSDir {top} of 2>"
    with pytest.raises(KeyError, match=f"c not found under directory {top}"):
        d["c"]
    del d["a"]
    d.commit()
    assert "a" not in d


def test_names_and_kinds(handle: Flux, top: str) -> None:
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"b": 1, "a": 2, "d2.x": 1, "d1.x": 1})
        d.kvstxn.symlink(f"{top}.l", f"{top}.d1")
    d = flux.kvs.get_dir(handle, f"{top}.")
    assert list(d.files()) == ["a", "b", "l"]
    assert list(d.directories()) == ["d1", "d2"]
    assert d.list_all() == (["a", "b", "l"], ["d1", "d2"])
    assert d.key_at("x") == f"{top}.x"
    assert d.pimpl.exists("a")
    assert d.pimpl.issymlink("l")
    assert not d.pimpl.issymlink("a")
    # A link to a directory is none itself, and is one to read from.
    assert list(d["l"]) == ["x"]
    assert flux.kvs.isdir(handle, d.key_at("l"))
    names = d.KVSDirIterator(d)
    assert (names.next(), next(names)) == ("a", "b")


def test_subdirectories_share_the_transaction(handle: Flux, top: str) -> None:
    d = flux.kvs.get_dir(handle, top)
    d.mkdir("one.two")
    d["one"]["two"]["a"] = 1
    d["one"]["b"] = 2
    assert not flux.kvs.exists(handle, f"{top}.one.b")
    d.commit()
    assert flux.kvs.get(handle, f"{top}.one.two.a") == 1
    assert d.exists("one.b")


def test_mkdir_with_contents_is_one_commit(handle: Flux, top: str) -> None:
    d = flux.kvs.get_dir(handle, top)
    before = flux.kvs.getroot(handle).sequence
    d.mkdir("sub", {"a": 1, "b.c": 2})
    assert flux.kvs.getroot(handle).sequence == before + 1
    assert d["sub.b.c"] == 2
    # It takes the place of what there was.
    d.mkdir("sub")
    assert len(d["sub"]) == 0


def test_contents_are_written_all_or_not_at_all(handle: Flux, top: str) -> None:
    d = flux.kvs.get_dir(handle, top)
    for call in (d.fill, lambda contents: d.mkdir("sub", contents)):
        with pytest.raises(TypeError, match=r"\.b'"):
            call({"a": 1, "b": object()})
        with pytest.raises(OSError, match="empty"):
            call({"a": 1, "": 2})
    assert d.commit() is None
    assert not d.exists("a")
    with pytest.raises(ValueError, match="contents"):
        d.fill(None)  # type: ignore[arg-type]


def test_clear(handle: Flux, top: str) -> None:
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"a": 1, "b.c": 2})
    with flux.kvs.get_dir(handle, top) as d:
        d.clear()
    assert len(flux.kvs.get_dir(handle, top)) == 0


def test_a_context_commits_also_when_it_fails(handle: Flux, top: str) -> None:
    with suppress(ZeroDivisionError), flux.kvs.get_dir(handle, top) as d:
        d["a"] = 1
        d["b"] = 1 // 0
    assert flux.kvs.get(handle, f"{top}.a") == 1


def test_what_is_not_a_directory(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    flux.kvs.commit(handle)
    with pytest.raises(NotADirectoryError) as caught:
        flux.kvs.get_dir(handle, f"{top}.a")
    assert caught.value.filename == f"{top}.a"
    with pytest.raises(FileNotFoundError) as missing:
        flux.kvs.get_dir(handle, f"{top}.b")
    assert missing.value.filename == f"{top}.b"
    with pytest.raises(IsADirectoryError):
        flux.kvs.get_key_direct(handle, top)


def test_what_is_no_key_error(handle: Flux, namespace: str) -> None:
    d = flux.kvs.get_dir(handle, namespace=namespace)
    flux.kvs.namespace_remove(handle, namespace)
    # That there is no such namespace does not say that there is no such key.
    with pytest.raises(OSError, match=f"no KVS namespace '{namespace}'") as caught:
        "a" in d  # noqa: B015
    assert caught.value.errno == errno.EOPNOTSUPP


def test_from_a_tree_object(handle: Flux, top: str) -> None:
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"a": 1})
    again = KVSDir(handle=flux.kvs.get_dir(handle, top).handle, path=top)
    assert list(again) == ["a"]
    with pytest.raises(ValueError, match="handle"):
        again["a"]
    with pytest.raises(ValueError, match="handle"):
        KVSDir()
    for wrong in (treeobj.val(b""), 1, {}):
        with pytest.raises(OSError, match="tree object"):
            KVSDir(handle, handle=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("topdown", [False, True])
def test_walk(handle: Flux, top: str, topdown: bool) -> None:
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"a": 1, "d1.b": 1, "d1.d3.c": 1, "d2.e": 1})
    order = [
        ("", ["d1", "d2"], ["a"]),
        ("d1", ["d3"], ["b"]),
        ("d1.d3", [], ["c"]),
        ("d2", [], ["e"]),
    ]
    if not topdown:
        order = [order[2], order[1], order[3], order[0]]
    for start in (top, flux.kvs.get_dir(handle, top)):
        walk = flux.kvs.walk(start, topdown, handle)
        assert [(path, list(ds), list(fs)) for path, ds, fs in walk] == order
        assert next(walk, None) is None


def test_walk_in_a_namespace(handle: Flux, namespace: str) -> None:
    with flux.kvs.get_dir(handle, namespace=namespace) as d:
        d.fill({"d.a": 1})
    for walk in (
        flux.kvs.walk(".", flux_handle=handle, namespace=namespace),
        flux.kvs.walk(flux.kvs.get_dir(handle, namespace=namespace)),
    ):
        assert walk.next()[0] == "d"
        assert walk.next()[0] == ""
    with pytest.raises(ValueError, match="flux_handle"):
        flux.kvs.walk("d")


def test_a_snapshot_does_not_move(handle: Flux, top: str) -> None:
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"a": 1, "d.b": 1})
    root = flux.kvs.getroot(handle)
    with flux.kvs.get_dir(handle, top) as d:
        d.fill({"a": 2, "d.c": 2, "new": 1})
        del d["d.b"]
    for at in (root, root.ref, root.treeobj()):
        assert flux.kvs.get(handle, f"{top}.a", at=at) == 1
        assert not flux.kvs.exists(handle, f"{top}.new", at=at)
        assert flux.kvs.isdir(handle, f"{top}.d", at=at)
        before = flux.kvs.get_dir(handle, top, at=at)
        assert list(before) == ["a", "d"]
        assert list(before["d"]) == ["b"]
        assert before["a"] == 1
        assert not before.exists("new")
        assert [path for path, _ds, _fs in flux.kvs.walk(before)] == ["d", ""]
        names = [[*fs] for _path, _ds, fs in flux.kvs.walk(top, flux_handle=handle, at=at)]
        assert names == [["b"], ["a"]]
    assert flux.kvs.get(handle, f"{top}.a") == 2
    # Copying a whole directory from it.
    txn = flux.kvs.KVSTxn(handle, top)
    txn.put_treeobj("copy", flux.kvs.lookup(handle, top, 16, at=root).get_treeobj())
    txn.commit()
    assert flux.kvs.get(handle, f"{top}.copy.a") == 1


@pytest.mark.parametrize("at", ["x", "sha1-0", 1, treeobj.directory()], ids=str)
def test_what_is_not_a_root(handle: Flux, at: Any) -> None:
    with pytest.raises(OSError, match="KVSRoot") as caught:
        flux.kvs.get(handle, "a", at=at)
    assert caught.value.errno == errno.EINVAL


def test_a_root_that_is_not_in_the_store(handle: Flux) -> None:
    with pytest.raises(FileNotFoundError):
        flux.kvs.get(handle, "a", at=treeobj.blobref(b"nothing"))


def test_a_root_is_not_waited_for(handle: Flux) -> None:
    root = flux.kvs.getroot(handle)
    with pytest.raises(OSError, match="does not change"):
        flux.kvs.lookup(handle, "a", 8, at=root)


def test_namespaces(handle: Flux, namespace: str) -> None:
    assert {"primary", namespace} <= set(flux.kvs.namespace_list(handle))
    with pytest.raises(OSError, match=f"File exists: '{namespace}'"):
        flux.kvs.namespace_create(handle, namespace)
    flux.kvs.namespace_remove(handle, namespace)
    flux.kvs.namespace_remove(handle, namespace)
    assert namespace not in flux.kvs.namespace_list(handle)
    for call in (
        lambda: flux.kvs.getroot(handle, namespace),
        lambda: flux.kvs.get_dir(handle, namespace=namespace),
        lambda: flux.kvs.commit_async(handle, namespace=namespace).get(),
    ):
        with pytest.raises(OSError, match=f"there is no KVS namespace '{namespace}'") as caught:
            call()
        assert caught.value.errno == errno.EOPNOTSUPP
    with pytest.raises(OSError, match="not supported: 'primary'"):
        flux.kvs.namespace_remove(handle, "primary")


def test_a_namespace_that_begins_with_a_root(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    root = flux.kvs.commit(handle)
    flux.kvs.namespace_create(handle, f"{top}-1", at=root)
    flux.kvs.namespace_create_async(handle, f"{top}-2", at=root).get()
    assert flux.kvs.get(handle, f"{top}.a", namespace=f"{top}-1") == 1
    assert flux.kvs.getroot(handle, f"{top}-2").ref == root.ref  # type: ignore[union-attr]
    with pytest.raises(FileExistsError) as caught:
        flux.kvs.namespace_create(handle, f"{top}-1")
    assert caught.value.filename == f"{top}-1"


def test_checkpoints(handle: Flux, top: str) -> None:
    flux.kvs.put(handle, f"{top}.a", 1)
    root = flux.kvs.commit(handle, flux.constants.FLUX_KVS_SYNC)
    assert root is not None
    for cache_bypass in (False, True):
        newest = flux.kvs.kvs_checkpoint_lookup(handle, cache_bypass)[0]
        assert newest["version"] == 1
        assert newest["rootref"] == root.ref
        assert newest["sequence"] == root.sequence
        assert newest["timestamp"] > 0
    flux.kvs.dropcache(handle)
    assert flux.kvs.get(handle, f"{top}.a") == 1


NAMES = st.text("abc", min_size=1, max_size=2)
TREES = st.recursive(
    st.integers(), lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3), max_leaves=8
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=3))
def test_what_a_walk_finds_is_what_was_put(broker: Broker, tree: dict[str, Any]) -> None:
    expected: dict[str, int] = {}

    def flatten(path: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, item in value.items():
                flatten(flux.kvs.join(path, name), item)
        else:
            expected[path] = value

    flatten("", tree)
    with broker.handle() as handle:
        flux.kvs.get_dir(handle).mkdir("property", expected)
        found = {
            flux.kvs.join(path, name): flux.kvs.get(handle, flux.kvs.join("property", path, name))
            for path, _directories, files in flux.kvs.walk("property", flux_handle=handle)
            for name in files
        }
    assert found == expected

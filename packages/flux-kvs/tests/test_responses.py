"""What a client makes of a broker that answers in other ways than it should."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import flux.kvs
from flux.kvs import treeobj

REF = treeobj.blobref(b"")

MALFORMED: list[Any] = [
    None,
    [],
    "text",
    {},
    {"val": None},
    {"val": 1},
    {"val": {"ver": 1, "type": "val"}},
    {"val": {"ver": 1, "type": "dir", "data": {"a": 1}}},
    {"val": {"ver": 1, "type": "dir", "data": []}},
    {"namespaces": 1, "rootseq": "1", "rootref": REF, "value": 1},
    {"namespaces": [1], "rootseq": 1, "value": [1]},
]

CALLS: dict[str, list[Any]] = {
    "kvs.lookup": [
        lambda h: flux.kvs.get(h, "a"),
        lambda h: flux.kvs.get_dir(h, "a"),
        lambda h: flux.kvs.get_dir_async(h, "a").get(),
        lambda h: flux.kvs.lookup(h, "a").get_raw(),
        lambda h: flux.kvs.lookup(h, "a").get_treeobj(),
        lambda h: flux.kvs.lookup(h, "a").get_symlink(),
    ],
    "kvs.commit": [lambda h: flux.kvs.commit_async(h).get()],
    "kvs.getroot": [flux.kvs.getroot],
    "kvs.wait-version": [lambda h: flux.kvs.wait_version(h, 1)],
    "kvs.namespace-list": [flux.kvs.namespace_list],
    "content.checkpoint-get": [flux.kvs.kvs_checkpoint_lookup],
    "kvs-watch.lookup": [lambda h: flux.kvs.kvs_watch_async(h, "a").get()],
}


@pytest.mark.parametrize(("topic", "call"), [(t, c) for t, calls in CALLS.items() for c in calls])
@pytest.mark.parametrize("response", MALFORMED, ids=str)
def test_a_malformed_response_is_eproto(peer: Any, topic: str, call: Any, response: Any) -> None:
    peer.expect(topic, response)
    with pytest.raises(OSError, match=r"\w") as caught:
        call(peer.handle)
    assert caught.value.errno == errno.EPROTO
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("obj", [{**treeobj.val(b""), "data": "!"}, treeobj.dirref(REF)], ids=str)
def test_a_value_is_asked_for_and_something_else_comes(peer: Any, obj: Any) -> None:
    for call in (flux.kvs.get, flux.kvs.get_key_direct, flux.kvs.get_dir):
        peer.expect("kvs.lookup", {"val": obj})
        with pytest.raises(ValueError, match="response of the KVS") as caught:
            call(peer.handle, "a")
        assert isinstance(caught.value, OSError)


def test_a_malformed_value_does_not_end_a_watch(peer: Any) -> None:
    watch = flux.kvs.kvs_watch_async(peer.handle, "a")
    good = {"val": treeobj.val(b"1")}
    peer.answer(peer.read("kvs-watch.lookup"), good, {"val": 1}, good, errno.ENODATA)
    assert watch.get() == 1
    with pytest.raises(ValueError, match="no value"):
        watch.get()
    assert list(watch) == [1]


def test_a_checkpoint_of_an_older_release(peer: Any) -> None:
    peer.expect("content.checkpoint-get", {"value": {"version": 1, "rootref": REF}})
    assert flux.kvs.kvs_checkpoint_lookup(peer.handle)[0]["rootref"] == REF


def test_the_connection_is_lost(peer: Any) -> None:
    watch = flux.kvs.kvs_watch_async(peer.handle, "a")
    future = flux.kvs.exists_async(peer.handle, "a")
    peer.hang_up()
    for each in (watch, future):
        with pytest.raises(ConnectionResetError):
            each.get()


def test_what_is_sent(peer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    handle = peer.handle
    monkeypatch.delenv("FLUX_KVS_NAMESPACE", raising=False)
    flux.kvs.put(handle, "a", {"b": 1})
    flux.kvs.put_unlink(handle, "c")
    future = flux.kvs.commit_async(handle, flux.constants.FLUX_KVS_NO_MERGE)
    assert peer.read("kvs.commit").payload == {
        "namespace": "primary",
        "flags": 1,
        "ops": [
            # As flux-core's bindings write it, so that the same value has the same blobref.
            {"key": "a", "flags": 0, "dirent": treeobj.val(b'{"b": 1}')},
            {"key": "c", "flags": 0, "dirent": None},
        ],
    }
    lookup = flux.kvs.get_async(handle, "a", at=REF)
    assert peer.read("kvs.lookup").payload == {
        "key": "a",
        "flags": 0,
        "rootdir": treeobj.dirref(REF),
    }
    watch = flux.kvs.kvs_watch_async(handle, "a", "ns", True, True, True)
    assert peer.read("kvs-watch.lookup").payload == {
        "key": "a",
        "namespace": "ns",
        "flags": 4 | 8 | 64 | 128,
    }
    watch.cancel()
    watch.cancel()
    assert peer.read("kvs-watch.cancel").payload == {"matchtag": watch.get_matchtag()}
    assert peer.quiet()
    del future, lookup


def test_empty_values_are_not_errors(peer: Any) -> None:
    peer.expect("kvs.lookup", {"val": treeobj.val(b"")})
    assert flux.kvs.get(peer.handle, "a") is None
    peer.expect("kvs.lookup", {"val": treeobj.val(b"")})
    assert flux.kvs.lookup(peer.handle, "a").get_raw() == b""

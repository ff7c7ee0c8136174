"""What users of the KVS rely on, besides what the recorded conversations show."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flux.constants import FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.core.handle import Flux
from flux.devbroker import Broker, BrokerError

EMPTY = "sha1-c0a9faf907dda6216fd73bf81d0b3b21a1a8cb91"
APPEND = 32
READDIR, TREEOBJ = 1, 16
WATCH, WAITCREATE, FULL, WATCH_APPEND, STREAM = 4, 8, 64, 256, 512
SYNC = 4


class Kvs:
    """The KVS of a broker, as the tests use it."""

    def __init__(self, handle: Flux) -> None:
        self.handle = handle

    def commit_rpc(self, *ops: dict[str, Any], ns: str = "primary", flags: int = 0) -> Any:
        request = {"namespace": ns, "flags": flags, "ops": list(ops)}
        return self.handle.rpc("kvs.commit", request)

    def commit(self, *ops: dict[str, Any], **kwargs: Any) -> Any:
        return self.commit_rpc(*ops, **kwargs).get()

    def put(self, key: str, value: bytes) -> Any:
        return self.commit(put(key, value))

    def append(self, key: str, value: bytes) -> Any:
        return self.commit(put(key, value, APPEND))

    def lookup(self, key: str, flags: int = 0, ns: str = "primary", **more: Any) -> Any:
        request = {"key": key, "namespace": ns, "flags": flags, **more}
        return self.handle.rpc("kvs.lookup", request).get()["val"]

    def get(self, key: str, **kwargs: Any) -> bytes:
        return value_of(self.lookup(key, **kwargs))

    def at(self, rootref: str, key: str, flags: int = 0) -> Any:
        request = {"key": key, "flags": flags, "rootdir": dirref(rootref)}
        return self.handle.rpc("kvs.lookup", request).get()["val"]

    def names(self, key: str = ".") -> list[str]:
        return sorted(self.lookup(key, READDIR)["data"])

    def root(self, ns: str = "primary") -> Any:
        return self.handle.rpc("kvs.getroot", {"namespace": ns}).get()

    def create(self, ns: str, rootref: str = EMPTY) -> None:
        request = {"namespace": ns, "rootref": rootref, "owner": -1, "flags": 0}
        self.handle.rpc("kvs.namespace-create", request).get()

    def remove(self, ns: str) -> None:
        self.handle.rpc("kvs.namespace-remove", {"namespace": ns}).get()

    def watch(self, key: str, flags: int, ns: str = "primary") -> Any:
        request = {"key": key, "namespace": ns, "flags": flags}
        rpc = self.handle.rpc("kvs-watch.lookup", request, flags=FLUX_RPC_STREAMING)
        # Requests to one service keep their order, those to two do not: a commit that is sent
        # next could overtake the watch.
        self.handle.rpc("kvs-watch.ping", {}).get()
        return rpc

    def cancel(self, matchtag: int) -> None:
        self.handle.rpc("kvs-watch.cancel", {"matchtag": matchtag}, flags=FLUX_RPC_NORESPONSE)

    def load(self, ref: str) -> bytes:
        msg = self.handle.request_encode("content.load")
        msg.payload_bytes = bytes.fromhex(ref[len("sha1-") :])
        msg.matchtag = 1 << 30
        self.handle.send(msg)
        response = self.handle.recv(match_tag=1 << 30)
        assert response is not None
        response.raise_for_error()
        return response.payload_bytes or b""


def val(data: bytes) -> dict[str, Any]:
    return {"ver": 1, "type": "val", "data": base64.b64encode(data).decode()}


def value_of(obj: Any) -> bytes:
    return base64.b64decode(obj["data"])


def dirref(ref: str) -> dict[str, Any]:
    return {"ver": 1, "type": "dirref", "data": [ref]}


def link(target: str, ns: str | None = None) -> dict[str, Any]:
    data = {"target": target} if ns is None else {"target": target, "namespace": ns}
    return {"ver": 1, "type": "symlink", "data": data}


def put(key: str, value: bytes, flags: int = 0) -> dict[str, Any]:
    return {"key": key, "flags": flags, "dirent": val(value)}


def set_obj(key: str, obj: Any) -> dict[str, Any]:
    return {"key": key, "flags": 0, "dirent": obj}


def next_value(rpc: Any) -> bytes:
    value = value_of(rpc.get()["val"])
    rpc.reset()
    return value


def errnum(rpc: Any) -> int:
    with pytest.raises(OSError) as info:  # noqa: PT011
        rpc.get()
    assert info.value.errno is not None
    return info.value.errno


def tree_hash(kvs: Kvs, ref: str) -> int:
    """Check all hashes below a root, against those of the blobs; return how many there are."""
    blob = kvs.load(ref)
    assert f"sha1-{hashlib.sha1(blob).hexdigest()}" == ref
    directory = json.loads(blob)
    text = json.dumps(directory, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert text.encode() == blob
    count = 1
    for obj in directory["data"].values():
        if obj["type"] == "dirref":
            count += tree_hash(kvs, obj["data"][0])
        elif obj["type"] == "valref":
            for each in obj["data"]:
                assert f"sha1-{hashlib.sha1(kvs.load(each)).hexdigest()}" == each
                count += 1
    return count


@pytest.fixture
def kvs(flux_handle: Flux) -> Kvs:
    return Kvs(flux_handle)


# -- commits


@pytest.mark.parametrize("size", [0, 1, 54, 55, 3000, 1 << 20])
def test_a_value_is_what_was_put(kvs, size):
    data = os.urandom(size)
    kvs.put("dir.key", data)
    assert kvs.get("dir.key") == data
    assert kvs.lookup("dir.key", TREEOBJ)["type"] == ("val" if size < 55 else "valref")


def test_names_may_be_any_text(kvs):
    names = ["ä", "日本", "a b", '"quoted"', "back\\slash", "new\nline", "\U0001f600", "%", "\x7f"]
    for name in names:
        kvs.put(f"d.{name}", name.encode())
    assert kvs.names("d") == sorted(names)
    for name in names:
        assert kvs.get(f"d.{name}") == name.encode()
    tree_hash(kvs, kvs.root()["rootref"])


def test_a_commit_that_fails_changes_nothing(kvs):
    kvs.commit(put("a.b", b"1"), put("log", b"one\n"), set_obj("l", link("a")))
    before = kvs.root()
    for bad in (put("a", b"x", APPEND), put("l", b"x", APPEND), set_obj("x", {"ver": 2})):
        rpc = kvs.commit_rpc(
            put("a.b", b"2"),
            put("a.c.d", b"3"),
            set_obj("log", None),
            put("a", b"4"),
            set_obj("a", None),
            put("log.x", b"5"),
            put("a.b", b"6"),
            bad,
        )
        assert errnum(rpc) in (errno.EISDIR, errno.EOPNOTSUPP, errno.EINVAL)
    assert kvs.root() == before
    assert kvs.get("a.b") == b"1"
    assert kvs.get("log") == b"one\n"


def test_one_that_fails_does_not_harm_those_sent_along_with_it(kvs):
    good = [kvs.commit_rpc(put(f"d.k{i}", b"x")) for i in range(5)]
    bad = kvs.commit_rpc(put("d.k0", b"y"), put("d", b"z", APPEND))
    good += [kvs.commit_rpc(put(f"d.k{i}", b"x")) for i in range(5, 10)]
    assert errnum(bad) == errno.EISDIR
    for rpc in good:
        rpc.get()
    assert kvs.names("d") == [f"k{i}" for i in range(10)]
    assert kvs.get("d.k0") == b"x"


def test_what_was_committed_is_seen_by_whatever_is_asked_next(kvs):
    # All of these are on their way before the first is answered.
    rpcs = []
    for i in range(20):
        kvs.commit_rpc(put("n", b"%d" % i))
        request = {"key": "n", "namespace": "primary", "flags": 0}
        rpcs.append(kvs.handle.rpc("kvs.lookup", request))
    assert [value_of(rpc.get()["val"]) for rpc in rpcs] == [b"%d" % i for i in range(20)]


def test_the_root_sequence_number_grows_by_one_for_each_awaited_commit(kvs):
    seqs = [kvs.put("k", b"%d" % i)["rootseq"] for i in range(5)]
    assert seqs == list(range(seqs[0], seqs[0] + 5))
    assert kvs.root()["rootseq"] == seqs[-1]


def test_a_commit_goes_through_links_within_its_namespace(kvs):
    kvs.commit(put("real.x", b"1"), set_obj("l", link("real")), set_obj("m", link("l")))
    kvs.put("m.y.z", b"2")
    assert kvs.get("real.y.z") == b"2"
    kvs.commit(set_obj("m.x", None))
    assert kvs.names("real") == ["y"]
    kvs.create("ns")
    kvs.commit(
        set_obj("away", link("a", "ns")), set_obj("o1", link("o2")), set_obj("o2", link("o1"))
    )
    assert errnum(kvs.commit_rpc(put("away.x", b"1"))) == errno.EINVAL
    assert errnum(kvs.commit_rpc(put("o1.x", b"1"))) == errno.ELOOP


def test_a_large_directory_has_the_hash_of_its_text(kvs):
    # In an order that leaves gaps to be filled, and with some removed again.
    order = [i * 7919 % 1000 for i in range(1000)]
    for start in range(0, 1000, 50):
        kvs.commit(*(put(f"d.n{i:04}", b"%d" % i) for i in order[start : start + 50]))
        tree_hash(kvs, kvs.root()["rootref"])
    for i in range(0, 1000, 97):
        kvs.commit(set_obj(f"d.n{i:04}", None), put(f"d.n{i + 1:04}.x", b"y"))
        tree_hash(kvs, kvs.root()["rootref"])
    for i in range(30, 1000):
        kvs.commit_rpc(set_obj(f"d.n{i:04}", None))
    tree_hash(kvs, kvs.root()["rootref"])
    assert len(kvs.names("d")) == 29


def test_no_request_is_too_odd(statedir):
    with Broker(attributes={"statedir": statedir}) as broker, broker.handle() as handle:
        kvs = Kvs(handle)
        assert errnum(kvs.commit_rpc(put("a" + ".a" * 5000, b"1"))) == errno.ENAMETOOLONG
        assert errnum(kvs.commit_rpc(put("\udcff", b"1"))) == errno.EPROTO
        deep: dict[str, Any] = {"ver": 1, "type": "dir", "data": {}}
        for _ in range(300):
            deep = {"ver": 1, "type": "dir", "data": {"d": deep}}
        assert errnum(kvs.commit_rpc(set_obj("deep", deep))) == errno.EINVAL
        kvs.put("k" + ".k" * 150, b"1")
        # What follows the first NUL does not count, and must not be read after a restart.
        odd = '{"namespace":"primary","flags":0,"ops":[]}\0garbage'
        handle.rpc("kvs.commit", odd).get()
        broker.kill()
    for kvs in restarted(statedir):
        assert kvs.get("k" + ".k" * 150) == b"1"


# -- roots and what they refer to


def test_a_former_root_can_be_looked_into(kvs):
    old = kvs.commit(put("d.k", b"old"), put("d.log", b"x" * 60, APPEND))["rootref"]
    kvs.commit(put("d.k", b"new"), put("d.log", b"y" * 60, APPEND), set_obj("e", link("d")))
    assert value_of(kvs.at(old, "d.k")) == b"old"
    assert value_of(kvs.at(old, "d.log")) == b"x" * 60
    assert "e" not in kvs.at(old, ".", READDIR)["data"]
    assert tree_hash(kvs, old) >= 3


def test_a_directory_can_be_committed_elsewhere_by_reference(kvs):
    kvs.commit(put("d.e.f", b"1"), put("d.log", b"a\n", APPEND))
    kvs.commit(set_obj("copy", kvs.lookup("d", TREEOBJ)))
    kvs.commit(put("d.e.f", b"2"), put("d.log", b"b\n", APPEND))
    assert (kvs.get("copy.e.f"), kvs.get("copy.log")) == (b"1", b"a\n")
    kvs.put("copy.e.g", b"3")
    assert kvs.names("copy.e") == ["f", "g"]
    assert kvs.names("d.e") == ["f"]
    # As the job services do it when a job ends.
    kvs.create("job")
    kvs.commit(put("exec.eventlog", b"{}\n", APPEND), ns="job")
    kvs.commit(set_obj("job.guest", dirref(kvs.root("job")["rootref"])))
    kvs.remove("job")
    assert kvs.get("job.guest.exec.eventlog") == b"{}\n"


def test_what_is_missing_from_the_store_is_not_found(kvs):
    nothing = "sha1-" + "0" * 40
    kvs.commit(
        set_obj("d", dirref(nothing)), set_obj("v", {"ver": 1, "type": "valref", "data": [nothing]})
    )
    for key in ("v", "d.x"):
        with pytest.raises(FileNotFoundError):
            kvs.lookup(key)
    assert errnum(kvs.commit_rpc(put("d.x", b"1"))) == errno.ENOENT
    assert errnum(kvs.handle.rpc("content.load", "x" * 19)) == errno.ENOENT


def test_one_can_wait_for_a_root(kvs, flux_broker):
    seq = kvs.root()["rootseq"]
    request = {"rootseq": seq + 2, "namespace": "primary"}
    waiting = kvs.handle.rpc("kvs.wait-version", request)
    with flux_broker.handle() as other:
        # Forgotten with its connection.
        other.rpc("kvs.wait-version", request)
        other.rpc("kvs.namespace-list").get()
    kvs.create("ns")
    elsewhere = kvs.handle.rpc("kvs.wait-version", {"rootseq": 9, "namespace": "ns"})
    kvs.put("a", b"1")
    assert not waiting.is_ready()
    result = kvs.put("a", b"2")
    assert waiting.get() == {"rootseq": seq + 2, "rootref": result["rootref"]}
    kvs.remove("ns")
    assert errnum(elsewhere) == errno.EOPNOTSUPP


# -- watching


def test_appends_are_delivered_one_by_one_and_in_order(kvs):
    rpc = kvs.watch("log", WATCH | WATCH_APPEND | WAITCREATE)
    for i in range(50):
        kvs.commit_rpc(put("log", b"%d\n" % (2 * i), APPEND), put("log", b"%d\n" % (2 * i + 1), 32))
    assert b"".join(next_value(rpc) for _ in range(99)) == b"".join(
        # The first two were there when the key was first seen.
        b"%d\n" % i
        for i in range(99)
    )


def test_a_client_that_is_gone_watches_no_more(kvs, flux_broker):
    with flux_broker.handle() as other:
        rpc = Kvs(other).watch("k", WATCH | WAITCREATE)
        other.rpc("kvs.namespace-list").get()
        assert kvs.handle.rpc("kvs-watch.stats-get").get()["watchers"] == 1
        del rpc
    # The broker learns of it some time after it has gone.
    for _ in range(10_000):
        stats = kvs.handle.rpc("kvs-watch.stats-get").get()
        if not stats["watchers"]:
            break
    assert stats == {"watchers": 0, "namespace-count": 0, "namespaces": {}}


def test_only_its_own_client_can_cancel_a_watch(kvs, flux_broker):
    rpc = kvs.watch("k", WATCH | WAITCREATE)
    with flux_broker.handle() as other:
        for tag in range(10):
            Kvs(other).cancel(tag)
        other.rpc("kvs.namespace-list").get()
    kvs.put("k", b"1")
    assert next_value(rpc) == b"1"


def test_full_notices_what_happens_under_another_name(kvs):
    kvs.commit(put("d.k", b"1"), set_obj("l", link("d")))
    full, plain = kvs.watch("d.k", WATCH | FULL), kvs.watch("d.k", WATCH)
    assert (next_value(full), next_value(plain)) == (b"1", b"1")
    kvs.put("l.k", b"2")
    assert next_value(full) == b"2"
    kvs.put("other", b"x")
    kvs.put("d.k", b"3")
    assert (next_value(full), next_value(plain)) == (b"3", b"3")


def test_waiting_for_a_key_ends_when_a_commit_leaves_none(kvs):
    plain, full = kvs.watch("k", WATCH | WAITCREATE), kvs.watch("k", WATCH | WAITCREATE | FULL)
    kvs.put("other", b"1")
    # As in the original, this one looks again after each commit.
    assert errnum(full) == errno.ENOENT
    assert not plain.is_ready()
    kvs.commit(set_obj("k", None))
    assert errnum(plain) == errno.ENOENT


@pytest.mark.parametrize(
    ("key", "error", "text"),
    [
        ("d", errno.EISDIR, "dirref cannot be watched with WATCH_APPEND"),
        ("l", errno.EINVAL, "symlink cannot be watched with WATCH_APPEND"),
    ],
)
def test_only_a_value_can_be_appended_to(kvs, key, error, text):
    kvs.commit(put("d.k", b"1"), set_obj("l", link("nowhere")))
    with pytest.raises(OSError, match=text) as info:
        kvs.watch(key, WATCH | WATCH_APPEND).get()
    assert info.value.errno == error


def test_a_stream_is_one_response_for_each_append(kvs):
    for i in range(3):
        kvs.append("log", b"%d" % i)
    rpc = kvs.watch("log", STREAM)
    assert [next_value(rpc) for _ in range(3)] == [b"0", b"1", b"2"]
    assert errnum(rpc) == errno.ENODATA


# -- what is kept


@pytest.fixture
def statedir(tmp_path: Path) -> str:
    return str(tmp_path)


def restarted(statedir: str) -> Iterator[Kvs]:
    with Broker(attributes={"statedir": statedir}) as broker, broker.handle() as handle:
        yield Kvs(handle)


def fill(kvs: Kvs) -> dict[str, Any]:
    """Put a bit of everything into the KVS, and return what it is to have afterwards."""
    kvs.commit(put("a.b", b"1"), put("big", b"x" * 5000), set_obj("l", link("a.b")))
    for i in range(300):
        kvs.append(f"job.{i // 100}.{i}.eventlog", b'{"timestamp":%d.0,"name":"e"}\n' % i)
        kvs.append(f"job.{i // 100}.{i}.eventlog", b'{"timestamp":%d.5,"name":"f"}\n' % i)
    kvs.create("ns")
    kvs.commit(put("k", b"2"), ns="ns")
    kvs.commit(set_obj("graft", dirref(kvs.root("ns")["rootref"])))
    kvs.create("gone", kvs.root("ns")["rootref"])
    kvs.remove("gone")
    kvs.commit(set_obj("a.b", None), put("a.c", b"3"))
    return {ns: kvs.root(ns) for ns in ("primary", "ns")}


def check(kvs: Kvs, roots: dict[str, Any]) -> None:
    # Each start adds to this one.
    now, then = (
        {name: obj for name, obj in directory["data"].items() if name != "resource"}
        for directory in (
            kvs.lookup(".", READDIR),
            kvs.at(roots["primary"]["rootref"], ".", READDIR),
        )
    )
    assert now == then
    assert sorted(now) == ["a", "big", "graft", "job", "l"]
    assert kvs.root()["rootseq"] > roots["primary"]["rootseq"]
    assert kvs.root("ns") == roots["ns"]
    assert kvs.get("big") == b"x" * 5000
    assert kvs.get("graft.k") == kvs.get("k", ns="ns") == b"2"
    assert kvs.get("job.2.299.eventlog").count(b"\n") == 2
    listed = kvs.handle.rpc("kvs.namespace-list").get()["namespaces"]
    assert {entry["namespace"] for entry in listed} == {"primary", "ns"}
    assert tree_hash(kvs, roots["primary"]["rootref"]) > 900


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_broker_with_a_state_directory_has_it_all_again(statedir, end):
    broker = Broker(attributes={"statedir": statedir})
    with broker.handle() as handle:
        roots = fill(Kvs(handle))
    getattr(broker, end)()
    for _ in range(2):
        for kvs in restarted(statedir):
            check(kvs, roots)
    for kvs in restarted(statedir):
        kvs.append("job.0.0.eventlog", b"more\n")
    for kvs in restarted(statedir):
        assert kvs.get("job.0.0.eventlog").endswith(b"more\n")


def test_every_commit_that_was_answered_survives_the_broker(statedir):
    broker = Broker(attributes={"statedir": statedir})
    answered = 0
    with broker.handle() as handle:
        kvs = Kvs(handle)
        rpcs = [kvs.commit_rpc(put("log", b"%d\n" % i, APPEND)) for i in range(6000)]
        for rpc in rpcs:
            rpc.get()
            answered += 1
            if answered == 3500:
                os.kill(broker.pid, signal.SIGKILL)
                break
    broker.kill()
    for kvs in restarted(statedir):
        lines = kvs.get("log").split()
        assert len(lines) >= answered
        assert lines == [b"%d" % i for i in range(len(lines))]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs a limit on another process")
def test_what_cannot_be_written_is_refused_and_changes_nothing(statedir):
    with Broker(attributes={"statedir": statedir}) as broker, broker.handle() as handle:
        kvs = Kvs(handle)
        root = kvs.put("a.b", b"1")
        _soft, hard = resource.prlimit(broker.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (0, hard))
        for flags in (0, SYNC):
            refused = [kvs.commit_rpc(put("a.b", b"%d" % i), flags=flags) for i in range(3)]
            for rpc in refused:
                assert errnum(rpc) in (errno.EIO, errno.ENOSPC)
        create = {"namespace": "ns", "rootref": EMPTY, "owner": -1, "flags": 0}
        for rpc in (
            kvs.commit_rpc(set_obj("a", None)),
            kvs.handle.rpc("kvs.namespace-create", create),
        ):
            assert errnum(rpc) in (errno.EIO, errno.ENOSPC)
        assert kvs.get("a.b") == b"1"
        resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (hard, hard))
        assert kvs.root()["rootref"] == root["rootref"]
        seq = kvs.put("a.c", b"2")["rootseq"]
        assert seq == root["rootseq"] + 1
        broker.kill()
    for kvs in restarted(statedir):
        assert (kvs.get("a.b"), kvs.get("a.c")) == (b"1", b"2")


def test_without_one_nothing_is_left(tmp_path):
    for _ in range(2):
        with Broker() as broker, broker.handle() as handle:
            kvs = Kvs(handle)
            assert "a" not in kvs.names()
            kvs.put("a", b"1")
            kvs.commit(flags=SYNC)
            rundir = handle.attr_get("rundir")
        assert not os.path.exists(rundir)


def test_a_checkpoint_is_made_on_request(kvs):
    assert errnum(kvs.handle.rpc("content.checkpoint-get", {"flags": 0})) == errno.ENOENT
    roots = [kvs.commit(put("a", b"%d" % i), flags=SYNC) for i in range(7)]
    value = kvs.handle.rpc("content.checkpoint-get", {"flags": 0}).get()["value"]
    # The last five, the newest first.
    assert [(entry["rootref"], entry["sequence"]) for entry in value] == [
        (root["rootref"], root["rootseq"]) for root in reversed(roots[2:])
    ]


def test_a_state_directory_has_one_broker_at_a_time(statedir):
    locked = pytest.raises(BrokerError, match=r"devbroker-kvs\.sqlite: database is locked")
    with Broker(attributes={"statedir": statedir}), locked:
        Broker(attributes={"statedir": statedir})
    Broker(attributes={"statedir": statedir}).stop()


@pytest.mark.parametrize("content", ["text", "foreign", "newer"])
def test_a_database_that_is_not_ours_is_left_alone(statedir, content):
    path = Path(statedir, "devbroker-kvs.sqlite")
    if content == "text":
        path.write_text("This is not a database, but a text that is longer than its header.")
    else:
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE t (x)")
        if content == "newer":
            db.execute(f"PRAGMA application_id = {0x466C7578}")
            db.execute("PRAGMA user_version = 99")
        db.close()
    before = path.read_bytes()
    with pytest.raises(BrokerError, match="not a database"):
        Broker(attributes={"statedir": statedir})
    assert path.read_bytes() == before


def test_a_state_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BrokerError, match=r"nosuch/devbroker-kvs.sqlite: unable to open"):
        Broker(attributes={"statedir": str(tmp_path / "nosuch")})


def test_flux_start_takes_a_state_directory(tmp_path):
    flux = f"{sys.executable} -m flux.devbroker"
    for command, output in ((f"{flux} kvs put a.b=hello", ""), (f"{flux} kvs get a.b", "hello\n")):
        result = subprocess.run(
            [*flux.split(), "start", f"--statedir={tmp_path}", command],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (result.stdout, result.returncode) == (output, 0), result.stderr

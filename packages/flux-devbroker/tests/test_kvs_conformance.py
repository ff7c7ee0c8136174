"""The recorded conversations with a real KVS, had again with this one.

They begin with what the recorded instance had in its KVS, so that all root references are to be as
recorded, to the last digit.  What is left out of the comparison is listed here, with the reason,
and nothing else is.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_PRIVATE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_EVENT,
)
from flux.core.handle import Flux
from flux.message import Message

HERE = Path(__file__).parent / "transcripts-kvs"

#: Recorded one after the other.
SEQUENCE = ("basic", "append-eventlog", "errors", "lookupat", "namespace", "watch", "content")

FLAGS = {
    "private": FLUX_MSGFLAG_PRIVATE,
    "streaming": FLUX_MSGFLAG_STREAMING,
    "noresponse": FLUX_MSGFLAG_NORESPONSE,
}

#: The user who ran the recorded instance.
RECORDED_OWNER = 0

#: The root that each conversation begins with: its number, and the directories in it, of which
#: nothing but the references is known.
BEGINNINGS = {
    "basic": (
        3,
        {
            "admin": "sha1-10bc058a150b7b4fa025275e388c02ee7cd95159",
            "resource": "sha1-b811e2e65a057a1f9015bbaaa80d533fd6c753db",
        },
    ),
    "python": (
        3,
        {
            "admin": "sha1-be75822153ee60531e1606855bf882fb2dbc817d",
            "resource": "sha1-15bb85d9d3a44886c30a658ced399bbc04438d1d",
        },
    ),
    "command": (
        52,
        {
            "admin": "sha1-c8f32d48622e859d75a4f7e3cf230a25f464272a",
            "job": "sha1-0d0299048bce5d055a908c7e61622f27239dc412",
            "resource": "sha1-dc92f3ab1452a6ac4b5323f822f15ce59a01af0a",
        },
    ),
}


def operation(key: str, data: str | None, flags: int = 0) -> dict[str, Any]:
    obj = None if data is None else {"ver": 1, "type": "val", "data": data}
    return {"key": key, "flags": flags, "dirent": obj}


ONE = "eyJ0aW1lc3RhbXAiOjEuMCwibmFtZSI6Im9uZSJ9Cg=="
TWO = "eyJ0aW1lc3RhbXAiOjIuMCwibmFtZSI6InR3byJ9Cg=="
THREE = "eyJ0aW1lc3RhbXAiOjMuMCwibmFtZSI6InRocmVlIn0K"
FOUR = "eyJ0aW1lc3RhbXAiOjQuMCwibmFtZSI6ImZvdXIifQo="
FIVE = "eyJ0aW1lc3RhbXAiOjUuMCwibmFtZSI6ImZpdmUifQo="

#: What another client, which was not recorded, committed before a step of ``watch``.
UNRECORDED = {
    "WATCH(4) w": [[operation("w", "MQ==")]],
    "w: put 2": [[operation("w", "Mg==")]],
    "w: put 2 again (same value, still notified)": [[operation("w", "Mg==")]],
    "w unlinked": [[operation("other", "eA==")], [operation("w", None)]],
    "WATCH|UNIQ(132) w": [[operation("w", "MQ==")]],
    "uniq: new value": [[operation("w", "MQ==")], [operation("w", "Mw==")]],
    "create nokey": [[operation("nokey", "Ym9ybg==")]],
    "create nokey2": [[operation("nokey2", "Ym9ybg==")]],
    "WATCH|APPEND(260) ev": [[operation("ev", ONE, 32)], [operation("ev", TWO, 32)]],
    "append three": [[operation("ev", THREE, 32)]],
    "append two in one commit": [[operation("ev", FOUR, 32), operation("ev", FIVE, 32)]],
    "overwrite ev (illegal for append watcher)": [[operation("ev", "eAo=")]],
    "WATCH|APPEND|INITIAL_SENTINEL(1284) ev2": [
        [operation("ev2", ONE, 32)],
        [operation("ev2", TWO, 32)],
    ],
    "create ev3": [[operation("ev3", ONE, 32)]],
}


#: Answers that are not to be as recorded.  The recorded KVS keeps a removed namespace until its
#: next heartbeat, and until then links still lead there.
DIFFERENT = {
    "lookup link after ns1 removal": {"payload": None, "errnum": errno.EOPNOTSUPP},
}


class Replay:
    """Holds conversations with one broker."""

    def __init__(self, handle: Flux, raw_client: Any) -> None:
        self._connect = raw_client
        self._handle = handle

    def begin(self, name: str) -> None:
        seq, directories = BEGINNINGS[name]
        request = {"key": ".", "flags": 1, "namespace": "primary"}
        # What the other services of this broker have put there.
        names = self._handle.rpc("kvs.lookup", request).get()["val"]["data"]
        ops: list[dict[str, Any]] = [{"key": key, "flags": 0, "dirent": None} for key in names]
        ops += [
            {"key": key, "flags": 0, "dirent": {"ver": 1, "type": "dirref", "data": [ref]}}
            for key, ref in directories.items()
        ]
        while self.commit(ops) != seq:
            ops = []

    def commit(self, ops: list[dict[str, Any]], namespace: str = "primary") -> int:
        request = {"namespace": namespace, "flags": 0, "ops": ops}
        result = self._handle.rpc("kvs.commit", request).get()
        assert result["rootseq"] <= 100
        return int(result["rootseq"])

    def run(self, name: str) -> None:
        clients: dict[int, Any] = {}
        step = None
        for line in (HERE / f"{name}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            if record["dir"] == "note":
                continue
            if record["dir"] == "response":
                record.update(DIFFERENT.get(record["step"], {}))
            conn = record.get("conn", 1)
            if conn not in clients:
                clients[conn] = self._connect()
            if record["step"] != step:
                step = record["step"]
                if name == "watch":
                    self._unrecorded(step)
            if record["dir"] == "request":
                clients[conn].send(request(record))
            else:
                got = clients[conn].receive()
                assert fields(got, record) == expected(record), step

    def _unrecorded(self, step: str) -> None:
        for ops in UNRECORDED.get(step, ()):
            self.commit(ops)
        if step == "put k in latens":
            create = {
                "namespace": "latens",
                "rootref": "sha1-c0a9faf907dda6216fd73bf81d0b3b21a1a8cb91",
                "owner": -1,
                "flags": 0,
            }
            self._handle.rpc("kvs.namespace-create", create).get()
            self.commit([operation("k", "dg==")], "latens")
        elif step == "remove latens":
            self._handle.rpc("kvs.namespace-remove", {"namespace": "latens"}).get()


def request(record: dict[str, Any]) -> Message:
    msg = Message()
    msg.topic = record["topic"]
    msg.matchtag = record["matchtag"]
    msg.bits |= sum(FLAGS[flag] for flag in record["flags"])
    msg.payload_bytes = frame(record)
    if record["nodeid"] != "any":
        msg.nodeid = record["nodeid"]
    if "userid" in record:
        msg.userid, msg.rolemask = record["userid"], record["rolemask"]
    return msg


def frame(record: dict[str, Any]) -> bytes | None:
    """Return the payload of a record as it is in a message."""
    payload = record["payload"]
    if payload is None:
        return None
    if isinstance(payload, str):
        return payload.encode() + (b"\0" if record["payload_type"] == "string" else b"")
    if "_base64" in payload:
        return base64.b64decode(payload["_base64"])
    return json.dumps(payload).encode() + b"\0"


def fields(msg: Message, record: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared of a message."""
    found: dict[str, Any] = {
        "dir": "event" if msg.type == FLUX_MSGTYPE_EVENT else "response",
        "topic": msg.topic,
        "flags": {name for name, bit in FLAGS.items() if msg.bits & bit},
        "userid": msg.userid,
        "rolemask": msg.rolemask,
        "payload": msg.payload_bytes,
    }
    if found["dir"] == "response":
        found.update(errnum=msg.errnum, matchtag=msg.matchtag)
    return comparable(found, record)


def expected(record: dict[str, Any]) -> dict[str, Any]:
    """Return the same of a recorded one."""
    found = {key: record.get(key) for key in ("dir", "topic", "userid", "rolemask")}
    # Subscriptions are answered by the broker itself, which this recording has without a user.
    if found["userid"] in (None, RECORDED_OWNER):
        found["userid"] = os.getuid()
    found.update(flags=set(record["flags"]), payload=frame(record))
    if record["dir"] == "response":
        found.update(errnum=record["errnum"], matchtag=record["matchtag"])
    return comparable(found, record)


def comparable(found: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """Leave out what no two runs have in common."""
    topic, data = found["topic"], found["payload"]
    if topic == "event.subscribe":
        # Not a matter of the KVS, and compared in test_conformance.py.
        del found["userid"], found["rolemask"]
    if data is None or found.get("errnum") or not data.endswith(b"}\0"):
        return found
    payload = found["payload"] = json.loads(data[:-1])
    if topic == "kvs.namespace-list":
        # It has no order.
        payload["namespaces"].sort(key=lambda entry: entry["namespace"])
    elif topic.endswith("-setroot"):
        # They count the commits since the broker was started.
        assert [name.rpartition(".")[0] for name in payload.pop("names")] == ["transaction_req.0"]
    elif topic == "kvs-watch.stats-get":
        # The recorded instance had modules that watched keys, too.
        del payload["watchers"], payload["namespaces"]["primary"]["watchers"]
    elif topic == "content.checkpoint-get":
        for entry in payload["value"]:
            assert isinstance(entry.pop("timestamp"), float)
        # The recorded instance made one before the recording began.
        payload["value"] = [entry for entry in payload["value"] if entry["sequence"] > 1]
    elif topic == "content.stats-get":
        # They tell of a cache of another kind.
        found["payload"] = {key: type(value) for key, value in payload.items()}
    return found


@pytest.fixture
def replay(flux_handle: Flux, raw_client: Any) -> Replay:
    return Replay(flux_handle, raw_client)


@pytest.mark.parametrize("name", SEQUENCE)
def test_a_recorded_conversation_goes_the_same_way(replay, name):
    replay.begin(SEQUENCE[0])
    for each in SEQUENCE:
        replay.run(each)
        if each == name:
            break


def test_the_conversation_of_a_python_client_goes_the_same_way(replay):
    replay.begin("python")
    replay.run("python")


def test_the_commands_print_what_the_recorded_ones_did(replay, flux_broker, flux_handle):
    replay.begin("command")
    replaced = {}
    for line in (HERE / "command.jsonl").read_text("utf-8").splitlines():
        record = json.loads(line)
        if record.get("event") != "exit":
            continue
        step, stdout = record["step"], record["stdout"]
        result = subprocess.run(
            [sys.executable, "-m", "flux.devbroker", *step.split()[1:]],
            env=flux_broker.environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        if step.startswith("flux kvs eventlog append"):
            # From here on there is an event in the KVS that happened at another time.
            request = {"key": "lg", "namespace": "primary", "flags": 0}
            value = flux_handle.rpc("kvs.lookup", request).get()["val"]["data"]
            time = json.loads(base64.b64decode(value))["timestamp"]
            replaced = {"1795302119.820283": f"{time:.6f}", "1795302119.8202829": f"{time}"}
        for theirs, ours in replaced.items():
            stdout = re.sub(rf"\b{theirs}\b", ours, stdout)
        if step == "flux kvs getroot":
            # With that event in it.
            root = flux_handle.rpc("kvs.getroot", {"namespace": "primary"}).get()["rootref"]
            stdout = re.sub("sha1-[0-9a-f]{40}", root, stdout)
        lines = [stdout.split("\n"), result.stdout.split("\n")]
        if step == "flux kvs namespace list":
            # It has no order.
            lines = [sorted(each) for each in lines]
        assert lines[0] == lines[1], step
        assert (result.stderr, result.returncode) == (record["stderr"], record["rc"]), step

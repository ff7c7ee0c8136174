"""The recorded conversations with a real broker, had again with this one.

What the clients sent is sent again, byte for byte but for the identities in responses' routes,
which differ from run to run.  What comes back is compared field by field.  What is left out of the
comparison is listed here, with the reason, and nothing else is.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import pytest

from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_MSGTYPE_RESPONSE
from flux.devbroker import Broker
from flux.message import Message

TRANSCRIPTS = Path(__file__).parent / "transcripts"

#: The user who ran the recorded broker.
RECORDED_OWNER = 0

#: The other user in guest-real.
GUEST = 65534

#: How the recorded broker was started: with the built-in modules only.
BARE = {"broker.rc1_path": "", "broker.rc3_path": ""}

# -- what is not compared

#: Numbers that measure the process or count what it did before: only their type is compared.
MEASURED = {
    "broker.stats-get",
    "broker.rusage",
    "state-machine.get",  # duration
    "overlay.health",  # duration
}

#: Lists without an order.
UNORDERED = {"attr.list", "module.list"}

#: Parts of a log line that no two runs have in common: when, who, how long.
LOG_MASKS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "TIME"),
    (re.compile(r"(?<= 0 broker )\d+"), "PID"),
    (re.compile(r"(?<= 0 connector-local )\d+"), "PID"),
    (re.compile(r"\d+(\.\d+)?(e-\d+)?m?s(?=\n?\0?$)"), "DURATION"),
    (re.compile(r"(?<=online: )\S+"), "HOST"),
)

#: Requests whose answer changes some time after what changed it was answered: asked again until
#: the answer is as recorded.  groups gathers changes for 0.1 s before it makes them known.
EVENTUAL = {"groups.get"}

#: Methods that this broker does not have: left out, with their answers.
UNKNOWN_METHODS = {"module.load"}

IDENTITY = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Replay:
    """One conversation."""

    def __init__(self, records: list[dict[str, Any]], connect: Callable[[], Any]) -> None:
        self._records = records
        self._connect = connect
        self._clients: dict[int, Any] = {}
        self._ours: dict[str, str] = {}
        self._last_request: dict[int, Message] = {}

    def run(self) -> None:
        for i, record in enumerate(self._records):
            conn = record["conn"]
            kind = record["type"]
            if kind == "connect":
                self._clients[conn] = self._connect()
            elif kind == "auth":
                assert self._clients[conn].greeting == record["byte"]
            elif kind == "eof":
                if record["dir"] == "c2b":
                    self._check_nothing_left(conn)
                    self._clients[conn].leave()
                elif not self._closed_before(i, conn):
                    assert self._clients[conn].at_end()
            elif record["dir"] == "c2b":
                self._send(conn, recorded(record))
            else:
                self._expect(conn, self._pick(i, record))

    def _closed_before(self, i: int, conn: int) -> bool:
        return any(
            record["type"] == "eof" and record["conn"] == conn for record in self._records[:i]
        )

    def _send(self, conn: int, msg: Message) -> None:
        if msg.type == FLUX_MSGTYPE_REQUEST:
            self._last_request[conn] = msg
        elif msg.route:
            # A response goes back where the request came from in this run.
            routes = msg.routes or []
            msg.route_clear()
            for route in reversed(routes):
                msg.route_push(self._ours.get(route, route))
        self._clients[conn].send_encoded(msg.encode())

    def _pick(self, i: int, record: dict[str, Any]) -> list[Message]:
        """Return what may come now: of disconnect notices, which have no order, all together."""
        picked = [recorded(record)]
        if str(record["topic"]).endswith(".disconnect"):
            for other in self._records[i + 1 :]:
                if not str(other.get("topic")).endswith(".disconnect"):
                    break
                picked.append(recorded(other))
            for other in reversed(self._records[:i]):
                if not str(other.get("topic")).endswith(".disconnect"):
                    break
                picked.append(recorded(other))
        return picked

    def _expect(self, conn: int, candidates: list[Message]) -> None:
        got = self._clients[conn].receive()
        expected = next((c for c in candidates if c.aux2 == got.aux2), candidates[0])
        while expected.raw_topic in EVENTUAL and got.data != expected.data:
            self._clients[conn].send(self._last_request[conn])
            got = self._clients[conn].receive()
        assert self._fields(got) == self._fields(expected, self._identity_map(expected, got))

    def _identity_map(self, expected: Message, got: Message) -> dict[str, str]:
        for theirs, ours in zip(expected.routes or [], got.routes or []):
            if IDENTITY.fullmatch(theirs.encode()):
                assert self._ours.setdefault(theirs, ours) == ours
        return self._ours

    def _fields(self, msg: Message, ours: dict[str, str] | None = None) -> dict[str, Any]:
        userid = msg.userid
        if ours is not None and userid == RECORDED_OWNER:
            userid = os.getuid()
        return {
            "type": msg.type_str,
            "flags": msg.flags,
            "userid": userid,
            "rolemask": msg.rolemask,
            "aux1": msg.aux1,
            "aux2": msg.aux2,
            "topic": msg.raw_topic,
            "routes": [(ours or {}).get(route, route) for route in msg.routes or []],
            "payload": masked(msg, ours is not None),
        }

    def _check_nothing_left(self, conn: int) -> None:
        """Make sure that the broker has said nothing more than it was recorded to say."""
        if self._records[-1]["conn"] == conn and any(r["dir"] == "b2c" for r in self._records):
            client = self._clients[conn]
            if client.greeting:
                return
            if any(record.get("topic") == "shutdown.start" for record in self._records):
                return
            client.send(self._probe())
            while True:
                answer = client.receive()
                if answer.matchtag == PROBE:
                    return
                assert answer.raw_topic in EVENTUAL

    def _probe(self) -> Message:
        msg = Message()
        msg.topic = "nosuch.probe"
        msg.matchtag = PROBE
        return msg


#: A matchtag that no recorded client used.
PROBE = 4_000_000_000


def recorded(record: dict[str, Any]) -> Message:
    return Message.from_encoded(base64.b64decode(record["raw"]))


def masked(msg: Message, theirs: bool) -> Any:
    """Return a payload for comparison."""
    data = msg.data
    topic = msg.raw_topic or ""
    if data is None or msg.type != FLUX_MSGTYPE_RESPONSE:
        return data
    if msg.aux1 or topic == "log.dmesg":
        return masked_log(data.decode())
    payload = json.loads(data[:-1])
    if topic == "broker.ping":
        # Only how many hops there were: they are identities.
        payload["route"] = payload["route"].count("!")
        if theirs and payload["userid"] == RECORDED_OWNER:
            payload["userid"] = os.getuid()
    elif topic == "shutdown.start":
        payload = {"log": masked_log(payload["log"])}
    elif topic == "attr.get" and payload["value"].startswith("0.88.0"):
        # The version says which broker it is, after the version it is compatible with.
        payload["value"] = "0.88.0"
    elif topic == "module.list":
        payload["mods"] = [mod["name"] for mod in payload["mods"]]
    if topic in MEASURED:
        return shape(payload)
    if topic in UNORDERED:
        [(key, names)] = payload.items()
        return {key: Counter(names)}
    return payload


def masked_log(text: str) -> str:
    for pattern, word in LOG_MASKS:
        text = pattern.sub(word, text)
    return text


def shape(value: Any) -> Any:
    """Return a value with numbers replaced by their type."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return type(value).__name__ if isinstance(value, (int, float)) else value


def load(name: str) -> list[dict[str, Any]]:
    text = (TRANSCRIPTS / f"{name}.jsonl").read_text("utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    # What concerns a method that this broker does not have yet.
    return [record for record in records if record.get("topic") not in UNKNOWN_METHODS]


NAMES = sorted(path.stem for path in TRANSCRIPTS.glob("*.jsonl"))


def test_the_corpus_is_complete():
    assert len(NAMES) == 33


@pytest.mark.flux_broker(attributes=BARE)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "guest-real"])
def test_the_conversation_goes_as_with_a_real_broker(name, raw_client):
    Replay(load(name), raw_client).run()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can connect as somebody else")
@pytest.mark.flux_broker(allow_guests=True, attributes=BARE)
def test_a_guest_is_treated_as_by_a_real_broker(raw_client, flux_broker, flux_handle):
    connections = 0

    def connect() -> Any:
        nonlocal connections
        connections += 1
        if connections == 3:
            # In between, the recorded broker's owner had stopped admitting guests.
            refuse = {"access": {"allow-guest-user": False}}
            flux_handle.rpc("config.load", refuse).get()
            # That also closed the directory, so the connection is tried as if it had not.
            os.chmod(Path(flux_broker.uri[len("local://") :]).parent, 0o711)
        os.seteuid(GUEST)
        try:
            return raw_client()
        finally:
            os.seteuid(0)

    Replay(load("guest-real"), connect).run()


def test_the_broker_is_that_of_this_package(flux_broker: Broker, flux_handle):
    assert flux_handle.attr_get("version").startswith("0.88.0+devbroker")

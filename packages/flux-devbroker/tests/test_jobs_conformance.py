"""Recorded conversations with flux-core's job services, held again with the development broker.

Requests are sent as recorded, in the recorded order, and each recorded response must come, the
same but for ids, times, process ids and names of this machine.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import os
import re
import socket
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flux.job
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_MSGTYPE_REQUEST, FLUX_NODEID_ANY
from flux.devbroker import Broker
from flux.job._sign import sign_none
from flux.message import Message

DIRECTORY = Path(__file__).parent / "transcripts-jobs"
HOST = socket.gethostname().partition(".")[0]

#: Cores of the machine on which the conversations were recorded.
CORES = "0-1"

#: What the signer of a job put before it, when that was the owner.
OWNER_HEADER = "dmVyc2lvbgBpMQB1c2VyaWQAaTAAbWVjaGFuaXNtAHNub25lAA=="

_FLAGS = {"streaming": 0x40, "noresponse": 0x04, "private": 0x20}
_TIMES = re.compile(r"timestamp|t_\w+|starttime|expiration|duration")
_SERVICE = re.compile(r"\d+-shell-f\w+")
#: Events of what an administrator may have run before and after a job.
_PERILOG = re.compile(r"(prolog|epilog)-(start|finish)")
_LOGS = ("eventlog", "guest.exec.eventlog", "guest.input", "guest.output")


#: Conversations with an instance that has queues.
WITH_QUEUES = ("queues", "events-queues-prolog-epilog")

#: Those with an instance that was started again.
RESTARTED = ("events-flux-restart",)


def configuration(name: str) -> dict[str, Any]:
    """Return the configuration for a conversation: as many cores as the recorded one had."""
    config: dict[str, Any] = {"resource": {"config": [{"hosts": HOST, "cores": CORES}]}}
    if name in WITH_QUEUES:
        defaults = {"queue": "batch", "duration": "1m"}
        config["policy"] = {"jobspec": {"defaults": {"system": defaults}}}
        config["queues"] = {"batch": {}, "debug": {}}
    return config


@pytest.fixture
def flux_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker for the conversation that the test is called with."""
    name = request.node.callspec.params["name"]
    config, attributes = configuration(name), {}
    if name in RESTARTED:
        attributes["statedir"] = str(request.getfixturevalue("tmp_path"))
        with Broker(config, attributes) as broker, broker.handle() as handle:
            for what in ("held", "ok"):
                set_up(handle, what)
    with Broker(config, attributes) as broker:
        yield broker


def order(event: Any) -> Any:
    """Sort what different streams wrote: each is in order, but they are not with each other."""
    context = event.get("context", {})
    return (event["name"] != "header", str(context.get("stream")), context.get("rank"))


class Replay:
    """One conversation.

    Args:
        client: Who has it now.
        unlike: Keys whose values need not be the same.
    """

    def __init__(self, client: Any, unlike: tuple[str, ...] = ()) -> None:
        self.client = client
        self.unlike = ("pids", *unlike)
        self.ids: dict[int, int] = {}
        self.waiting: dict[int, deque[Message]] = {}
        self.unordered: dict[int, tuple[list[Any], list[Any]]] = {}
        self.events: deque[Message] = deque()
        self.service: str | None = None
        self.unsent: list[Message] = []
        # What came, in the order in which it did: topics, with the name of a journal's event.
        self.seen: list[tuple[str, str | None]] = []

    # -- making recorded and present ones comparable

    def normal(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {self.text(k): self.normal(v, k) for k, v in value.items()}
        if key in self.unlike:
            return key
        if key in ("events", "eventlog") and isinstance(value, list):
            value = [event for event in value if not _PERILOG.match(event["name"])]
        if isinstance(value, list):
            return [self.normal(item, key) for item in value]
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, (int, float)):
            if key in ("pid", "timestamp") or (_TIMES.fullmatch(key) and value > 1e9):
                return "N"
            if key in ("id", "jobs", "max_jobid") and value in self.ids:
                return f"ID {list(self.ids).index(int(value))}"
            if key in ("id", "jobs", "max_jobid") and value in self.ids.values():
                return f"ID {list(self.ids.values()).index(int(value))}"
            if key == "userid" and value in (0, os.getuid()):
                return "OWNER"
            return float(value)
        if key in ("event", "R", "jobspec") and value.startswith("{"):
            return self.normal(json.loads(value))
        if key in _LOGS:
            events = self.normal([json.loads(line) for line in value.splitlines()], "events")
            return sorted(events, key=order) if key == "guest.output" else events
        if key == "J":
            return key
        return self.text(value)

    def text(self, value: str) -> str:
        value = _SERVICE.sub("SERVICE", value)
        # Configured, so that they are as many as there.
        value = value.replace("dynamic-discovery", "configuration")
        value = value.replace("/run/fluxout.txt", "/tmp/fluxout.txt")
        value = re.sub(rf"\b(vm|{re.escape(HOST)})\b", "HOST", value)
        for i, (old, new) in enumerate(self.ids.items()):
            # Whole numbers: one id may begin with the digits of another.
            value = re.sub(rf"(?<!\d)({old}|{new})(?!\d)", f"ID {i}", value)
        return value

    def comparable(self, payload: Any) -> Any:
        value = self.normal(payload)
        for key in ("eventlog", "events"):
            for event in value.get(key, ()) if isinstance(value, dict) else ():
                # The original shows here what was noted later.
                event.get("context", {}).get("annotations", {}).pop("user", None)
        if isinstance(value, dict) and isinstance(value.get("event"), dict):
            event = value["event"]
            if event["name"] == "log":
                # Where in which source it was written.
                event["context"].pop("file", None)
                event["context"].pop("line", None)
            return json.loads(json.dumps(event, sort_keys=True))
        return value

    # -- sending

    def request(self, record: dict[str, Any]) -> None:
        msg = Message(FLUX_MSGTYPE_REQUEST)
        msg.topic = self.topic(record["topic"])
        for flag in record["flags"]:
            msg.flags |= _FLAGS[flag]
        nodeid = record.get("nodeid", "any")
        msg.nodeid = FLUX_NODEID_ANY if nodeid == "any" else nodeid
        msg.matchtag = record.get("matchtag", 0)
        if record.get("userid") is not None:
            msg.userid, msg.rolemask = record["userid"], record["rolemask"]
        payload = record["payload"]
        if isinstance(payload, dict):
            payload = self.translate(payload)
        if record["step"] == "payload-no-nul":
            msg.payload_bytes = payload.encode()
        else:
            msg.payload = payload
        if isinstance(payload, dict) and payload.get("path") in ("guest.output", "guest.input"):
            # Streams of one log come in no certain order.
            self.unordered[msg.matchtag] = ([], [])
        self.unsent.append(msg)

    def flush(self) -> None:
        """Send the requests that the recorded client sent without a pause, all at once."""
        if self.unsent:
            self.client.send_bytes(b"".join(msg.to_stream() for msg in self.unsent))
            self.unsent.clear()

    def topic(self, topic: str) -> str:
        if _SERVICE.match(topic):
            # As announced in the eventlog, which need not have come yet.
            while self.service is None:
                self.pull()
            return f"{self.service}.stdin"
        return topic

    def translate(self, payload: dict[str, Any]) -> dict[str, Any]:
        payload = dict(payload)
        if payload.get("id") in self.ids:
            payload["id"] = self.ids[payload["id"]]
        if "since" in payload:
            # The recorded time was in the future then.
            payload["since"] = time.time() + 100
        header, _, rest = str(payload.get("J", "")).partition(".")
        body, _, mechanism = rest.partition(".")
        if mechanism == "none" and header == OWNER_HEADER:
            try:
                spec = base64.b64decode(body).decode()
                for old, new in self.ids.items():
                    spec = spec.replace(f'"{old}"', f'"{new}"')
                payload["J"] = sign_none(spec.encode(), os.getuid())
            except ValueError:
                pass
        return payload

    # -- receiving

    def receive(self, matchtag: int) -> Message:
        queue = self.waiting.setdefault(matchtag, deque())
        while not queue:
            self.pull()
        return queue.popleft()

    def pull(self) -> None:
        """Take the next message, whatever it is."""
        self.flush()
        msg = self.client.receive()
        payload = msg.payload if msg.type == FLUX_MSGTYPE_EVENT or not msg.errnum else None
        events = (payload or {}).get("events")
        self.seen.append((msg.topic, events[0]["name"] if events else None))
        if msg.type == FLUX_MSGTYPE_EVENT:
            self.events.append(msg)
            return
        self.waiting.setdefault(msg.matchtag, deque()).append(msg)
        match = _SERVICE.search((msg.payload_bytes or b"").decode())
        if match is not None:
            self.service = match[0]

    def response(self, record: dict[str, Any]) -> None:
        tag = record["matchtag"]
        msg = self.receive(tag)
        assert (msg.errnum, record["step"]) == (record["errnum"], record["step"]), msg
        expected = record["payload"]
        if isinstance(expected, dict):
            payload = msg.payload
            if record["topic"] == "job-manager.events-journal" and expected["id"] >= 0:
                # Some were submitted by others.
                self.ids.setdefault(expected["id"], payload["id"])
            if record["topic"] == "job-ingest.submit":
                self.ids[expected["id"]] = payload["id"]
                return
        else:
            payload = msg.payload_str
        got, wanted = self.comparable(payload), self.comparable(expected)
        if tag in self.unordered and not msg.errnum:
            self.unordered[tag][0].append(got)
            self.unordered[tag][1].append(wanted)
            return
        assert got == wanted, record["step"]

    def event(self, record: dict[str, Any]) -> None:
        while not self.events:
            self.pull()
        msg = self.events.popleft()
        assert self.text(msg.topic) == self.text(record["topic"])
        assert self.comparable(msg.payload) == self.comparable(record["payload"])

    def run(self, records: list[dict[str, Any]], actions: dict[Any, Any] | None = None) -> None:
        """Go through the records; before some of them somebody else does something."""
        todo = dict(actions or {})
        for record in records:
            action = todo.pop((record["step"], record["dir"]), None)
            if action is not None:
                self.flush()
                action(self.ids)
            if record["dir"] != "note":
                getattr(self, record["dir"])(record)
        self.finish()

    def finish(self) -> None:
        """Send what is left to send, and compare what came in no certain order."""
        self.flush()
        for got, wanted in self.unordered.values():
            assert sorted(got, key=order) == sorted(wanted, key=order)


def load(name: str) -> list[dict[str, Any]]:
    text = (DIRECTORY / f"{name}.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    start = 0
    for index, record in enumerate(records):
        if record.get("topic") == "job-manager.events-journal":
            if record["dir"] == "request":
                start = index + 1
            elif isinstance(record["payload"], dict) and record["payload"]["id"] == -1:
                # The original has the backlog in no order.
                records[start:index] = sorted(records[start:index], key=backlog_order)
    return records


def backlog_order(record: dict[str, Any]) -> tuple[float, int]:
    """Put the jobs that have ended first, in that order, and then the others as submitted."""
    payload = record["payload"]
    ended = [event["timestamp"] for event in payload["events"] if event["name"] == "clean"]
    return (*ended, math.inf)[0], payload["id"]


EVENTS = sorted(
    path.stem for path in DIRECTORY.glob("events-*.jsonl") if path.stem not in RESTARTED
)


#: Jobs that were there before: their ids in the recording, commands and durations; two cores each.
BEFORE = {
    "events-cancel-pending-noresources": [(1, ["sleep", "60"])],
    "events-dependency-afterok": [(59827552256, ["sleep", "0.3"])],
    "events-dependency-afterok-failed": [(70044876800, ["false"])],
}


def jobspec(command, cores=2, **system):
    return {
        "version": 1,
        "resources": [
            {
                "type": "slot",
                "count": 1,
                "label": "task",
                "with": [{"type": "core", "count": cores}],
            }
        ],
        "tasks": [{"command": command, "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0, "cwd": "/tmp", **system}},
    }


@pytest.mark.parametrize("name", EVENTS)
def test_events(name, raw_client, flux_handle):
    replay = Replay(raw_client())
    for recorded, command in BEFORE.get(name, ()):
        replay.ids[recorded] = int(flux.job.submit(flux_handle, json.dumps(jobspec(command))))
    replay.run([record for record in load(name) if not about_perilog(record)])


def about_perilog(record):
    payload = record.get("payload")
    if not isinstance(payload, dict) or "event" not in payload:
        return False
    return _PERILOG.match(json.loads(payload["event"])["name"]) is not None


#: What ran before the conversations about jobs that are there already, by what they call it:
#: command, cores, time limit, urgency, and what becomes of it.
SETUP = {
    "inactive": (["true"], 1, 0, 16, "clean"),
    "running": (["sleep", "60"], 1, 100, 16, "shell.start"),
    "held": (["true"], 1, 0, 0, "priority"),
    "ok": (["true"], 1, 0, 16, "clean"),
    "failed": (["false"], 1, 0, 16, "clean"),
    "canceled": (["true"], 1, 0, 0, "cancel"),
    "timeout": (["sleep", "60"], 1, 0.3, 16, "clean"),
    "done": (
        ["sh", "-c", r"echo out1; echo err1 >&2; printf '\377\376bin'"],
        *(1, 0, 16, "clean"),
    ),
    "never_ran": (["true"], 1, 0, 0, "cancel"),
    "reading": (["sh", "-c", "read x; echo got $x; sleep 30"], 1, 100, 16, "shell.start"),
    "endless": (["sleep", "60"], 1, 0, 16, "start"),
    "raised": (["true"], 1, 0, 0, "raised"),
}


def set_urgency(handle, jobid):
    handle.rpc("job-manager.urgency", {"id": int(jobid), "urgency": 1}).get()


def set_up(handle, what):
    command, cores, duration, urgency, until = SETUP[what]
    spec = jobspec(command, cores, duration=duration, shell={"options": {}})
    jobid = flux.job.submit(handle, json.dumps(spec), urgency=urgency)
    if until == "raised":
        flux.job.event_wait(handle, jobid, "priority")
        set_urgency(handle, jobid)
        until = "clean"
    if until == "cancel":
        flux.job.event_wait(handle, jobid, "priority")
        flux.job.cancel(handle, jobid, "x")
        until = "clean"
    if until == "shell.start":
        flux.job.event_wait(handle, jobid, until, eventlog="guest.exec.eventlog")
    else:
        flux.job.event_wait(handle, jobid, until, raiseJobException=False)
    return int(jobid)


REQUESTS = (
    *("ingest-errors", "ingest-submit", "manager-raise-kill-urgency", "manager-wait-drain-idle"),
    *("eventlog-watch-cancel", "eventlog-watch-ends", "eventlog-watch-errors", "journal-errors"),
    *("job-list", "resource", "lookup"),
    *("submit-pipelined", "journal-filter-empty", "update-watch"),
    *("journal-full-true", "journal-full-false", "journal-filters", "manager-info"),
    *("queues", "history-misc"),
)


#: Figures of clients that are not in the recording, and text that has times in it, encoded.
SKIPPED = (
    *("stats-get", "kvs resource.R", "kvs resource.eventlog"),
    # About plugins in C.
    *("jobtap-query bad", "jobtap query_only", "purge-id?"),
    # Between services of flux-core.
    *("submit with empty jobs (internal service, owner only)", "submit guest"),
    "set-batch-timeout",
    # Of the broker, and replayed elsewhere.
    *("state-machine.get", "attr.get local-uri", "attr.list", "config.get"),
    *("attr.get version", "attr.get broker.starttime", "attr.get hostname", "attr.get hostlist"),
)

#: The same for those that do not say.
SETUP_OF = {
    "eventlog-watch-cancel": {"running": 10502537216, "held": 11492392960},
    "resource": {"running": 1},
    "journal-filter-empty": {"inactive": 7969177600},
    "journal-full-true": {
        "ok": 6643777536,
        "failed": 7801405440,
        "endless": 8975810560,
        "held": 9831448576,
    },
    "journal-full-false": {"endless": 8975810560, "held": 9831448576},
    "journal-filters": {
        "ok": 6643777536,
        "failed": 7801405440,
        "endless": 8975810560,
        "inactive": 10468982784,
        "raised": 9831448576,
    },
    "update-watch": {"done": 8287944704, "never_ran": 9646899200, "running": 10502537216},
}


def update_duration(handle, ids, seconds=200.0):
    jobid = ids[10502537216]
    request = {"id": jobid, "updates": {"attributes.system.duration": seconds}}
    handle.rpc("job-manager.update", request).get()


#: Ids of the jobs that there were before.
HISTORY = (
    *(8657043456, 12868124672, 15367929856, 16106127360, 17431527424),
    *(23521656832, 24696061952, 26004684800, 34259075072),
)


def submit_nine(handle, ids):
    for recorded in HISTORY:
        ids[recorded] = int(flux.job.submit(handle, json.dumps(jobspec(["true"], 1))))


def submit_true(handle, _ids):
    flux.job.submit(handle, json.dumps(jobspec(["true"], 1, shell={"options": {}})))


def change_both(handle, ids):
    note = {"id": ids[8975810560], "memo": {"a": 1}, "volatile": True}
    handle.rpc("job-manager.memo", note).get()
    set_urgency(handle, ids[9831448576])


def submit_what_is_rejected(handle, _ids):
    dependency = {"scheme": "bogus", "value": "x"}
    spec = jobspec(["true"], 1, shell={"options": {}}, dependencies=[dependency])
    with pytest.raises(OSError, match="not supported"):
        flux.job.submit(handle, json.dumps(spec))


def raise_and_note(handle, ids):
    """Do to the job that runs what was done to it before it was asked for."""
    jobid = ids[8757706752]
    for kind, severity, note in (
        *(("foo", 7, "hi"), ("foo", 7, "")),
        ("evt", 6, "seen as published event"),
    ):
        flux.job.job_raise(handle, jobid, kind, severity, note)
    handle.rpc("job-manager.memo", {"id": jobid, "memo": {}}).get()


#: What others did meanwhile: before the first request, or response, of a step.
ACTIONS: dict[str, dict[Any, Any]] = {
    "manager-wait-drain-idle": {
        # The recorded job ended before the question, if only just.
        ("list shows zombie", "request"): lambda handle, ids: flux.job.event_wait(
            handle, ids[21877489664], "clean"
        )
    },
    "eventlog-watch-cancel": {
        ("live", "response"): lambda handle, ids: flux.job.cancel(handle, ids[11492392960], "bye")
    },
    "job-list": {
        ("list-id wait INACTIVE", "response"): lambda handle, ids: flux.job.cancel(
            handle, ids[21172846592]
        )
    },
    "update-watch": {
        ("live update", "response"): lambda handle, ids: update_duration(handle, ids, 300.0),
        ("job canceled", "response"): lambda handle, ids: flux.job.cancel(handle, ids[10502537216]),
    },
    "lookup": {("after update: R flags 0", "request"): update_duration},
    "journal-full-true": {("live", "response"): submit_true},
    "journal-full-false": {
        ("live", "response"): change_both,
        (
            "live-after-rejected-submit (unknown dependency scheme)",
            "response",
        ): submit_what_is_rejected,
    },
    "journal-filters": {
        ("allow live", "response"): submit_true,
        ("deny live", "response"): submit_true,
    },
    "history-misc": {("history.get [:1]", "request"): submit_nine},
    "manager-info": {("list all", "request"): raise_and_note},
}


@pytest.mark.parametrize("name", REQUESTS)
def test_requests(name, raw_client, flux_handle):
    records = load(name)
    replay = Replay(raw_client())
    records = [record for record in records if record["step"] not in SKIPPED]
    setup = SETUP_OF.get(name) or (records[0] if records[0]["step"] == "setup" else {})
    for what, recorded in setup.items():
        if isinstance(recorded, int):
            what = "reading" if what == "running" and "done" in setup else what
            replay.ids[recorded] = set_up(flux_handle, what)
    actions = {
        key: functools.partial(action, flux_handle) for key, action in ACTIONS.get(name, {}).items()
    }
    replay.run(records, actions)


@pytest.mark.parametrize("name", RESTARTED)
def test_jobs_outlive_their_broker(name, raw_client, flux_handle):
    replay = Replay(raw_client())
    jobs = flux_handle.rpc("job-manager.history.get", {"slice": "[:]"}).get()["jobs"]
    replay.ids.update(zip((9042919424, 8422162432), jobs))
    # At its end somebody asks for the journal while the new job is under way, however far it is.
    replay.run([record for record in load(name) if record["step"] != "journal full after restart"])


@pytest.mark.parametrize("name", ["cancel-other-connection"])
def test_streams_belong_to_their_connection(name, raw_client, flux_handle):
    jobid = set_up(flux_handle, "held")
    replays = {who: Replay(raw_client()) for who in ("A", "B")}
    listeners = []
    for record in load(name):
        step, replay = record["step"], replays["B" if record["step"].startswith("B") else "A"]
        replay.ids[8623489024] = jobid
        if step == "result":
            # Both have been heard, and the first thing that comes is the answer to this.
            for other in (replays["B"], replays["A"]):
                for topic in ("job-info.stats-get", "job-manager.stats-get"):
                    assert other.client.request(topic, matchtag=99).matchtag == 99
            continue
        if step == "B: stats after A disconnected" and record["dir"] == "request":
            replays["A"].client.leave()
        if record["dir"] == "response" and record["topic"] == "job-manager.stats-get":
            payload = replay.receive(record["matchtag"]).payload
            listeners.append(payload["journal"]["listeners"])
        elif record["dir"] != "note":
            getattr(replay, record["dir"])(record)
            replay.flush()
    assert listeners == [1, 0]


@pytest.mark.parametrize("name", ["ordering"])
def test_messages_come_in_the_order_that_clients_rely_on(name, raw_client):
    # The job is seen, and killed, however far its start has come.
    replay = Replay(raw_client(), unlike=("status", "state"))
    replay.run(load(name))
    seen = replay.seen
    for before, after in (
        (("job-manager.events-journal", "priority"), ("job-ingest.submit", None)),
        (("job-manager.events-journal", "exception"), ("job-manager.raise", None)),
        (("job-exception", None), ("job-manager.raise", None)),
        (("job-manager.raise", None), ("job-manager.getattr", None)),
    ):
        assert seen.index(before) < seen.index(after), (before, after)


#: Of those that are recorded, the ones that do not depend on how fast a job is over.
PROGRAMS = ("py-resjournal", "py-submit_event", "cmd-flux-run")


@pytest.mark.parametrize("name", PROGRAMS)
def test_whole_programs(name, raw_client):
    """What commands and programs of flux-core said, on as many connections as they had."""
    replays: dict[Any, Replay] = {}
    ids: dict[int, int] = {}
    for record in load(name):
        if record["dir"] == "note":
            continue
        who = record["step"], record["conn"]
        if who not in replays:
            replays[who] = Replay(raw_client())
            replays[who].ids = ids
        getattr(replays[who], record["dir"])(record)
        replays[who].flush()
    for replay in replays.values():
        replay.finish()

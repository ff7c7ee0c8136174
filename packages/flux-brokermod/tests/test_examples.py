"""The modules of examples/modules do what they say."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "modules"
OTHER = ["broker-uuid", "other-uuid"]
GUEST = 6


@pytest.fixture
def example(load):
    def start(name, *args, **fields):
        return load(EXAMPLES / f"{name}.py", name, args, **fields)

    return start


def test_counter_keeps_state_and_statistics(example):
    mod = example("counter", "runs=5")
    assert mod.call("counter.add", {"name": "runs"}).payload == {"value": 6}
    assert mod.call("counter.add", {"name": "new", "by": 3}).payload == {"value": 3}
    assert mod.call("counter.get", rolemask=GUEST).payload == {"counts": {"runs": 6, "new": 3}}
    assert mod.call("counter.add", {"name": "x"}, rolemask=GUEST).errnum == errno.EPERM
    assert mod.call("counter.stats-get").payload == {"requests": 3, "counters": 2}
    mod.call("counter.stats-clear")
    assert mod.call("counter.stats-get").payload["requests"] == 0
    assert mod.unload("counter") == 0


@pytest.mark.parametrize("payload", [None, [1], "text", {}, {"name": "x", "by": "y"}])
def test_counter_survives_malformed_requests(example, payload):
    mod = example("counter")
    assert mod.call("counter.add", payload).errnum == errno.EPROTO
    assert mod.call("counter.get").errnum == 0


def test_counter_refuses_arguments_that_are_no_numbers(example):
    mod = example("counter", "runs=many")
    assert mod.finish() == errno.EINVAL
    assert mod.fate().startswith("counter.py: invalid literal")


def test_ticker_streams_until_cancelled(example):
    mod = example("ticker", "0.001")
    tag = mod.request("ticker.watch", streaming=True, rolemask=GUEST)
    counts = [mod.response(tag).payload["count"] for _ in range(3)]
    assert counts == [1, 2, 3]
    mod.request("ticker.cancel", {"matchtag": tag}, noresponse=True, routes=OTHER, rolemask=GUEST)
    assert mod.response(tag).errnum == 0
    mod.request("ticker.cancel", {"matchtag": tag}, noresponse=True, rolemask=GUEST)
    while (response := mod.response(tag)).errnum == 0:
        pass
    assert response.errnum == errno.ENODATA
    assert response.streaming
    assert mod.unload("ticker") == 0
    assert mod.others == []


def test_ticker_forgets_who_disconnects_and_ends_the_streams_of_others(example):
    mod = example("ticker", "0.001")
    gone = mod.request("ticker.watch", streaming=True)
    stays = mod.request("ticker.watch", streaming=True, routes=OTHER)
    mod.response(gone)
    mod.request("ticker.disconnect", noresponse=True)
    # Whatever came before the answer to this may still be for both.
    mod.call("ticker.ping", {})
    mod.others.clear()
    mod.response(stays)
    assert mod.unload("ticker") == 0
    assert {msg.matchtag for msg in mod.others} == {stays}
    assert mod.others[-1].errnum == errno.ENODATA


@pytest.mark.parametrize("payload", [None, {}, {"matchtag": []}, "text"])
@pytest.mark.parametrize("name", ["ticker", "jobevents"])
def test_a_malformed_cancel_does_no_harm(example, name, payload):
    mod = example(name)
    mod.request(f"{name}.cancel", payload, noresponse=True, rolemask=GUEST)
    assert mod.call(f"{name}.ping", {}).errnum == 0


@pytest.mark.parametrize("name", ["ticker", "jobevents"])
def test_a_stream_is_asked_for_as_a_stream(example, name):
    assert example(name).call(f"{name}.watch").errnum == errno.EPROTO


def test_heartwatch_notes_beats_and_tells_when_they_stop(example):
    mod = example("heartwatch", "0.05")
    mod.call("heartwatch.ping", {})
    assert mod.subscriptions == ["heartwatch.stats-clear", "heartbeat.pulse"]
    mod.event("heartbeat.pulse")
    mod.event("heartbeat.pulse")
    state = mod.call("heartwatch.get", rolemask=GUEST).payload
    assert state["beats"] == 2
    assert state["last"] > 1e9
    event = mod.next()
    assert (event.topic, event.payload) == ("heartwatch.missed", {"beats": 2})
    # On a slow machine it may also have been said before the first beat.
    assert set(mod.log) == {"the heartbeat has stopped"}


def submit(userid):
    return {"timestamp": 1.0, "name": "submit", "context": {"userid": userid}}


def event(name):
    return {"timestamp": 2.0, "name": name}


def test_jobevents_gives_each_user_the_events_of_their_own_jobs(example):
    mod = example("jobevents")
    journal = mod.next()
    assert (journal.topic, journal.streaming) == ("job-manager.events-journal", True)
    mod.answer(journal, {"id": 11, "events": [submit(1000), event("alloc")]})
    mod.answer(journal, {"id": 12, "events": [submit(2000)]})
    mod.answer(journal, {"id": -1, "events": []})
    mine = mod.request("jobevents.watch", streaming=True, rolemask=GUEST)
    theirs = mod.request(
        "jobevents.watch", streaming=True, userid=2000, rolemask=GUEST, routes=OTHER
    )
    assert mod.response(mine).payload == {"id": 11, "events": [submit(1000), event("alloc")]}
    assert mod.response(theirs).payload == {"id": 12, "events": [submit(2000)]}
    mod.answer(journal, {"id": 11, "events": [event("clean")]})
    assert mod.response(mine).payload == {"id": 11, "events": [event("clean")]}
    # What is told of a job that is over concerns nobody any more.
    mod.answer(journal, {"id": 11, "events": [event("memo")]})
    mod.answer(journal, {"id": 13, "events": [submit(1000)]})
    assert mod.response(mine).payload == {"id": 13, "events": [submit(1000)]}
    mod.request("jobevents.cancel", {"matchtag": mine}, noresponse=True, rolemask=GUEST)
    assert mod.response(mine).errnum == errno.ENODATA
    assert mod.unload("jobevents") == 0
    assert [(msg.matchtag, msg.errnum) for msg in mod.others] == [(theirs, errno.ENODATA)]


def test_jobevents_ends_with_the_job_manager(example):
    mod = example("jobevents")
    journal = mod.next()
    watch = mod.request("jobevents.watch", streaming=True, rolemask=GUEST)
    mod.call("jobevents.ping", {})
    mod.answer(journal, None, errno.ENODATA)
    assert mod.finish() == 0
    assert mod.response(watch).errnum == errno.ENODATA


def test_loadwatch_takes_new_settings_while_it_runs(example):
    mod = example("loadwatch", conf={"loadwatch": {"period": 30.0, "limit": 1e9}})
    while not mod.call("loadwatch.get").payload["samples"]:
        pass
    assert mod.call("loadwatch.get").payload["period"] == 30.0
    assert mod.call("loadwatch.config-reload", {"loadwatch": {"period": 0.001}}).errnum == 0
    while len(mod.call("loadwatch.get").payload["samples"]) < 3:
        pass
    assert mod.unload("loadwatch") == 0


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"period": 0}, "[loadwatch] period must be a number above zero"),
        ({"limit": "high"}, "[loadwatch] limit must be a number above zero"),
        ({"perod": 1}, "[loadwatch] has no setting perod"),
        ([], "loadwatch must be a table"),
    ],
)
def test_loadwatch_refuses_wrong_settings_and_keeps_the_old(example, table, text):
    mod = example("loadwatch", conf={"loadwatch": {"period": 30.0}})
    refused = mod.call("loadwatch.config-reload", {"loadwatch": table})
    assert (refused.errnum, refused.payload_str) == (errno.EINVAL, text)
    assert mod.call("loadwatch.get").payload["period"] == 30.0

"""Following the events of all jobs."""

from __future__ import annotations

import errno
import json
import sys

import pytest

import flux.job
from flux.job import JobID
from flux.job.journal import SENTINEL_EVENT, JournalConsumer, JournalEvent

TOPIC = "job-manager.events-journal"


def start(peer, **options):
    consumer = JournalConsumer(peer.handle, **options).start()
    return consumer, peer.read(TOPIC)


def test_the_request(peer):
    for full in (True, False):
        _consumer, request = start(peer, full=full)
        assert request.payload == {"full": full}
        assert (request.streaming, request.nodeid) == (True, 0)
        del _consumer
        peer.read(f"{TOPIC}-cancel")


def test_the_journal_of_a_real_job_manager(peer):
    consumer, request = start(peer, include_sentinel=True)
    peer.replay(request, "journal-full-true", "")
    events = list(consumer)
    end = events.index(SENTINEL_EVENT)
    assert events[end] is SENTINEL_EVENT
    history, present = events[:end], events[end + 1 :]
    times = [event.timestamp for event in history]
    assert times == sorted(times)
    assert len({event.jobid for event in history}) == 4
    assert {event.jobid for event in present} == {10468982784}
    assert [event.name for event in present][:6] == [
        "submit",
        "validate",
        "depend",
        "priority",
        "annotations",
        "alloc",
    ]
    for event in history + present:
        assert type(event) is JournalEvent
        assert type(event.jobid) is JobID
        assert (event.jobspec is not None) is (event.name == "submit")
        assert (event.R is not None) is (event.name == "alloc")
    assert events[0].jobspec["tasks"][0]["command"]


def test_a_filter_that_leaves_a_job_no_events_does_not_end_the_history(peer):
    class Filtered(JournalConsumer):
        @property
        def request_payload(self):
            return {"full": self.full, "allow": {"nosuch": 1}}

    consumer = Filtered(peer.handle, include_sentinel=True).start()
    request = peer.read(TOPIC)
    assert request.payload["allow"] == {"nosuch": 1}
    peer.replay(request, "journal-filter-empty", "allow matching nothing")
    peer.answer(request, errno.ENODATA)
    assert list(consumer) == [SENTINEL_EVENT]


def test_the_end_of_a_real_job_manager(peer):
    consumer, request = start(peer, full=False)
    peer.replay(request, "journal-end-of-stream", "start")
    peer.replay(request, "journal-end-of-stream", "after")
    names = [event.name for event in consumer]
    assert names[0] == "submit"
    assert "exception" in names
    assert consumer.poll() is None


def test_the_journal_is_for_the_owner(peer):
    consumer, request = start(peer)
    peer.replay(request, "journal-errors", "guest")
    with pytest.raises(PermissionError, match="Request requires owner credentials"):
        consumer.poll(timeout=5)


def test_a_response_about_no_job_is_an_error(peer):
    entry = {"timestamp": 1.0, "name": "x"}
    consumer, request = start(peer)
    peer.answer(request, {"events": [entry]}, {"id": "1", "events": [entry]})
    peer.answer(request, {"id": 1, "events": [entry]}, {"id": -1, "events": []})
    for _ in range(2):
        with pytest.raises(OSError, match="for a job id") as caught:
            consumer.poll(timeout=5)
        assert caught.value.errno == errno.EPROTO
    event = consumer.poll(timeout=5)
    assert event is not None
    assert event.name == "x"


def test_a_subclass_may_make_its_own_events_and_arguments(peer):
    class Own(JournalConsumer):
        def create_event(self, entry, jobid=-1, jobspec=None, R=None):  # noqa: N803
            return super().create_event({**entry, "context": {"about": [jobid, jobspec, R]}})

    class OwnArguments(Own):
        def process_response(self, resp):
            return {**super().process_response(resp), "R": "ours"}

    entries = [{"timestamp": float(i), "name": f"e{i}"} for i in (2, 1)]
    for cls, resources in ((Own, {"b": 2}), (OwnArguments, "ours")):
        with cls(peer.handle) as consumer:
            request = peer.read(TOPIC)
            payload = {"id": 1, "events": entries, "jobspec": {"a": 1}, "R": {"b": 2}}
            peer.answer(request, payload, {"id": -1, "events": []}, payload, errno.ENODATA)
            events = list(consumer)
        assert [event.name for event in events] == ["e1", "e2", "e2", "e1"]
        for event in events:
            assert event.context == {"about": [1, {"a": 1}, resources]}


@pytest.mark.parametrize("odd", ["text", [1], 7, None, {"big": 1 << 70}])
def test_odd_jobspecs_are_delivered_as_they_came(peer, odd):
    events = [{"timestamp": 1.0, "name": "submit"}, {"timestamp": 2.0, "name": "alloc"}]
    consumer, request = start(peer)
    payload = json.dumps({"id": 1, "events": events, "jobspec": odd, "R": odd})
    peer.answer(request, payload, errno.ENODATA)
    submit, alloc = consumer
    assert (submit.jobspec, submit.R, alloc.jobspec, alloc.R) == (odd, None, None, odd)


def test_an_event_made_by_hand():
    entry = {"timestamp": 1.0, "name": "submit"}
    event = JournalEvent("f2", entry, jobspec={"a": 1}, R={"b": 2})
    assert (event.jobid, event.jobspec, event.R, event.context) == (1, {"a": 1}, None, {})
    assert not event.is_empty()
    assert SENTINEL_EVENT.is_empty()
    assert (SENTINEL_EVENT.jobspec, SENTINEL_EVENT.R, SENTINEL_EVENT.jobid) == (None, None, -1)
    assert JournalConsumer.SENTINEL_EVENT is SENTINEL_EVENT


def test_the_package_has_the_consumer_and_says_what_is_missing_without_the_extra(monkeypatch):
    assert flux.job.JournalConsumer is JournalConsumer
    monkeypatch.setitem(sys.modules, "flux.abc", None)
    monkeypatch.delitem(sys.modules, "flux.job.journal")
    with pytest.raises(ModuleNotFoundError, match=r"flux-job-events\[journal\]") as caught:
        flux.job.JournalConsumer  # noqa: B018
    assert caught.value.name == "flux.abc"

"""Watching a job's eventlog."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import pickle
from collections.abc import Generator

import pytest

from flux.constants import FLUX_NODEID_ANY, FLUX_RPC_STREAMING
from flux.job import JobID
from flux.job.event import (
    MAIN_EVENTS,
    EventLogEvent,
    JobEventWatchFuture,
    JobException,
    event_wait,
    event_watch,
    event_watch_async,
)

JOBID = 8287944704
TOPIC = "job-info.eventlog-watch"
CANCEL = "job-info.eventlog-watch-cancel"
LIFE = [
    "submit",
    "validate",
    "depend",
    "priority",
    "alloc",
    "start",
    "finish",
    "release",
    "free",
    "clean",
]


def event(name, timestamp=1.0, **context):
    return {"event": json.dumps({"timestamp": timestamp, "name": name, "context": context}) + "\n"}


def watch(peer, jobid=JOBID, **options):
    """Return a future of a watch and its request."""
    return event_watch_async(peer.handle, jobid, **options), peer.read(TOPIC)


def answered(peer, *payloads):
    """Return a generator whose request is answered when it comes."""
    peer.expect(TOPIC, *payloads)
    return event_watch(peer.handle, JOBID)


# -- the future


def test_the_request(peer):
    future, request = watch(peer)
    assert request.payload == {"id": JOBID, "path": "eventlog", "flags": 0}
    assert (request.streaming, request.nodeid) == (True, FLUX_NODEID_ANY)
    other, request = watch(peer, eventlog="guest.output")
    assert request.payload["path"] == "guest.output"
    assert future is not other


@pytest.mark.parametrize("encoding", ["dec", "hex", "dothex", "kvs", "f58", "words", "emoji"])
def test_a_job_may_be_given_in_any_encoding(peer, encoding):
    for value in (JOBID, (1 << 64) - 2):
        future, request = watch(peer, JobID(value).encode(encoding))
        # Brokers write ids as signed integers.
        assert request.payload["id"] == (JOBID if value == JOBID else -2)
        del future
        peer.read(CANCEL)


def test_get_event_returns_one_event_after_the_other_and_none_at_the_end(peer):
    future, request = watch(peer)
    peer.replay(request, "eventlog-watch-ends", "inactive eventlog")
    events = []
    while True:
        found = future.get_event()
        if found is None:
            break
        events.append(found)
    assert [found.name for found in events] == LIFE
    assert all(type(found) is EventLogEvent for found in events)
    assert future.get_event() is None
    assert future.get_event(autoreset=False) is None


def test_without_autoreset_the_event_stays_until_reset(peer):
    future, request = watch(peer)
    peer.answer(request, event("a"), event("b"))
    for _ in range(2):
        found = future.get_event(autoreset=False)
        assert found is not None
        assert found.name == "a"
    future.reset()
    found = future.get(autoreset=False)
    assert found is not None
    assert found.name == "b"


def test_a_continuation_is_called_for_each_event(peer):
    seen = []

    def callback(future, arg):
        assert arg == 7
        assert future.get_flux() is peer.handle
        seen.append(future.get_event())

    future, request = watch(peer)
    assert future.then(callback, 7) is future
    peer.answer(request, event("a"), event("b"), errno.ENODATA)
    peer.handle.reactor_run()
    assert [found and found.name for found in seen] == ["a", "b", None]


def test_cancel_ends_the_stream_after_what_is_under_way(peer):
    future, request = watch(peer)
    peer.answer(request, event("a"))
    future.cancel()
    cancel = peer.read(CANCEL)
    assert cancel.payload == {"matchtag": request.matchtag}
    assert (cancel.noresponse, cancel.nodeid) == (True, FLUX_NODEID_ANY)
    peer.answer(request, errno.ENODATA)
    found = future.get_event()
    assert found is not None
    assert found.name == "a"
    assert future.get_event() is None


def test_cancel_with_stop_ends_the_calls(peer):
    seen = []

    def callback(future):
        seen.append(future.get_event().name)
        future.cancel(stop=True)

    future, request = watch(peer)
    future.then(callback)
    peer.answer(request, event("a"), event("b"))
    assert peer.handle.reactor_run() == 0
    assert seen == ["a"]
    peer.read(CANCEL)


def test_cancel_of_a_finished_stream_does_nothing(peer):
    future, request = watch(peer)
    peer.answer(request, errno.ENODATA)
    assert future.get_event() is None
    future.cancel()
    future.cancel(stop=True)
    assert peer.quiet()


def test_a_forgotten_future_cancels_its_watch(peer):
    future, request = watch(peer)
    del future
    assert peer.read(CANCEL).payload == {"matchtag": request.matchtag}
    # Late responses do no harm, and the matchtag is free again after the last.
    peer.answer(request, event("a"), errno.ENODATA)
    answered, again = watch(peer)
    peer.answer(again, event("b"))
    found = answered.get_event()
    assert found is not None
    assert found.name == "b"


def test_a_future_is_made_of_an_rpc(peer):
    rpc = peer.handle.rpc(
        TOPIC, {"id": 1, "path": "eventlog", "flags": 0}, flags=FLUX_RPC_STREAMING
    )
    future = JobEventWatchFuture(rpc)
    del rpc
    request = peer.read(TOPIC)
    peer.answer(request, event("a"))
    found = future.get_event()
    assert found is not None
    assert found.name == "a"
    future.cancel()
    peer.read(CANCEL)
    with pytest.raises(TypeError, match="made of an RPC"):
        JobEventWatchFuture(None)  # type: ignore[arg-type]


def test_a_future_can_be_awaited_and_iterated(peer):
    async def main():
        future, request = watch(peer)
        peer.answer(request, event("a"), event("b"), errno.ENODATA)
        first = await future
        return [first.name] + [found.name async for found in future]

    assert asyncio.run(main()) == ["a", "b"]
    future, request = watch(peer)
    peer.answer(request, event("a"), errno.ENODATA)
    assert [found.name for found in future] == ["a"]


# -- errors


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("missing-job", errno.ENOENT),
        ("missing-path-in-job", errno.ENOENT),
        ("path-is-dir guest", errno.EISDIR),
        ("guest-user", errno.EPERM),
        ("no-payload", errno.EPROTO),
    ],
)
def test_the_errors_of_a_real_broker_say_which_eventlog(peer, step, error):
    future, request = watch(peer, JobID(1), eventlog="guest.x")
    peer.replay(request, "eventlog-watch-errors", step)
    for _ in range(2):
        with pytest.raises(OSError, match=r"eventlog 'guest.x' of job [ƒf]2$") as caught:
            future.get_event()
        assert caught.value.errno == error
        assert str(caught.value.strerror).startswith(os.strerror(error))


def test_the_text_of_an_error_is_kept(peer):
    future, request = watch(peer)
    peer.replay(request, "eventlog-watch-errors", "invalid-flag-4")
    with pytest.raises(OSError, match=r"rejected with invalid flag$"):
        future.get_event()


@pytest.mark.parametrize(
    "payload",
    [
        None,
        b"junk",
        {},
        {"event": 1},
        {"event": ""},
        {"event": "junk\n"},
        {"event": "[1]\n"},
        {"event": '{"name":"x"}\n'},
        {"event": '{"timestamp":"1","name":"x"}\n'},
        {"event": '{"timestamp":1.0}\n'},
        {"event": '{"timestamp":1.0,"name":"x","context":[1]}\n'},
        {"event": '{"timestamp":1.0,"name":"x","context":null}\n'},
    ],
)
def test_a_malformed_event_is_an_error_and_costs_nothing_else(peer, payload):
    future, request = watch(peer)
    peer.answer(request, event("a"), payload, event("b"), errno.ENODATA)
    assert next(future).name == "a"
    for autoreset in (False, True):
        with pytest.raises(OSError, match=r"payload|event") as caught:
            future.get_event(autoreset)
        assert caught.value.errno == errno.EPROTO
        assert isinstance(caught.value, ValueError)
    assert [found.name for found in future] == ["b"]


def test_events_come_in_the_order_of_the_log_not_of_time(peer):
    future, request = watch(peer)
    peer.answer(request, event("late", 2.0), event("early", 1.0), errno.ENODATA)
    assert [found.name for found in future] == ["late", "early"]


def test_a_lost_broker_is_an_error(peer):
    future, request = watch(peer)
    peer.answer(request, event("a"))
    peer.hang_up()
    assert next(future).name == "a"
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            future.get_event()
    with pytest.raises(BrokenPipeError):
        event_watch_async(peer.handle, JOBID)


def test_what_is_no_job_or_no_handle(peer):
    for jobid in ("abc", "", "f0", -(1 << 64)):
        for function in (event_watch_async, lambda *args: next(event_watch(*args))):
            with pytest.raises(ValueError, match=r"job ?id"):
                function(peer.handle, jobid)
    with pytest.raises(OSError, match="None is not a Flux handle") as caught:
        event_wait(None, JOBID, "start")  # type: ignore[arg-type]
    assert caught.value.errno == errno.EINVAL
    assert peer.quiet()


# -- the generator


def test_the_generator_ends_with_the_eventlog(peer):
    events = answered(peer, *map(event, LIFE), errno.ENODATA)
    assert [found.name for found in events] == LIFE
    assert list(events) == []
    assert peer.quiet()


def test_the_generator_asks_when_it_is_asked(peer):
    events = event_watch(peer.handle, JOBID)
    assert isinstance(events, Generator)
    assert peer.quiet()
    events.close()
    assert list(events) == []
    assert peer.quiet()


@pytest.mark.parametrize("how", ["close", "abandon", "with", "throw"])
def test_the_watch_ends_with_the_generator(peer, how):
    events = answered(peer, event("a"), event("b"))
    assert next(events).name == "a"
    if how == "close":
        events.close()
    elif how == "with":
        with events:
            pass
    elif how == "throw":
        with pytest.raises(KeyError, match="thrown"):
            events.throw(KeyError("thrown"))
    if how == "abandon":
        del events
    else:
        assert list(events) == []
    peer.read(CANCEL)
    assert peer.quiet()


def test_the_watch_of_a_left_loop_ends(peer):
    def first():
        return next(found.name for found in answered(peer, event("a"), event("b")))

    assert first() == "a"
    peer.read(CANCEL)


def test_an_error_ends_the_generator(peer):
    events = answered(peer, event("a"), errno.ENOSYS)
    assert next(events).name == "a"
    with pytest.raises(OSError, match=os.strerror(errno.ENOSYS)):
        next(events)
    assert list(events) == []


def test_an_error_in_one_event_does_not(peer):
    events = answered(peer, {"event": "junk\n"}, event("a"), errno.ENODATA)
    with pytest.raises(ValueError, match="JSON"):
        next(events)
    assert [found.name for found in events] == ["a"]


def test_the_generator_is_for_async_for_as_well(peer):
    async def main():
        events = answered(peer, event("a"), event("b"), errno.ENODATA)
        names = [found.name async for found in events]
        assert [found.name async for found in events] == []
        return names

    assert asyncio.run(main()) == ["a", "b"]


def test_leaving_an_async_for_ends_the_watch(peer):
    async def main():
        async for _found in answered(peer, event("a")):
            break
        peer.read(CANCEL)
        events = event_watch(peer.handle, JOBID)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(events.__anext__(), 0.01)
        await events.aclose()

    asyncio.run(main())
    peer.read(TOPIC)
    peer.read(CANCEL)


# -- waiting for one event


@pytest.fixture
def wait(peer):
    """Return a function that calls `event_wait` on an eventlog."""

    def call(name, *payloads, **options):
        peer.expect(TOPIC, *payloads)
        try:
            return event_wait(peer.handle, JOBID, name, **options)
        finally:
            peer.join()

    return call


FATAL = {"type": "cancel", "severity": 0, "note": "because", "userid": 0}


def test_event_wait_returns_the_event_and_ends_the_watch(peer, wait):
    found = wait("b", event("a"), event("b", 2.0), event("b", 3.0))
    assert (type(found), found.name, found.timestamp) == (EventLogEvent, "b", 2.0)
    peer.read(CANCEL)


def test_event_wait_raises_enodata_if_the_event_never_came(peer, wait):
    with pytest.raises(OSError, match="eventlog ended before event='b'") as caught:
        wait("b", event("a"), errno.ENODATA)
    assert caught.value.errno == errno.ENODATA
    assert peer.quiet()


def test_event_wait_raises_a_fatal_exception(peer, wait):
    mild = {**FATAL, "severity": 4}
    with pytest.raises(JobException, match="because") as caught:
        wait("b", event("exception", **mild), event("exception", 5.0, **FATAL), event("b"))
    error = caught.value
    assert (error.timestamp, error.type, error.note, error.severity) == (
        5.0,
        "cancel",
        "because",
        0,
    )
    assert str(error) == "job.exception: type=cancel: because"
    peer.read(CANCEL)


def test_event_wait_passes_exceptions_over_if_told_to(peer, wait):
    events = (event("exception", **FATAL), event("b"))
    assert wait("b", *events, raiseJobException=False).name == "b"
    peer.read(CANCEL)
    assert wait("exception", *events).name == "exception"


def test_event_wait_raises_the_errors_of_the_watch(wait):
    for error in (errno.ENOENT, errno.EPERM, errno.ENOSYS):
        with pytest.raises(OSError, match=os.strerror(error)) as caught:
            wait("b", error)
        assert caught.value.errno == error


def test_an_exception_event_may_lack_what_it_should_have():
    bare = JobException(EventLogEvent({"timestamp": 1.0, "name": "exception"}))
    assert (bare.type, bare.note, bare.severity) == ("", "", 0)
    other = pickle.loads(pickle.dumps(bare))
    assert (type(other), other.timestamp) == (JobException, 1.0)


def test_the_main_events():
    assert {*LIFE, "exception"} - {"validate"} <= MAIN_EVENTS

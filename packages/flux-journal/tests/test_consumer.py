"""Reading a journal event by event, and what stops that."""

from __future__ import annotations

import asyncio
import errno
import gc
import math
import os
from typing import Any

import pytest

from flux.abc import JournalConsumerBase, JournalEventBase

SENTINEL = {"id": -1, "events": []}
MORE_THAN_64_BITS = 1 << 70


class Consumer(JournalConsumerBase):
    """The smallest consumer there can be."""

    def process_response(self, resp):
        return {}

    def create_event(self, entry, *args, **kwargs):
        return JournalEventBase(entry)


class JobConsumer(Consumer):
    """A consumer that adds to events what the response says."""

    def process_response(self, resp):
        return {"job": resp["id"]}

    def create_event(self, entry, job):
        return JournalEventBase({**entry, "context": {"job": job}})


def entry(timestamp, name="x", **context):
    return {"timestamp": timestamp, "name": name, "context": context}


def response(*times, **fields):
    return {"id": 1, "events": [entry(time, f"e{time}") for time in times], **fields}


def start(peer, cls=Consumer, **options):
    """Return a started consumer and its request."""
    consumer = cls(peer.handle, "service.journal", **options).start()
    return consumer, peer.read("service.journal")


def names(consumer, count):
    return [consumer.poll(timeout=5).name for _ in range(count)]


# -- the request


def test_start_sends_a_streaming_request_with_the_payload_to_rank_0(peer):
    class WithPayload(Consumer):
        @property
        def request_payload(self):
            return {"allow": {"submit": 1}}

    consumer = WithPayload(peer.handle, "service.journal")
    assert consumer.start() is consumer
    request = peer.read("service.journal")
    assert (request.streaming, request.nodeid) == (True, 0)
    assert request.payload == {"allow": {"submit": 1}}
    other, request = start(peer)
    assert request.payload == {}
    assert other.rpc is not consumer.rpc


def test_the_abstract_methods_must_be_there(peer):
    class Half(JournalConsumerBase):
        def process_response(self, resp):
            return {}

    for cls in (JournalConsumerBase, Half):
        with pytest.raises(TypeError):
            cls(peer.handle, "service.journal")  # type: ignore[abstract]


def test_the_base_methods_do_what_most_services_need(peer):
    class Basic(JournalConsumerBase):
        def process_response(self, resp):
            return super().process_response(resp)

        def create_event(self, entry, **kwargs):
            return super().create_event(entry, **kwargs)

    consumer, request = start(peer, Basic)
    peer.answer(request, response(1.0), SENTINEL)
    assert names(consumer, 1) == ["e1.0"]


# -- history and present


def test_the_history_comes_in_order_of_time_and_the_rest_as_it_arrives(peer):
    consumer, request = start(peer)
    peer.answer(request, response(5.0, 1.0), response(4.0, 2.0), SENTINEL)
    peer.answer(request, response(3.0), response(0.5))
    assert names(consumer, 6) == ["e1.0", "e2.0", "e4.0", "e5.0", "e3.0", "e0.5"]


def test_events_of_one_time_keep_their_order_and_their_response(peer):
    consumer, request = start(peer, JobConsumer)
    peer.answer(request, response(2.0, 2.0, 1.0, id=7), response(2.0, 1.0, id=8), SENTINEL)
    events = [consumer.poll(timeout=5) for _ in range(5)]
    assert [(event.timestamp, event.context["job"]) for event in events] == [
        (1.0, 7),
        (1.0, 8),
        (2.0, 7),
        (2.0, 7),
        (2.0, 8),
    ]


def test_nothing_of_the_history_is_delivered_before_it_is_complete(peer):
    consumer, request = start(peer)
    peer.answer(request, response(2.0))
    with pytest.raises(TimeoutError, match="the history is not complete after 0 s"):
        consumer.poll(timeout=0)
    peer.answer(request, response(1.0), SENTINEL)
    assert names(consumer, 2) == ["e1.0", "e2.0"]


def test_entries_are_delivered_as_they_came(peer):
    odd = {
        "timestamp": 1,
        "name": "odd ƒ 😀 \x00",
        "context": {"f": 1e-7, "i": -(1 << 63), "n": None, "l": [{"a": [True]}], "": 0.1 + 0.2},
        "extra": 1,
    }
    consumer, request = start(peer)
    peer.answer(request, {"id": 1, "events": [odd]}, SENTINEL, {"id": 1, "events": [odd]})
    assert [dict(consumer.poll(timeout=5)) for _ in range(2)] == [odd, odd]


def test_integers_beyond_64_bits_are_kept(peer):
    big = b'{"id":1,"events":[{"timestamp":1.0,"name":"x","context":{"i":%d}}]}' % MORE_THAN_64_BITS
    consumer, request = start(peer)
    peer.answer(request, big, SENTINEL, big)
    for _ in range(2):
        assert consumer.poll(timeout=5).context["i"] == MORE_THAN_64_BITS


def test_the_sentinel_is_delivered_if_asked_for(peer):
    class Own(Consumer):
        SENTINEL_EVENT = JournalEventBase({"timestamp": 7.0})

    for cls in (Consumer, Own):
        consumer, request = start(peer, cls, include_sentinel=True)
        peer.answer(request, response(1.0), SENTINEL, response(2.0))
        first, mark, second = (consumer.poll(timeout=5) for _ in range(3))
        assert (first.name, second.name) == ("e1.0", "e2.0")
        assert mark is cls.SENTINEL_EVENT
        assert mark == consumer.SENTINEL_EVENT
        assert mark.is_empty()
        assert not first.is_empty()
        del consumer
        peer.read("service.journal-cancel")


def test_without_full_events_come_as_they_arrive_and_no_sentinel_does(peer):
    consumer, request = start(peer, full=False, include_sentinel=True)
    peer.answer(request, response(2.0, 1.0), SENTINEL, response(3.0))
    assert names(consumer, 3) == ["e2.0", "e1.0", "e3.0"]


def test_since_leaves_out_events_that_are_not_later(peer):
    consumer, request = start(peer, since=2.0)
    peer.answer(request, response(3.0, 2.0, 1.0), SENTINEL, response(1.5), response(2.5))
    assert names(consumer, 2) == ["e3.0", "e2.5"]


def test_a_response_without_events_about_something_is_not_the_sentinel(peer):
    consumer, request = start(peer, include_sentinel=True)
    peer.answer(request, response(id=17), response(2.0), response(id=0), response(1.0), SENTINEL)
    peer.answer(request, response(id=17), SENTINEL, response(3.0))
    assert names(consumer, 2) == ["e1.0", "e2.0"]
    assert consumer.poll(timeout=5).is_empty()
    assert names(consumer, 1) == ["e3.0"]


def test_a_service_may_mark_the_end_of_its_history_in_its_own_way(peer):
    class Other(Consumer):
        def is_empty_response(self, resp):
            return resp is None or "now" in resp

    for mark in (None, {"now": True}):
        consumer, request = start(peer, Other)
        peer.answer(request, response(2.0), SENTINEL, response(1.0), mark)
        assert names(consumer, 2) == ["e1.0", "e2.0"]
        del consumer
        peer.read("service.journal-cancel")


def test_the_journal_of_a_real_resource_service(peer):
    class Resource(JournalConsumerBase):
        def process_response(self, resp):
            return {"resources": resp.get("R")}

        def create_event(self, entry, resources):
            event: Any = JournalEventBase(entry)
            event.resources = resources
            return event

    with Resource(peer.handle, "resource.journal", include_sentinel=True) as consumer:
        peer.replay(peer.read("resource.journal"), "py-resjournal", "flux")
        events: list[Any] = list(consumer)
    assert [event.get("name") for event in events] == ["restart", "resource-define", "online", None]
    assert [event.resources is not None for event in events[:3]] == [False, True, False]
    assert str(events[2]) == '1795302185.98658 online {"idset":"0"}'


# -- the end


def test_stop_asks_for_the_end_which_comes_after_what_was_sent_before(peer):
    consumer, request = start(peer)
    peer.answer(request, SENTINEL, response(1.0))
    consumer.stop()
    cancel = peer.read("service.journal-cancel")
    assert (cancel.payload, cancel.nodeid) == ({"matchtag": request.matchtag}, 0)
    assert cancel.noresponse
    consumer.stop()
    assert peer.quiet()
    peer.answer(request, response(2.0), errno.ENODATA)
    assert names(consumer, 2) == ["e1.0", "e2.0"]
    assert consumer.poll(timeout=5) is None
    assert consumer.poll() is None


def test_the_topic_of_the_cancel_request_can_be_given(peer):
    consumer, _ = start(peer, cancel_topic="service.enough")
    consumer.stop()
    peer.read("service.enough")


def test_a_stream_that_ends_during_its_history_delivers_that_and_no_sentinel(peer):
    consumer, request = start(peer, include_sentinel=True)
    peer.answer(request, response(2.0), response(1.0), errno.ENODATA)
    assert names(consumer, 2) == ["e1.0", "e2.0"]
    assert consumer.poll(timeout=5) is None


def test_stop_of_a_stream_not_started_or_over_does_nothing(peer):
    consumer = Consumer(peer.handle, "service.journal")
    consumer.stop()
    assert peer.quiet()
    consumer.start()
    peer.answer(peer.read(), errno.ENODATA)
    assert consumer.poll(timeout=5) is None
    consumer.stop()
    assert peer.quiet()


def test_a_second_start_begins_anew(peer):
    consumer, old = start(peer)
    peer.answer(old, response(1.0, 2.0), SENTINEL)
    assert names(consumer, 1) == ["e1.0"]
    consumer.start()
    assert peer.read("service.journal-cancel").payload == {"matchtag": old.matchtag}
    new = peer.read("service.journal")
    peer.answer(old, response(9.0), errno.ENODATA)
    peer.answer(new, response(4.0), response(3.0), SENTINEL, errno.ENODATA)
    assert names(consumer, 2) == ["e3.0", "e4.0"]
    assert consumer.poll(timeout=5) is None
    consumer.start()
    peer.answer(peer.read("service.journal"), SENTINEL, response(5.0))
    assert names(consumer, 1) == ["e5.0"]


def test_a_forgotten_consumer_cancels_its_stream(peer):
    consumer, request = start(peer)
    del consumer
    assert peer.read("service.journal-cancel").payload == {"matchtag": request.matchtag}


def test_a_consumer_forgotten_after_its_handle_was_closed_does_no_harm(peer):
    with peer.handle as handle:
        consumer = Consumer(handle, "service.journal").start()
    del consumer, handle
    gc.collect()


def test_as_a_context_manager_it_starts_and_cancels(peer):
    with Consumer(peer.handle, "service.journal") as consumer:
        request = peer.read("service.journal")
        peer.answer(request, SENTINEL, response(1.0, 2.0))
        assert next(consumer).name == "e1.0"
    peer.read("service.journal-cancel")
    assert consumer.poll() is None
    assert list(consumer) == []
    with consumer:
        peer.answer(peer.read("service.journal"), response(2.0), SENTINEL)
        assert next(consumer).name == "e2.0"


def test_a_started_consumer_is_not_started_again_by_with(peer):
    consumer, request = start(peer)
    with pytest.raises(KeyError), consumer:
        raise KeyError
    assert peer.read("service.journal-cancel").payload == {"matchtag": request.matchtag}
    assert peer.quiet()


# -- errors


def test_poll_before_start_is_an_error(peer):
    with pytest.raises(RuntimeError, match="before start"):
        Consumer(peer.handle, "service.journal").poll(5.0)
    with pytest.raises(RuntimeError, match="before start"):
        next(Consumer(peer.handle, "service.journal"))


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS, errno.EINVAL])
def test_an_error_response_is_raised_then_and_ever_after(peer, error):
    for full in (True, False):
        consumer, request = start(peer, full=full)
        peer.answer(request, error)
        for _ in range(2):
            with pytest.raises(OSError, match=os.strerror(error)) as caught:
                consumer.poll(timeout=5)
            assert caught.value.errno == error


def test_an_error_comes_after_the_events_before_it_and_with_its_text(peer):
    consumer, request = start(peer)
    peer.answer(request, response(2.0, 1.0))
    peer.sock.sendall(peer.response(request, "no more of this", errno.EPERM))
    assert names(consumer, 2) == ["e1.0", "e2.0"]
    with pytest.raises(PermissionError, match="no more of this"):
        consumer.poll(timeout=5)


def test_a_lost_broker_is_an_error(peer):
    consumer, request = start(peer)
    peer.answer(request, SENTINEL, response(1.0))
    peer.hang_up()
    assert names(consumer, 1) == ["e1.0"]
    for _ in range(2):
        with pytest.raises(ConnectionResetError):
            consumer.poll(timeout=5)
    consumer.stop()
    with pytest.raises(BrokenPipeError):
        consumer.start()


@pytest.mark.parametrize("timeout", [-1, -math.inf, math.inf, 1e300, 2**63, 10**400])
def test_a_wait_that_is_too_long_for_the_system_is_one_without_limit(peer, timeout):
    consumer, request = start(peer, full=False)
    peer.answer(request, response(1.0))
    assert consumer.poll(timeout).name == "e1.0"


def test_a_timeout_that_is_no_number_is_an_error_that_names_it(peer):
    consumer, _ = start(peer, full=False)
    with pytest.raises(ValueError, match="timeout is a number of seconds, not nan"):
        consumer.poll(math.nan)
    with pytest.raises(TypeError, match="timeout is a number of seconds, not '5'"):
        consumer.poll("5")


def test_a_time_out_leaves_the_stream_intact(peer):
    consumer, request = start(peer)
    for full in (True, False):
        with pytest.raises(TimeoutError) as caught:
            consumer.poll(timeout=0.01)
        assert caught.value.errno == errno.ETIMEDOUT
        if full:
            peer.answer(request, SENTINEL)
    peer.answer(request, response(1.0))
    assert names(consumer, 1) == ["e1.0"]


def test_a_timeout_of_0_takes_what_has_arrived(peer):
    consumer, request = start(peer)
    peer.answer(request, response(1.0), SENTINEL)
    assert consumer.poll(timeout=0).name == "e1.0"
    with pytest.raises(TimeoutError, match="no event after 0 s"):
        consumer.poll(timeout=0)


def test_responses_without_events_do_not_prolong_the_wait(peer):
    consumer, request = start(peer, full=False, since=10.0)
    peer.answer(request, *[response(1.0)] * 50)
    with pytest.raises(TimeoutError):
        consumer.poll(timeout=0)


@pytest.mark.parametrize(
    "payload",
    [None, b"junk", b'"text"', b"[]", {}, {"id": 1}, {"id": 1, "events": None}, {"events": {}}],
)
def test_a_malformed_response_is_an_error_and_costs_nothing_else(peer, payload):
    consumer, request = start(peer)
    peer.answer(request, response(2.0), payload, response(1.0), SENTINEL, payload, response(3.0))
    for expected in (["e1.0", "e2.0"], ["e3.0"]):
        with pytest.raises(OSError, match=r"payload|malformed response") as caught:
            consumer.poll(timeout=5)
        assert caught.value.errno == errno.EPROTO
        assert names(consumer, len(expected)) == expected


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (7, "it is not an object: 7"),
        ({"timestamp": "1", "name": "x"}, "its timestamp is not a number: '1'"),
        ({"timestamp": None, "name": "x"}, "its timestamp is not a number: None"),
        ({"timestamp": True, "name": "x"}, "its timestamp is not a number: True"),
        ({"timestamp": 1 << 63, "name": "x"}, "its timestamp is out of range: 9223372036854775808"),
        ({"timestamp": 1.0}, "its name is not a string: None"),
        ({"timestamp": 1.0, "name": 1}, "its name is not a string: 1"),
        ({"timestamp": 1.0, "name": "x", "context": [1]}, "its context is not an object: \\[1]"),
        ({"timestamp": 1.0, "name": "x", "context": None}, "its context is not an object: None"),
    ],
)
def test_a_malformed_entry_is_an_error_and_costs_nothing_else(peer, bad, text):
    good = {"id": 1, "events": [entry(2.0, "e2.0"), bad, entry(1.0, "e1.0")]}
    consumer, request = start(peer)
    peer.answer(request, good, SENTINEL, good)
    with pytest.raises(OSError, match=f"malformed event from service.journal: {text}") as caught:
        consumer.poll(timeout=5)
    assert caught.value.errno == errno.EPROTO
    assert names(consumer, 2) == ["e1.0", "e2.0"]
    with pytest.raises(OSError, match=text):
        consumer.poll(timeout=5)
    assert names(consumer, 2) == ["e2.0", "e1.0"]


def test_an_entry_without_timestamp_gets_that_of_its_arrival(peer):
    consumer, request = start(peer)
    peer.answer(request, {"id": 1, "events": [{"name": "late"}]}, response(1.0), SENTINEL)
    assert names(consumer, 1) == ["e1.0"]
    assert consumer.poll(timeout=5).timestamp > 1e9


def test_errors_of_the_subclass_are_raised_and_cost_one_response_or_event(peer):
    class Picky(Consumer):
        def process_response(self, resp):
            if resp["id"] == 13:
                raise KeyError("thirteen")
            return

        def create_event(self, entry, **kwargs):
            if entry["name"] == "e2.0":
                raise IndexError("two")
            return super().create_event(entry, **kwargs)

    consumer, request = start(peer, Picky)
    peer.answer(request, response(1.0, id=13), response(3.0, 2.0, 1.0), SENTINEL)
    with pytest.raises(KeyError, match="thirteen"):
        consumer.poll(timeout=5)
    assert names(consumer, 1) == ["e1.0"]
    with pytest.raises(IndexError, match="two"):
        consumer.poll(timeout=5)
    assert names(consumer, 1) == ["e3.0"]


# -- loops


def test_a_for_loop_ends_with_the_stream(peer):
    consumer, request = start(peer)
    peer.answer(request, response(2.0, 1.0), SENTINEL, response(3.0), errno.ENODATA)
    assert [event.name for event in consumer] == ["e1.0", "e2.0", "e3.0"]


def test_an_async_for_loop_ends_with_the_stream(peer):
    async def main():
        async with Consumer(peer.handle, "service.journal") as consumer:
            request = peer.read("service.journal")
            seen = []
            peer.answer(request, response(2.0, 1.0), SENTINEL)
            async for event in consumer:
                seen.append(event.name)
                if event.name == "e2.0":
                    peer.answer(request, response(3.0), errno.ENODATA)
            return seen

    assert asyncio.run(main()) == ["e1.0", "e2.0", "e3.0"]
    assert peer.quiet()


def test_an_async_for_loop_raises_the_error_of_the_stream(peer):
    async def main():
        async with Consumer(peer.handle, "service.journal") as consumer:
            peer.answer(peer.read("service.journal"), errno.EPERM)
            async for _event in consumer:
                pass

    with pytest.raises(PermissionError):
        asyncio.run(main())


def test_an_async_for_loop_raises_the_loss_of_the_broker(peer):
    async def main():
        consumer = Consumer(peer.handle, "service.journal").start()
        peer.answer(peer.read("service.journal"), response(1.0), SENTINEL)
        async for _event in consumer:
            peer.hang_up()

    with pytest.raises(ConnectionResetError):
        asyncio.run(main())


def test_leaving_an_async_for_loop_leaves_the_stream_intact(peer):
    async def main():
        async with Consumer(peer.handle, "service.journal") as consumer:
            request = peer.read("service.journal")
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(consumer.__anext__(), 0.01)
            peer.answer(request, response(1.0), SENTINEL)
            return await consumer.__anext__()

    assert asyncio.run(main()).name == "e1.0"
    peer.read("service.journal-cancel")


def test_two_tasks_share_a_stream(peer):
    async def main():
        async with Consumer(peer.handle, "service.journal") as consumer:

            async def take():
                return [event.name async for event in consumer]

            tasks = [asyncio.ensure_future(take()) for _ in range(2)]
            await asyncio.sleep(0)
            peer.answer(peer.read("service.journal"), response(1.0, 2.0), SENTINEL, errno.ENODATA)
            first, second = await asyncio.gather(*tasks)
            return sorted(first + second)

    assert asyncio.run(main()) == ["e1.0", "e2.0"]


def test_an_async_for_loop_needs_a_started_consumer(peer):
    async def main():
        return await Consumer(peer.handle, "service.journal").__anext__()

    with pytest.raises(RuntimeError, match="not started"):
        asyncio.run(main())

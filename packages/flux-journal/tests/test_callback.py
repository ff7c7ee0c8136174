"""Reading a journal in the reactor."""

from __future__ import annotations

import errno
import gc
import os
import weakref
from typing import Any

import pytest

from flux.abc import JournalConsumerBase, JournalEventBase

SENTINEL = {"id": -1, "events": []}


class Consumer(JournalConsumerBase):
    """The smallest consumer there can be."""

    def process_response(self, resp):
        return {}

    def create_event(self, entry, **kwargs):
        return JournalEventBase(entry)


def response(*times):
    return {"events": [{"timestamp": time, "name": f"e{time}"} for time in times]}


@pytest.fixture
def consumer(peer):
    return Consumer(peer.handle, "service.journal")


def names(events):
    return [None if event is None else event.get("name", "mark") for event in events]


def test_the_callback_gets_each_event_its_arguments_and_none_at_the_end(peer):
    consumer = Consumer(peer.handle, "service.journal", include_sentinel=True).start()
    seen: list[Any] = []
    assert (
        consumer.set_callback(lambda *args, **kwargs: seen.append((*args, kwargs)), 1, two=2)
        is consumer
    )
    peer.answer(peer.read(), response(2.0, 1.0), SENTINEL, response(3.0), errno.ENODATA)
    # It returns, as nothing is left to do.
    assert peer.handle.reactor_run() == 0
    assert names([event for event, *_ in seen]) == ["e1.0", "e2.0", "mark", "e3.0", None]
    assert all(args == [1, {"two": 2}] for _, *args in seen)


def test_the_callback_may_be_set_before_the_start(peer, consumer):
    seen: list[Any] = []
    consumer.set_callback(seen.append)
    consumer.start()
    peer.answer(peer.read(), response(1.0), errno.ENODATA)
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", None]


def test_the_last_callback_set_is_called(peer, consumer):
    wrong: list[Any] = []
    right: list[Any] = []
    consumer.set_callback(wrong.append).start()
    consumer.set_callback(right.append)
    peer.answer(peer.read(), response(1.0), errno.ENODATA)
    peer.handle.reactor_run()
    assert (names(wrong), names(right)) == ([], ["e1.0", None])


def test_the_callback_can_be_changed_by_itself(peer, consumer):
    seen: list[Any] = []

    def first(event):
        consumer.set_callback(lambda event: seen.append(("second", event)))
        seen.append(("first", event))

    consumer.set_callback(first).start()
    peer.answer(peer.read(), response(1.0, 2.0), errno.ENODATA)
    peer.handle.reactor_run()
    assert [who for who, _ in seen] == ["first", "second", "second"]


def test_what_poll_left_goes_to_the_callback(peer, consumer):
    consumer.start()
    peer.answer(peer.read(), response(1.0, 2.0), SENTINEL)
    assert consumer.poll(timeout=5).name == "e1.0"
    seen: list[Any] = []

    def callback(event):
        seen.append(event)
        peer.handle.reactor_stop()

    consumer.set_callback(callback)
    peer.handle.reactor_run()
    assert names(seen) == ["e2.0"]


def test_a_callback_set_after_the_end_is_told_of_it(peer, consumer):
    consumer.start()
    peer.answer(peer.read(), errno.ENODATA)
    assert consumer.poll(timeout=5) is None
    seen: list[Any] = []
    consumer.set_callback(seen.append)
    peer.handle.reactor_run()
    assert seen == [None]


def test_stop_in_the_callback_ends_the_stream(peer, consumer):
    seen: list[Any] = []

    def callback(event):
        seen.append(event)
        if event is not None:
            consumer.stop()

    def cancelled(handle, *_args):
        peer.answer(request, errno.ENODATA)

    consumer.set_callback(callback).start()
    request = peer.read()
    peer.answer(request, SENTINEL, response(1.0))
    watcher = peer.handle.fd_watcher_create(peer.sock.fileno(), cancelled, events=1)
    with watcher:
        watcher.unref()
        peer.handle.reactor_run()
    assert names(seen) == ["e1.0", None]


@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS])
def test_an_error_is_raised_by_reactor_run_after_the_events_before_it(peer, consumer, error):
    seen: list[Any] = []
    consumer.set_callback(seen.append).start()
    peer.answer(peer.read(), response(2.0, 1.0), error)
    with pytest.raises(OSError, match=os.strerror(error)) as caught:
        peer.handle.reactor_run()
    assert caught.value.errno == error
    assert names(seen) == ["e1.0", "e2.0"]
    # Once is enough.
    assert peer.handle.reactor_run() == 0


def test_a_lost_broker_is_raised_by_reactor_run(peer, consumer):
    seen: list[Any] = []
    consumer.set_callback(seen.append).start()
    peer.answer(peer.read(), SENTINEL, response(1.0))
    peer.hang_up()
    with pytest.raises(ConnectionResetError):
        peer.handle.reactor_run()
    assert names(seen) == ["e1.0"]


def test_an_error_in_the_callback_costs_one_event(peer, consumer):
    seen: list[Any] = []

    def callback(event):
        if event is not None and event.name == "e2.0":
            raise KeyError("two")
        seen.append(event)

    consumer.set_callback(callback).start()
    request = peer.read()
    peer.answer(request, response(1.0, 2.0, 3.0), SENTINEL, response(2.0))
    with pytest.raises(KeyError, match="two"):
        peer.handle.reactor_run()
    peer.answer(request, response(4.0), errno.ENODATA)
    with pytest.raises(KeyError, match="two"):
        peer.handle.reactor_run()
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", "e3.0", "e4.0", None]


def test_a_malformed_response_costs_nothing_else(peer, consumer):
    seen: list[Any] = []
    consumer.set_callback(seen.append).start()
    request = peer.read()
    peer.answer(request, response(1.0), b"junk", response(2.0), errno.ENODATA)
    with pytest.raises(OSError, match="not JSON") as caught:
        peer.handle.reactor_run()
    assert caught.value.errno == errno.EPROTO
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", "e2.0", None]


def test_a_second_start_keeps_the_callback(peer, consumer):
    seen: list[Any] = []
    consumer.set_callback(seen.append).start()
    old = peer.read("service.journal")
    consumer.start()
    peer.read("service.journal-cancel")
    new = peer.read("service.journal")
    peer.answer(old, response(9.0), errno.ENODATA)
    peer.answer(new, response(1.0), errno.ENODATA)
    peer.handle.reactor_run()
    consumer.start()
    peer.answer(peer.read(), response(2.0), errno.ENODATA)
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", None, "e2.0", None]


def test_a_restart_in_the_callback_drops_what_is_left(peer, consumer):
    seen: list[Any] = []

    def callback(event):
        seen.append(event)
        if len(seen) == 1:
            consumer.start()
            consumer.stop()
            peer.handle.reactor_stop()

    consumer.set_callback(callback).start()
    peer.answer(peer.read(), response(1.0, 2.0), SENTINEL)
    peer.handle.reactor_run()
    peer.read("service.journal-cancel")
    peer.answer(peer.read("service.journal"), errno.ENODATA)
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", None]


def test_leaving_the_context_ends_the_callbacks(peer, consumer):
    seen: list[Any] = []
    with consumer:
        consumer.set_callback(seen.append)
        peer.answer(peer.read(), response(1.0), SENTINEL)
    assert peer.handle.reactor_run() == 0
    assert seen == []


def test_the_reactor_keeps_a_consumer_alive_until_the_end_of_its_stream(peer):
    seen: list[Any] = []
    consumer = Consumer(peer.handle, "service.journal").set_callback(seen.append).start()
    found = weakref.ref(consumer)
    del consumer
    gc.collect()
    peer.answer(peer.read(), response(1.0), errno.ENODATA)
    peer.handle.reactor_run()
    assert names(seen) == ["e1.0", None]
    # And not longer, without waiting for the garbage collector.
    gc.disable()
    try:
        assert found() is None
    finally:
        gc.enable()


def test_a_callback_must_be_callable(consumer):
    with pytest.raises(TypeError, match="callable"):
        consumer.set_callback(None)

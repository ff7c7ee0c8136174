from __future__ import annotations

import asyncio
from typing import Any

from flux import Flux
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_O_NONBLOCK
from flux.message import Message
from harness.cell import LIMIT, Cell


def receive(handle: Flux, topic: str) -> Message:
    event = handle.event_recv(topic)
    assert event is not None
    return event


def test_a_published_event_reaches_its_subscribers(cell: Cell, handle: Flux, name: str) -> None:
    with cell.connect() as other:
        for subscriber in (handle, other):
            subscriber.event_subscribe(f"{name}.")
        published = handle.event_publish(f"{name}.a", payload={"n": 1}).wait_for(LIMIT).get()
        for subscriber in (handle, other):
            event = receive(subscriber, f"{name}.a")
            assert event.payload == {"n": 1}
            assert event.seq == published["seq"]


def test_an_event_without_a_receipt(handle: Flux, name: str) -> None:
    handle.event_subscribe(name)
    handle.event_send(f"{name}.a", {"n": 2})
    assert receive(handle, f"{name}.a").payload == {"n": 2}


def test_an_event_without_a_payload(handle: Flux, name: str) -> None:
    handle.event_subscribe(name)
    handle.event_publish(f"{name}.a").get()
    assert receive(handle, f"{name}.a").payload is None


def test_events_come_in_the_order_of_their_numbers(cell: Cell, handle: Flux, name: str) -> None:
    handle.event_subscribe(name)
    with cell.connect() as other:
        for n in range(50):
            (handle, other)[n % 2].event_publish(f"{name}.{n}").get()
    numbers = [receive(handle, f"{name}.*").seq for _ in range(50)]
    assert numbers == sorted(set(numbers))


def test_a_subscription_is_a_prefix(handle: Flux, name: str) -> None:
    handle.event_subscribe(f"{name}.a")
    for topic in ("b", "a", "ab"):
        handle.event_publish(f"{name}.{topic}").get()
    assert [receive(handle, f"{name}.*").topic for _ in range(2)] == [f"{name}.a", f"{name}.ab"]


def test_after_unsubscribing_nothing_comes(handle: Flux, name: str) -> None:
    handle.event_subscribe(name)
    handle.event_unsubscribe(name)
    handle.event_publish(f"{name}.a").get()
    handle.rpc("broker.ping", {"seq": 0}).get()
    assert handle.recv(FLUX_MSGTYPE_EVENT, topic_glob=f"{name}.*", flags=FLUX_O_NONBLOCK) is None


def test_events_come_to_callbacks_in_the_reactor(handle: Flux, name: str) -> None:
    seen: list[Any] = []

    def collect(handle: Flux, watcher: Any, event: Message, args: Any) -> None:
        seen.append((event.topic, event.payload, args))
        if len(seen) == 3:
            watcher.stop()

    handle.event_subscribe(name)
    watcher = handle.msg_watcher_create(collect, FLUX_MSGTYPE_EVENT, f"{name}.*", args="mine")
    watcher.start()
    for n in range(3):
        handle.event_send(f"{name}.{n}", {"n": n})
    handle.reactor_run()
    assert seen == [(f"{name}.{n}", {"n": n}, "mine") for n in range(3)]


def test_publishing_under_asyncio(cell: Cell, name: str) -> None:
    async def main() -> list[int]:
        with cell.connect() as handle:
            return [(await handle.event_publish(f"{name}.{n}"))["seq"] for n in range(3)]

    first, second, third = asyncio.run(main())
    assert first < second < third

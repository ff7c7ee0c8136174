"""The events of journals, and the memory that a history takes."""

from __future__ import annotations

import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import flux.abc
from flux.abc import JournalConsumerBase, JournalEventBase
from flux.abc._backlog import Backlog
from flux.eventlog import EventLogEvent


def test_the_public_names():
    assert sorted(flux.abc.__all__) == ["JournalConsumerBase", "JournalEventBase"]


def test_an_event_is_an_eventlog_event():
    event = JournalEventBase({"timestamp": 1.5, "name": "online", "context": {"idset": "0"}})
    assert isinstance(event, EventLogEvent)
    assert (event.name, event.timestamp, event.context) == ("online", 1.5, {"idset": "0"})
    assert event.context_string == '{"idset":"0"}'
    assert str(event) == '1.50000 online {"idset":"0"}'
    assert not event.is_empty()


def test_an_event_without_context_has_an_empty_one():
    event = JournalEventBase('{"timestamp":1,"name":"x"}')
    assert (event.context, event.context_string, str(event)) == ({}, "", "1.00000 x")


def test_an_empty_event_has_the_time_at_which_it_was_made():
    event = JournalEventBase({})
    assert event.is_empty()
    assert event.timestamp > 1e9
    assert str(event) == f"{event.timestamp:.5f} End of historical data stream"
    assert JournalConsumerBase.SENTINEL_EVENT.is_empty()


def pop(backlog: Backlog) -> Any:
    found = backlog.next(iter((0,)))
    assert found is not None
    item, taken = found
    next(taken)
    return item


@given(st.lists(st.lists(st.sampled_from([1.0, 2.0, 3, 4.5]), max_size=5), max_size=20))
def test_a_history_is_sorted_like_a_list(responses):
    backlog = Backlog(historical=True)
    expected = []
    for i, times in enumerate(responses):
        entries = [{"timestamp": time, "name": f"{i}.{j}"} for j, time in enumerate(times)]
        add, fault = backlog.add(entries, {"i": i}, 0.0, iter((True,)))
        next(add)
        assert fault is None
        expected += [(dict(entry), {"i": i}) for entry in entries]
    assert not backlog
    assert backlog.next(iter((0,))) is None
    next(backlog.end_history(False, iter((True,))))
    items = []
    while backlog:
        items.append(pop(backlog))
    assert items == sorted(expected, key=lambda item: item[0]["timestamp"])


def test_a_history_takes_little_more_than_its_text():
    backlog = Backlog(historical=True)
    arguments: dict[str, Any] = {}
    tracemalloc.start()
    for i in range(2000):
        resources = {"annotations": {"sched": {"resource_summary": "rank0/core0"}}}
        entry = {"timestamp": 1e9 - i, "name": "alloc", "context": resources}
        next(backlog.add([entry], arguments, 0.0, iter((True,)))[0])
        del entry, resources
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 117 bytes of text; as objects they would be nearly 1000.
    assert size / 2000 < 200
    next(backlog.end_history(False, iter((True,))))
    item = pop(backlog)
    assert item[0]["timestamp"] == 1e9 - 1999

"""Eventlog entries."""

from __future__ import annotations

import pytest

from flux.eventlog import EventLogEvent

ENTRY = {"timestamp": 1552593348.073045, "name": "submit", "context": {"urgency": 16, "a": "€"}}
TEXT = '{"timestamp":1552593348.073045,"name":"submit","context":{"urgency":16,"a":"€"}}'


@pytest.mark.parametrize("source", [ENTRY, TEXT])
def test_an_entry_is_made_of_a_dict_or_of_text(source):
    event = EventLogEvent(source)
    assert event == ENTRY
    assert isinstance(event, dict)
    assert (event.name, event.timestamp) == ("submit", 1552593348.073045)
    assert event.context == {"urgency": 16, "a": "€"}
    assert event["context"]["urgency"] == 16


def test_the_source_is_left_alone():
    source = {"timestamp": 1.0, "name": "x"}
    event = EventLogEvent(source)
    event["more"] = 1
    assert source == {"timestamp": 1.0, "name": "x"}


def test_a_missing_context_is_empty():
    event = EventLogEvent({"timestamp": 1.0, "name": "x"})
    assert event.context == {}
    assert event.context_string == ""
    assert event["context"] == {}


def test_the_context_is_shown_as_compact_sorted_json():
    assert EventLogEvent(ENTRY).context_string == '{"a":"€","urgency":16}'


def test_an_entry_shows_its_time_to_ten_microseconds():
    assert str(EventLogEvent(ENTRY)).startswith("1552593348.07304: submit {") or str(
        EventLogEvent(ENTRY)
    ).startswith("1552593348.07305: submit {")


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "17", "null"])
def test_text_that_is_not_an_object_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        EventLogEvent(text)


@pytest.mark.parametrize("field", ["name", "timestamp"])
def test_a_missing_field_is_a_key_error(field):
    with pytest.raises(KeyError, match=field):
        getattr(EventLogEvent({}), field)

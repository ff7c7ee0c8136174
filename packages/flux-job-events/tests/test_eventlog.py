"""Eventlog entries and their printed form, as the flux command and the official bindings do it."""

from __future__ import annotations

import json
import pickle
import sys
import time
from pathlib import Path

import pytest

from flux.eventlog import EventLogEvent, EventLogFormatter, eventlog_decode
from flux.job.journal import SENTINEL_EVENT, JournalEvent

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden-jobs.json").read_text("utf-8"))
LINES = GOLDEN["eventlog_format"]["eventlog"].splitlines()
JOBID = 10267656192


@pytest.fixture
def zone(monkeypatch):
    """Return a function that sets the time zone."""

    def set_zone(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    set_zone("UTC")
    yield set_zone
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("vector", GOLDEN["context_string"]["vectors"], ids=lambda v: v["name"])
def test_an_entry_has_the_attributes_of_the_official_bindings(vector, monkeypatch):
    monkeypatch.delenv("FLUX_F58_FORCE_ASCII", raising=False)
    for event in (EventLogEvent(vector["entry"]), EventLogEvent(json.loads(vector["entry"]))):
        assert (event.name, event.timestamp) == (vector["name"], vector["timestamp"])
        assert event.context_string == vector["context_string"]
        assert str(event) == vector["str"]
        assert str(JournalEvent("ƒGeKRU3", event)).lstrip("ƒf") == vector["journal_str"][1:]


def test_the_printed_form_of_other_events_of_the_journal():
    golden = GOLDEN["context_string"]
    assert str(SENTINEL_EVENT) == golden["sentinel_str"]
    for name, field, expected in (
        ("submit", "jobspec", golden["journal_submit_str"]),
        ("alloc", "R", golden["journal_alloc_str"]),
    ):
        context = {"userid": 0, "urgency": 16, "flags": 0, "version": 1}
        entry = {"timestamp": 1700000000.5, "name": name}
        if name == "submit":
            entry["context"] = context
        event = JournalEvent(JOBID, entry, jobspec={"version": 1}, R={"version": 1})
        assert str(event).lstrip("ƒf") == expected[1:]
        assert getattr(event, field) == {"version": 1}


@pytest.mark.parametrize("key", GOLDEN["python_EventLogFormatter"]["outputs"])
def test_the_formatter_prints_what_the_official_one_does(key, zone):
    options = dict(option.split("=") for option in key.split())
    formatter = EventLogFormatter(**options)
    output = [formatter.format(json.loads(line)) for line in LINES]
    assert output == GOLDEN["python_EventLogFormatter"]["outputs"][key]


def test_iso_times_have_the_local_offset(zone):
    zone("EST5EDT")
    expected = GOLDEN["eventlog_format"]["outputs"]["--time-format=iso with TZ=EST5EDT"]
    formatter = EventLogFormatter(timestamp_format="iso", color="never")
    times = [formatter.format(line).split()[0] for line in LINES]
    assert times == [line.split()[0] for line in expected]


def test_reltime_is_human():
    assert EventLogFormatter(timestamp_format="reltime").timestamp_format == "human"


def test_human_times_of_events_out_of_order_are_negative(zone):
    formatter = EventLogFormatter(timestamp_format="human", color="never")
    times = [formatter.format({"timestamp": time, "name": "x"}) for time in (60.0, 59.5, 119.5)]
    assert times == ["[Jan01 00:01] x", "[  -0.500000] x", "[ +59.500000] x"]


def test_color_is_for_terminals(monkeypatch):
    for is_terminal in (True, False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda value=is_terminal: value)
        text = EventLogFormatter().format({"timestamp": 1.0, "name": "x"})
        assert ("\033[" in text) is is_terminal


def test_bad_options_of_the_formatter():
    for option in ("format", "timestamp_format", "color"):
        with pytest.raises(ValueError, match="foo"):
            EventLogFormatter(**{option: "foo"})


@pytest.mark.parametrize(
    "entry",
    [
        "junk",
        "[]",
        {"name": "x"},
        {"timestamp": "1", "name": "x"},
        {"timestamp": 1.0},
        {"timestamp": 1.0, "name": "x", "context": [1]},
        {"timestamp": 10**400, "name": "x"},
    ],
)
def test_the_formatter_refuses_what_is_no_entry(entry):
    for kind in ("text", "json"):
        with pytest.raises(ValueError, match=r"."):
            EventLogFormatter(format=kind).format(entry)


@pytest.mark.parametrize("time", [1e12, -1e12, 9e18])
def test_a_time_beyond_the_calendar_is_a_value_error(time):
    entry = {"timestamp": time, "name": "x"}
    for kind in ("iso", "human"):
        with pytest.raises(ValueError, match=r"."):
            EventLogFormatter(timestamp_format=kind).format(entry)
    assert EventLogFormatter(color="never").format(entry) == f"{time:.6f} x"


@pytest.mark.parametrize("name", GOLDEN["eventlog_invalid"]["vectors"])
def test_an_eventlog_is_read_or_refused_as_by_the_flux_command(name):
    vector = GOLDEN["eventlog_invalid"]["vectors"][name]
    if vector["rc"] and vector["eventlog"]:
        with pytest.raises(ValueError, match="eventlog"):
            eventlog_decode(vector["eventlog"])
    else:
        # An empty log is fine; what the command can't do is fetch one.
        formatter = EventLogFormatter(color="never")
        lines = [f"{formatter.format(event)}\n" for event in eventlog_decode(vector["eventlog"])]
        assert "".join(lines).lstrip() == vector["stdout"]


def test_the_whole_golden_eventlog_is_read():
    events = eventlog_decode(GOLDEN["eventlog_format"]["eventlog"])
    assert events == [EventLogEvent(line) for line in LINES]


def test_an_entry_is_a_dict_that_can_be_pickled():
    event = EventLogEvent('{"timestamp":1.5,"name":"x"}')
    assert event == {"timestamp": 1.5, "name": "x", "context": {}}
    other = pickle.loads(pickle.dumps(event))
    assert type(other) is EventLogEvent
    assert other == event


def test_text_that_is_no_entry():
    for text in ("junk", "[1]", "7"):
        with pytest.raises(ValueError, match=r"."):
            EventLogEvent(text)

"""Eventlog entries and how they are printed (RFC 18, flux-job(1))."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

__all__ = ["EventLogEvent", "EventLogFormatter", "entry_fault", "eventlog_decode"]

#: Limit of a timestamp: what the seconds of a C program have room for.
_MAX_TIME = 1 << 63

_BOLD = "\033[1m"
_RESET = "\033[0m"


def entry_fault(entry: Any) -> str | None:
    """Say what makes a value no eventlog entry (RFC 18).

    Args:
        entry: A value decoded from JSON.

    Returns:
        None for a good entry, or else what is wrong with it.  Unknown keys are not.
    """
    if not isinstance(entry, dict):
        return f"it is not an object: {entry!r:.80}"
    timestamp = entry.get("timestamp")
    if (
        isinstance(timestamp, float)
        and -_MAX_TIME < timestamp < _MAX_TIME
        and entry.get("name").__class__ is str
        and entry.get("context").__class__ is dict
    ):
        # As most are: what follows takes twice as long.
        return None
    if not isinstance(timestamp, (int, float)) or isinstance(timestamp, bool):
        return f"its timestamp is not a number: {timestamp!r:.80}"
    if not -_MAX_TIME < timestamp < _MAX_TIME:
        return f"its timestamp is out of range: {timestamp!r:.80}"
    if not isinstance(entry.get("name"), str):
        return f"its name is not a string: {entry.get('name')!r:.80}"
    if not isinstance(entry.get("context", {}), dict):
        return f"its context is not an object: {entry['context']!r:.80}"
    return None


def eventlog_decode(text: str) -> list[EventLogEvent]:
    """Read the text of a whole eventlog: one entry a line, as it is stored (RFC 18).

    What follows the last newline is an entry that is still being written, and left out.

    Raises:
        ValueError: A line is not an entry, or there is text but not one whole line.
    """
    *lines, rest = text.split("\n")
    if rest and not lines:
        raise ValueError(f"an eventlog has a newline after each entry: {rest!r:.80}")
    events = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError as exc:
            raise ValueError(f"line {number} of an eventlog is not JSON: {exc}") from None
        fault = entry_fault(entry)
        if fault is not None:
            raise ValueError(f"line {number} of an eventlog is not an entry: {fault}")
        events.append(EventLogEvent(entry))
    return events


class EventLogEvent(dict[str, Any]):
    """One entry of an eventlog: a dict with keys timestamp, name and context.

    Args:
        event: The entry as a dict, or as JSON text.  A missing context becomes an empty one.

    Raises:
        ValueError: The text is not JSON, or not an object.
    """

    def __init__(self, event: str | Mapping[str, Any]) -> None:
        if isinstance(event, str):
            event = json.loads(event)
            if not isinstance(event, dict):
                raise ValueError(f"an eventlog entry is a JSON object, not {event!r}")
        # Not through super(), which takes as long as all the rest.
        dict.__init__(self, event)
        if "context" not in self:
            self["context"] = {}

    def __str__(self) -> str:
        return f"{self.timestamp:<0.5f}: {self.name} {self.context}"

    @property
    def name(self) -> str:
        """The event's name.

        Raises:
            KeyError: The entry has none.
        """
        name: str = self["name"]
        return name

    @property
    def timestamp(self) -> float:
        """Seconds since the epoch.

        Raises:
            KeyError: The entry has none.
        """
        timestamp: float = self["timestamp"]
        return timestamp

    @property
    def context(self) -> dict[str, Any]:
        """What else is known of the event; an empty dict if nothing is."""
        context: dict[str, Any] = self["context"]
        return context

    @property
    def context_string(self) -> str:
        """The context as compact JSON with sorted keys; empty if there is none."""
        if not self.context:
            return ""
        return json.dumps(self.context, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class EventLogFormatter:
    """Prints eventlog entries, one after the other.

    Times of the formats ``offset`` and ``human`` are relative to entries formatted before, so use
    a new formatter for each eventlog.

    Args:
        format: ``text`` for time, name and ``key=value`` items; ``json`` for one object a line,
            whatever the other arguments are.
        timestamp_format: ``raw``, seconds since the epoch; ``iso``, local time in the manner of
            RFC 3339; ``offset``, seconds since the first entry; ``human`` or ``reltime``, local
            time to the minute for the first entry and after each minute, and for the others
            seconds since that entry.
        color: ``always``, ``never``, or ``auto`` for when standard output is a terminal.

    Raises:
        ValueError: An argument is none of these.
    """

    #: Escape sequences (ECMA-48) by what they are put in front of.
    eventlog_colors: ClassVar[dict[str, str]] = {
        "name": "\033[33m",
        "time": "\033[32m",
        "timebreak": _BOLD + "\033[32m",
        "key": "\033[34m",
        "value": "\033[35m",
        "number": "\033[37m",
        "exception": _BOLD + "\033[31m",
    }

    def __init__(
        self,
        format: str = "text",  # noqa: A002
        timestamp_format: str = "raw",
        color: str = "auto",
    ) -> None:
        if format not in ("text", "json"):
            raise ValueError(f"Invalid entry_fmt: {format}")
        if timestamp_format not in ("raw", "human", "reltime", "iso", "offset"):
            raise ValueError(f"Invalid timestamp_fmt: {timestamp_format}")
        if color not in ("always", "never", "auto"):
            raise ValueError(f"Invalid color: {color}")
        self.entry_format = format
        self.timestamp_format = "human" if timestamp_format == "reltime" else timestamp_format
        self.color = color == "always" or (color == "auto" and sys.stdout.isatty())
        self._first: float | None = None
        self._heading: float | None = None

    def format(self, entry: str | Mapping[str, Any]) -> str:
        """Format an entry.

        Args:
            entry: An `EventLogEvent`, or what one is made from.

        Returns:
            The line, without a newline.

        Raises:
            ValueError: It is not an eventlog entry, or its time is beyond the calendar.
        """
        if not isinstance(entry, EventLogEvent):
            entry = EventLogEvent(entry)
        fault = entry_fault(entry)
        if fault is not None:
            raise ValueError(f"not an eventlog entry: {fault}")
        if self.entry_format == "json":
            if not entry.context:
                entry = {key: value for key, value in entry.items() if key != "context"}
            return _compact(entry)
        name = self._colored("exception" if entry.name == "exception" else "name", entry.name)
        items = [
            f" {self._colored('key', key)}={self._colored(_kind(value), _compact(value))}"
            for key, value in entry.context.items()
        ]
        try:
            time = self._time(entry.timestamp)
        except (OverflowError, OSError) as exc:
            raise ValueError(f"not a time: {entry.timestamp}: {exc}") from None
        return f"{time} {name}{''.join(items)}"

    def _colored(self, kind: str, text: str) -> str:
        return f"{self.eventlog_colors[kind]}{text}{_RESET}" if self.color else text

    def _time(self, timestamp: float) -> str:
        if self._first is None:
            self._first = timestamp
        if self.timestamp_format == "raw":
            text = f"{timestamp:11.6f}"
        elif self.timestamp_format == "offset":
            text = f"{timestamp - self._first:15.6f}"
        elif self.timestamp_format == "iso":
            text = _iso(timestamp)
        elif self._heading is not None and timestamp - self._heading < 60:
            text = f"[{timestamp - self._heading:>+11.6f}]"
        else:
            self._heading = timestamp
            day = datetime.fromtimestamp(timestamp).astimezone()
            return self._colored("timebreak", day.strftime("[%b%d %H:%M]"))
        return self._colored("time", text)


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else "value"


def _iso(timestamp: float) -> str:
    """Return local time with the microseconds cut, not rounded, as flux-job(1) prints it."""
    seconds = int(timestamp)
    # Not of `timestamp` itself, which datetime would round, perhaps up to the next second.
    text = datetime.fromtimestamp(seconds).astimezone().isoformat()
    zone = text[19:]
    return f"{text[:19]}.{int((timestamp - seconds) * 1e6):06d}{'Z' if zone == '+00:00' else zone}"

"""Eventlogs (RFC 18) while they are written: bytes, one line an event."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Callable, Protocol

from orjson import dumps, loads

#: Bytes of a log that stay in memory although they are stored, for those who come to watch.
KEEP = 64 * 1024


class Watcher(Protocol):
    """Someone who gets each line of a log as it is written."""

    def line(self, payload: bytes) -> None:
        """Take a line, as the payload of a response."""

    def end(self, errnum: int) -> None:
        """Take note that there will be no more."""


def compact(value: Any) -> bytes:
    """Return JSON that is to be kept, in no more memory than it needs.

    What orjson returns may sit in a buffer many times its size.
    """
    return bytes(memoryview(dumps(value)))


def event(
    name: str, context: dict[str, Any] | None = None, timestamp: float | None = None
) -> bytes:
    """Return an event as the line of an eventlog."""
    entry: dict[str, Any] = {
        "timestamp": time.time() if timestamp is None else timestamp,
        "name": name,
    }
    if context is not None:
        entry["context"] = context
    return dumps(entry) + b"\n"


def decode(data: bytes) -> list[dict[str, Any]]:
    """Return the events of a log.

    Raises:
        ValueError: A line is not JSON.
    """
    return [loads(line) for line in data.split(b"\n") if line]


def as_payload(line: bytes) -> bytes:
    """Return a line as what ``job-info.eventlog-watch`` responds with."""
    # A log that somebody else put into the store may hold anything.
    return dumps({"event": line.decode("utf-8", "replace")})


class Log:
    """One eventlog that is being written.

    What the store has acknowledged may be dropped here; `first` tells how much was.

    Args:
        append: Stores lines, and calls back once they are safe.

    Attributes:
        lines: The newest lines.
        first: How many lines there are before those.
        watchers: Who gets the lines to come.
        unstored: Bytes that the store has not acknowledged yet.
        ended: Whether there are no more lines to come.
        on_stored: Called after the store has acknowledged something.
    """

    __slots__ = (
        "_acknowledged",
        "_append",
        "_size",
        "ended",
        "first",
        "lines",
        "on_stored",
        "unstored",
        "watchers",
    )

    def __init__(self, append: Callable[[bytes, Callable[[], None]], None]) -> None:
        self._append = append
        self.lines: deque[bytes] = deque()
        self.first = 0
        self.watchers: list[Watcher] = []
        self.unstored = 0
        self.ended = False
        self.on_stored: Callable[[], None] | None = None
        self._size = 0
        # Lines at the front of `lines` that are stored.
        self._acknowledged = 0

    def write(self, line: bytes) -> None:
        """Add a line, store it, and pass it on."""
        self.lines.append(line)
        size = len(line)
        self._size += size
        self.unstored += size
        if self.watchers:
            payload = as_payload(line)
            for watcher in tuple(self.watchers):
                watcher.line(payload)
        self._append(line, lambda: self._stored(size))

    def restore(self, lines: list[bytes]) -> None:
        """Take lines that are stored already, before any others."""
        self.lines.extend(lines)
        self._acknowledged = len(lines)
        self._size = sum(map(len, lines))

    def _stored(self, size: int) -> None:
        self.unstored -= size
        self._acknowledged += 1
        while self._size > KEEP and self._acknowledged:
            self._size -= len(self.lines.popleft())
            self._acknowledged -= 1
            self.first += 1
        if self.on_stored is not None:
            self.on_stored()

    @property
    def count(self) -> int:
        """How many lines there are in all."""
        return self.first + len(self.lines)

    def text(self) -> bytes | None:
        """Return the whole log, or None if its beginning is only in the store."""
        return None if self.first else b"".join(self.lines)

    def end(self, errnum: int) -> None:
        """Tell the watchers that there will be no more."""
        self.ended = True
        watchers, self.watchers = self.watchers, []
        for watcher in watchers:
            watcher.end(errnum)

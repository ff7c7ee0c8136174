"""What has come from a journal and was not asked for yet.

No I/O happens here: entries go in as they arrive and come out in the order of the stream.  There
may be millions of them in a history, and all must be there before the first can be handed out.
So until then an entry is kept as JSON text, a quarter of the size of the dict made from it.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Iterable
from operator import gt, is_not
from typing import Any, Union

from orjson import dumps, loads

from flux.eventlog import entry_fault

__all__ = ["SENTINEL", "Backlog", "Item", "pack", "unpack"]

#: An entry, and what its consumer wants to know of the response when it makes the event.
Item = tuple[dict[str, Any], Any]

#: The entry that `Backlog.pop` returns between the history and the present.
SENTINEL: dict[str, Any] = {}

#: An object from JSON, in a form that takes less memory.
Packed = Union[bytes, dict[str, Any]]

_NOTHING: dict[str, Any] = {}


def pack(entry: dict[str, Any]) -> Packed:
    """Put an object from JSON into a form that takes less memory."""
    try:
        # A slice is a copy, in a block of its own size. What the encoder returns stays in the
        # kilobytes that it began with. Cut off is the closing brace.
        return dumps(entry)[:-1]
    except TypeError:
        # An integer beyond 64 bits, for instance.
        return entry


def unpack(packed: Any) -> Any:
    """Return the object, or one like it; anything that was not packed as it is."""
    return loads(packed + b"}") if packed.__class__ is bytes else packed


def _sort(column: list[Any], times: Iterable[float]) -> None:
    """Sort a list by times that stand in another one."""
    keys = iter(times)
    # Keys are asked for in the order of the list.
    column.sort(key=lambda _: next(keys))


class Backlog:
    """Entries between their arrival and their delivery.

    Attributes:
        historical: Whether what arrives still belongs to the history; `pop` then has nothing.
    """

    __slots__ = ("_arguments", "_live", "_ordered", "_past", "_times", "historical")

    def __init__(self, historical: bool) -> None:
        self.historical = historical
        # Three parallel columns: that takes less than a record for each entry.
        self._past: list[Packed] = []
        self._times = array("d")
        self._arguments: list[Any] = []
        # The past once it is in order, last event first.
        self._ordered: list[Packed] = []
        self._live: deque[Item] = deque()

    def __bool__(self) -> bool:
        return bool(self._ordered or self._live)

    def add(self, entries: list[Any], arguments: Any, since: float) -> str | None:
        """Add entries that have just arrived; they belong to the backlog from now on.

        Args:
            entries: The entries.  One without a timestamp is given the present time.
            arguments: What to return with each of them.
            since: Leave out entries that are not later than this time.

        Returns:
            What is wrong with the first malformed entry, or None.  The others were added.
        """
        fault = None
        historical = self.historical
        keep, keep_time, keep_arguments = (
            self._past.append,
            self._times.append,
            self._arguments.append,
        )
        for entry in entries:
            # First the quick test that all but odd entries pass.
            try:
                timestamp = entry["timestamp"]
                plain = timestamp.__class__ is float and entry["name"].__class__ is str
            except (KeyError, TypeError):
                plain = False
            if not plain or ("context" in entry and entry["context"].__class__ is not dict):
                if isinstance(entry, dict) and "timestamp" not in entry:
                    entry["timestamp"] = time.time()
                reason = entry_fault(entry)
                if reason is not None:
                    fault = fault or reason
                    continue
                timestamp = entry["timestamp"]
            if timestamp <= since:
                continue
            if historical:
                keep_time(timestamp)
                keep(pack(entry))
                keep_arguments(arguments)
            else:
                self._live.append((entry, arguments))
        return fault

    def end_history(self, mark: bool) -> None:
        """Put the history in order of time, entries of one time as they came.

        Args:
            mark: Have `pop` return `SENTINEL` after it.
        """
        self.historical = False
        times = self._times
        if any(map(gt, times, times[1:])):
            _sort(self._past, times)
            arguments = self._arguments
            if any(map(is_not, arguments, arguments[1:])):
                # Permuted as the entries were, since sorting is stable.
                _sort(arguments, times)
        self._times = array("d")
        # To be taken from the end, so that memory is given back as events are delivered.
        self._past.reverse()
        self._arguments.reverse()
        self._ordered, self._past = self._past, []
        if mark:
            self._live.append((SENTINEL, _NOTHING))

    def pop(self) -> Item | None:
        """Remove and return the next entry, or None if there is none."""
        if self._ordered:
            return unpack(self._ordered.pop()), self._arguments.pop()
        return self._live.popleft() if self._live else None

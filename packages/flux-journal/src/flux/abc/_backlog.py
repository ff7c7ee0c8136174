"""What has come from a journal and was not asked for yet.

No I/O happens here: entries go in as they arrive and come out in the order of the stream.  There
may be millions of them in a history, and all must be there before the first can be handed out.
So until then an entry is kept as JSON text, a quarter of the size of the dict made from it.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import compress
from operator import gt, is_not, not_
from typing import Any, Union

from orjson import dumps, loads

from flux.eventlog import entry_fault

__all__ = ["SENTINEL", "Backlog", "Item", "pack", "unpack"]

#: An entry, and what its consumer wants to know of the response when it makes the event.
Item = tuple[dict[str, Any], Any]

#: The entry that comes between the history and the present.
SENTINEL: dict[str, Any] = {}

#: An object from JSON, in a form that takes less memory.
Packed = Union[bytes, dict[str, Any]]

_NOTHING: dict[str, Any] = {}

_LAST = (-1,)

#: True for what two columns had at one place, which are never the same object.
_taken = is_not


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

    Nothing here is changed by more than one C call at a time, so that an exception from a signal
    handler finds all of it or nothing done; see `flux.core` on claims.
    """

    __slots__ = ("_arguments", "_history", "_live", "_past", "_times")

    def __init__(self, historical: bool) -> None:
        # Three parallel columns: that takes less than a record for each entry.
        self._past: list[Packed] = []
        self._times = array("d")
        self._arguments: list[Any] = []
        # Once the history is complete: its entries and their arguments, last first.
        self._history: list[tuple[list[Packed], list[Any]]] = [] if historical else [([], [])]
        self._live: deque[Item] = deque()

    @property
    def historical(self) -> bool:
        """Whether what arrives still belongs to the history; there is nothing to deliver then."""
        return not self._history

    def __bool__(self) -> bool:
        return bool(self._history) and bool(self._history[0][0] or self._live)

    def add(
        self, entries: list[Any], arguments: Any, since: float, taken: Iterator[Any]
    ) -> tuple[Iterator[Any], str | None]:
        """Read entries that have just arrived.

        Args:
            entries: The entries.  One without a timestamp is given the present time.
            arguments: What to return with each of them.
            since: Leave out entries that are not later than this time.
            taken: Yields something true once, if the entries may be added.

        Returns:
            What adds them when it is advanced; and what is wrong with the first malformed entry,
            or None.
        """
        fault = None
        found: list[Any] = []
        times = array("d")
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
            found.append(entry)
            times.append(timestamp)
        if self._history:
            items = [(entry, arguments) for entry in found]
            return map(self._live.extend, compress((items,), taken)), fault
        packed = [pack(entry) for entry in found]
        taken = map(is_not, taken, map(self._times.extend, (times,)))
        taken = map(is_not, taken, map(self._arguments.extend, ([arguments] * len(found),)))
        return map(self._past.extend, compress((packed,), taken)), fault

    def end_history(self, mark: bool, taken: Iterator[Any]) -> Iterator[Any]:
        """Put the history in order of time, entries of one time as they came.

        Args:
            mark: Deliver `SENTINEL` after it.
            taken: Yields something true once, if the history is to end.

        Returns:
            What ends it when it is advanced.
        """
        past, arguments, times = self._past[:], self._arguments[:], self._times
        if any(map(gt, times, times[1:])):
            _sort(past, times)
            if any(map(is_not, arguments, arguments[1:])):
                # Permuted as the entries were, since sorting is stable.
                _sort(arguments, times)
        if mark:
            past.append(SENTINEL)
            arguments.append(_NOTHING)
        # To be taken from the end, so that memory is given back as events are delivered.
        past.reverse()
        arguments.reverse()
        return map(self._history.append, compress(((past, arguments),), taken))

    def next(self, claim: Iterator[int]) -> tuple[Item, Iterator[Any]] | None:
        """Return the next entry, and what removes it when it is advanced; None if there is none.

        Args:
            claim: What has to be good for the entry to be removed.
        """
        if not self._history:
            return None
        if self._past:
            self._past.clear()
            self._arguments.clear()
            self._times = array("d")
        past, arguments = self._history[0]
        if past:
            taken = map(past.pop, map(_LAST.__getitem__, claim))
            item = unpack(past[-1]), arguments[-1]
            return item, map(_taken, taken, map(list.pop, (arguments,)))
        if self._live:
            return self._live[0], map(not_, map(self._live.__delitem__, claim))
        return None

"""The events of a journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from flux.eventlog import EventLogEvent

__all__ = ["JournalEventBase"]


class JournalEventBase(EventLogEvent):
    """An event from a journal; the base of the classes for particular journals.

    Args:
        event: The eventlog entry as a dict, or as JSON text (RFC 18).  Without a timestamp it
            gets the present time; an empty one stands for the end of the history.

    Raises:
        ValueError: The text is not JSON, or not an object.
    """

    def __init__(self, event: str | Mapping[str, Any]) -> None:
        EventLogEvent.__init__(self, event)
        if "timestamp" not in self:
            self["timestamp"] = time.time()

    def is_empty(self) -> bool:
        """Return True if this is not an event but the mark at the end of the history."""
        return "name" not in self

    def __str__(self) -> str:
        if self.is_empty():
            return f"{self.timestamp:<0.5f} End of historical data stream"
        text = f"{self.timestamp:<0.5f} {self.name}"
        return f"{text} {self.context_string}" if self.context else text

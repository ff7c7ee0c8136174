"""Eventlog entries (RFC 18)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["EventLogEvent"]


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
        super().__init__(event)
        self.setdefault("context", {})

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

"""Consumers of the journals that Flux services publish."""

from __future__ import annotations

import flux._ours  # noqa: F401 - refuses another flux
from flux.abc.journal import JournalConsumerBase, JournalEventBase

__all__ = ["JournalConsumerBase", "JournalEventBase"]

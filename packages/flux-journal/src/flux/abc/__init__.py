"""Consumers of the journals that Flux services publish."""

from __future__ import annotations

from flux.abc.journal import JournalConsumerBase, JournalEventBase

__all__ = ["JournalConsumerBase", "JournalEventBase"]

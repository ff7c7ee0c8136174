"""Pictures of what became of jobs over time, made from the events of a job manager's journal."""

from __future__ import annotations

from flux.command._timeline.journal import JournalReader
from flux.command._timeline.model import Exceptional, Interval, Job, Timeline

__all__ = ["Exceptional", "Interval", "Job", "JournalReader", "Timeline"]

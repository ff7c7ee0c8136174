"""How a job ends, as the events of its eventlog say (RFC 21)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flux.job.event import JobException

if TYPE_CHECKING:
    from flux.eventlog import EventLogEvent

__all__ = ["exit_status"]


def exit_status(event: EventLogEvent) -> int | None:
    """Return what a job has ended with, if an event says so.

    Returns:
        The highest exit status of its processes, or minus the number of the signal that ended it.

    Raises:
        JobException: The job had a fatal exception.
        ValueError: It says something that is not the status of a process that has ended.
    """
    if event.name == "finish":
        return os.waitstatus_to_exitcode(event.context["status"])
    if event.name == "exception" and event.context["severity"] == 0:
        raise JobException(event)
    return None

"""Watching the eventlog of a job (RFC 18, RFC 21)."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from flux.eventlog import EventLogEvent
from flux.job._request import check_handle, to_text, to_wire
from flux.job._watch import EventWatch, JobEventWatchFuture

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "MAIN_EVENTS",
    "EventLogEvent",
    "EventWatch",
    "JobEventWatchFuture",
    "JobException",
    "event_wait",
    "event_watch",
    "event_watch_async",
]

#: Names of events in a job's main eventlog, see RFC 21.
MAIN_EVENTS = frozenset(
    (
        "alloc",
        "clean",
        "debug",
        "depend",
        "exception",
        "finish",
        "flux-restart",
        "free",
        "priority",
        "release",
        "start",
        "submit",
        "urgency",
    )
)


class JobException(Exception):  # noqa: N818
    """An exception occurred to a job.

    Args:
        event: The job's ``exception`` event.

    Attributes:
        timestamp: When it occurred, in seconds since the epoch.
        type: What kind of exception it is.
        note: An explanation for humans; may be empty.
        severity: 0 if the job ends of it, up to 7 for the least severe.
    """

    def __init__(self, event: EventLogEvent) -> None:
        super().__init__(event)
        self.timestamp = event.timestamp
        self.type: str = event.context.get("type", "")
        self.note: str = event.context.get("note", "")
        self.severity: int = event.context.get("severity", 0)

    def __str__(self) -> str:
        return f"job.exception: type={self.type}: {self.note}"


def event_watch_async(
    flux_handle: Flux, jobid: int | str, eventlog: str = "eventlog"
) -> JobEventWatchFuture:
    """Watch an eventlog of a job.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        eventlog: Path of the eventlog in the job's KVS directory (RFC 16), such as
            ``guest.exec.eventlog``.

    Returns:
        A future for one event after the other, see `JobEventWatchFuture`.

    Raises:
        ValueError: The job id is not one, or the eventlog's path contains NUL.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobEventWatchFuture.watch(
        check_handle(flux_handle), to_wire(jobid), to_text(eventlog, "eventlog")
    )


def event_watch(
    flux_handle: Flux, jobid: int | str, eventlog: str = "eventlog"
) -> EventWatch[EventLogEvent]:
    """Iterate over the events of a job, those of the past first.

    Example:
        >>> for event in event_watch(flux_handle, jobid):
        ...     print(event.name)

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        eventlog: Path of the eventlog in the job's KVS directory (RFC 16), such as
            ``guest.exec.eventlog``.

    Returns:
        A generator, for ``async for`` as well.  It begins to watch when the first event is asked
        for, and raises the errors of `event_watch_async` and `JobEventWatchFuture.get_event`
        then.  The watch ends when the generator is closed or forgotten.
    """
    return EventWatch(lambda: event_watch_async(flux_handle, jobid, eventlog))


def event_wait(
    flux_handle: Flux,
    jobid: int | str,
    name: str,
    eventlog: str = "eventlog",
    raiseJobException: bool = True,  # noqa: N803
) -> EventLogEvent:
    """Wait for an event of a job; one in the past will do.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        name: The event's name.
        eventlog: Path of the eventlog in the job's KVS directory (RFC 16).
        raiseJobException: Raise the job's fatal exception if it comes before the event.

    Returns:
        The first event of that name.

    Raises:
        JobException: The job had a fatal exception before the event.
        OSError: ENODATA, the eventlog ended without the event; or as
            `JobEventWatchFuture.get_event`.
        ValueError: The job id is not one, or a text contains NUL.
    """
    # No event has such a name: without this the wait would be for ever.
    to_text(name, "name")
    with event_watch(flux_handle, jobid, eventlog) as watch:
        for event in watch:
            if event.name == name:
                return event
            if raiseJobException and event.name == "exception" and _is_fatal(event.context):
                raise JobException(event)
    raise OSError(errno.ENODATA, f"eventlog ended before event='{name}'")


def _is_fatal(context: dict[str, Any]) -> bool:
    return bool(context.get("severity", 0) == 0)

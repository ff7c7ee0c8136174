"""What jobs write (RFC 24): all at once, or followed as it comes."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from flux.eventlog import EventLogEvent, eventlog_decode
from flux.job._jobid import JobID
from flux.job._output_events import (
    LOG_DEBUG,
    LOG_ERROR,
    LOG_FATAL,
    LOG_NOTICE,
    LOG_QUIET,
    LOG_TRACE,
    LOG_WARN,
    JobExceptionEvent,
    LogEvent,
    OutputEvent,
    OutputHeaderEvent,
    RedirectEvent,
    Taskset,
    event_of,
)
from flux.job._output_watch import JobOutputEventWatch, JobOutputWatch, JobOutputWatchLines
from flux.job.event import EventWatch, JobException
from flux.job.kvslookup import job_info_lookup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flux.core.handle import Flux
    from flux.idset import IDset

__all__ = [
    "LOG_DEBUG",
    "LOG_ERROR",
    "LOG_FATAL",
    "LOG_NOTICE",
    "LOG_QUIET",
    "LOG_TRACE",
    "LOG_WARN",
    "JobExceptionEvent",
    "JobOutput",
    "JobOutputEventWatch",
    "JobOutputWatch",
    "JobOutputWatchLines",
    "LogEvent",
    "OutputEvent",
    "OutputHeaderEvent",
    "RedirectEvent",
    "Taskset",
    "job_output",
    "output_event_watch",
    "output_event_watch_async",
    "output_watch",
    "output_watch_async",
    "output_watch_lines",
    "output_watch_lines_async",
]


class JobOutput(NamedTuple):
    """All that a job has written."""

    #: What tasks wrote to their standard output.
    stdout: str
    #: What they wrote to their standard error, and messages of the job's shell.
    stderr: str
    #: The other messages.
    log: str


def job_output(
    flux_handle: Flux,
    jobid: int | str,
    tasks: str | Taskset | IDset | int = "*",
    labelio: bool = False,
    nowait: bool = False,
    log_stderr_level: int = LOG_TRACE,
) -> JobOutput:
    """Return what a job writes, once it has ended.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        tasks: The tasks whose output is wanted: an idset, or ``*`` or ``all``.
        labelio: Begin each line with the rank of the task that it is of.
        nowait: Do not wait for the end; return what there is now.
        log_stderr_level: Messages of this level or below count as standard error.

    Raises:
        OSError: ENOENT, there is no such job, or with ``nowait`` no output yet; and as
            `JobOutputEventWatch.get_event`.
        JobException: The job had a fatal exception before it has started.
        ValueError: The job id, or the set of tasks, is not one.
        KeyboardInterrupt: SIGINT was received while waiting.
    """
    jobid = JobID(jobid)
    wanted = Taskset(tasks)
    if nowait:
        return _sorted(_stored(flux_handle, jobid), wanted, labelio, log_stderr_level)
    died: EventLogEvent | None = None
    events = []
    with output_event_watch_async(flux_handle, jobid) as watch:
        try:
            for event in watch:
                if isinstance(event, JobExceptionEvent) and event.severity == 0:
                    died = event
                events.append(event)
        except OSError as exc:
            if exc.errno == errno.EIO and died is not None:
                raise JobException(died) from None
            raise
    return _sorted(events, wanted, labelio, log_stderr_level)


def _stored(flux_handle: Flux, jobid: JobID) -> list[EventLogEvent]:
    """Return the events that there are now."""
    key = "guest.output"
    try:
        text = job_info_lookup(flux_handle, jobid, [key]).get()[key]
    except FileNotFoundError as exc:
        # Brokers say "invalid job id", or that there is no such key.
        reason = "has not written anything yet" if "key" in str(exc.strerror) else "not found"
        raise OSError(errno.ENOENT, f"job {jobid} {reason}") from None
    return [event_of(entry) for entry in eventlog_decode(text)]


def _sorted(
    events: Iterable[EventLogEvent], tasks: Taskset, labelio: bool, log_stderr_level: int
) -> JobOutput:
    found: dict[str, list[str]] = {"stdout": [], "stderr": [], "log": []}
    for event in events:
        if isinstance(event, OutputEvent):
            if event.data is not None and event.rank.intersect(tasks):
                text = OutputEvent(event, labelio).data if labelio else event.data
                found[event.stream].append(text or "")
        elif isinstance(event, LogEvent):
            stream = "stderr" if event.level <= log_stderr_level else "log"
            found[stream].append(f"{event.render()}\n")
    return JobOutput(*map("".join, found.values()))


def output_event_watch_async(
    flux_handle: Flux, jobid: int | str, labelio: bool = False, nowait: bool = False
) -> JobOutputEventWatch:
    """Follow the events of what a job writes, those of the past first.

    Fatal and other exceptions of the job, until it finishes, are among them.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        labelio: Begin each line with the rank of the task that it is of.
        nowait: The job's shell is known to have started: do not look whether it has, nor for
            exceptions.

    Returns:
        A future for one event after the other, which ``for`` and ``async for`` give as well; see
        `JobOutputEventWatch.get_event`.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobOutputEventWatch(flux_handle, jobid, labelio=labelio, nowait=nowait)


def output_watch_async(
    flux_handle: Flux,
    jobid: int | str,
    labelio: bool = False,
    log_stderr_level: int = LOG_TRACE,
    nowait: bool = False,
) -> JobOutputWatch:
    """Follow what a job writes, in pieces as they come.

    A line ``job.exception: ...`` on standard error tells of each exception of the job until it
    finishes, and one there also tells where output goes that was redirected.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        labelio: Begin each line with the rank of the task that it is of.
        log_stderr_level: Messages of the job's shell of this level or below count as ``stderr``,
            and others as ``log``.
        nowait: As for `output_event_watch_async`.

    Returns:
        A future for one piece after the other, which ``for`` and ``async for`` give as well; see
        `JobOutputWatch.get_output`.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobOutputWatch(
        flux_handle, jobid, labelio=labelio, log_stderr_level=log_stderr_level, nowait=nowait
    )


def output_watch_lines_async(
    flux_handle: Flux,
    jobid: int | str,
    labelio: bool = False,
    log_stderr_level: int = LOG_TRACE,
    nowait: bool = False,
    keepends: bool = False,
) -> JobOutputWatchLines:
    """As `output_watch_async`, but line by line.

    A line that comes in pieces is put together, and given once it is whole or its stream at its
    end.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        labelio: Begin each line with the rank of the task that it is of.
        log_stderr_level: As for `output_watch_async`.
        nowait: As for `output_event_watch_async`.
        keepends: Leave the newline at the end of each line.

    Returns:
        A future for one line after the other, which ``for`` and ``async for`` give as well; see
        `JobOutputWatchLines.getline`.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobOutputWatchLines(
        flux_handle,
        jobid,
        labelio=labelio,
        log_stderr_level=log_stderr_level,
        nowait=nowait,
        keepends=keepends,
    )


def output_event_watch(
    flux_handle: Flux, jobid: int | str, labelio: bool = False, nowait: bool = False
) -> EventWatch[Any]:
    """Iterate over the events of what a job writes.

    Returns:
        A generator, for ``async for`` as well.  It begins to watch when the first event is asked
        for, and raises the errors of `output_event_watch_async`, whose arguments it takes, and of
        `JobOutputEventWatch.get_event` then.
    """
    return EventWatch(lambda: output_event_watch_async(flux_handle, jobid, labelio, nowait))


def output_watch(
    flux_handle: Flux,
    jobid: int | str,
    labelio: bool = False,
    log_stderr_level: int = LOG_TRACE,
    nowait: bool = False,
) -> EventWatch[tuple[str, str]]:
    """Iterate over what a job writes, in pieces as they come.

    Returns:
        A generator of streams and text, for ``async for`` as well, which begins and fails as that
        of `output_event_watch` does; the arguments are those of `output_watch_async`.
    """
    return EventWatch(
        lambda: output_watch_async(flux_handle, jobid, labelio, log_stderr_level, nowait)
    )


def output_watch_lines(
    flux_handle: Flux,
    jobid: int | str,
    labelio: bool = False,
    log_stderr_level: int = LOG_TRACE,
    nowait: bool = False,
    keepends: bool = False,
) -> EventWatch[tuple[str, str]]:
    """Iterate over what a job writes, line by line.

    Example:
        >>> async for stream, line in output_watch_lines(handle, jobid):
        ...     print(f"{stream}: {line}")

    Returns:
        A generator of streams and lines, for ``async for`` as well, which begins and fails as that
        of `output_event_watch` does; the arguments are those of `output_watch_lines_async`.
    """
    return EventWatch(
        lambda: output_watch_lines_async(
            flux_handle, jobid, labelio, log_stderr_level, nowait, keepends
        )
    )

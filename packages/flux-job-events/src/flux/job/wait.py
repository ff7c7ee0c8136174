"""Waiting for the end of jobs (flux_job_wait(3), flux_job_result(3))."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from flux.constants import (
    FLUX_JOB_RESULT_CANCELED,
    FLUX_JOB_RESULT_COMPLETED,
    FLUX_JOB_RESULT_FAILED,
    FLUX_JOB_RESULT_TIMEOUT,
    FLUX_JOBID_ANY,
)
from flux.job._jobid import JobID
from flux.job._reading import EventsFuture, failure
from flux.job._request import check_handle, from_wire, to_wire
from flux.rpc import RPC

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.eventlog import EventLogEvent
    from flux.job.info import JobInfo

__all__ = [
    "JobResultFuture",
    "JobWaitFuture",
    "JobWaitResult",
    "result",
    "result_async",
    "wait",
    "wait_async",
    "wait_get_status",
]


class JobWaitResult(NamedTuple):
    """How a job ended."""

    #: The job.
    jobid: JobID
    #: Whether it was a success.
    success: bool
    #: If not, why.
    errstr: str


class JobWaitFuture(RPC):
    """The end of a job."""

    def get_status(self) -> JobWaitResult:
        """Wait for the end of the job.

        Raises:
            OSError: ECHILD, there is no such job, it is not waitable, or somebody else waits for
                it or has its result; EPERM, the instance is another user's; ENOSYS, the broker
                has no job services; ECONNRESET, the connection was lost; EPROTO, malformed
                response.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        response: Any = RPC.get(self)
        try:
            jobid = from_wire(response["id"])
            return JobWaitResult(jobid, bool(response["success"]), str(response["errstr"]))
        except (KeyError, TypeError):
            raise OSError(errno.EPROTO, "the response to a wait lacks a result") from None

    def get(self) -> JobWaitResult:
        """As `get_status`."""
        return self.get_status()


def wait_async(flux_handle: Flux, jobid: int | str = FLUX_JOBID_ANY) -> JobWaitFuture:
    """Ask for the result of a waitable job.  It is given out once.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding; 2**64 - 1 for whichever ends
            next.

    Returns:
        A future; `JobWaitFuture.get_status` and ``await`` give the result.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobWaitFuture(check_handle(flux_handle), "job-manager.wait", {"id": to_wire(jobid)})


def wait(flux_handle: Flux, jobid: int | str = FLUX_JOBID_ANY) -> JobWaitResult:
    """Wait for the end of a waitable job.

    The arguments and errors are those of `wait_async` and `JobWaitFuture.get_status`.
    """
    return wait_async(flux_handle, jobid).get_status()


def wait_get_status(future: JobWaitFuture) -> JobWaitResult:
    """Wait for the result of a job asked for with `wait_async`.

    Raises:
        OSError: As `JobWaitFuture.get_status`; EINVAL, it is not such a future.
    """
    if not isinstance(future, JobWaitFuture):
        raise OSError(errno.EINVAL, f"{future!r} is not the future of a wait")
    return future.get_status()


#: What an event's time is called in a result.
_TIMES = {"submit": "t_submit", "alloc": "t_run", "finish": "t_cleanup"}


class JobResultFuture(EventsFuture):
    """How a job ends, as its eventlog tells it; see `result_async`."""

    def __init__(self, flux_handle: Flux, jobid: int | str) -> None:
        super().__init__(flux_handle, jobid)
        self._state = {"id": int(self.jobid), "exception_occurred": False}
        self._begin("eventlog")

    def _read(self, eventlog: str, event: EventLogEvent) -> list[Any]:
        found, context = self._changes, event.context
        if event.name in _TIMES:
            found[_TIMES[event.name]] = event.timestamp
        if event.name == "finish":
            if not isinstance(context.get("status"), int):
                raise OSError(errno.EPROTO, "a job's finish event has no status")
            found["waitstatus"] = context["status"]
        elif event.name == "exception":
            severity = context.get("severity", 0)
            # The most severe counts, which is the least number, and of those the last.
            if severity <= self._known("exception_severity", severity):
                found["exception_occurred"] = True
                found["exception_severity"] = severity
                found["exception_type"] = context.get("type", "")
                found["exception_note"] = context.get("note", "")
        return []

    def _failed(self, eventlog: str, exc: OSError) -> list[Any]:
        if exc.errno != errno.ENODATA:
            return [failure(exc)]
        found = {**self._state, **self._changes}
        return [{**found, "result": _result_of(found)}]

    def get_dict(self) -> dict[str, Any]:
        """Wait for the end of the job.

        Returns:
            ``id``, ``result`` (one of ``flux.constants.FLUX_JOB_RESULT_*``), and
            ``exception_occurred``; ``t_submit``, ``t_run`` and ``t_cleanup`` in seconds since the
            epoch and ``waitstatus``, as far as the job came; and of the most severe exception,
            where there was one, ``exception_type``, ``exception_severity`` and
            ``exception_note``.

        Raises:
            OSError: ENOENT, there is no such job; EPERM, it is another user's; ENOSYS, the broker
                has no job services; ECONNRESET, the connection was lost; EPROTO, malformed
                response.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        found: dict[str, Any] = self.get()
        return found

    def get_info(self) -> JobInfo:
        """As `get_dict`, but return a `flux.job.JobInfo`, which knows no more than that.

        Raises:
            OSError: As `get_dict`.
            ImportError: flux-jobs is not installed.
        """
        from flux.job.info import JobInfo

        return JobInfo(self.get_dict())


def _result_of(found: dict[str, Any]) -> int:
    if found.get("t_run", 0) > 0 and found.get("waitstatus") == 0:
        return FLUX_JOB_RESULT_COMPLETED
    if found.get("exception_type") == "cancel":
        return FLUX_JOB_RESULT_CANCELED
    if found.get("exception_type") == "timeout":
        return FLUX_JOB_RESULT_TIMEOUT
    return FLUX_JOB_RESULT_FAILED


def result_async(flux_handle: Flux, jobid: int | str, flags: int = 0) -> JobResultFuture:
    """Ask how a job ends.  It may be any job that the user may see, also one that has ended.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        flags: Accepted for compatibility; none are defined.

    Returns:
        A future; ``await`` gives what `JobResultFuture.get_dict` does.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    return JobResultFuture(flux_handle, jobid)


def result(flux_handle: Flux, jobid: int | str, flags: int = 0) -> JobInfo:
    """Wait for the end of a job.

    The arguments and errors are those of `result_async` and `JobResultFuture.get_info`.
    """
    return result_async(flux_handle, jobid, flags).get_info()

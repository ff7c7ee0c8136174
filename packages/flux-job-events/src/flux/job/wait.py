"""Waiting for jobs that were submitted as waitable (flux_job_wait(3))."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, NamedTuple

from flux.job._jobid import JobID
from flux.job._request import check_handle, from_wire, to_wire
from flux.rpc import RPC

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["JobWaitFuture", "JobWaitResult", "wait", "wait_async", "wait_get_status"]

#: Stands for any job: FLUX_JOBID_ANY of libflux-core.
_ANY = (1 << 64) - 1


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


def wait_async(flux_handle: Flux, jobid: int | str = _ANY) -> JobWaitFuture:
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


def wait(flux_handle: Flux, jobid: int | str = _ANY) -> JobWaitResult:
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

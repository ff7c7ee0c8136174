"""Submitting jobs (flux_job_submit(3))."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

from flux.job._jobid import JobID
from flux.job._request import check_handle, from_wire
from flux.job._sign import sign_none
from flux.rpc import RPC
from flux.wrapper import is_null

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["SubmitFuture", "submit", "submit_async", "submit_get_id"]

_URGENCY_DEFAULT = 16

# Flags of the request, see flux_job_submit(3). A signed jobspec has none: it is sent as it is.
_DEBUG = 2
_WAITABLE = 4
_NOVALIDATE = 8


class SubmitFuture(RPC):
    """The id of a job that is being submitted."""

    def get_id(self) -> JobID:
        """Wait for the job's id.

        Raises:
            OSError: EINVAL, the jobspec, or the queue or a dependency named in it, is not
                accepted; EPERM, the jobspec is not valid, or the user may not do this; the text
                says more.  EPROTO, malformed request or response; ENOSYS, the broker has no job
                services; ECONNRESET, the connection was lost.
        """
        response = RPC.get(self)
        if not isinstance(response, dict):
            raise OSError(errno.EPROTO, "the response to a submission has no job id")
        return from_wire(response.get("id"))

    def get(self) -> JobID:
        """As `get_id`."""
        return self.get_id()


def submit_async(
    flux_handle: Flux,
    jobspec: Any,
    urgency: int = _URGENCY_DEFAULT,
    waitable: bool = False,
    debug: bool = False,
    pre_signed: bool = False,
    novalidate: bool = False,
) -> SubmitFuture:
    """Submit a job and return without waiting for its id.

    Args:
        flux_handle: The handle.
        jobspec: The job (RFC 14, RFC 25): a dict, its JSON text as str or bytes, or an object
            whose ``dumps`` method returns that.
        urgency: 0, hold the job, to 31, run it at once; more than 16 is the instance owner's
            privilege.
        waitable: Keep the result for ``flux job wait``; the instance owner's privilege.
        debug: Add debugging events to the job's eventlog.
        pre_signed: The jobspec is a str that was signed already (RFC 15).
        novalidate: Have the jobspec not validated; the instance owner's privilege.

    Returns:
        A future; `SubmitFuture.get_id` and ``await`` give the job's id.

    Raises:
        OSError: EINVAL, no jobspec or no handle; EPIPE, the connection is lost.
        TypeError: The jobspec is none of these, or an object in it has no form in JSON.
        ValueError: A number in it has no form in JSON, or the dict contains itself.
    """
    handle = check_handle(flux_handle)
    data = _encode(jobspec)
    signed = data.decode() if pre_signed else sign_none(data, os.getuid())
    flags = _DEBUG * debug | _WAITABLE * waitable | _NOVALIDATE * novalidate
    request = {"J": signed, "urgency": urgency, "flags": flags}
    return SubmitFuture(handle, "job-ingest.submit", request)


def submit(
    flux_handle: Flux,
    jobspec: Any,
    urgency: int = _URGENCY_DEFAULT,
    waitable: bool = False,
    debug: bool = False,
    pre_signed: bool = False,
) -> JobID:
    """Submit a job and wait for its id.

    The arguments are those of `submit_async`.

    Raises:
        OSError: As `submit_async` and `SubmitFuture.get_id`.
        TypeError: As `submit_async`.
        ValueError: As `submit_async`.
    """
    return submit_async(flux_handle, jobspec, urgency, waitable, debug, pre_signed).get_id()


def submit_get_id(future: SubmitFuture) -> JobID:
    """Wait for the id of a job submitted with `submit_async`.

    Raises:
        OSError: As `SubmitFuture.get_id`; EINVAL, it is not such a future.
    """
    if not isinstance(future, SubmitFuture):
        raise OSError(errno.EINVAL, f"{future!r} is not the future of a submission")
    return future.get_id()


def _encode(jobspec: Any) -> bytes:
    """Return a jobspec as JSON text."""
    if jobspec is None or is_null(jobspec):
        raise OSError(errno.EINVAL, "jobspec must not be None/NULL")
    if hasattr(jobspec, "dumps"):
        jobspec = jobspec.dumps()
    if isinstance(jobspec, dict):
        spec, jobspec = jobspec, json.dumps(jobspec, allow_nan=False)
        if "\\ud" in jobspec:
            # What a C locale makes of UTF-8 goes back to what it was, and not into escapes.
            jobspec = json.dumps(spec, allow_nan=False, ensure_ascii=False)
    if isinstance(jobspec, str):
        return jobspec.encode("utf-8", "surrogateescape")
    if isinstance(jobspec, bytes):
        return jobspec
    raise TypeError(
        f"a jobspec is a dict, JSON text or an object with dumps(), not {type(jobspec).__name__}"
    )

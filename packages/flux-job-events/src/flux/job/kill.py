"""Ending and interrupting jobs through the job manager (flux-cancel(1), flux-job(1))."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from flux.job._request import check_handle, to_text, to_wire

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.rpc import RPC

__all__ = ["cancel", "cancel_async", "job_raise", "job_raise_async", "kill", "kill_async"]


def kill_async(flux_handle: Flux, jobid: int | str, signum: int | None = None) -> RPC:
    """Send a signal to the tasks of a running job.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        signum: The signal's number; SIGTERM if None.

    Returns:
        A future without a value.  Its errors: EINVAL, there is no such job, it is not running or
        not any more, or the signal is none; EPERM, it is another user's job.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    request = {"id": to_wire(jobid), "signum": int(signum or signal.SIGTERM)}
    return check_handle(flux_handle).rpc("job-manager.kill", request)


def kill(flux_handle: Flux, jobid: int | str, signum: int | None = None) -> None:
    """Send a signal to the tasks of a running job, and wait until that is done.

    The arguments and errors are those of `kill_async` and its future.
    """
    kill_async(flux_handle, jobid, signum).get()


def cancel_async(flux_handle: Flux, jobid: int | str, reason: str | None = None) -> RPC:
    """Cancel a job, pending or running.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        reason: A note for the job's eventlog.

    Returns:
        A future without a value.  Its errors: ENOENT, there is no such job or it is over; EPERM,
        it is another user's job.

    Raises:
        ValueError: The job id is not one, or the reason contains NUL.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    to_text(reason or "", "reason")
    return job_raise_async(flux_handle, jobid, "cancel", 0, reason)


def cancel(flux_handle: Flux, jobid: int | str, reason: str | None = None) -> None:
    """Cancel a job, pending or running, and wait until that is noted.

    The arguments and errors are those of `cancel_async` and its future.
    """
    cancel_async(flux_handle, jobid, reason).get()


def job_raise_async(
    flux_handle: Flux, jobid: int | str, exc_type: str, severity: int = 0, note: str | None = None
) -> RPC:
    """Raise an exception on a job (RFC 21).

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        exc_type: What kind of exception; neither space nor ``=`` may be in it.
        severity: 0, which ends the job, to 7.
        note: An explanation for humans.

    Returns:
        A future without a value.  Its errors: ENOENT, there is no such job or it is over; EPERM,
        it is another user's job; EPROTO, the kind or the severity is not allowed.

    Raises:
        ValueError: The job id is not one, or a text contains NUL.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    request = {"id": to_wire(jobid), "type": to_text(exc_type, "exc_type"), "severity": severity}
    if note:
        request["note"] = to_text(note, "note")
    return check_handle(flux_handle).rpc("job-manager.raise", request)


def job_raise(
    flux_handle: Flux, jobid: int | str, exc_type: str, severity: int = 0, note: str | None = None
) -> None:
    """Raise an exception on a job, and wait until that is done.

    The arguments and errors are those of `job_raise_async` and its future.
    """
    job_raise_async(flux_handle, jobid, exc_type, severity, note).get()

"""Directories of jobs in the KVS (RFC 16)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flux.job._jobid import JobID
from flux.kvs import KVSDir

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["job_kvs", "job_kvs_guest"]


def job_kvs(flux_handle: Flux, jobid: int | str) -> KVSDir:
    """Return a job's directory, which only the instance owner may read.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.

    Raises:
        ValueError: The job id is not one.
    """
    return KVSDir(flux_handle, JobID(jobid).kvs)


def job_kvs_guest(flux_handle: Flux, jobid: int | str) -> KVSDir:
    """Return the directory of a job that is the user's own; see `job_kvs`."""
    return KVSDir(flux_handle, f"{JobID(jobid).kvs}.guest")

"""The directories of jobs in the KVS (RFC 16)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flux.job._jobid import JobID
from flux.kvs import KVSDir, get_dir

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["job_kvs", "job_kvs_guest"]


def job_kvs(flux_handle: Flux, jobid: int | str) -> KVSDir:
    """Return the directory of a job, which is the instance owner's to read and write.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.

    Raises:
        ValueError: The job id is not one.
        OSError: As `flux.kvs.get_dir`; ENOENT, there is no such job.
    """
    return get_dir(flux_handle, JobID(jobid).kvs)


def job_kvs_guest(flux_handle: Flux, jobid: int | str) -> KVSDir:
    """Return the directory of a job that is its user's: what it has written, and its exec eventlog.

    To a program that runs in a job it is that job's, whatever the id.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.

    Raises:
        ValueError: The job id is not one.
        OSError: As `flux.kvs.get_dir`; ENOENT, there is no such job, or it has not started.
    """
    path = f"{JobID(jobid).kvs}.guest"
    # There, the environment names the namespace.
    return get_dir(flux_handle, "." if "FLUX_KVS_NAMESPACE" in os.environ else path)

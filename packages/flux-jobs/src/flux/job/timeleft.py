"""How long this job may still run."""

from __future__ import annotations

import errno
import math
import os
import time
from typing import TYPE_CHECKING

from flux.constants import FLUX_JOB_STATE_PENDING, FLUX_JOB_STATE_RUN
from flux.job._jobid import id_parse
from flux.job._request import to_wire

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["timeleft"]


def timeleft(flux_handle: Flux | None = None) -> float:
    """Return how long the job that this process is part of, or else the instance, may still run.

    Args:
        flux_handle: The handle; None: one to the enclosing instance.

    Returns:
        Seconds, not less than 0; infinity if there is no limit.

    Raises:
        OSError: EINVAL, FLUX_JOB_ID in the environment is no job id; ENOENT, the instance has no
            such job; EAGAIN, that has not started; ENOSYS, the broker has no job or resource
            services; ECONNRESET, the connection was lost.
    """
    if flux_handle is None:
        from flux.core.handle import Flux

        with Flux() as handle:
            return timeleft(handle)
    name = os.environ.get("FLUX_JOB_ID")
    expiration = _of_instance(flux_handle) if name is None else _of_job(flux_handle, name)
    if expiration == 0:
        return math.inf
    return max(0.0, expiration - time.time())


def _of_job(handle: Flux, name: str) -> float:
    try:
        jobid = id_parse(name)
    except OSError as exc:
        raise OSError(exc.errno, f"failed to parse jobid {name}") from None
    request = {"id": to_wire(jobid), "attrs": ["expiration", "state"]}
    try:
        job = handle.rpc("job-list.list-id", request).get()["job"]
    except FileNotFoundError as exc:
        raise OSError(exc.errno, f"{name}: no such jobid") from None
    if job["state"] & FLUX_JOB_STATE_PENDING:
        raise OSError(errno.EAGAIN, f"job {name} has not started")
    # One that is over has no time left: neither has it since 1970.
    return float(job.get("expiration", 0.0)) if job["state"] == FLUX_JOB_STATE_RUN else 1.0


def _of_instance(handle: Flux) -> float:
    resources = handle.rpc("resource.status", nodeid=0).get()["R"]
    return float(resources["execution"].get("expiration", 0.0))

"""Finds the instance that a job is: ``jobid:ID``, or a path of ids down a hierarchy of them."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import flux
from flux.core.handle import Flux
from flux.job import event_watch, job_list_id
from flux.job._jobid import JobID
from flux.uri.uri import JobURI, URIResolverPlugin, URIResolverURI

__all__ = ["URIResolver"]


class URIResolver(URIResolverPlugin):
    """Asks one instance after the other; ``/`` is the outermost and ``..`` the enclosing one."""

    def describe(self) -> str:
        """Return what it does, in a few words."""
        return "Get URI for a given Flux JOBID"

    def resolve(self, uri: URIResolverURI) -> str:
        """Return the URI of the instance; that of the current one if there is no id.

        Raises:
            ValueError: An id is not one, or the job is none, does not run or is no instance.
            OSError: An instance cannot be reached.
        """
        local = "local" in uri.query_dict or "FLUX_URI_RESOLVE_LOCAL" in os.environ
        steps = PurePosixPath(uri.path).parts
        handle = flux.Flux()
        found, host = handle.attr_get("local-uri"), None
        for number, step in enumerate(steps):
            if number:
                handle = flux.Flux(JobURI(found).local if local else found)
            if step == "/":
                found = _outermost(handle)
            elif step == "..":
                found = _enclosing(handle)
                # Relative to a job, that is on the job's host.
                found = JobURI(found, remote_hostname=host).remote if host else found
            else:
                found = _of_job(handle, step, "wait" in uri.query_dict)
                host = JobURI(found).netloc
        return found


def _enclosing(handle: Flux) -> str:
    inner = int(handle.attr_get("instance-level")) > 0
    return str(handle.attr_get("parent-uri" if inner else "local-uri"))


def _outermost(handle: Flux) -> str:
    while int(handle.attr_get("instance-level")) > 0:
        handle = flux.Flux(_enclosing(handle))
    return str(handle.attr_get("local-uri"))


def _of_job(handle: Flux, step: str, wait: bool) -> str:
    try:
        jobid = JobID(step)
    except ValueError as exc:
        raise ValueError(f"{step} is not a valid jobid") from exc
    try:
        uri = _memo(handle, jobid) if wait else _annotated(handle, jobid, step)
    except FileNotFoundError as exc:
        raise ValueError(f"jobid {step} not found") from exc
    if not uri:
        raise ValueError(f"URI not found for job {step}")
    return uri


def _annotated(handle: Flux, jobid: JobID, step: str) -> str:
    job = job_list_id(handle, jobid, attrs=["state", "annotations"]).get_jobinfo()
    if job.state != "RUN":
        raise ValueError(f"jobid {step} is not running")
    return str(job.user.uri)


def _memo(handle: Flux, jobid: JobID) -> str:
    """Wait until the job says what its URI is, or ends."""
    with event_watch(handle, jobid) as watch:
        for event in watch:
            if event.name == "memo" and "uri" in event.context:
                return str(event.context["uri"])
            if event.name == "finish":
                break
    return ""

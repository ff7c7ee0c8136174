"""Listing jobs (RFC 43): `JobList`, and the requests behind it."""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_JOB_STATE_INACTIVE, FLUX_RPC_STREAMING, FLUX_USERID_UNKNOWN
from flux.job import _states
from flux.job._jobid import JobID
from flux.job._request import check_handle, to_wire
from flux.job._several import SeveralJobs
from flux.job.info import JobInfo
from flux.rpc import RPC

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "JobList",
    "JobListIdRPC",
    "JobListIdsFuture",
    "JobListRPC",
    "get_job",
    "job_list",
    "job_list_id",
    "job_list_inactive",
]

_Job = dict[str, Any]
_ALL = ["all"]
_OWN = os.getuid()


class JobListRPC(RPC):
    """A list of jobs that is being asked for, which comes in parts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["flags"] = kwargs.get("flags", 0) | FLUX_RPC_STREAMING
        super().__init__(*args, **kwargs)

    def get_jobs(self) -> list[_Job]:
        """Wait for all the jobs.

        Returns:
            The jobs, as job-list has them.

        Raises:
            OSError: EPROTO, the request is malformed, such as by an attribute that there is not;
                ENOSYS, there is no job-list service; ECONNRESET, the connection was lost.
        """
        jobs: list[_Job] = []
        version = 0
        while True:
            try:
                part = self.get()
            except OSError as exc:
                if exc.errno == errno.ENODATA:
                    return jobs
                raise
            # Of the service: an old one says none, and sends everything at once.
            version = version or part.get("version", 0)
            jobs += part["jobs"]
            if not version:
                return jobs
            self.reset()

    def get_jobinfos(self) -> Iterator[JobInfo]:
        """Wait for all the jobs, and iterate over them; the errors are those of `get_jobs`."""
        return map(JobInfo, self.get_jobs())


class JobListIdRPC(RPC):
    """A job that is being asked for.

    Attributes:
        jobid: Its id, as it was given.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.jobid: Any = None

    def get_job(self) -> _Job:
        """Wait for the job.

        Returns:
            The job, as job-list has it.

        Raises:
            OSError: ENOENT, there is none of this id; others as `JobListRPC.get_jobs`.
        """
        job: _Job = self.get()["job"]
        return job

    def get_jobinfo(self) -> JobInfo:
        """Wait for the job; the errors are those of `get_job`."""
        return JobInfo(self.get_job())


class JobListIdsFuture(SeveralJobs):
    """Several jobs that are being asked for, each by itself.

    Attributes:
        errors: Texts about those that there are none of.
    """

    def get_jobs(self) -> list[_Job]:
        """Wait for the jobs.

        Returns:
            Those that there are, as job-list has them.
        """
        return self._collect(JobListIdRPC.get_job)

    def get_jobinfos(self) -> list[JobInfo]:
        """As `get_jobs`, and return them as objects."""
        return [JobInfo(job) for job in self.get_jobs()]


def job_list(
    flux_handle: Flux,
    max_entries: int = 1000,
    attrs: Sequence[str] = _ALL,
    userid: int = _OWN,
    states: int = 0,
    results: int = 0,
    since: float = 0.0,
    name: str | None = None,
    queue: str | Iterable[str] | None = None,
    constraint: Mapping[str, Any] | None = None,
) -> JobListRPC:
    """Ask for jobs.

    Args:
        flux_handle: The handle.
        max_entries: How many at most; 0: all.
        attrs: The attributes to get; ``all`` for all of them.
        userid: Whose; FLUX_USERID_UNKNOWN: everybody's.
        states: Those in these states, FLUX_JOB_STATE_* or'ed; 0: in any.
        results: Or those with these results, FLUX_JOB_RESULT_* or'ed; 0: with any.
        since: Without those that were over by this time.
        name: Those of this name.
        queue: Those of this queue or these queues.
        constraint: Those for which this holds (RFC 31, RFC 43).

    Returns:
        A future; `JobListRPC.get_jobs` gives the jobs.

    Raises:
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
        ValueError: ``queue`` is neither text nor texts.
    """
    terms: list[Mapping[str, Any]] = [] if constraint is None else [constraint]
    if userid != FLUX_USERID_UNKNOWN:
        terms.append({"userid": [userid]})
    if name:
        terms.append({"name": [name]})
    if queue:
        if not isinstance(queue, Iterable):
            raise ValueError("queue parameter must be a string or iterable")
        terms.append({"queue": [queue] if isinstance(queue, str) else list(queue)})
    wanted = {"states": states, "results": results}
    either = [{key: [value]} for key, value in wanted.items() if value]
    terms += [{"or": either}] if len(either) > 1 else either
    request = {
        "max_entries": int(max_entries),
        "attrs": list(attrs),
        "since": since,
        "constraint": {"and": terms},
    }
    return JobListRPC(check_handle(flux_handle), "job-list.list", request)


def job_list_inactive(
    flux_handle: Flux,
    since: float = 0.0,
    max_entries: int = 1000,
    attrs: Sequence[str] = _ALL,
    name: str | None = None,
    queue: str | Iterable[str] | None = None,
    constraint: Mapping[str, Any] | None = None,
) -> JobListRPC:
    """Ask for everybody's jobs that are over; the arguments and errors are those of `job_list`."""
    return job_list(
        flux_handle,
        max_entries,
        attrs,
        FLUX_USERID_UNKNOWN,
        FLUX_JOB_STATE_INACTIVE,
        0,
        since,
        name,
        queue,
        constraint,
    )


def job_list_id(flux_handle: Flux, jobid: int | str, attrs: Sequence[str] = _ALL) -> JobListIdRPC:
    """Ask for a job.

    Args:
        flux_handle: The handle.
        jobid: Its id, as a number or in any encoding.
        attrs: The attributes to get; ``all`` for all of them.

    Returns:
        A future; `JobListIdRPC.get_job` and `JobListIdRPC.get_jobinfo` give the job.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    request = {"id": to_wire(jobid), "attrs": list(attrs)}
    rpc = JobListIdRPC(check_handle(flux_handle), "job-list.list-id", request)
    rpc.jobid = JobID(jobid)
    return rpc


def get_job(flux_handle: Flux, jobid: int | str) -> dict[str, Any] | None:
    """Return a job as `flux.job.JobInfo.to_dict` does, unfiltered, or None if there is none.

    The arguments and other errors are those of `job_list_id` and its future.
    """
    try:
        return job_list_id(flux_handle, jobid).get_jobinfo().to_dict(filtered=False)
    except FileNotFoundError:
        return None


class JobList:
    """A list of jobs.

    Args:
        flux_handle: The handle.
        attrs: The attributes to get; ``all`` for all of them.
        filters: States and results, such as ``running`` and ``failed``, also several with commas
            between them: jobs that are in or have any of them.
        ids: Jobs to list, whatever else is given.
        user: Whose, by name or number; ``all``: everybody's; None: one's own.
        max_entries: How many at most; 0: all.
        since: Without those that were over by this time.
        name: Those of this name.
        queue: Those of this queue or these queues.
        constraint: Those for which this holds (RFC 31, RFC 43).

    Raises:
        ValueError: There is no such filter or user, or a job id is not one.

    Attributes:
        errors: Texts about jobs in ``ids`` that there are none of, after `jobs`.
    """

    STATES = _states.STATES
    RESULTS = _states.RESULTS

    def __init__(
        self,
        flux_handle: Flux,
        attrs: Sequence[str] = _ALL,
        filters: Iterable[str] = (),
        ids: Iterable[int | str] = (),
        user: str | int | None = None,
        max_entries: int = 1000,
        since: float = 0.0,
        name: str | None = None,
        queue: str | Iterable[str] | None = None,
        constraint: Mapping[str, Any] | None = None,
    ) -> None:
        self.handle = flux_handle
        self.attrs = list(attrs)
        self.states = 0
        self.results = 0
        self.max_entries = max_entries
        self.since = since
        self.name = name
        self.queue = queue
        self.ids = [JobID(jobid) for jobid in ids] or None
        self.errors: list[str] = []
        self.constraint = constraint
        for filters_text in filters:
            for each in filters_text.split(","):
                self.add_filter(each)
        self.set_user(user)

    def set_user(self, user: str | int | None) -> None:
        """List another user's jobs.

        Args:
            user: A name or number; ``all``: everybody's; None: one's own.

        Raises:
            ValueError: There is no such user.
        """
        if user is None:
            self.userid = os.getuid()
        elif user == "all":
            self.userid = FLUX_USERID_UNKNOWN
        else:
            try:
                self.userid = pwd.getpwnam(str(user)).pw_uid
            except KeyError:
                try:
                    self.userid = int(user)
                except ValueError:
                    raise ValueError(f"Invalid user {user} specified") from None

    def add_filter(self, fname: str) -> None:
        """List jobs in a state or with a result, too.

        Raises:
            ValueError: There is no such filter.
        """
        name = fname.lower()
        if name in self.STATES:
            self.states |= self.STATES[name]
        elif name in self.RESULTS:
            self.results |= self.RESULTS[name]
        else:
            known = ", ".join((*self.STATES, *self.RESULTS))
            raise ValueError(f"Invalid filter specified: {name} (there are {known})")

    def fetch_jobs(self) -> JobListRPC | JobListIdsFuture:
        """Ask for the jobs.

        Returns:
            A future, whose ``get_jobs`` and ``get_jobinfos`` give them.

        Raises:
            OSError: As `job_list`.
        """
        if self.ids:
            future = JobListIdsFuture()
            for jobid in self.ids:
                future.push(job_list_id(self.handle, jobid, self.attrs))
            return future
        return job_list(
            self.handle,
            self.max_entries,
            self.attrs,
            self.userid,
            self.states,
            self.results,
            self.since,
            self.name,
            self.queue,
            self.constraint,
        )

    def jobs(self) -> list[JobInfo]:
        """Ask for the jobs, and wait for them.

        Raises:
            OSError: As `job_list` and `JobListRPC.get_jobs`.
        """
        future = self.fetch_jobs()
        jobs = [JobInfo(job) for job in future.get_jobs()]
        self.errors = future.errors if isinstance(future, JobListIdsFuture) else []
        return jobs

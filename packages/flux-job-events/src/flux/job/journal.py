"""The job manager's journal: the main events of all jobs of an instance (RFC 21)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flux.job._jobid import JobID, no_jobid
from flux.job._request import from_wire

try:
    from flux.abc import JournalConsumerBase, JournalEventBase
    from flux.abc._backlog import pack, unpack
except ModuleNotFoundError as exc:
    if exc.name != "flux.abc":
        raise
    raise ModuleNotFoundError(
        "flux.job.journal needs the distribution flux-journal: "
        "pip install 'flux-job-events[journal]'",
        name="flux.abc",
    ) from None

if TYPE_CHECKING:
    from flux.abc._backlog import Item
    from flux.core.handle import Flux

__all__ = ["SENTINEL_EVENT", "JournalConsumer", "JournalEvent"]

_NO_JOB = no_jobid()


class JournalEvent(JournalEventBase):
    """An event of a job.

    Args:
        jobid: The job; -1 for the mark at the end of the history.
        event: The eventlog entry.
        jobspec: The job's jobspec without its environment (RFC 25).
        R: The job's resources (RFC 20).

    Attributes:
        jobid: The job.
        jobspec: The jobspec if this is a ``submit`` event, else None.
        R: The resources if this is an ``alloc`` event, else None.

    Raises:
        ValueError: The job id is not one.
    """

    jobspec: dict[str, Any] | None
    R: dict[str, Any] | None

    def __init__(
        self,
        jobid: int | str,
        event: str | Mapping[str, Any],
        jobspec: dict[str, Any] | None = None,
        R: dict[str, Any] | None = None,  # noqa: N803
    ) -> None:
        super().__init__(event)
        if not isinstance(jobid, JobID):
            jobid = _NO_JOB if jobid == _NO_JOB else JobID(jobid)
        self.jobid = jobid
        name = self.get("name")
        self.jobspec = jobspec if name == "submit" else None
        self.R = R if name == "alloc" else None

    def __eq__(self, other: object) -> bool:
        if isinstance(other, JournalEvent) and self.jobid != other.jobid:
            return False
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        if isinstance(other, JournalEvent) and self.jobid != other.jobid:
            return True
        return super().__ne__(other)

    __hash__ = None  # type: ignore[assignment]

    def is_empty(self) -> bool:
        """Return True if this is not an event but the mark at the end of the history."""
        return self.jobid == _NO_JOB

    def __str__(self) -> str:
        if self.is_empty():
            return "-1: End of historical data stream"
        text = f"{self.jobid.f58}: {self.timestamp:<0.5f} {self.name}"
        if self.context:
            text += f" {self.context_string}"
        if self.jobspec:
            text += f" jobspec={self.jobspec}"
        if self.R:
            text += f" R={self.R}"
        return text


#: Comes between the history and the present if asked for, see `JournalConsumer`.
SENTINEL_EVENT = JournalEvent(_NO_JOB, {})


class _Job(NamedTuple):
    """What a response says of its job, in a form that takes less memory."""

    jobid: JobID
    jobspec: Any
    R: Any


class JournalConsumer(JournalConsumerBase):
    """Follows the events of all jobs; the instance owner's privilege.

    See `flux.abc.JournalConsumerBase` for how to read them.

    Example:
        >>> with JournalConsumer(flux.Flux()) as consumer:
        ...     for event in consumer:
        ...         print(event)

    Args:
        flux_handle: The handle.
        full: Begin with the events of all jobs that the job manager remembers; otherwise with
            those of the jobs not yet over.
        since: Leave out events that are not later than this time, in seconds since the epoch.
        include_sentinel: Deliver `SENTINEL_EVENT` between the history and the present.
    """

    SENTINEL_EVENT = SENTINEL_EVENT

    def __init__(
        self,
        flux_handle: Flux,
        full: bool = True,
        since: float = 0.0,
        include_sentinel: bool = False,
    ) -> None:
        super().__init__(
            flux_handle,
            "job-manager.events-journal",
            full=full,
            since=since,
            include_sentinel=include_sentinel,
        )

    @property
    def request_payload(self) -> dict[str, Any]:
        """The payload of the request: whether to begin with the history."""
        return {"full": self.full}

    def process_response(self, resp: dict[str, Any]) -> dict[str, Any]:
        """Return what a response says of the job that its events are about.

        Args:
            resp: The payload, decoded from JSON.

        Raises:
            OSError: EPROTO, it does not say which job.
        """
        return {
            "jobid": from_wire(resp.get("id")),
            "jobspec": resp.get("jobspec"),
            "R": resp.get("R"),
        }

    def create_event(
        self,
        entry: dict[str, Any],
        jobid: int = _NO_JOB,
        jobspec: dict[str, Any] | None = None,
        R: dict[str, Any] | None = None,  # noqa: N803
    ) -> JournalEvent:
        """Make an event.

        Args:
            entry: The eventlog entry.
            jobid: The job.
            jobspec: Its jobspec.
            R: Its resources.
        """
        return JournalEvent(jobid, entry, jobspec=jobspec, R=R)

    def _fold(self, arguments: Mapping[str, Any]) -> Any:
        # What a subclass makes of a response is its own affair.
        if type(self).process_response is not JournalConsumer.process_response:
            return arguments
        jobid, *rest = (arguments[name] for name in _Job._fields)
        return _Job(jobid, *(pack(value) if isinstance(value, dict) else value for value in rest))

    def _event(self, item: Item) -> JournalEventBase:
        entry, job = item
        if job.__class__ is _Job:
            # Unpacked for the events that show it; any may, where a subclass makes them.
            every = type(self).create_event is not JournalConsumer.create_event
            name = entry["name"]
            jobspec = unpack(job.jobspec) if every or name == "submit" else None
            resources = unpack(job.R) if every or name == "alloc" else None
            item = entry, {"jobid": job.jobid, "jobspec": jobspec, "R": resources}
        return super()._event(item)

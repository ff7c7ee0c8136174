"""Reading journals, live or recorded, whatever state they are in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from flux.command._timeline.model import Event, Job, Timeline
from flux.job import JobID

#: Limit of a timestamp, as in `flux.eventlog`.
_MAX_TIME = float(1 << 63)

#: The id in the mark at the end of the history.
_NO_JOB = -1


def record(jobid: int, entry: Mapping[str, Any], jobspec: Any = None, resources: Any = None) -> str:
    """Return an event as one line of JSON: a response of the journal with just this event.

    Args:
        jobid: The job.
        entry: The eventlog entry.
        jobspec: The job's jobspec, if the event comes with it.
        resources: Its resource set, if the event comes with it.
    """
    response: dict[str, Any] = {"id": int(jobid), "events": [dict(entry)]}
    if jobspec is not None:
        response["jobspec"] = jobspec
    if resources is not None:
        response["R"] = resources
    # In ASCII: text in an event need not be valid Unicode.
    return json.dumps(response, separators=(",", ":"))


class _Record:
    """What was read of a job."""

    def __init__(self) -> None:
        self.events: list[tuple[float | None, str, dict[str, Any]]] = []
        self.jobspec: Any = None
        self.resources: Any = None
        self.job: Job | None = None


class JournalReader:
    """Collects events, in any order, and makes a `Timeline` of them.

    Args:
        only: The jobs that are wanted; all if empty.

    Attributes:
        faults: What was wrong with the input that was left out.
    """

    def __init__(self, only: Iterable[JobID] = ()) -> None:
        self.faults: list[str] = []
        self._only = frozenset(only)
        self._records: dict[JobID, _Record] = {}
        self._latest: float | None = None
        self._first: float | None = None

    def read(self, lines: Iterable[str], name: str = "journal") -> None:
        """Take a recorded journal: responses in JSON, one a line.

        Args:
            lines: Its lines.
            name: What to call it in `faults`.
        """
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                self.add_response(json.loads(line))
            except RecursionError:
                self.faults.append(f"{name}:{number}: it is nested too deeply")
            except ValueError as exc:
                self.faults.append(f"{name}:{number}: {exc}")

    def add_response(self, response: Any) -> None:
        """Take a response of the journal; a mark at the end of the history does nothing.

        Raises:
            ValueError: It is not one, or one of its events is not one; the others are taken.
        """
        if not isinstance(response, dict):
            raise ValueError("it is not an object")
        value = response.get("id")
        if value == _NO_JOB:
            return
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            raise ValueError(f"it has no job id: {value!r:.80}")
        try:
            jobid = JobID(value)
        except (OSError, ValueError):
            raise ValueError(f"it has no job id: {value!r:.80}") from None
        events = response.get("events")
        if not isinstance(events, list):
            raise ValueError("it has no list of events")
        fault = None
        for entry in events:
            try:
                self.add(jobid, entry, response.get("jobspec"), response.get("R"))
            except ValueError as exc:  # noqa: PERF203 - one fault must not cost the rest
                fault = exc
        if fault is not None:
            raise fault

    def add(self, jobid: JobID, entry: Any, jobspec: Any = None, resources: Any = None) -> None:
        """Take an event.

        Args:
            jobid: The job.
            entry: The eventlog entry.
            jobspec: The job's jobspec, if the event comes with it.
            resources: Its resource set, if the event comes with it.

        Raises:
            ValueError: It is not an event.
        """
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise ValueError(f"an event has no name: {entry!r:.80}")
        when = _time(entry.get("timestamp"))
        if when is None:
            # Hardly later than what was read before it, about this job or another.
            when = self._latest
        else:
            self._latest = when
            self._first = when if self._first is None else min(self._first, when)
        if self._only and jobid not in self._only:
            return
        context = entry.get("context")
        one = self._records.setdefault(jobid, _Record())
        one.events.append((when, name, context if isinstance(context, dict) else {}))
        if jobspec is not None:
            one.jobspec = jobspec
        if resources is not None:
            one.resources = resources
        one.job = None

    def timeline(self, now: float | None = None) -> Timeline:
        """Return what is known so far.

        Args:
            now: The present, see `Timeline`.
        """
        return Timeline((self._job(jobid) for jobid in self._records), now)

    def over(self) -> bool:
        """Return True if specific jobs are wanted and all of them are inactive."""
        return bool(self._only) and all(
            jobid in self._records and self._job(jobid).state == "INACTIVE" for jobid in self._only
        )

    def _job(self, jobid: JobID) -> Job:
        one = self._records[jobid]
        if one.job is None:
            first = self._first or 0.0
            events = (
                Event(first if when is None else when, name, context)
                for when, name, context in one.events
            )
            job = Job(jobid, events, one.jobspec, one.resources)
            if any(when is None for when, _name, _context in one.events):
                # Where it is in time may change with what is still to be read.
                return job
            one.job = job
        return one.job


def _time(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    if not -_MAX_TIME < value < _MAX_TIME or math.isnan(value):
        return None
    return float(value)

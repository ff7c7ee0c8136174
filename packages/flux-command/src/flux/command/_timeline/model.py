"""Jobs and the states they were in, derived from their events (RFC 21)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from flux.job import JobID

#: The states that take time, in the order in which a job passes them.
STATES = ("NEW", "DEPEND", "PRIORITY", "SCHED", "RUN", "CLEANUP")

#: The states in which a job waits.
PENDING = STATES[: STATES.index("RUN")]

INACTIVE = "INACTIVE"

_ORDER = {state: order for order, state in enumerate((*STATES, INACTIVE))}

#: The states that events lead to.
_TARGETS = {
    "submit": "NEW",
    "validate": "DEPEND",
    "depend": "PRIORITY",
    "priority": "SCHED",
    "alloc": "RUN",
    "start": "RUN",
    "finish": "CLEANUP",
    "release": "CLEANUP",
    "free": "CLEANUP",
    "clean": INACTIVE,
    "invalidate": INACTIVE,
}

#: Results by the type of the exception that ended the job; those of other types are failures.
_RESULTS = {"cancel": "CANCELED", "timeout": "TIMEOUT"}


class Event(NamedTuple):
    """One event of a job."""

    when: float
    name: str
    context: dict[str, Any]


class Interval(NamedTuple):
    """A time that a job spent in a state."""

    state: str
    begin: float
    #: When it left the state; None if it has not.
    end: float | None


class Exceptional(NamedTuple):
    """An exception that was raised on a job."""

    when: float
    type: str
    #: 0 if it is fatal; None if that is unknown.
    severity: int | None
    note: str

    def __str__(self) -> str:
        severity = "?" if self.severity is None else self.severity
        text = f"exception: {self.type} severity={severity}"
        return f"{text}: {self.note}" if self.note else text


class Job:
    """What became of a job.

    Args:
        jobid: The job.
        events: Its events.
        jobspec: Its jobspec (RFC 25), or whatever stands for it.
        resources: Its resource set (RFC 20), or whatever stands for it.

    Attributes:
        jobid: The job.
        events: Its events in order of time.
        intervals: The times that it spent in states, one after the other.
        exceptions: What was raised on it.
        state: The state that it is in.
        begin: The time of its first event.
        end: The time of its last event.
        command: Its command's arguments; may be empty.
        name: Its name; may be empty.
        nodes: The names of its nodes, separated by commas; may be empty.
        status: The wait status that it finished with, or None.
    """

    def __init__(
        self, jobid: JobID, events: Iterable[Event], jobspec: Any = None, resources: Any = None
    ) -> None:
        self.jobid = jobid
        # Clocks differ: the order of arrival counts where times are equal, and only there.
        self.events = sorted(events, key=lambda event: event.when)
        self.command = _command(jobspec)
        self.name = _name(jobspec, self.command)
        self.nodes = _nodes(resources)
        self.intervals: list[Interval] = []
        self.exceptions: list[Exceptional] = []
        self.status: int | None = None
        self.state = "NEW"
        self.begin = self._since = self.events[0].when if self.events else 0.0
        self.end = self.events[-1].when if self.events else 0.0
        for event in self.events:
            self._take(event)
        if self.state != INACTIVE:
            self.intervals.append(Interval(self.state, self._since, None))

    def _take(self, event: Event) -> None:
        target = _TARGETS.get(event.name)
        if event.name == "exception":
            self.exceptions.append(_exception(event))
            if self.exceptions[-1].severity == 0:
                target = "CLEANUP"
        elif event.name == "finish":
            self.status = _integer(event.context.get("status"))
        elif event.name == "flux-restart" and self.state == "SCHED":
            self._enter("PRIORITY", event.when)
        # Forward only, so that a late or misplaced event does not bring a job back to life.
        if target is not None and _ORDER[target] > _ORDER[self.state]:
            self._enter(target, event.when)

    def _enter(self, state: str, when: float) -> None:
        # A state that an incomplete record skips took no time that we know of.
        if when > self._since or _ORDER[state] == _ORDER[self.state] + 1:
            self.intervals.append(Interval(self.state, self._since, when))
        self.state, self._since = state, when

    @property
    def result(self) -> str:
        """How it ended, as job-list has it; empty if it has not, or if that is unknown."""
        if self.state != INACTIVE:
            return ""
        if any(event.name == "invalidate" for event in self.events):
            return "INVALID"
        for one in self.exceptions:
            if one.severity == 0:
                return _RESULTS.get(one.type, "FAILED")
        if self.status is None:
            return ""
        return "FAILED" if self.status else "COMPLETED"

    @property
    def outcome(self) -> str:
        """The result, or else the state, and what else is known of it."""
        text = self.result or self.state
        if text != "FAILED":
            return text
        if self.status:
            signum = self.status & 0x7F
            return f"{text} signal {signum}" if signum else f"{text} exit {self.status >> 8}"
        return next((f"{text} {one.type}" for one in self.exceptions if one.severity == 0), text)

    def spent(self, states: Iterable[str], until: float) -> float:
        """Return how long it was in some states.

        Args:
            states: Their names.
            until: The end of the time that it is still in one of them.
        """
        wanted = frozenset(states)
        return sum(
            max(0.0, (until if one.end is None else one.end) - one.begin)
            for one in self.intervals
            if one.state in wanted
        )

    def passed(self, state: str) -> bool:
        """Return True if it was in a state."""
        return any(one.state == state for one in self.intervals)


class Timeline:
    """Jobs, and the time from the first of their events to the last.

    Args:
        jobs: The jobs.
        now: The present, where that is later than the last event; jobs that are not over go on
            until then.

    Attributes:
        jobs: The jobs in the order in which they began.
        begin: When the first event was.
        end: The present, or when the last event was.
    """

    def __init__(self, jobs: Iterable[Job], now: float | None = None) -> None:
        self.jobs = sorted(jobs, key=lambda job: (job.begin, int(job.jobid)))
        self.begin = min((job.begin for job in self.jobs), default=0.0)
        self.end = max((job.end for job in self.jobs), default=0.0)
        if now is not None and any(job.state != INACTIVE for job in self.jobs):
            self.end = max(self.end, now)

    @property
    def span(self) -> float:
        """Its length in seconds, never 0."""
        return (self.end - self.begin) or 1e-6

    def fraction(self, when: float | None) -> float:
        """Return where a time is, from 0 at the beginning to 1 at the end, which None is."""
        if when is None:
            return 1.0
        return min(1.0, max(0.0, (when - self.begin) / self.span))

    def to_json(self) -> dict[str, Any]:
        """Return it in a form for `json`."""
        return {
            "begin": self.begin,
            "end": self.end,
            "jobs": [
                {
                    "id": int(job.jobid),
                    "name": job.name,
                    "command": job.command,
                    "nodes": job.nodes,
                    "state": job.state,
                    "result": job.result,
                    "status": job.status,
                    "intervals": [one._asdict() for one in job.intervals],
                    "exceptions": [one._asdict() for one in job.exceptions],
                }
                for job in self.jobs
            ],
        }


# -- what others wrote, of which nothing is certain


def _exception(event: Event) -> Exceptional:
    context = event.context
    # As for the rest of the library, one that does not say is fatal.
    severity = _integer(context.get("severity", 0))
    kind, note = context.get("type"), context.get("note")
    return Exceptional(
        event.when,
        kind if isinstance(kind, str) and kind else "unknown",
        severity,
        note if isinstance(note, str) else "",
    )


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _at(value: Any, *path: Any) -> Any:
    """Return what is at a path in objects and arrays, or None."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _command(jobspec: Any) -> list[str]:
    command = _at(jobspec, "tasks", 0, "command")
    if isinstance(command, str):
        return [command]
    return [one for one in command if isinstance(one, str)] if isinstance(command, list) else []


def _name(jobspec: Any, command: list[str]) -> str:
    name = _at(jobspec, "attributes", "system", "job", "name")
    if isinstance(name, str) and name:
        return name
    return command[0].rstrip("/").rpartition("/")[2] if command else ""


def _nodes(resources: Any) -> str:
    nodes = _at(resources, "execution", "nodelist")
    return ",".join(one for one in nodes if isinstance(one, str)) if isinstance(nodes, list) else ""

"""Service ``job-list``: jobs and their attributes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from orjson import loads

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._jobs import _states
from flux.devbroker._jobs._constraint import ConstraintError, compile_constraint
from flux.devbroker._jobs._core import core_of
from flux.devbroker._jobs._job import Job
from flux.devbroker._service import USER, Pending, Service, method
from flux.devbroker._unpack import RequestError, cut, no_payload, payload_object, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

ATTRS = (
    *("userid", "urgency", "priority", "t_submit", "t_depend", "t_priority", "t_sched", "t_run"),
    *("t_cleanup", "t_inactive", "state", "name", "cwd", "queue", "project", "bank", "ntasks"),
    *("ncores", "duration", "nnodes", "ranks", "nodelist", "success", "exception_occurred"),
    *("exception_type", "exception_severity", "exception_note", "result", "expiration"),
    *("annotations", "waitstatus", "dependencies"),
)
_ALL = "all"
_MASK = (1 << 64) - 1
_STATES = ("depend", "priority", "sched", "run", "cleanup")


class JobListService(Service):
    """Answers with lists of jobs."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)
        # Those who wait for a job to reach a state.
        self._waiting: dict[int, list[tuple[Message, list[str], int]]] = {}
        self._stats_watchers = Pending()
        self._scheduled = False
        self._core.machine.observers.append(self._observe)
        self._core.retired.append(lambda job: self._check(job.id))

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._stats_watchers.disconnect(msg)

    def _observe(self, job: Job, _name: str) -> None:
        if job.id in self._waiting and job.state != _states.INACTIVE:
            self._check(job.id)
        if self._stats_watchers.requests and not self._scheduled:
            self._scheduled = True
            self._core.later(0.0, self._send_stats)

    # -- lists

    @method("list-attrs", USER)
    def list_attrs(self, msg: Message) -> None:
        """Answer with the names of all attributes."""
        self.handle.respond(msg, {"attrs": [*ATTRS, _ALL]})

    @method("list", USER)
    def list_jobs(self, msg: Message) -> None:
        """Answer with jobs: pending, running and inactive ones."""
        if not self._core.loaded:
            self._core.when_loaded(lambda: self.list_jobs(msg))
            return
        payload = _payload(msg, "max_entries", "attrs")
        limit, since = payload["max_entries"], payload.get("since", 0.0)
        if type(limit) is not int or not isinstance(since, (int, float)):
            raise RequestError(errno.EPROTO, "invalid payload: max_entries or since malformed")
        if limit < 0:
            raise RequestError(errno.EPROTO, "invalid payload: max_entries < 0 not allowed")
        attrs = _attrs(payload["attrs"])
        try:
            test = compile_constraint(payload.get("constraint", {}))
        except ConstraintError as exc:
            text = f"invalid payload: constraint object invalid: {exc}"
            raise RequestError(errno.EPROTO, text) from None
        jobs = []
        for record in self._records(since):
            if test(record):
                jobs.append(_select(record, attrs))
                if len(jobs) == limit:
                    break
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            self.handle.respond(msg, {"jobs": jobs})
            return
        for i, job in enumerate(jobs):
            self.handle.respond(msg, {"jobs": [job]} if i else {"jobs": [job], "version": 1})
        self.handle.respond_error(msg, errno.ENODATA)

    def _records(self, since: float) -> Iterator[dict[str, Any]]:
        active = [job.record() for job in self._core.active.values()]
        pending = [job for job in active if not job["state"] & _states.RUNNING]
        pending.sort(key=lambda job: (-job.get("priority", 0), job["id"]))
        yield from pending
        running = [job for job in active if job["state"] & _states.RUNNING]
        running.sort(key=lambda job: -job.get("t_run", 0.0))
        yield from running
        for text in reversed(self._core.finished.values()):
            record = loads(text)
            if record["t_inactive"] <= since:
                return
            yield record

    # -- one job

    @method("list-id", USER)
    def list_id(self, msg: Message) -> None:
        """Answer with a job, once it has a certain state."""
        payload = _payload(msg, "id", "attrs")
        state = payload.get("state", 0)
        if type(payload["id"]) is not int:
            raise RequestError(errno.EPROTO, "invalid payload: Expected integer, got other")
        if type(state) is not int or state & ~(_states.ACTIVE | _states.INACTIVE | _states.NEW):
            raise RequestError(errno.EPROTO, "invalid payload: invalid state specified")
        attrs = _attrs(payload["attrs"])
        jobid = payload["id"] & _MASK
        core = self._core
        if jobid not in core.active and jobid not in core.finished:
            if not core.loaded:
                core.when_loaded(lambda: self.list_id(msg))
                return
            raise RequestError(errno.ENOENT)
        self._waiting.setdefault(jobid, []).append((msg, attrs, state))
        self._check(jobid)

    def _check(self, jobid: int) -> None:
        """Answer those whose state a job has reached."""
        waiting = self._waiting.pop(jobid, None)
        if not waiting:
            return
        job = self._core.active.get(jobid)
        reached = _states.INACTIVE if job is None else job.state
        left = []
        for msg, attrs, state in waiting:
            if not state or reached & state or reached == _states.INACTIVE:
                record = job.record() if job is not None else loads(self._core.finished[jobid])
                self.handle.respond(msg, {"job": _select(record, attrs)})
            else:
                left.append((msg, attrs, state))
        if left:
            self._waiting[jobid] = left

    # -- figures

    @method("job-stats", USER)
    def job_stats(self, msg: Message) -> None:
        """Answer with how many jobs there are in each state, on request again and again."""
        if not self._core.loaded:
            self._core.when_loaded(lambda: self.job_stats(msg))
            return
        self.handle.respond(msg, self._stats())
        if msg.bits & FLUX_MSGFLAG_STREAMING:
            self._stats_watchers.add(msg)

    @method("job-stats-cancel", USER)
    def job_stats_cancel(self, msg: Message) -> None:
        """End a stream of figures; never answered."""
        try:
            matchtag = unpack(msg, matchtag=int)["matchtag"]
        except RequestError:
            return
        request = self._stats_watchers.cancelled(msg, matchtag)
        if request is not None:
            self.handle.respond_error(request, errno.ENODATA)

    def _send_stats(self) -> None:
        self._scheduled = False
        self._stats_watchers.respond(self.handle, self._stats())

    def _stats(self) -> dict[str, Any]:
        core = self._core
        states = dict.fromkeys(_STATES, 0)
        for job in core.active.values():
            for name in _STATES:
                states[name] += job.state == _states.STATE_NAMES[name]
        states["inactive"] = len(core.finished)
        states["total"] = sum(states.values())
        return {
            "job_states": states,
            "successful": core.counts.get(_states.COMPLETED, 0),
            "failed": core.counts.get(_states.FAILED, 0),
            "canceled": core.counts.get(_states.CANCELED, 0),
            "timeout": core.counts.get(_states.TIMEOUT, 0),
            "inactive_purged": core.purged,
            "queues": [],
        }

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with figures about the service."""
        no_payload(msg)
        core = self._core
        running = sum(bool(job.state & _states.RUNNING) for job in core.active.values())
        self.handle.respond(
            msg,
            {
                "jobs": {
                    "pending": len(core.active) - running,
                    "running": running,
                    "inactive": len(core.finished),
                },
                "idsync": {"lookups": 0, "waits": len(self._waiting)},
                "stats_watchers": len(self._stats_watchers.requests),
            },
        )


def _payload(msg: Message, *required: str) -> dict[str, Any]:
    try:
        payload: dict[str, Any] = cut(payload_object(msg))
    except RequestError:
        raise RequestError(errno.EPROTO, "invalid payload: not an object") from None
    for key in required:
        if key not in payload:
            raise RequestError(errno.EPROTO, f"invalid payload: Object item not found: {key}")
    return payload


def _attrs(attrs: Any) -> list[str]:
    if not isinstance(attrs, list):
        raise RequestError(errno.EPROTO, "invalid payload: attrs must be an array")
    for attr in attrs:
        if attr != _ALL and attr not in ATTRS:
            raise RequestError(errno.EINVAL, f"{attr} is not a valid attribute")
    return attrs


def _select(record: dict[str, Any], attrs: list[str]) -> dict[str, Any]:
    if _ALL in attrs:
        return record
    job = {"id": record["id"]}
    for attr in attrs:
        if attr in record:
            job[attr] = record[attr]
    return job

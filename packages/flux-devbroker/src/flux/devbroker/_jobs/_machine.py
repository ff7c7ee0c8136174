"""The state machine of jobs (RFC 21): events change states, and states ask for actions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

from flux.devbroker._jobs import _eventlog, _request, _states
from flux.devbroker._jobs._cores import summary
from flux.devbroker._jobs._eventlog import Log
from flux.devbroker._jobs._job import Job
from flux.idset import IDset

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core

#: Which attribute of a job's record has the time of an event.
_TIMES = {
    "submit": "t_submit",
    "validate": "t_depend",
    "depend": "t_priority",
    "priority": "t_sched",
    "alloc": "t_run",
    "clean": "t_inactive",
}


class Machine:
    """Posts events and does what follows from them.

    Args:
        core: The jobs and what serves them.

    Attributes:
        observers: Called with a job and an event's name, after the event took effect.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.observers: list[Callable[[Job, str], None]] = []

    # -- events

    def new_log(self, jobid: int, path: str) -> Log:
        """Return a log that is stored in a job's directory."""
        append = self._core.store.append
        return Log(lambda line, done: append(jobid, path, line, done))

    def post(self, job: Job, name: str, context: dict[str, Any] | None = None) -> None:
        """Have an event happen to a job."""
        now = time.time()
        line = _eventlog.event(name, context, now)
        self._core.journal.publish(job, name, line)
        job.log.write(line)
        if name in _TIMES:
            job.times[_TIMES[name]] = now
        self._apply(job, name, context or {}, now)
        for observer in self.observers:
            observer(job, name)
        self.advance(job)

    def post_volatile(self, job: Job, name: str, context: dict[str, Any] | None = None) -> None:
        """Have the journal, and nothing else, tell of an event."""
        self._core.journal.publish(job, name, _eventlog.event(name, context))

    def replay(self, job: Job, event: dict[str, Any]) -> None:
        """Have an event of an earlier run of the broker take effect, and nothing else."""
        name, now = event["name"], float(event["timestamp"])
        if name in _TIMES:
            job.times[_TIMES[name]] = now
        self._apply(job, name, event.get("context", {}), now)

    def _apply(self, job: Job, name: str, context: dict[str, Any], now: float) -> None:
        state = job.state
        if name == "validate":
            job.state = _states.DEPEND
        elif name == "depend":
            job.state = _states.PRIORITY
        elif name == "priority":
            job.priority = context["priority"]
            if state == _states.PRIORITY:
                job.state = _states.SCHED
        elif name in ("urgency", "jobspec-update", "flux-restart"):
            if name == "urgency":
                job.urgency = context["urgency"]
            elif name == "jobspec-update":
                job.update.update(context)
            if state == _states.SCHED:
                self._core.scheduler.remove(job)
                job.state = _states.PRIORITY
        elif name == "alloc":
            job.annotations.update(context.get("annotations", {}))
            job.state = _states.RUN
        elif name == "resource-update":
            job.expiration = context["expiration"]
        elif name == "exception":
            self._apply_exception(job, context, now)
        elif name == "finish":
            job.status = context["status"]
            if job.failure is None:
                job.failure = _states.status_text(context["status"])
            if state != _states.CLEANUP:
                job.state = _states.CLEANUP
                job.times["t_cleanup"] = now
        elif name == "release":
            job.released = True
        elif name == "free":
            if job.cores is not None:
                self._core.scheduler.give_back(job.cores)
                job.cores = None
        elif name == "clean":
            job.state = _states.INACTIVE
        elif name == "memo":
            if context:
                _merge(job.annotations.setdefault("user", {}), context)
        elif name == "dependency-add":
            job.dependencies = [*(job.dependencies or ()), context["description"]]
        elif name == "dependency-remove":
            job.dependencies = [
                text for text in job.dependencies or () if text != context["description"]
            ]

    def _apply_exception(self, job: Job, context: dict[str, Any], now: float) -> None:
        fatal = context["severity"] == 0
        if job.exception is None or (fatal and job.fatal is None):
            job.exception = context
        if not fatal:
            return
        if job.fatal is None:
            job.fatal = context
        if job.failure is None:
            job.failure = f"Fatal exception type={context['type']} {context['note']}"
        if job.state not in (_states.NEW, _states.CLEANUP, _states.INACTIVE):
            self._core.scheduler.remove(job)
            job.state = _states.CLEANUP
            job.times["t_cleanup"] = now

    def exception(
        self,
        job: Job,
        kind: str,
        severity: int,
        note: str,
        userid: int | None = None,
        wait_status: int | None = None,
    ) -> None:
        """Raise an exception on a job; ``userid`` is who does, the broker's owner if None."""
        context: dict[str, Any] = {"type": kind, "severity": severity, "note": note}
        context["userid"] = self._core.owner if userid is None else userid
        published: dict[str, Any] = {"id": job.id, "type": kind, "severity": severity}
        if wait_status is not None:
            context["wait_status"] = published["wait_status"] = wait_status
        self._core.publish("job-exception", published, private=True)
        self.post(job, "exception", context)

    # -- actions

    def submit(self, job: Job, signed: bytes, dependencies: list[str]) -> None:
        """Take a new job."""
        core = self._core
        core.active[job.id] = job
        core.max_jobid = max(core.max_jobid, job.id)
        job.log = self.new_log(job.id, "eventlog")
        core.store.put(job.id, "J", signed)
        core.store.put(job.id, "jobspec", job.spec_text)
        self.post(job, "submit", _submitted(job))
        for description in dependencies:
            self.post(job, "dependency-add", {"description": description})
        self.post(job, "validate")

    def reject(self, job: Job) -> None:
        """Have the journal tell of a job that got an id, and was refused after that."""
        self.post_volatile(job, "submit", _submitted(job))
        self.post_volatile(job, "invalidate")

    def advance(self, job: Job) -> None:
        """Do what a job's state asks for."""
        state = job.state
        if state == _states.DEPEND:
            if not job.dependencies:
                self.post(job, "depend")
        elif state == _states.PRIORITY:
            self.post(job, "priority", {"priority": _states.priority_of(job.urgency)})
        elif state == _states.RUN:
            if not job.started:
                job.started = True
                if job.flags & _states.FLAG_DEBUG:
                    self.post(job, "debug.start-request")
                self._core.executor.start(job)
        elif state == _states.CLEANUP:
            self._clean_up(job)

    def prioritized(self, job: Job, name: str) -> None:
        """Observe events: a new priority is for the scheduler."""
        if name == "priority" and job.state == _states.SCHED:
            if job.flags & _states.FLAG_DEBUG and self._may_start(job):
                self.post(job, "debug.alloc-request")
            self._schedule(job)

    def _may_start(self, job: Job) -> bool:
        return bool(job.priority) and self._core.queues.find(_request.queue(job.spec)).started

    def _schedule(self, job: Job) -> None:
        if self._may_start(job):
            self._core.scheduler.add(job)
        else:
            self._core.scheduler.remove(job)

    def queues_changed(self) -> None:
        """Take note that queues were started or stopped."""
        for job in list(self._core.active.values()):
            if job.state == _states.SCHED:
                self._schedule(job)

    def allocate(self, job: Job, cores: list[int]) -> None:
        """Give a job what it waited for."""
        core = self._core
        now = time.time()
        duration = float(job.current_spec["attributes"]["system"]["duration"])
        job.expiration = now + duration if duration > 0 else 0.0
        job.cores = cores
        job.resources = _eventlog.compact(
            {
                "version": 1,
                "execution": {
                    "R_lite": [{"rank": "0", "children": {"core": str(IDset(cores))}}],
                    "starttime": now,
                    "expiration": job.expiration,
                    "nslots": job.request.nslots,
                    "nodelist": [core.hostname],
                },
            }
        )
        core.store.put(job.id, "R", job.resources)
        annotations = {"annotations": {"sched": {"resource_summary": summary(cores)}}}
        self.post_volatile(job, "annotations", annotations)
        self.post(job, "alloc", annotations)

    def _clean_up(self, job: Job) -> None:
        if job.cores is not None:
            if job.started and not job.released:
                if job.fatal is not None:
                    self._core.executor.cancel(job)
                return
            self.post(job, "free")
        else:
            self.post(job, "clean")
            self._core.retire(job)


def _submitted(job: Job) -> dict[str, Any]:
    """Return the context of a job's first event."""
    return {"userid": job.userid, "urgency": job.urgency, "flags": job.flags, "version": 1}


def _merge(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Update a dictionary and those within; null removes an entry."""
    for key, value in new.items():
        if value is None:
            old.pop(key, None)
        elif isinstance(value, dict) and isinstance(old.get(key), dict):
            _merge(old[key], value)
        else:
            old[key] = value

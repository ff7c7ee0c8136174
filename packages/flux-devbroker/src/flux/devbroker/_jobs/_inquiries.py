"""What may be asked of ``job-manager``, with no effect on any job."""

from __future__ import annotations

import errno
from typing import Any

from orjson import loads

from flux.constants import FLUX_ROLE_OWNER
from flux.devbroker._jobs import _eventlog, _states
from flux.devbroker._jobs._cores import rlist
from flux.devbroker._jobs._fluid import signed
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._job_service import JobService, job_method
from flux.devbroker._service import USER
from flux.devbroker._unpack import Optional, RequestError, unpack
from flux.message import Message

_MASK = (1 << 64) - 1


class Inquiries(JobService):
    """Answers questions about jobs."""

    def find(self, jobid: int, unknown: int, text: str, inactive: int) -> Job:
        """Return an active job.

        Args:
            jobid: Its id.
            unknown: The errno for an unknown job.
            text: What to say of it.
            inactive: The errno for a job that is inactive.

        Raises:
            RequestError: There is none.
        """
        job = self.core.active.get(jobid & _MASK)
        if job is not None:
            return job
        if jobid & _MASK in self.core.finished:
            raise RequestError(inactive, "job is inactive")
        raise RequestError(unknown, text)

    @job_method("list", USER)
    def list_jobs(self, msg: Message) -> None:
        """Answer with the jobs: pending, other active ones, and those that nobody waited for."""
        limit = unpack(msg, max_entries=int)["max_entries"]
        if limit < 0:
            raise RequestError(errno.EPROTO)
        core = self.core
        active = list(core.active.values())
        pending = [job for job in active if job.state & (_states.PENDING | _states.NEW)]
        pending.sort(key=lambda job: (-(job.priority or 0), job.id))
        running = [job for job in active if job.state & _states.RUNNING]
        jobs = [_summary(job.record()) for job in (*pending, *running)]
        jobs += [_summary(loads(core.finished[jobid])) for jobid in core.unwaited]
        self.handle.respond(msg, {"jobs": jobs[: limit or None]})

    @job_method("getattr", USER)
    def getattr(self, msg: Message) -> None:
        """Answer with a job's jobspec, R or eventlog."""
        fields = unpack(msg, id=int, attrs=list)
        jobid, attrs = fields["id"] & _MASK, fields["attrs"]
        job = self.core.active.get(jobid)
        record = self.core.finished.get(jobid)
        if job is None and record is None:
            raise RequestError(errno.EINVAL, "unknown job")
        userid = job.userid if job is not None else loads(record or b"")["userid"]
        if not msg.rolemask & FLUX_ROLE_OWNER and msg.userid != userid:
            raise RequestError(errno.EPERM, "guests can only access their own jobs")
        for attr in attrs:
            if not isinstance(attr, str):
                raise RequestError(errno.EPROTO, "attribute list contains non-string")
            if attr not in ("jobspec", "R", "eventlog"):
                raise RequestError(errno.ENOENT, f"unknown attr {attr}")
        if job is None:
            self._getattr_finished(msg, jobid, attrs, {})
            return
        answer: dict[str, Any] = {}
        for attr in attrs:
            if attr == "R":
                answer[attr] = job.current_resources
                if answer[attr] is None:
                    raise RequestError(errno.ENOENT, "R is NULL")
            elif attr == "jobspec":
                answer[attr] = job.current_spec
            else:
                answer[attr] = [loads(line) for line in job.log.lines]
        self.handle.respond(msg, answer)

    def _getattr_finished(
        self, msg: Message, jobid: int, attrs: list[str], answer: dict[str, Any]
    ) -> None:
        """Answer from the store, reading one after the other."""
        if not attrs:
            self.handle.respond(msg, answer)
            return
        attr, *rest = attrs

        def got(data: bytes | None, errnum: int) -> None:
            if data is None:
                self.handle.respond_error(msg, errnum, f"{attr} is NULL")
                return
            answer[attr] = _eventlog.decode(data) if attr == "eventlog" else loads(data)
            self._getattr_finished(msg, jobid, rest, answer)

        self.core.store.get(jobid, attr, got)

    @job_method("getinfo", USER)
    def getinfo(self, msg: Message) -> None:
        """Answer with the greatest job id."""
        self.handle.respond(msg, {"max_jobid": signed(self.core.max_jobid)})

    @job_method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with figures."""
        core = self.core
        self.handle.respond(
            msg,
            {
                "journal": {
                    "listeners": len(core.journal.listeners),
                    "events": core.journal.count,
                },
                "active_jobs": len(core.active),
                "inactive_jobs": len(core.finished),
                "max_jobid": signed(core.max_jobid),
                "housekeeping": {
                    "running": {},
                    "config": {"release-after": -1.0, "command": ""},
                },
            },
        )

    @job_method("alloc-query", USER)
    def alloc_query(self, msg: Message) -> None:
        """Answer with how many jobs wait for resources and have them."""
        running = sum(job.cores is not None for job in self.core.active.values())
        answer = {
            "queue_length": self.core.scheduler.waiting(),
            "alloc_pending": 0,
            "running": running,
        }
        self.handle.respond(msg, answer)

    @job_method("resource-status")
    def resource_status(self, msg: Message) -> None:
        """Answer with the resources that jobs have."""
        core = self.core
        allocated = rlist(core.scheduler.cores.allocated(), core.hostname)
        self.handle.respond(msg, {"allocated": allocated})

    @job_method("history.get", USER)
    def history_get(self, msg: Message) -> None:
        """Answer with a slice of all job ids, the newest first."""
        fields = unpack(msg, slice=str, userid=Optional(int))
        core = self.core
        ids = sorted((*core.finished, *core.active), reverse=True)
        try:
            part = _slice(fields["slice"])
        except ValueError:
            raise RequestError(errno.EINVAL, "could not parse slice") from None
        self.handle.respond(msg, {"jobs": [signed(jobid) for jobid in ids[part]]})


def _summary(record: dict[str, Any]) -> dict[str, Any]:
    keys = (
        *("id", "userid", "urgency", "priority", "t_submit", "state"),
        *("annotations", "dependencies"),
    )
    return {key: record[key] for key in keys if record.get(key) not in (None, [])}


def _slice(text: str) -> slice:
    if not text.startswith("[") or not text.endswith("]"):
        raise ValueError("a slice is in brackets")
    parts = [int(part) if part.strip() else None for part in text[1:-1].split(":")]
    if len(parts) == 1:
        start = parts[0]
        if start is None:
            raise ValueError("an empty slice")
        return slice(start, start + 1 or None)
    if len(parts) > 3 or (len(parts) == 3 and parts[2] == 0):
        raise ValueError("not a slice")
    return slice(*parts)

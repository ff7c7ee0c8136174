"""Service ``job-manager``: the jobs' life, and what may be asked of it."""

from __future__ import annotations

import errno
import signal
from typing import TYPE_CHECKING, Any

from orjson import loads

from flux.constants import FLUX_MSGFLAG_STREAMING, FLUX_ROLE_OWNER
from flux.core.handle import Flux
from flux.devbroker._jobs import _states
from flux.devbroker._jobs._core import make_core
from flux.devbroker._jobs._inquiries import Inquiries
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._job_service import job_method
from flux.devbroker._jobs._restart import Restart
from flux.devbroker._jobs._waits import Waits
from flux.devbroker._service import USER, method
from flux.devbroker._unpack import Optional, RequestError, payload_object, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: The id, and the user, that stand for any.
ANY_USER = -1

_UPDATABLE = "attributes.system.duration"


class JobManagerService(Inquiries, Waits):
    """Changes jobs; its bases answer questions about them."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        self.core = make_core(instance, h)
        super().__init__(h, instance)
        self.core.machine.observers.append(self.observe)
        self.core.retired.append(self.retired)
        Restart(self.core).begin()

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self.core.journal.disconnect(msg)
        self.forget(msg)

    # -- the journal

    @method("events-journal")
    def events_journal(self, msg: Message) -> None:
        """Answer with all events, those that have happened and those to come."""
        fields = unpack(
            msg,
            full=Optional(bool, False),
            allow=Optional(object),
            deny=Optional(object),
        )
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(errno.EPROTO, "job-manager.events requires streaming RPC flag")
        payload = payload_object(msg)
        for key in ("allow", "deny"):
            if key in payload and not isinstance(payload[key], dict):
                raise RequestError(errno.EPROTO, f"job-manager.events {key} should be an object")
        allow = set(fields["allow"]) if "allow" in payload else None
        deny = set(fields["deny"] or ())
        full = fields["full"]
        self.core.when_loaded(lambda: self.core.journal.listen(msg, full, allow, deny))

    @method("events-journal-cancel")
    def events_journal_cancel(self, msg: Message) -> None:
        """End a stream of events; never answered."""
        try:
            matchtag = unpack(msg, matchtag=int)["matchtag"]
        except RequestError:
            return
        self.core.journal.cancel(msg, matchtag)

    # -- exceptions

    @job_method("raise", USER)
    def raise_exception(self, msg: Message) -> None:
        """Raise an exception on a job."""
        fields = unpack(
            msg,
            id=int,
            severity=int,
            type=str,
            note=Optional(str, ""),
            wait_status=Optional(int),
        )
        _check_exception(fields)
        job = self.find(fields["id"], errno.ENOENT, "unknown job id", errno.ENOENT)
        _check_user(msg, job, "guests can only raise exceptions on their own jobs")
        self.core.machine.exception(
            job,
            fields["type"],
            fields["severity"],
            fields["note"],
            msg.userid,
            fields["wait_status"],
        )
        self.handle.respond(msg)

    @job_method("raiseall", USER)
    def raise_all(self, msg: Message) -> None:
        """Raise an exception on all jobs of a user that are in certain states."""
        fields = unpack(
            msg,
            dry_run=bool,
            userid=int,
            states=int,
            severity=int,
            type=str,
            note=Optional(str, ""),
        )
        _check_exception(fields)
        jobs = self._select(msg, fields["userid"], fields["states"])
        if not fields["dry_run"]:
            for job in jobs:
                if job.state != _states.INACTIVE:
                    self.core.machine.exception(
                        job, fields["type"], fields["severity"], fields["note"], msg.userid
                    )
        self.handle.respond(msg, {"count": len(jobs), "errors": 0})

    def _select(self, msg: Message, userid: int, states: int) -> list[Job]:
        if not msg.rolemask & FLUX_ROLE_OWNER and userid != msg.userid:
            raise RequestError(errno.EPERM, "guests can only act on their own jobs")
        return [
            job
            for job in self.core.active.values()
            if job.state & states and userid in (ANY_USER, job.userid)
        ]

    # -- signals

    @job_method("kill", USER)
    def kill(self, msg: Message) -> None:
        """Send a signal to a job."""
        fields = unpack(msg, id=int, signum=int)
        _check_signal(fields["signum"])
        job = self.find(fields["id"], errno.EINVAL, "unknown job id", errno.EINVAL)
        _check_user(msg, job, "guests may only send signals to their own jobs")
        if job.state != _states.RUN:
            raise RequestError(errno.EINVAL, "job is not running")
        self._kill(job, fields["signum"])
        self.handle.respond(msg)

    @job_method("killall", USER)
    def kill_all(self, msg: Message) -> None:
        """Send a signal to all running jobs of a user."""
        fields = unpack(msg, dry_run=bool, userid=int, signum=int)
        _check_signal(fields["signum"])
        jobs = self._select(msg, fields["userid"], _states.RUN)
        if not fields["dry_run"]:
            for job in jobs:
                self._kill(job, fields["signum"])
        self.handle.respond(msg, {"count": len(jobs), "errors": 0})

    def _kill(self, job: Job, signum: int) -> None:
        self.core.publish(f"shell-{job.id}.kill", {"signum": signum})
        self.core.executor.signal(job, signum)

    # -- changes

    @job_method("urgency", USER)
    def urgency(self, msg: Message) -> None:
        """Change a job's urgency."""
        fields = unpack(msg, id=int, urgency=int)
        urgency = fields["urgency"]
        if not _states.URGENCY_MIN <= urgency <= _states.URGENCY_MAX:
            raise RequestError(errno.EINVAL, "urgency value is out of range")
        job = self.find(fields["id"], errno.EINVAL, "unknown job", errno.EINVAL)
        _check_user(msg, job, "guests can only reprioritize their own jobs")
        old = job.urgency
        limit = max(_states.URGENCY_DEFAULT, old)
        if urgency > limit and not msg.rolemask & FLUX_ROLE_OWNER:
            raise RequestError(errno.EINVAL, f"guests can only adjust urgency <= {limit}")
        if not job.state & (_states.PENDING | _states.NEW):
            raise RequestError(
                errno.EINVAL, "urgency cannot be changed once resources are allocated"
            )
        if urgency != old:
            context = {"userid": msg.userid, "urgency": urgency}
            self.core.machine.post(job, "urgency", context)
        self.handle.respond(msg, {"old_urgency": old})

    @job_method("memo", USER)
    def memo(self, msg: Message) -> None:
        """Add to the notes on a job."""
        fields = unpack(msg, id=int, memo=object, volatile=Optional(bool, False))
        job = self.find(fields["id"], errno.ENOENT, "unknown job id", errno.ENOENT)
        _check_user(msg, job, "guests can only add a memo to their own jobs")
        if not isinstance(fields["memo"], dict):
            raise RequestError(errno.EINVAL)
        machine = self.core.machine
        if fields["volatile"]:
            machine.post_volatile(job, "memo", fields["memo"])
        else:
            machine.post(job, "memo", fields["memo"])
        self.handle.respond(msg)

    @job_method("update", USER)
    def update(self, msg: Message) -> None:
        """Change a jobspec; of it only the duration can be."""
        fields = unpack(msg, id=int, updates=dict)
        job = self.find(fields["id"], errno.ENOENT, "unknown job id", errno.EINVAL)
        _check_user(msg, job, "guests can only update their own jobs")
        for key, value in fields["updates"].items():
            if key != _UPDATABLE:
                raise RequestError(errno.EINVAL, f"update of {key} not supported")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise RequestError(errno.EINVAL, f"{key} must be a number")
        if job.state == _states.RUN and not msg.rolemask & FLUX_ROLE_OWNER:
            raise RequestError(errno.EPERM, "update of running job requires instance owner")
        machine = self.core.machine
        machine.post(job, "jobspec-update", fields["updates"])
        if job.state == _states.RUN and _UPDATABLE in fields["updates"]:
            duration = float(fields["updates"][_UPDATABLE])
            started = loads(job.resources or b"{}")["execution"]["starttime"]
            expiration = started + duration if duration > 0 else 0.0
            machine.post(job, "resource-update", {"expiration": expiration})
            self.core.executor.update(job)
        self.handle.respond(msg)

    @job_method("post-event.post")
    def post_event(self, msg: Message) -> None:
        """Add an event of the user's own to a job's eventlog."""
        fields = unpack(msg, id=int, name=str, context=Optional(dict))
        job = self.find(fields["id"], errno.ENOENT, "unknown job id", errno.ENOENT)
        name = fields["name"]
        if not name or any(char in name for char in " \n="):
            raise RequestError(errno.EINVAL, f"invalid event name: '{name}'")
        if name in EVENTS:
            raise RequestError(errno.EINVAL, f"'{name}' is an event of the job manager")
        self.core.machine.post(job, name, fields["context"])
        self.handle.respond(msg)

    @job_method("purge")
    def purge(self, msg: Message) -> None:
        """Forget inactive jobs: the oldest, beyond a number or an age."""
        fields = unpack(msg, age_limit=float, num_limit=int, batch=int, force=bool)
        core = self.core
        ids = [jobid for jobid in core.finished if jobid not in core.unwaited]
        count = 0
        if fields["num_limit"] >= 0:
            count = max(0, len(ids) - fields["num_limit"])
        if fields["age_limit"] >= 0:
            limit = core.now() - fields["age_limit"]
            old = [jobid for jobid in ids if loads(core.finished[jobid])["t_inactive"] < limit]
            count = max(count, len(old))
        count = min(count, max(0, fields["batch"]))
        if fields["force"]:
            for jobid in ids[:count]:
                core.purge(jobid)
        self.handle.respond(msg, {"count": count})

    # -- queues

    @method("queue-list", USER)
    def queue_list(self, msg: Message) -> None:
        """Answer with the names of the queues; none if there is only the anonymous one."""
        self.handle.respond(msg, {"queues": self.core.queues.names})

    @method("queue-status", USER)
    def queue_status(self, msg: Message) -> None:
        """Answer with a queue's state."""
        name = unpack(msg, name=Optional(str))["name"]
        try:
            self.handle.respond(msg, self.core.queues.find(name).status())
        except ValueError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None

    @method("queue-enable")
    def queue_enable(self, msg: Message) -> None:
        """Begin or cease to take jobs."""
        fields = unpack(
            msg,
            name=Optional(str),
            enable=bool,
            reason=Optional(str),
            all=Optional(bool, False),
        )
        try:
            queues = self.core.queues.select(fields["name"], fields["all"])
        except ValueError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None
        for queue in queues:
            queue.enabled = fields["enable"]
            queue.disable_reason = fields["reason"]
        self.handle.respond(msg)

    @method("queue-start")
    def queue_start(self, msg: Message) -> None:
        """Begin or cease to give resources to jobs."""
        fields = unpack(
            msg,
            name=Optional(str),
            start=bool,
            reason=Optional(str),
            all=Optional(bool, False),
            nocheckpoint=Optional(bool, False),
        )
        try:
            queues = self.core.queues.select(fields["name"], fields["all"])
        except ValueError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None
        for queue in queues:
            queue.started = fields["start"]
            queue.stop_reason = fields["reason"]
        self.core.machine.queues_changed()
        self.handle.respond(msg)


#: Names of events that only the job manager posts.
EVENTS = frozenset(
    (
        *("submit", "validate", "invalidate", "depend", "priority", "urgency", "alloc", "start"),
        *("finish", "release", "free", "clean", "exception", "memo", "jobspec-update"),
        *("resource-update", "flux-restart", "annotations", "set-flags"),
        *("dependency-add", "dependency-remove", "prolog-start", "prolog-finish"),
        *("epilog-start", "epilog-finish"),
    )
)


def _check_user(msg: Message, job: Job, text: str) -> None:
    if not msg.rolemask & FLUX_ROLE_OWNER and msg.userid != job.userid:
        raise RequestError(errno.EPERM, text)


def _check_exception(fields: dict[str, Any]) -> None:
    if fields["severity"] not in _states.SEVERITIES:
        raise RequestError(errno.EPROTO, "invalid exception severity")
    kind = fields["type"]
    if not kind or "=" in kind or any(char.isspace() for char in kind):
        raise RequestError(errno.EPROTO, "invalid exception type")


def _check_signal(signum: int) -> None:
    if not 1 <= signum < signal.NSIG:
        raise RequestError(errno.EINVAL, "Invalid signal number")

"""``job-manager.wait``, ``drain`` and ``idle``: requests that are answered when jobs end."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flux.devbroker._jobs import _states
from flux.devbroker._jobs._fluid import signed
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._job_service import JobService, job_method
from flux.devbroker._service import may_end, same_sender
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.devbroker._instance import Instance

_ANY = -1
_MASK = (1 << 64) - 1


class Waits(JobService):
    """Answers when jobs end."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._waiting: dict[int, Message] = {}
        self._waiting_any: list[Message] = []
        self._drains: list[Message] = []
        self._idles: list[Message] = []
        # How many active jobs may be waited for.
        self._waitable = 0

    def observe(self, job: Job, name: str) -> None:
        """Observe events."""
        if name == "submit" and job.waitable:
            self._waitable += 1

    def retired(self, job: Job) -> None:
        """Take note that a job is inactive."""
        if job.waitable:
            self._waitable -= 1
            msg = self._waiting.pop(job.id, None)
            if msg is None and self._waiting_any:
                msg = self._waiting_any.pop(0)
            if msg is not None:
                self._respond(msg, job.id)
        if self._drains or self._idles:
            self._check_quiet()

    # -- wait

    @job_method("wait")
    def wait(self, msg: Message) -> None:
        """Answer with how a waitable job ended, once it has."""
        core = self.core
        try:
            jobid = unpack(msg, id=int)["id"]
        except RequestError:
            raise RequestError(errno.EPROTO, "malformed wait request") from None
        if jobid == _ANY:
            if core.unwaited:
                self._respond(msg, next(iter(core.unwaited)))
                return
            if self._waitable <= len(self._waiting) + len(self._waiting_any):
                raise RequestError(errno.ECHILD, "there are no more waitable jobs")
            self._waiting_any.append(msg)
            return
        jobid &= _MASK
        if jobid in core.unwaited:
            self._respond(msg, jobid)
            return
        job = core.active.get(jobid)
        if job is None:
            raise RequestError(
                errno.ECHILD, "invalid job id, or job may be inactive and not waitable"
            )
        if not job.waitable:
            raise RequestError(errno.ECHILD, "job was not submitted with FLUX_JOB_WAITABLE")
        if jobid in self._waiting:
            raise RequestError(errno.ECHILD, "job id already has a waiter")
        self._waiting[jobid] = msg

    def _respond(self, msg: Message, jobid: int) -> None:
        text = self.core.unwaited.pop(jobid)
        self.handle.respond(msg, {"id": signed(jobid), "success": not text, "errstr": text})

    # -- drain and idle

    @job_method("drain")
    def drain(self, msg: Message) -> None:
        """Answer once no job is active."""
        no_payload(msg)
        self._drains.append(msg)
        self._check_quiet()

    @job_method("idle")
    def idle(self, msg: Message) -> None:
        """Answer, with how many jobs are pending, once none has resources."""
        no_payload(msg)
        self._idles.append(msg)
        self._check_quiet()

    def _check_quiet(self) -> None:
        jobs = self.core.active.values()
        if not any(job.state & _states.RUNNING for job in jobs):
            idles, self._idles = self._idles, []
            for msg in idles:
                self.handle.respond(msg, {"pending": len(jobs)})
        if not jobs:
            drains, self._drains = self._drains, []
            for msg in drains:
                self.handle.respond(msg)

    def forget(self, notice: Message) -> None:
        """Drop the requests of a client that is gone."""

        def gone(msg: Message) -> bool:
            return same_sender(msg, notice) and may_end(msg, notice)

        self._waiting = {key: msg for key, msg in self._waiting.items() if not gone(msg)}
        for requests in (self._waiting_any, self._drains, self._idles):
            requests[:] = [msg for msg in requests if not gone(msg)]

"""Service ``job-ingest``: checks jobs that are submitted and gives them their ids."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from orjson import JSONDecodeError, loads

from flux.constants import FLUX_ROLE_OWNER
from flux.core.handle import Flux
from flux.devbroker._jobs import _request, _sign, _states
from flux.devbroker._jobs._core import core_of
from flux.devbroker._jobs._defaults import Defaults
from flux.devbroker._jobs._dependencies import DependencyError
from flux.devbroker._jobs._job import Job
from flux.devbroker._jobs._jobspec import JobspecError, validate
from flux.devbroker._service import USER, Service, method
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: Longest jobspec in bytes.
MAX_JOBSPEC = 16 * 1024 * 1024

_FLAGS = _states.FLAG_DEBUG | _states.FLAG_WAITABLE | _states.FLAG_NOVALIDATE


class JobIngestService(Service):
    """Takes jobs."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)
        self._defaults = Defaults(instance.config)
        self._validated = 0
        self._rejected = 0

    @method("submit", USER)
    def submit(self, msg: Message) -> None:
        """Take a job, and answer with its id once it is stored."""
        if not self._core.ready:
            self._core.when_ready(lambda: self._submit_later(msg))
            return
        job, signed, dependencies = self._check(msg)
        core = self._core
        core.machine.submit(job, signed, dependencies)
        answer = {"id": job.id}
        core.store.append(job.id, "eventlog", b"", lambda: self._answer(msg, answer))

    def _submit_later(self, msg: Message) -> None:
        # Decorated, so that it answers with what it raises.
        self.submit(msg)

    def _answer(self, msg: Message, answer: dict[str, Any]) -> None:
        self.handle.respond(msg, answer)

    def _check(self, msg: Message) -> tuple[Job, bytes, list[str]]:
        try:
            fields = unpack(msg, J=str, urgency=int, flags=int)
        except RequestError:
            raise RequestError(errno.EPROTO, "error decoding job request: Protocol error") from None
        urgency, flags = fields["urgency"], fields["flags"]
        owner = bool(msg.rolemask & FLUX_ROLE_OWNER)
        if flags & ~_FLAGS:
            raise RequestError(errno.EPROTO, "invalid job flags")
        if flags & _states.FLAG_NOVALIDATE and not owner:
            raise RequestError(
                errno.EPERM, "only the instance owner can submit with FLUX_JOB_NOVALIDATE"
            )
        if not _states.URGENCY_MIN <= urgency <= _states.URGENCY_MAX:
            raise RequestError(errno.EINVAL, "urgency range is [0:31]")
        if urgency > _states.URGENCY_DEFAULT and not owner:
            raise RequestError(errno.EINVAL, "only the instance owner can submit with urgency >16")
        if flags & _states.FLAG_WAITABLE and not owner:
            raise RequestError(
                errno.EINVAL, "only the instance owner can submit with FLUX_JOB_WAITABLE"
            )
        payload = self._unwrap(fields["J"], msg.userid, owner)
        spec = self._parse(payload, bool(flags & _states.FLAG_NOVALIDATE))
        core = self._core
        try:
            core.queues.check(_request.queue(spec))
            job = Job(core.generator.new(), msg.userid, urgency, flags, spec, payload)
        except ValueError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None
        try:
            dependencies = core.dependencies.describe(spec, msg.userid)
        except DependencyError as exc:
            core.machine.reject(job)
            raise RequestError(errno.EINVAL, str(exc)) from None
        return job, fields["J"].encode(), dependencies

    @staticmethod
    def _unwrap(text: str, userid: int, owner: bool) -> bytes:
        if len(text) > MAX_JOBSPEC * 4 // 3 + 1024:
            raise RequestError(
                errno.EFBIG, f"jobspec is too large: {MAX_JOBSPEC} bytes is the limit"
            )
        try:
            signer, payload = _sign.unwrap(text)
        except ValueError:
            raise RequestError(errno.EINVAL, "could not unwrap jobspec: Invalid argument") from None
        if signer != userid:
            raise RequestError(errno.EPERM, f"signer={signer} != requestor={userid}")
        if not owner:
            raise RequestError(errno.EPERM, "only instance owner can use sign-type=none")
        return payload

    def _parse(self, payload: bytes, novalidate: bool) -> dict[str, Any]:
        try:
            spec = loads(payload)
        except JSONDecodeError as exc:
            start = payload[:64].decode("utf-8", "replace").split()
            if payload.lstrip()[:1] not in (b"{", b"["):
                near = f"near '{start[0]}'" if start else "near end of file"
                text = f"'[' or '{{' expected {near}"
            else:
                text = str(exc)
            raise RequestError(errno.EINVAL, f"jobspec: invalid JSON: {text}") from None
        if not isinstance(spec, dict):
            raise RequestError(errno.EPROTO, "Unrecoverable error: worker unexpectedly exited")
        if novalidate and "attributes" not in spec:
            raise RequestError(
                errno.EINVAL,
                "failed to unpack duration: Object item not found: attributes",
            )
        # Also where it is not asked for: the other services rely on it.
        self._validated += not novalidate
        try:
            validate(spec)
            self._defaults.apply(spec)
        except JobspecError as exc:
            self._rejected += 1
            raise RequestError(errno.EPERM, str(exc)) from None
        return spec

    @method("getinfo")
    def getinfo(self, msg: Message) -> None:
        """Answer with the time as ids have it."""
        no_payload(msg)
        self.handle.respond(msg, {"timestamp": self._core.generator.timestamp()})

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with how many jobs were taken and rejected."""
        no_payload(msg)
        stats = {"running": 0, "requests": 0, "errors": 0, "trash": 0, "backlog": 0, "pids": []}
        validator = {
            **stats,
            "running": 1,
            "requests": self._validated,
            "errors": self._rejected,
        }
        self.handle.respond(msg, {"pipeline": {"frobnicator": stats, "validator": validator}})

"""Service ``job-info``: what is stored of jobs, and eventlogs as they are written."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from orjson import dumps, loads

from flux.constants import FLUX_MSGFLAG_STREAMING, FLUX_ROLE_OWNER
from flux.core.handle import Flux
from flux.devbroker._jobs import _eventlog
from flux.devbroker._jobs._core import core_of
from flux.devbroker._jobs._watch import SENTINEL, WAITCREATE, Stream, Streams, Updates
from flux.devbroker._service import USER, Service, method
from flux.devbroker._unpack import RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

_DECODE, _CURRENT = 1, 2
_MASK = (1 << 64) - 1

_UPDATES = {"jobspec": "jobspec-update", "R": "resource-update"}


class JobInfoService(Service):
    """Answers with jobs' records."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)
        self._streams = Streams(h, self._core)
        self._updates = Updates(h, self._core)

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._streams.disconnect(msg)
        self._updates.disconnect(msg)

    def _owner(self, jobid: int) -> int | None:
        """Return who submitted a job, or None if there is no such job."""
        job = self._core.active.get(jobid)
        if job is not None:
            return job.userid
        record = self._core.finished.get(jobid)
        return None if record is None else int(loads(record)["userid"])

    def _authorize(self, msg: Message, jobid: int, unknown: str | None, other: str | None) -> None:
        owner = self._owner(jobid)
        if owner is None:
            raise RequestError(errno.ENOENT, unknown)
        if not msg.rolemask & FLUX_ROLE_OWNER and msg.userid != owner:
            raise RequestError(errno.EPERM, other)

    # -- lookup

    @method("lookup", USER)
    def lookup(self, msg: Message) -> None:
        """Answer with values from a job's directory."""
        fields = unpack(msg, id=int, keys=list, flags=int)
        keys, flags = fields["keys"], fields["flags"]
        if not all(isinstance(key, str) for key in keys):
            raise RequestError(errno.EPROTO)
        if flags & ~(_DECODE | _CURRENT):
            raise RequestError(errno.EPROTO, "lookup request rejected with invalid flag")
        jobid = fields["id"] & _MASK
        if self._owner(jobid) is None and not self._core.loaded:
            self._core.when_loaded(lambda: self.lookup(msg))
            return
        self._authorize(msg, jobid, "invalid job id", "access is restricted to job/instance owner")
        self._read(msg, jobid, keys, flags, {"id": fields["id"]})

    def _read(
        self, msg: Message, jobid: int, keys: list[str], flags: int, answer: dict[str, Any]
    ) -> None:
        """Read one key after the other, then answer."""
        if not keys:
            self.handle.respond(msg, answer)
            return
        key, *rest = keys

        def take(value: Any) -> None:
            answer[key] = value
            self._read(msg, jobid, rest, flags, answer)

        def got(data: bytes | None, errnum: int) -> None:
            if data is None:
                text = "key not found" if errnum == errno.ENOENT else os.strerror(errnum)
                self.handle.respond_error(msg, errnum, f"{key}: {text}")
            elif not data:
                self.handle.respond_error(msg, errno.EPROTO, f"{key}: value is unexpectedly empty")
            elif flags & _CURRENT and key in _UPDATES:
                self._update(jobid, key, loads(data), lambda value: take(encode(value)))
            elif flags & _DECODE and key in _UPDATES:
                take(loads(data))
            else:
                take(data.decode("utf-8", "replace"))

        def encode(value: Any) -> Any:
            return value if flags & _DECODE else dumps(value).decode()

        self._core.store.get(jobid, key, got)

    def _update(self, jobid: int, key: str, value: dict[str, Any], take: Any) -> None:
        """Apply to a jobspec or R what was updated of it since."""

        def got(data: bytes | None, _errnum: int) -> None:
            for event in _eventlog.decode(data or b""):
                if event["name"] == _UPDATES[key]:
                    for path, new in event["context"].items():
                        path = path if key == "jobspec" else f"execution.{path}"
                        _set(value, path, new)
            take(value)

        self._core.store.get(jobid, "eventlog", got)

    @method("update-lookup", USER)
    def update_lookup(self, msg: Message) -> None:
        """Answer with a job's R as it is now."""
        fields = unpack(msg, id=int, key=str, flags=int)
        if fields["key"] != "R":
            raise RequestError(errno.EINVAL, "update-lookup unsupported key specified")
        if fields["flags"]:
            raise RequestError(errno.EPROTO, "update-lookup request rejected with invalid flag")
        jobid = fields["id"] & _MASK
        self._authorize(msg, jobid, None, None)
        self._read(msg, jobid, ["R"], _DECODE | _CURRENT, {"id": fields["id"]})

    # -- streams

    @method("eventlog-watch", USER)
    def eventlog_watch(self, msg: Message) -> None:
        """Answer with the events of an eventlog, those in it and those to come."""
        fields = unpack(msg, id=int, path=str, flags=int)
        if fields["flags"] & ~(WAITCREATE | SENTINEL):
            raise RequestError(errno.EPROTO, "eventlog-watch request rejected with invalid flag")
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(
                errno.EPROTO, "eventlog-watch request rejected without streaming RPC flag"
            )
        jobid = fields["id"] & _MASK
        if self._owner(jobid) is None:
            if not self._core.loaded:
                self._core.when_loaded(lambda: self.eventlog_watch(msg))
                return
            if fields["flags"] & WAITCREATE and fields["path"] == "eventlog":
                self._streams.add(Stream(msg, jobid, fields["path"], fields["flags"]))
                return
        self._authorize(msg, jobid, None, None)
        self._streams.add(Stream(msg, jobid, fields["path"], fields["flags"]))

    @method("eventlog-watch-cancel", USER)
    def eventlog_watch_cancel(self, msg: Message) -> None:
        """End a stream; never answered."""
        try:
            self._streams.cancel(msg, unpack(msg, matchtag=int)["matchtag"])
        except RequestError:
            pass

    @method("update-watch", USER)
    def update_watch(self, msg: Message) -> None:
        """Answer with a job's R or jobspec now and after each change."""
        fields = unpack(msg, id=int, key=str, flags=int)
        if fields["flags"]:
            raise RequestError(errno.EPROTO, "update-watch request rejected with invalid flag")
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(
                errno.EPROTO, "update-watch request rejected without streaming RPC flag"
            )
        key, jobid = fields["key"], fields["id"] & _MASK
        if key not in _UPDATES:
            raise RequestError(errno.EINVAL, "update-watch unsupported key specified")
        self._authorize(msg, jobid, None, None)
        job = self._core.active.get(jobid)
        if job is not None:
            self._updates.add(msg, job, key)
            return

        def got(data: bytes | None, errnum: int) -> None:
            if data is None:
                self.handle.respond_error(msg, errnum)
            else:
                self._update(jobid, key, loads(data), send)

        def send(value: Any) -> None:
            self.handle.respond(msg, {key: value})
            self.handle.respond_error(msg, errno.ENODATA)

        self._core.store.get(jobid, key, got)

    @method("update-watch-cancel", USER)
    def update_watch_cancel(self, msg: Message) -> None:
        """End a stream; never answered."""
        try:
            self._updates.cancel(msg, unpack(msg, matchtag=int)["matchtag"])
        except RequestError:
            pass

    @method("stats-get", USER)
    def stats_get(self, msg: Message) -> None:
        """Answer with figures."""
        no_payload(msg)
        self.handle.respond(
            msg,
            {
                "lookups": 0,
                "watchers": self._streams.count(),
                "guest_watchers": self._streams.count("guest."),
                "update_lookups": 0,
                "update_watchers": self._updates.count(),
            },
        )


def _set(value: dict[str, Any], path: str, new: Any) -> None:
    """Set what is at a dotted path within an object."""
    *parents, last = path.split(".")
    for key in parents:
        value = value.setdefault(key, {})
    value[last] = new

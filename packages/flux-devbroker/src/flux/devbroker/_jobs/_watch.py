"""Streams of ``job-info``: eventlogs as they are written, and updates of R and jobspec."""

from __future__ import annotations

import errno
from itertools import islice
from typing import TYPE_CHECKING

from flux.core.handle import Flux
from flux.devbroker._jobs import _states
from flux.devbroker._jobs._eventlog import Log, as_payload
from flux.devbroker._jobs._job import Job
from flux.devbroker._service import may_end, same_sender
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core

#: Flags of a request: wait for the log to be there; tell when the events that it had are sent.
WAITCREATE, SENTINEL = 1, 2

_GUEST = "guest."
_DIRECTORIES = ("", "guest", _GUEST)


class Stream:
    """One request to watch an eventlog; also a `Watcher` of the log.

    Attributes:
        msg: The request.
        jobid: The job.
        path: The log's key within the job's directory.
        position: How many events were sent.
        parts: How many of the store's parts were read.
        log: The log that it watches, if it does already.
        ended: Whether nothing more may be sent.
    """

    def __init__(self, msg: Message, jobid: int, path: str, flags: int) -> None:
        self.msg = msg
        self.jobid = jobid
        self.path = path
        self.flags = flags
        self.position = 0
        self.parts = 0
        self.log: Log | None = None
        self.ended = False
        self._streams: Streams

    def begin(self, streams: Streams) -> None:
        """Take note of whom it is one of."""
        self._streams = streams

    def line(self, payload: bytes) -> None:
        """Send an event."""
        self._streams.handle.respond(self.msg, payload)

    def end(self, errnum: int) -> None:
        """Send the end."""
        self._streams.end(self, errnum)


class Streams:
    """All requests to watch eventlogs.

    Args:
        handle: The handle to respond on.
        core: The jobs.
    """

    def __init__(self, handle: Flux, core: Core) -> None:
        self.handle = handle
        self._core = core
        self._streams: dict[tuple[str | None, int], Stream] = {}
        # Those that wait for something to happen to a job.
        self._waiting: dict[int, list[Stream]] = {}
        core.machine.observers.append(self._observe)
        core.retired.append(lambda job: self._retry(job.id))

    def count(self, prefix: str = "") -> int:
        """Return how many watch a path that begins with something."""
        return sum(stream.path.startswith(prefix) for stream in self._streams.values())

    def add(self, stream: Stream) -> None:
        """Take a request."""
        msg = stream.msg
        self._streams[msg.route_first(), msg.matchtag] = stream
        stream.begin(self)
        self._find(stream)

    # -- finding the log

    def _find(self, stream: Stream) -> None:
        path = stream.path
        if path in _DIRECTORIES:
            self.end(stream, errno.EISDIR)
            return
        job = self._core.active.get(stream.jobid)
        if job is not None:
            if stream.msg.userid not in (job.userid, self._core.owner):
                # Asked for before there was such a job.
                self.end(stream, errno.EPERM)
                return
            self._find_active(stream, job)
        elif stream.jobid not in self._core.finished:
            self._wait(stream)
        elif path.startswith(_GUEST) and b'"t_run":' not in self._core.finished[stream.jobid]:
            # It never ran.
            self.end(stream, errno.ENODATA)
        else:
            self._read_all(stream)

    def _find_active(self, stream: Stream, job: Job) -> None:
        path = stream.path
        if path == "eventlog":
            self._follow(stream, job.log)
        elif path.startswith(_GUEST):
            log = job.guest.get(path[len(_GUEST) :])
            if log is not None:
                self._follow(stream, log)
            elif not job.started or stream.flags & WAITCREATE:
                self._wait(stream)
            else:
                self.end(stream, errno.ENOENT)
        else:
            self._read_all(stream)

    def _wait(self, stream: Stream) -> None:
        self._waiting.setdefault(stream.jobid, []).append(stream)

    def _observe(self, job: Job, name: str) -> None:
        if name == "submit":
            self._retry(job.id)
        elif name == "start" and job.id in self._waiting:
            # The logs are made right after this.
            self._core.later(0.0, lambda: self._retry(job.id))

    def _retry(self, jobid: int) -> None:
        for stream in self._waiting.pop(jobid, ()):
            if not stream.ended:
                self._find(stream)

    # -- sending it

    def _follow(self, stream: Stream, log: Log) -> None:
        """Send what a log has, and have it send what is to come."""
        if stream.position < log.first:
            self._catch_up(stream, log)
            return
        for line in tuple(islice(log.lines, stream.position - log.first, None)):
            stream.line(as_payload(line))
        self._initial_sent(stream)
        if log.ended:
            self.end(stream, errno.ENODATA)
        else:
            stream.log = log
            log.watchers.append(stream)

    def _catch_up(self, stream: Stream, log: Log) -> None:
        """Send from the store what a log has dropped, then look again."""
        before = stream.position

        def end(errnum: int) -> None:
            if errnum or stream.position == before:
                self.end(stream, errnum or errno.EIO)
            else:
                self._follow(stream, log)

        def part(data: bytes) -> bool:
            if stream.ended:
                return False
            self._send(stream, data)
            stream.parts += 1
            return True

        self._core.store.stream(stream.jobid, stream.path, stream.parts, part, end)

    def _read_all(self, stream: Stream) -> None:
        """Send all that the store has; of an inactive job there will not be more."""

        def part(data: bytes) -> bool:
            if not stream.ended:
                self._send(stream, data)
            return not stream.ended

        def end(errnum: int) -> None:
            if (
                errnum == errno.ENOENT
                and stream.jobid in self._core.active
                and (stream.flags & WAITCREATE)
            ):
                self._wait(stream)
            elif errnum == errno.ENOENT and stream.path == "guest.exec.eventlog":
                # It was given resources but never started.
                self.end(stream, errno.ENODATA)
            elif errnum:
                self.end(stream, errnum)
            elif stream.path == "eventlog" or stream.path.startswith(_GUEST):
                self._initial_sent(stream)
                self.end(stream, errno.ENODATA)
            # What is no eventlog, as far as is known, has no end.

        self._core.store.stream(stream.jobid, stream.path, 0, part, end)

    @staticmethod
    def _send(stream: Stream, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        if rest:
            # Not an eventlog.
            return
        for line in lines:
            stream.line(as_payload(line + b"\n"))
        stream.position += len(lines)

    def _initial_sent(self, stream: Stream) -> None:
        if stream.flags & SENTINEL:
            self.handle.respond(stream.msg)

    # -- the end

    def end(self, stream: Stream, errnum: int) -> None:
        """End a stream."""
        if not stream.ended:
            self._drop(stream)
            self.handle.respond_error(stream.msg, errnum)

    def _drop(self, stream: Stream) -> None:
        stream.ended = True
        msg = stream.msg
        self._streams.pop((msg.route_first(), msg.matchtag), None)
        if stream.log is not None and stream in stream.log.watchers:
            stream.log.watchers.remove(stream)
        waiting = self._waiting.get(stream.jobid)
        if waiting is not None and stream in waiting:
            waiting.remove(stream)
            if not waiting:
                del self._waiting[stream.jobid]

    def cancel(self, request: Message, matchtag: int) -> None:
        """End the stream that its sender wants to end."""
        stream = self._streams.get((request.route_first(), matchtag))
        if stream is not None and may_end(stream.msg, request):
            self.end(stream, errno.ENODATA)

    def disconnect(self, notice: Message) -> None:
        """Forget the streams of a client that is gone."""
        for stream in tuple(self._streams.values()):
            if same_sender(stream.msg, notice) and may_end(stream.msg, notice):
                self._drop(stream)


class Updates:
    """All requests to watch R or jobspec of active jobs.

    Args:
        handle: The handle to respond on.
        core: The jobs.
    """

    def __init__(self, handle: Flux, core: Core) -> None:
        self._handle = handle
        self._watching: list[tuple[Message, Job, str]] = []
        core.machine.observers.append(self._observe)

    def count(self) -> int:
        """Return how many there are."""
        return len(self._watching)

    def add(self, msg: Message, job: Job, key: str) -> None:
        """Take a request."""
        self._watching.append((msg, job, key))
        if key == "jobspec" or job.resources is not None:
            self._send(msg, job, key)

    def _send(self, msg: Message, job: Job, key: str) -> None:
        value = job.current_spec if key == "jobspec" else job.current_resources
        self._handle.respond(msg, {key: value})

    def _observe(self, job: Job, name: str) -> None:
        if not self._watching:
            return
        if job.state == _states.INACTIVE:
            for entry in [entry for entry in self._watching if entry[1] is job]:
                self._watching.remove(entry)
                self._handle.respond_error(entry[0], errno.ENODATA)
            return
        wanted = {"jobspec-update": "jobspec", "resource-update": "R", "alloc": "R"}.get(name)
        for msg, other, key in self._watching:
            if other is job and key == wanted:
                self._send(msg, job, key)

    def cancel(self, request: Message, matchtag: int) -> None:
        """End the stream that its sender wants to end."""
        for entry in self._watching:
            msg = entry[0]
            if msg.matchtag == matchtag and same_sender(msg, request) and may_end(msg, request):
                self._watching.remove(entry)
                self._handle.respond_error(msg, errno.ENODATA)
                return

    def disconnect(self, notice: Message) -> None:
        """Forget the streams of a client that is gone."""
        self._watching = [
            entry
            for entry in self._watching
            if not (same_sender(entry[0], notice) and may_end(entry[0], notice))
        ]

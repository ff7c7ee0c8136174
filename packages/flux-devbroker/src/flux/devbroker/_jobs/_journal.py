"""``job-manager.events-journal``: every event of every job, to those who listen."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Callable

from orjson import loads

from flux.core.handle import Flux
from flux.devbroker._jobs._fluid import signed
from flux.devbroker._service import may_end, same_sender
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core
    from flux.devbroker._jobs._job import Job

#: Ends the backlog.
SENTINEL = b'{"id":-1,"events":[]}'

#: Finished jobs that are read from the store at a time, for a backlog.
READ_AHEAD = 8


class Listener:
    """One request for the journal.

    Attributes:
        msg: The request.
        held: Events that came while the backlog was still sent; None after that.
        ended: Whether it wants no more.
    """

    def __init__(self, msg: Message, allow: set[str] | None, deny: set[str]) -> None:
        self.msg = msg
        self.allow = allow
        self.deny = deny
        self.held: list[bytes] | None = []
        self.ended = False

    def wants(self, name: str) -> bool:
        """Return True if events of a name are asked for."""
        return (self.allow is None or name in self.allow) and name not in self.deny

    def select(self, lines: list[bytes]) -> list[bytes]:
        """Return the events, of those of a job, that are asked for."""
        if self.allow is None and not self.deny:
            return lines
        return [line for line in lines if self.wants(loads(line)["name"])]


def response(jobid: int, lines: list[bytes], spec: bytes | None, resources: bytes | None) -> bytes:
    """Return a response, put together from text that is JSON already."""
    parts = [
        b'{"id":%d,"events":[' % signed(jobid),
        b",".join(line.rstrip() for line in lines),
        b"]",
    ]
    if spec is not None:
        parts += (b',"jobspec":', spec)
    if resources is not None:
        parts += (b',"R":', resources)
    parts.append(b"}")
    return b"".join(parts)


class Journal:
    """Knows who listens.

    Args:
        handle: The handle to respond on.
        core: The jobs.

    Attributes:
        listeners: Who listens.
        count: How many events there were.
    """

    def __init__(self, handle: Flux, core: Core) -> None:
        self._handle = handle
        self._core = core
        self.listeners: list[Listener] = []
        self.count = 0

    def publish(self, job: Job, name: str, line: bytes) -> None:
        """Pass an event on."""
        self.count += 1
        if not self.listeners:
            return
        payload = response(
            job.id,
            [line],
            job.spec_text if name == "submit" else None,
            job.resources if name == "alloc" else None,
        )
        for listener in self.listeners:
            if listener.wants(name):
                if listener.held is not None:
                    listener.held.append(payload)
                else:
                    self._handle.respond(listener.msg, payload)

    # -- the backlog

    def listen(self, msg: Message, full: bool, allow: set[str] | None, deny: set[str]) -> None:
        """Take a request: send the backlog, the sentinel, and from then on what comes."""
        listener = Listener(msg, allow, deny)
        self.listeners.append(listener)
        # As they are now; what happens from here on is held back.
        active = [
            response(job.id, listener.select(list(job.log.lines)), job.spec_text, job.resources)
            for job in self._core.active.values()
        ]
        if full and self._core.finished:
            _Backlog(self._core, listener, lambda data: self._send(listener, data), active).start()
        else:
            self._send(listener, active)

    def _send(self, listener: Listener, active: list[bytes]) -> None:
        """Send the end of a backlog."""
        if listener.ended:
            return
        held, listener.held = listener.held or [], None
        for payload in (*active, SENTINEL, *held):
            self._handle.respond(listener.msg, payload)

    # -- the end

    def cancel(self, request: Message, matchtag: int) -> None:
        """End the stream that its sender wants to end."""
        for listener in self.listeners:
            msg = listener.msg
            if msg.matchtag == matchtag and same_sender(msg, request) and may_end(msg, request):
                self._drop(listener)
                self._handle.respond_error(msg, errno.ENODATA)
                return

    def disconnect(self, notice: Message) -> None:
        """Forget the streams of a client that is gone."""
        for listener in tuple(self.listeners):
            if same_sender(listener.msg, notice) and may_end(listener.msg, notice):
                self._drop(listener)

    def _drop(self, listener: Listener) -> None:
        listener.ended = True
        self.listeners.remove(listener)


class _Backlog:
    """Sends what the store has of the finished jobs, in the order in which they finished."""

    def __init__(
        self,
        core: Core,
        listener: Listener,
        done: Callable[[list[bytes]], None],
        active: list[bytes],
    ) -> None:
        self._core = core
        self._listener = listener
        self._done = done
        self._active = active
        self._ids = iter(list(core.finished))
        self._reading: list[_Finished] = []

    def start(self) -> None:
        """Begin to read."""
        for _ in range(READ_AHEAD):
            self._read()
        if not self._reading:
            self._done(self._active)

    def _read(self) -> None:
        jobid = next(self._ids, None)
        if jobid is not None:
            finished = _Finished(jobid, self._progress)
            self._reading.append(finished)
            finished.read(self._core)

    def _progress(self) -> None:
        """Send the first ones that are complete, and read on."""
        if self._listener.ended:
            return
        while self._reading and self._reading[0].missing == 0:
            job = self._reading.pop(0)
            log = job.parts.get("eventlog")
            if log is not None:
                lines = self._listener.select(log.splitlines())
                payload = response(job.id, lines, job.parts.get("jobspec"), job.parts.get("R"))
                self._core.manager.respond(self._listener.msg, payload)
            self._read()
            if not self._reading:
                self._done(self._active)


class _Finished:
    """What is read of one finished job."""

    def __init__(self, jobid: int, progress: Callable[[], None]) -> None:
        self.id = jobid
        self.parts: dict[str, bytes] = {}
        self.missing = 3
        self._progress = progress

    def read(self, core: Core) -> None:
        for key in ("eventlog", "jobspec", "R"):
            core.store.get(self.id, key, self._take(key))

    def _take(self, key: str) -> Callable[[Any, int], None]:
        def take(data: bytes | None, _errnum: int) -> None:
            if data is not None:
                self.parts[key] = data
            self.missing -= 1
            if not self.missing:
                self._progress()

        return take

"""Taking up the jobs of an earlier run of the broker, from the KVS."""

from __future__ import annotations

import syslog
from collections import deque
from typing import TYPE_CHECKING, Any

from orjson import loads

from flux.devbroker._jobs import _eventlog, _sign, _states
from flux.devbroker._jobs._job import Job

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core

#: Jobs that are read at a time.
AT_A_TIME = 8

_KEYS = ("eventlog", "jobspec", "R", "J")
#: Levels of directories that an id's groups of digits make.
_LEVELS = 4


class Restart:
    """Reads all jobs; new ones can be submitted as soon as the ids are known.

    Args:
        core: The jobs.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._directories: deque[str] = deque()
        self._ids: list[int] = []
        self._next: deque[int] = deque()
        self._reading = 0
        self._finished: list[tuple[float, int, bytes, int]] = []
        self._active: list[Job] = []

    def begin(self) -> None:
        """Begin to read."""
        self._listing = 1
        self._core.store.directory("job", lambda data, _errnum: self._listed("job", data))

    def _listed(self, key: str, entries: dict[str, Any]) -> None:
        if key.count(".") == _LEVELS - 1:
            digits = key.partition(".")[2].replace(".", "")
            try:
                self._ids += [int(digits + last, 16) for last in entries]
            except ValueError:
                # Not of ours.
                pass
        else:
            self._directories.extend(f"{key}.{name}" for name in entries)
        self._listing -= 1
        while self._directories and self._listing < AT_A_TIME:
            self._list(self._directories.popleft())
        if not self._listing:
            self._known()

    def _list(self, key: str) -> None:
        self._listing += 1
        self._core.store.directory(key, lambda data, _errnum: self._listed(key, data))

    def _known(self) -> None:
        """Go on, with all ids known."""
        core = self._core
        if self._ids:
            core.max_jobid = max(self._ids)
            core.generator.continue_after(core.max_jobid)
        self._next.extend(sorted(self._ids))
        core.set_ready()
        self._read()

    def _read(self) -> None:
        while self._next and self._reading < AT_A_TIME:
            self._reading += 1
            _Reader(self._core, self._next.popleft(), self._take).start()
        if not self._reading:
            self._loaded()

    def _take(self, jobid: int, parts: dict[str, bytes]) -> None:
        self._reading -= 1
        try:
            self._restore(jobid, parts)
        except (LookupError, ValueError, TypeError, AttributeError) as exc:
            text = f"job {jobid} cannot be restored: {exc!r}"
            self._core.manager.log(syslog.LOG_ERR, text)
        self._read()

    def _restore(self, jobid: int, parts: dict[str, bytes]) -> None:
        events = _eventlog.decode(parts["eventlog"])
        submitted = events[0]["context"]
        payload = _sign.unwrap(parts["J"].decode())[1] if "J" in parts else parts["jobspec"]
        job = Job(
            jobid,
            submitted["userid"],
            submitted["urgency"],
            submitted["flags"],
            loads(parts["jobspec"]),
            payload,
        )
        job.resources = parts.get("R")
        if job.resources is not None:
            job.expiration = loads(job.resources)["execution"]["expiration"]
        for event in events:
            self._core.machine.replay(job, event)
        if job.state == _states.INACTIVE:
            ended = job.times["t_inactive"]
            self._finished.append((ended, jobid, _eventlog.compact(job.record()), job.result))
            return
        job.log = self._core.machine.new_log(jobid, "eventlog")
        job.log.restore(parts["eventlog"].splitlines(keepends=True))
        self._active.append(job)

    def _loaded(self) -> None:
        core = self._core
        # Those that were submitted meanwhile, and may even have ended, are newer.
        newer, core.finished = core.finished, {}
        self._finished.sort()
        for _ended, jobid, record, result in self._finished:
            core.finish(jobid, record, result)
        core.finished.update(newer)
        active = {job.id: job for job in self._active}
        core.active = {**active, **core.active}
        core.set_loaded()
        for job in self._active:
            self._resume(job)

    def _resume(self, job: Job) -> None:
        machine = self._core.machine
        if job.state in (_states.RUN, _states.CLEANUP) and job.resources is not None:
            # Its processes ended with the broker that had started them.
            job.started = True
            job.cores = []
            if job.fatal is None and job.status is None:
                machine.exception(job, "exec", 0, "the broker was restarted")
            if not job.released:
                machine.post(job, "release", {"ranks": "all", "final": True})
            elif job.id in self._core.active:
                machine.advance(job)
            return
        machine.post(job, "flux-restart")
        if job.state == _states.NEW:
            machine.post(job, "validate")
        elif job.state == _states.DEPEND:
            self._core.dependencies.observe(job, "validate")


class _Reader:
    """Reads what there is of one job."""

    def __init__(self, core: Core, jobid: int, done: Any) -> None:
        self._core = core
        self._id = jobid
        self._done = done
        self._parts: dict[str, bytes] = {}
        self._missing = len(_KEYS)

    def start(self) -> None:
        """Begin to read."""
        for key in _KEYS:
            self._get(key)

    def _get(self, key: str) -> None:
        def got(data: bytes | None, _errnum: int) -> None:
            if data is not None:
                self._parts[key] = data
            self._missing -= 1
            if not self._missing:
                self._done(self._id, self._parts)

        self._core.store.get(self._id, key, got)

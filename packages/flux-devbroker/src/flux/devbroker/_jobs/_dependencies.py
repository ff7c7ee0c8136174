"""Dependencies between jobs, and on time (RFC 26)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orjson import loads

from flux.devbroker._jobs import _request, _states
from flux.devbroker._jobs._job import Job
from flux.job import id_parse

if TYPE_CHECKING:
    from flux.devbroker._jobs._core import Core

#: How a scheme is called in a dependency's description.
_SCHEMES = {
    "after": "after-start",
    "afterany": "after-finish",
    "afterok": "after-success",
    "afternotok": "after-failure",
}
_BEGIN_TIME = "begin-time"


class DependencyError(ValueError):
    """A dependency is refused; the text is for the one who submitted the job."""


class Dependencies:
    """Knows who waits for what.

    Args:
        core: The jobs.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        # Who waits for a job: each with the description.
        self._waiting: dict[int, list[tuple[Job, str]]] = {}

    def describe(self, spec: dict[str, Any], userid: int) -> list[str]:
        """Return the descriptions of a jobspec's dependencies.

        Raises:
            DependencyError: One of them is not supported, or of a job that is not known.
        """
        descriptions = []
        for dependency in _request.system(spec).get("dependencies") or ():
            scheme, value = dependency["scheme"], dependency["value"]
            if scheme == _BEGIN_TIME:
                descriptions.append(_begin_time(value))
            elif scheme in _SCHEMES:
                descriptions.append(f"{_SCHEMES[scheme]}={self._target(scheme, value, userid)}")
            else:
                raise DependencyError(f'dependency scheme "{scheme}" not supported')
        return descriptions

    def _target(self, scheme: str, value: str, userid: int) -> int:
        try:
            jobid = id_parse(value)
        except OSError:
            raise DependencyError(f'dependency: {scheme}: "{value}" is not a valid jobid') from None
        core = self._core
        job = core.active.get(jobid)
        record = core.finished.get(jobid)
        if job is None and record is None:
            raise DependencyError(f"dependency: {scheme}: id {value}: job not found")
        target = job.userid if job is not None else loads(record or b"{}")["userid"]
        if userid not in (core.owner, target):
            raise DependencyError(f"dependency: {scheme}: Permission denied for job {value}")
        return jobid

    def observe(self, job: Job, name: str) -> None:
        """Observe events."""
        if name == "validate":
            for description in tuple(job.dependencies or ()):
                self._begin(job, description)
        elif name in ("start", "clean"):
            for waiting, description in self._waiting.get(job.id, ()):
                self._check(waiting, description, job.state, job.result, job.started)
            if name == "clean":
                self._waiting.pop(job.id, None)

    def _begin(self, job: Job, description: str) -> None:
        kind, _, value = description.partition("=")
        if kind == _BEGIN_TIME:
            self._wait(job, description, float(value))
            return
        target = self._core.active.get(int(value))
        if target is not None:
            self._waiting.setdefault(target.id, []).append((job, description))
            self._check(job, description, target.state, target.result, target.started)
        else:
            record = loads(self._core.finished[int(value)])
            ran = "t_run" in record
            self._check(job, description, _states.INACTIVE, record["result"], ran)

    def _wait(self, job: Job, description: str, until: float) -> None:
        left = until - self._core.now()
        if left <= 0:
            self._core.later(0.0, lambda: self._remove(job, description))
        else:
            # A timer has its limits.
            again = min(left, 86400.0)
            self._core.later(again, lambda: self._wait(job, description, until))

    def _check(self, job: Job, description: str, state: int, result: int, started: bool) -> None:
        if job.state != _states.DEPEND or description not in (job.dependencies or ()):
            return
        kind = description.partition("=")[0]
        inactive = state == _states.INACTIVE
        success = result == _states.COMPLETED
        if kind == "after-start":
            met, failed = started, inactive and not started
        elif kind == "after-finish":
            met, failed = inactive, False
        elif kind == "after-success":
            met, failed = inactive and success, inactive and not success
        else:
            met, failed = inactive and not success, inactive and success
        if met:
            self._remove(job, description)
        elif failed:
            note = f"dependency {description} can never be satisfied"
            self._core.machine.exception(job, "dependency", 0, note)

    def _remove(self, job: Job, description: str) -> None:
        if job.state == _states.DEPEND and description in (job.dependencies or ()):
            self._core.machine.post(job, "dependency-remove", {"description": description})


def _begin_time(value: str) -> str:
    try:
        seconds = float(value)
    except ValueError:
        raise DependencyError(f"Unable to parse begin-time value: {value}") from None
    if not 0 <= seconds < 1e15:
        raise DependencyError(f"Invalid begin-time value: {value}")
    return f"{_BEGIN_TIME}={seconds:.3f}"

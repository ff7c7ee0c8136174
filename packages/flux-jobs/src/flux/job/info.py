"""`JobInfo`: what job-list says of a job, and what follows from it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import cached_property
from signal import strsignal
from typing import TYPE_CHECKING, Any

from flux.constants import (
    FLUX_JOB_RESULT_CANCELED,
    FLUX_JOB_RESULT_FAILED,
    FLUX_JOB_STATE_RUN,
)
from flux.job._info_format import JobInfoFormat, job_fields_to_attrs
from flux.job._info_values import (
    AnnotationsInfo,
    DependencyList,
    EmptyObject,
    ExceptionInfo,
    InfoList,
    InstanceInfo,
    StatsInfo,
    get_username,
)
from flux.job._jobid import JobID
from flux.job._request import from_wire
from flux.job._states import (
    resulttoemoji,
    resulttostr,
    statetoemoji,
    statetostr,
    statustoemoji,
    statustostr,
)
from flux.util._durations import fsd

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "AnnotationsInfo",
    "DependencyList",
    "EmptyObject",
    "ExceptionInfo",
    "InfoList",
    "InstanceInfo",
    "JobInfo",
    "JobInfoFormat",
    "StatsInfo",
    "get_username",
    "job_fields_to_attrs",
    "resulttoemoji",
    "resulttostr",
    "statetoemoji",
    "statetostr",
    "statustoemoji",
    "statustostr",
]

_TIMES = ("t_depend", "t_priority", "t_sched", "t_run", "t_cleanup", "t_inactive")
_TEXTS = (
    *("name", "cwd", "queue", "project", "bank", "ntasks", "ncores", "nnodes", "priority"),
    *("ranks", "nodelist", "success", "result", "waitstatus"),
)

#: What shells exit with if they cannot run a command.
_SHELL = {
    126: "Command invoked cannot execute",
    127: "command not found",
    128: "Invalid argument to exit",
}


class JobInfo:
    """A job: what job-list says of it (RFC 43), and what follows from that.

    Attributes of the response are attributes of this object, but for the state and the result,
    whose numbers are ``state_id`` and ``result_id``.  Nothing is worked out before it is asked for.

    Args:
        info_resp: The job, from the response.
    """

    #: What attributes are that job-list does not say.
    defaults = {  # noqa: RUF012
        **dict.fromkeys((*_TIMES, "duration", "expiration"), 0.0),
        **dict.fromkeys(_TEXTS, ""),
    }
    #: What else `to_dict` has.
    properties = (
        *("id", "t_submit", "t_remaining", "state", "result", "username", "userid", "urgency"),
        *("runtime", "status", "returncode", "dependencies"),
    )

    def __init__(self, info_resp: Mapping[str, Any]) -> None:
        self._job = info_resp

    def __getattr__(self, attr: str) -> Any:
        if not attr.startswith("_"):
            job = self._job
            value = job.get(attr, _MISSING)
            if value is _MISSING:
                value = self.defaults.get(attr, _MISSING)
            if value is not _MISSING:
                return value
        raise AttributeError(f"invalid JobInfo attribute '{attr}'")

    @cached_property
    def id(self) -> JobID:
        """The job's id."""
        value = self._job["id"]
        return value if isinstance(value, JobID) else from_wire(value)

    @property
    def state_id(self) -> int:
        """The number of the state."""
        return self._number("state")

    @property
    def result_id(self) -> Any:
        """The number of the result; empty where there is none."""
        return self._job.get("result", "")

    def _number(self, name: str) -> int:
        try:
            number: int = self._job[name]
        except KeyError:
            raise AttributeError(f"invalid JobInfo attribute '{name}'") from None
        return number

    @property
    def exception(self) -> ExceptionInfo:
        """The exception that ended the job."""
        names = ("occurred", "severity", "type", "note")
        return ExceptionInfo(*(self._job.get(f"exception_{name}", "") for name in names))

    @property
    def annotations(self) -> AnnotationsInfo:
        """The annotations (RFC 27)."""
        return AnnotationsInfo(self._job.get("annotations", {}))

    @property
    def sched(self) -> Any:
        """The annotations of the scheduler."""
        return self.annotations.sched

    @property
    def user(self) -> Any:
        """The annotations of users."""
        return self.annotations.user

    @cached_property
    def dependencies(self) -> DependencyList:
        """What the job waits for."""
        return DependencyList(self._job.get("dependencies", ()))

    @cached_property
    def uri(self) -> Any:
        """The URI of a job that is a Flux instance, or None."""
        uri = str(self.user.uri)
        if not uri:
            return None
        from flux.uri import JobURI

        return JobURI(uri)

    @cached_property
    def instance(self) -> InstanceInfo:
        """What a job that is a Flux instance does; asked for with `get_instance_info`."""
        return InstanceInfo(self.uri if self._job.get("state") == FLUX_JOB_STATE_RUN else None)

    def get_instance_info(self) -> Self:
        """Ask a job that is a Flux instance what it does, which ``instance`` then says.

        Returns:
            This object.
        """
        self.__dict__["instance"] = InstanceInfo(self.uri if self.state_single == "R" else None)
        return self

    @property
    def state(self) -> str:
        """The name of the state."""
        return statetostr(self.state_id)

    @property
    def state_single(self) -> str:
        """The letter of the state."""
        return statetostr(self.state_id, "S")

    @property
    def state_emoji(self) -> str:
        """A picture of the state."""
        return statetoemoji(self.state_id)

    @property
    def result(self) -> str:
        """The name of the result; empty where there is none."""
        return resulttostr(self.result_id)

    @property
    def result_abbrev(self) -> str:
        """What is short for the result."""
        return resulttostr(self.result_id, "S")

    @property
    def result_emoji(self) -> str:
        """A picture of the result."""
        return resulttoemoji(self.result_id)

    @property
    def status(self) -> str:
        """The name of the state, or of the result once the job is over."""
        return statustostr(self.state_id, self.result_id)

    @property
    def status_abbrev(self) -> str:
        """What is short for the status."""
        return statustostr(self.state_id, self.result_id, "S")

    @property
    def status_emoji(self) -> str:
        """A picture of the status."""
        return statustoemoji(self.state_id, self.result_id)

    @property
    def username(self) -> str:
        """The name of the user."""
        return get_username(self._number("userid"))

    def get_runtime(self) -> float:
        """Return how many seconds the job has run by now."""
        begin, end = self.t_run, self.t_cleanup
        if not begin > 0:
            return 0.0
        return float((end if end > 0 else time.time()) - begin)

    @cached_property
    def runtime(self) -> float:
        """How many seconds the job has run, when that was asked for first."""
        return self.get_runtime()

    def get_remaining_time(self) -> float:
        """Return how many seconds a running job has left by now; 0 for others."""
        if self._job.get("state") != FLUX_JOB_STATE_RUN:
            return 0.0
        return max(0.0, float(self.expiration - time.time()))

    @property
    def t_remaining(self) -> float:
        """How many seconds a running job has left; 0 for others."""
        return self.get_remaining_time()

    @property
    def returncode(self) -> Any:
        """What the job's shell exited with.

        A negative number is the signal that ended the shell, -128 that the job never ran; empty if
        the job is not over.
        """
        status = self.waitstatus
        if isinstance(status, int):
            try:
                return os.waitstatus_to_exitcode(status)
            except ValueError:
                return ""
        # What failed without having run did so by an exception.
        return {FLUX_JOB_RESULT_CANCELED: -128, FLUX_JOB_RESULT_FAILED: 1}.get(self.result_id, "")

    @property
    def contextual_info(self) -> Any:
        """What a job waits for, or the nodes that it has."""
        state = self.state
        if state == "PRIORITY":
            return "priority-wait"
        if state == "DEPEND":
            return f"depends:{self.dependencies}"
        if state != "SCHED":
            return self.nodelist
        estimate = self.sched.t_estimate
        if isinstance(estimate, (int, float)):
            left = estimate - time.time()
            return f"eta:{fsd(left)}" if left >= 0 else "eta:now"
        if self.urgency == 0:
            return "held"
        return "priority-hold" if self.priority == 0 else ""

    @property
    def contextual_time(self) -> Any:
        """How long a job will run, or has."""
        return self.duration if self.state in ("PRIORITY", "DEPEND", "SCHED") else self.runtime

    @property
    def inactive_reason(self) -> str:
        """Why a job is over; empty for others."""
        if self.state != "INACTIVE":
            return ""
        result, exception = self.result, self.exception
        if result == "TIMEOUT":
            return "Timeout"
        if result == "CANCELED":
            if exception.occurred and exception.type == "cancel" and exception.note:
                return f"Canceled: {exception.note}"
            return "Canceled"
        code = self.returncode
        if result == "FAILED":
            # What the job's shell raises is said by what it exits with.
            if exception.occurred and exception.type != "exec" and exception.severity == 0:
                note = f" note={exception.note}" if exception.note else ""
                return f"Exception: type={exception.type}{note}"
            if code > 128:
                try:
                    return strsignal(code - 128) or f"Signaled {code - 128}"
                except ValueError:
                    return f"Signaled {code - 128}"
            if code in _SHELL:
                return _SHELL[code]
        return f"Exit {code}"

    def to_dict(self, filtered: bool = True) -> dict[str, Any]:
        """Return the job as a dict.

        Args:
            filtered: Without what is empty or not set.
        """
        result = {}
        for name in dict.fromkeys((*self.defaults, *self.properties)):
            value = getattr(self, name, None)
            if value is not None:
                result[name] = value
        # Not every JSON parser reads an integer of 64 bits.
        result["jobid"] = self.id.f58
        result["annotations"] = dict(self.annotations.annotationsDict)
        result["exception"] = vars(self.exception)
        if self.uri is not None:
            result["uri"] = str(self.uri)
        if not filtered:
            return result
        result = {name: value for name, value in result.items() if not _unset(name, value)}
        if not result["exception"]["occurred"]:
            result["exception"] = {"occurred": False}
        if "uri" in result:
            # Once is enough.
            user = {k: v for k, v in result["annotations"].pop("user").items() if k != "uri"}
            if user:
                result["annotations"]["user"] = user
        return result


_MISSING = object()


def _unset(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return not value
    return (name.startswith("t_") or name in ("runtime", "expiration")) and value == 0

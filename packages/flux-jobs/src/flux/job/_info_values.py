"""What `flux.job.info.JobInfo` is made of: values that always have a text, if an empty one."""

from __future__ import annotations

import json
import pwd
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any

from flux.job.stats import JobStats

__all__ = [
    "AnnotationsInfo",
    "DependencyList",
    "EmptyObject",
    "ExceptionInfo",
    "InfoList",
    "InstanceInfo",
    "StatsInfo",
    "get_username",
]


@lru_cache(maxsize=1024)
def get_username(userid: int) -> str:
    """Return the name of a user, or the number where there is none."""
    try:
        return pwd.getpwuid(userid).pw_name
    except KeyError:
        return str(userid)


class EmptyObject:
    """Stands for what is not there: it and all its attributes are formatted as nothing."""

    def __getattr__(self, attr: str) -> EmptyObject:
        if attr.startswith("__"):
            raise AttributeError(attr)
        return EmptyObject()

    def __repr__(self) -> str:
        return ""

    def __str__(self) -> str:
        return ""

    def __format__(self, spec: str) -> str:
        # Of a number no more than the width.
        return format("", spec.rstrip("bcdoxXeEfFgGn%"))


class ExceptionInfo:
    """The exception that ended a job.

    Args:
        occurred: Whether there was one.
        severity: 0, which ended it, to 7.
        _type: What kind of exception.
        note: An explanation for humans.
    """

    def __init__(self, occurred: Any, severity: Any, _type: Any, note: Any) -> None:
        self.occurred = occurred
        self.severity = severity
        self.type = _type
        self.note = note


class AnnotationsInfo:
    """Annotations (RFC 27), whose keys are attributes; those that are not there are empty.

    Args:
        annotationsDict: The annotations.
    """

    def __init__(self, annotationsDict: Mapping[str, Any]) -> None:  # noqa: N803 - the API's name
        self.annotationsDict = annotationsDict

    def __getattr__(self, attr: str) -> Any:
        if attr.startswith("__"):
            raise AttributeError(attr)
        value = self.__dict__["annotationsDict"].get(attr, _NOTHING)
        return AnnotationsInfo(value) if isinstance(value, dict) else value

    def __repr__(self) -> str:
        return json.dumps(self.annotationsDict) if self.annotationsDict else ""


_NOTHING = EmptyObject()


class InfoList(list[str]):
    """A list whose text has commas and no spaces."""

    def __str__(self) -> str:
        return ",".join(self)


class DependencyList(InfoList):
    """What a job waits for, with times as people write them.

    Args:
        items: Descriptions of the dependencies.
    """

    def __init__(self, items: Iterable[str]) -> None:
        super().__init__(map(_readable, items))


def _readable(dependency: str) -> str:
    kind, _, value = dependency.partition("=")
    if kind != "begin-time":
        return dependency
    moment = datetime.fromtimestamp(float(value)).astimezone()
    day = "" if moment.date() == datetime.now().date() else f"{moment:%b%d-}"
    return f"begin@{day}{moment:%H:%M:%S}" if moment.second else f"begin@{day}{moment:%H:%M}"


class StatsInfo(JobStats):
    """Statistics with a text."""

    def __init__(self, handle: Any = None) -> None:
        super().__init__(handle)

    def __repr__(self) -> str:
        return f"PD:{self.pending} R:{self.running} CD:{self.successful} F:{self.failed}"

    def __format__(self, fmt: str) -> str:
        return format(str(self), fmt)


class InstanceInfo:
    """What a job that is a Flux instance does.

    Args:
        uri: Where it is; None if the job is none.

    Attributes:
        stats: Its jobs.
        resources: Its resources.
    """

    def __init__(self, uri: Any = None) -> None:
        self.initialized = False
        self.stats: Any = _NOTHING
        self.resources: Any = _NOTHING
        if not uri:
            return
        from flux.core.handle import Flux
        from flux.resource import resource_list

        # It may be gone, or somebody else's: then there is nothing to tell.
        try:
            with Flux(str(uri)) as handle:
                future = resource_list(handle)
                self.stats = StatsInfo(handle).update_sync()
                self.resources = future.get()
                self.initialized = True
        except (OSError, ValueError):
            self.stats = self.resources = _NOTHING

    def _used(self, what: str) -> Any:
        total = getattr(self.resources.all, what) if self.initialized else 0
        return getattr(self.resources.allocated, what) / total if total else ""

    @cached_property
    def utilization(self) -> Any:
        """The part of its cores that is in use; empty if unknown."""
        return self._used("ncores")

    @cached_property
    def gpu_utilization(self) -> Any:
        """The part of its GPUs that is in use; empty if unknown."""
        return self._used("ngpus")

    @cached_property
    def progress(self) -> Any:
        """The part of its jobs that is over; empty if there are none."""
        total = self.stats.total if self.initialized else 0
        return self.stats.inactive / total if total else ""

    def __getattr__(self, attr: str) -> Any:
        if attr.startswith("__") or self.__dict__.get("initialized"):
            raise AttributeError(attr)
        return ""

"""`Job`: what is known of a job until it is inactive; and what is kept after that."""

from __future__ import annotations

from typing import Any

from orjson import loads

from flux.devbroker._jobs import _request, _states
from flux.devbroker._jobs._eventlog import Log, compact
from flux.devbroker._jobs._request import Request
from flux.idset import IDset


class Job:
    """An active job.

    Attributes:
        id: Its id.
        userid: Who submitted it.
        urgency: Its urgency.
        flags: As submitted.
        priority: Its priority; None until it has one.
        state: Its state.
        spec: The jobspec without its environment.
        spec_text: The same as it is stored.
        payload: The jobspec as it was submitted; dropped when the job starts.
        request: What it asks for.
        log: Its eventlog.
        guest: Its other logs, by their path below ``guest``.
        cores: What it was given; None before that and after it gave them back.
        resources: The R object as it is stored; None before it was allocated.
        expiration: Until when it may run; 0.0 for ever.
        annotations: What the scheduler and users have noted.
        dependencies: Descriptions of what it still waits for; None if there never was any.
        exception: The context of the first exception, or the first fatal one.
        fatal: The context of the first fatal exception.
        status: The wait status of `finish`.
        times: When it entered each state, and was submitted, by the name of the attribute.
        started: Whether its execution was asked for.
        released: Whether its execution has ended.
        failure: What to say of how it failed; None until its outcome is known, empty for success.
        update: What was updated of the jobspec, by dotted path.
    """

    __slots__ = (
        *("annotations", "cores", "dependencies", "exception", "expiration", "failure", "fatal"),
        *(
            "flags",
            "guest",
            "id",
            "log",
            "payload",
            "priority",
            "released",
            "request",
            "resources",
            "spec",
        ),
        *("spec_text", "started", "state", "status", "times", "update", "urgency", "userid"),
    )

    def __init__(
        self,
        jobid: int,
        userid: int,
        urgency: int,
        flags: int,
        spec: dict[str, Any],
        payload: bytes,
    ) -> None:
        self.id = jobid
        self.userid = userid
        self.urgency = urgency
        self.flags = flags
        self.priority: int | None = None
        self.state = _states.NEW
        self.payload: bytes | None = payload
        self.request = Request(spec)
        self.spec = spec
        _request.system(spec).pop("environment", None)
        self.spec_text = compact(spec)
        self.log: Log
        self.guest: dict[str, Log] = {}
        self.cores: list[int] | None = None
        self.resources: bytes | None = None
        self.expiration = 0.0
        self.annotations: dict[str, Any] = {}
        self.dependencies: list[str] | None = None
        self.exception: dict[str, Any] | None = None
        self.fatal: dict[str, Any] | None = None
        self.status: int | None = None
        self.times: dict[str, float] = {}
        self.started = False
        self.released = False
        self.failure: str | None = None
        self.update: dict[str, Any] = {}

    @property
    def waitable(self) -> bool:
        """Whether its end may be waited for with ``job-manager.wait``."""
        return bool(self.flags & _states.FLAG_WAITABLE)

    @property
    def result(self) -> int:
        """How it ended."""
        if self.fatal is not None:
            kind = self.fatal["type"]
            if kind == "cancel":
                return _states.CANCELED
            return _states.TIMEOUT if kind == "timeout" else _states.FAILED
        return _states.FAILED if self.status else _states.COMPLETED

    @property
    def current_spec(self) -> dict[str, Any]:
        """The jobspec with its updates."""
        if not self.update:
            return self.spec
        spec: dict[str, Any] = loads(self.spec_text)
        for path, value in self.update.items():
            *parents, last = path.split(".")
            place = spec
            for key in parents:
                place = place.setdefault(key, {})
            place[last] = value
        return spec

    @property
    def current_resources(self) -> dict[str, Any] | None:
        """The R object with the present expiration, decoded."""
        if self.resources is None:
            return None
        value: dict[str, Any] = loads(self.resources)
        value["execution"]["expiration"] = self.expiration
        return value

    def record(self) -> dict[str, Any]:
        """Return the attributes that ``job-list`` tells, those that apply."""
        spec = self.current_spec
        system = _request.system(spec)
        record: dict[str, Any] = {"id": self.id, "userid": self.userid, "urgency": self.urgency}
        if self.priority is not None:
            record["priority"] = self.priority
        record.update(self.times)
        record["state"] = self.state
        record["name"] = _request.name(spec)
        if "cwd" in system:
            record["cwd"] = system["cwd"]
        for key in ("queue", "project", "bank"):
            if isinstance(system.get(key), str):
                record[key] = system[key]
        record["ntasks"] = self.request.ntasks
        record["ncores"] = self.request.ncores
        record["duration"] = float(system["duration"])
        if self.resources is not None:
            execution = loads(self.resources)["execution"]
            record["ncores"] = len(IDset(execution["R_lite"][0]["children"]["core"]))
            record["nnodes"] = 1
            record["ranks"] = "0"
            record["nodelist"] = ",".join(execution["nodelist"])
        inactive = self.state == _states.INACTIVE
        if inactive:
            record["success"] = not self.status and self.fatal is None
            record["exception_occurred"] = self.exception is not None
        if self.exception is not None:
            for key in ("type", "severity", "note"):
                record[f"exception_{key}"] = self.exception[key]
        if inactive:
            record["result"] = self.result
        if self.resources is not None:
            record["expiration"] = self.expiration
        if self.annotations:
            record["annotations"] = self.annotations
        if self.status is not None:
            record["waitstatus"] = self.status
        if self.dependencies is not None:
            record["dependencies"] = self.dependencies
        return record

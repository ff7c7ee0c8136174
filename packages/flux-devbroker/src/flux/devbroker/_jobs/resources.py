"""Services ``resource``, ``sched-simple`` (``sched``) and ``feasibility``: this machine's cores."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from orjson import dumps

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._jobs._core import core_of
from flux.devbroker._jobs._cores import InfeasibleError, rlist
from flux.devbroker._jobs._jobspec import JobspecError, validate
from flux.devbroker._jobs._request import Request
from flux.devbroker._service import USER, Pending, Service, method
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: Events in one response of the journal, at most.
MAX_BATCH = 100

_DISCOVERY, _CONFIGURATION = "dynamic-discovery", "configuration"


class ResourceService(Service):
    """Answers with what there is, and keeps a journal of it."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)
        self._events: list[dict[str, Any]] = []
        self._listeners = Pending()
        self._drained: dict[str, Any] | None = None
        self._method = _DISCOVERY if self._core.discovered else _CONFIGURATION
        hostname = self._core.hostname
        self._post("restart", {"ranks": "0", "online": "", "nodelist": hostname}, store=False)
        self._post("resource-define", {"method": self._method})
        self._post("online", {"idset": "0"}, store=False)
        self._core.store.put_key("resource.R", dumps(self._all()))

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._listeners.disconnect(msg)

    def _all(self) -> dict[str, Any]:
        cores = self._core.scheduler.cores
        return rlist(list(range(cores.total)), self._core.hostname)

    # -- the journal

    def _post(self, name: str, context: dict[str, Any], store: bool = True) -> None:
        event = {"timestamp": self._core.now(), "name": name, "context": context}
        self._events.append(event)
        if store:
            self._core.store.append_key("resource.eventlog", dumps(event) + b"\n")
        self._listeners.respond(self.handle, {"events": [event]})

    @method("journal")
    def journal(self, msg: Message) -> None:
        """Answer with all events, those that have happened and those to come."""
        if not msg.bits & FLUX_MSGFLAG_STREAMING:
            raise RequestError(errno.EPROTO, "journal requires streaming RPC flag")
        batch: list[dict[str, Any]] = []
        for event in self._events:
            if event["name"] == "resource-define":
                self._send(msg, batch)
                self.handle.respond(msg, {"events": [event], "R": self._all()})
                batch = []
                continue
            batch.append(event)
            if len(batch) == MAX_BATCH:
                self._send(msg, batch)
                batch = []
        self._send(msg, batch)
        self.handle.respond(msg, {"events": []})
        self._listeners.add(msg)

    def _send(self, msg: Message, batch: list[dict[str, Any]]) -> None:
        if batch:
            self.handle.respond(msg, {"events": batch})

    @method("journal-cancel")
    def journal_cancel(self, msg: Message) -> None:
        """End a stream of events; never answered."""
        try:
            matchtag = unpack(msg, matchtag=int)["matchtag"]
        except RequestError:
            return
        request = self._listeners.cancelled(msg, matchtag)
        if request is not None:
            self.handle.respond_error(request, errno.ENODATA)

    # -- the state

    @method("status", USER)
    def status(self, msg: Message) -> None:
        """Answer with the state of this machine."""
        drain = {} if self._drained is None else {"0": self._drained}
        self.handle.respond(
            msg,
            {
                "R": self._all(),
                "drain": drain,
                "online": "0",
                "offline": "",
                "exclude": "",
                "torpid": "",
            },
        )

    @method("sched-status", USER)
    def sched_status(self, msg: Message) -> None:
        """Answer with what there is, what is taken, and what nobody gets."""
        everything = self._all()
        nothing = rlist([], "")
        cores = self._core.scheduler.cores.allocated()
        self.handle.respond(
            msg,
            {
                "all": everything,
                "down": nothing if self._drained is None else everything,
                "allocated": rlist(cores, self._core.hostname) if cores else nothing,
            },
        )

    @method("get")
    def get(self, msg: Message) -> None:
        """Answer with what there is."""
        self.handle.respond(msg, {"R": self._all(), "method": self._method})

    @method("drain")
    def drain(self, msg: Message) -> None:
        """Give no more of this machine to jobs."""
        fields = unpack(msg, targets=str, reason=Optional(str), overwrite=Optional(int, 0))
        self._check(fields["targets"])
        reason, overwrite = fields["reason"], fields["overwrite"]
        if self._drained is not None and not overwrite:
            if self._drained["reason"]:
                host = self._core.hostname
                raise RequestError(errno.EEXIST, f"{host} (rank 0) already drained")
            overwrite = 0
        self._drained = {
            "timestamp": float(int(self._core.now())),
            "reason": "" if reason is None else reason,
        }
        self._core.scheduler.set_drained(True)
        # Whoever drains is told before those who listen.
        self.handle.respond(msg)
        context: dict[str, Any] = {"idset": "0", "nodelist": self._core.hostname}
        if reason is not None:
            context["reason"] = reason
        context["overwrite"] = overwrite
        self._post("drain", context)

    @method("undrain")
    def undrain(self, msg: Message) -> None:
        """Give this machine to jobs again."""
        self._check(unpack(msg, targets=str)["targets"])
        if self._drained is None:
            host = self._core.hostname
            raise RequestError(errno.EINVAL, f"{host} (rank 0) not drained")
        self._drained = None
        self._core.scheduler.set_drained(False)
        self.handle.respond(msg)
        context = {"idset": "0", "nodelist": self._core.hostname, "overwrite": 0}
        self._post("undrain", context)

    def _check(self, targets: str) -> None:
        if targets not in ("0", "[0]", "0-0", self._core.hostname):
            raise RequestError(errno.EINVAL, "idset is out of range")


class SchedService(Service):
    """Answers for the scheduler."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)

    @method("resource-status", USER)
    def resource_status(self, msg: Message) -> None:
        """Answer with what there is, and what is taken."""
        no_payload(msg)
        core = self._core
        cores = core.scheduler.cores
        everything = rlist(list(range(cores.total)), core.hostname)
        answer = {
            "all": everything,
            "allocated": _bare(cores.allocated()),
            "down": everything if core.scheduler.drained else _bare([]),
        }
        self.handle.respond(msg, answer)


def _bare(cores: list[int]) -> dict[str, Any]:
    answer: dict[str, Any] = rlist(cores, "")
    del answer["execution"]["nodelist"]
    return answer


class FeasibilityService(Service):
    """Tells whether a job could ever run."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)

    @method("check", USER)
    def check(self, msg: Message) -> None:
        """Answer with success if a jobspec can be satisfied."""
        spec = unpack(msg, jobspec=dict)["jobspec"]
        try:
            validate(spec)
            self._core.scheduler.cores.check(Request(spec))
        except JobspecError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None
        except InfeasibleError as exc:
            raise RequestError(errno.EOVERFLOW, str(exc)) from None
        self.handle.respond(msg)

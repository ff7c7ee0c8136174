"""Service ``job-exec``, and the service that each running job has for its input."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_ROLE_OWNER, FLUX_ROLE_USER
from flux.core.handle import Flux
from flux.devbroker._jobs._core import core_of, forget_core
from flux.devbroker._jobs._output import input_data, input_ranks
from flux.devbroker._service import Service, method
from flux.devbroker._unpack import RequestError, no_payload, payload_object
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance


class JobExecService(Service):
    """Takes the input of jobs, and ends them with the broker."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._core = core_of(instance)
        self._core.executor.on_service = self._service
        h.msg_watcher_create(
            lambda _handle, _watcher, msg, _args: self._stdin(msg),
            FLUX_MSGTYPE_REQUEST,
            "*-shell-*.stdin",
            rolemask=FLUX_ROLE_USER,
        ).start()
        instance.endings.append(self._core.executor.end_all)

    def _service(self, name: str, begins: bool) -> None:
        """Make a job's service known to the broker, or take it back."""
        router = self.instance.router
        peer = self.instance.modules[self.name]
        if begins:
            router.add_service(name, peer)
        elif name in peer.services:
            router.remove_service(name, peer)

    def _stdin(self, msg: Message) -> None:
        try:
            self._put(msg)
        except RequestError as exc:
            self.handle.respond_error(msg, exc.errno or 0, exc.text)

    def _put(self, msg: Message) -> None:
        run = self._core.executor.runs.get(msg.topic.partition(".")[0])
        if run is None:
            raise RequestError(errno.ENOSYS)
        if not msg.rolemask & FLUX_ROLE_OWNER and msg.userid != run.job.userid:
            raise RequestError(errno.EPERM)
        context = payload_object(msg)
        try:
            data, eof = input_data(context)
            ranks = input_ranks(context.get("rank"), run.job.request.ntasks)
        except ValueError as exc:
            raise RequestError(errno.EPROTO, str(exc)) from None
        try:
            run.put("stdin", context["rank"], ranks, data, eof)
        except OSError as exc:
            raise RequestError(exc.errno or errno.EIO, exc.strerror) from None
        self.handle.respond(msg)

    def close(self) -> None:
        """End what runs, in case that the broker did not end in the usual way."""
        self._core.executor.close()
        forget_core(self.instance)
        super().close()

    @method("stats-get")
    def stats_get(self, msg: Message) -> None:
        """Answer with the settings, and how many jobs run."""
        no_payload(msg)
        executor = self._core.executor
        self.handle.respond(
            msg, {"kill-timeout": executor.kill_timeout, "jobs": len(executor.runs)}
        )

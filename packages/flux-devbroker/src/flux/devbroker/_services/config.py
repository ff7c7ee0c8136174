"""Service ``config``: the configuration, and telling everyone of a new one."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker import _config
from flux.devbroker._service import USER, Pending, Service, method
from flux.devbroker._unpack import RequestError, no_payload, payload_object
from flux.message import Message
from flux.rpc import RPC

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance


class ConfigService(Service):
    """Answers with the configuration, and replaces it."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._followers = Pending()

    @method("get", USER)
    def get(self, msg: Message) -> None:
        """Answer with the configuration, and with each new one if the request is streaming."""
        no_payload(msg)
        self.handle.respond(msg, self.instance.config)
        if msg.bits & FLUX_MSGFLAG_STREAMING:
            self._followers.add(msg)

    @method("load")
    def load(self, msg: Message) -> None:
        """Replace the configuration by that in the request."""
        try:
            config = payload_object(msg)
        except RequestError:
            raise RequestError(errno.EPROTO, "error decoding config.load request") from None
        _Update(self, msg, config)

    @method("reload")
    def reload(self, msg: Message) -> None:
        """Read the configuration files again."""
        no_payload(msg)
        path = self.instance.attributes.values.get("config.path")
        if path is None:
            self.handle.respond(msg)
            return
        try:
            config = _config.read(path)
        except ValueError as exc:
            raise RequestError(errno.EINVAL, f"Config file error: {exc}") from None
        _Update(self, msg, config)

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._followers.disconnect(msg)

    def changed(self) -> None:
        """Tell those that watch the configuration."""
        self._followers.respond(self.handle, self.instance.config)


class _Update:
    """Tells one service after another of a new configuration; if one objects, of the old again."""

    def __init__(self, service: ConfigService, msg: Message, config: dict[str, Any]) -> None:
        self._service = service
        self._msg = msg
        self._old = service.instance.config
        self._new = config
        self._told: list[str] = []
        names = [name for name in service.instance.modules if name != service.name]
        self._left = [*names, "broker"]
        if config == self._old:
            service.handle.respond(msg)
        else:
            self._next()

    def _next(self) -> None:
        if not self._left:
            self._service.instance.config = self._new
            self._service.changed()
            self._service.handle.respond(self._msg)
            return
        name = self._left.pop(0)
        self._service.handle.rpc(f"{name}.config-reload", self._new).then(self._answered, name)

    def _answered(self, rpc: RPC, name: str) -> None:
        try:
            rpc.get()
        except OSError as exc:
            if exc.errno != errno.ENOSYS:
                self._back_out(exc, name)
                return
        else:
            self._told.append(name)
        self._next()

    def _back_out(self, exc: OSError, name: str) -> None:
        handle = self._service.handle
        for told in self._told:
            handle.rpc(f"{told}.config-reload", self._old)
        text = f"error updating {name}: {exc.strerror}"
        handle.respond_error(self._msg, exc.errno or errno.EINVAL, text)

"""Service ``attr``: the broker's attributes."""

from __future__ import annotations

import errno

from flux.devbroker._attributes import IMMUTABLE
from flux.devbroker._service import ALL, Service, method
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.message import Message
from flux.rpc import RPC

#: Attributes of this name are set by a service in the broker's stead; a hook for tests.
DELEGATED = "test-rd."
DELEGATE = "testrd"


class AttrService(Service):
    """Reads and changes attributes."""

    @method("get", ALL)
    def get(self, msg: Message) -> None:
        """Answer with the value of an attribute, and whether it may be remembered."""
        name = unpack(msg, name=str)["name"]
        attributes = self.instance.attributes
        value = attributes.values.get(name)
        if value is None:
            raise RequestError(errno.ENOENT)
        flags = (attributes.flags(name) or 0) & IMMUTABLE
        self.handle.respond(msg, {"value": value, "flags": flags})

    @method("list", ALL)
    def list(self, msg: Message) -> None:
        """Answer with the names of all attributes."""
        no_payload(msg)
        self.handle.respond(msg, {"names": self.instance.attributes.names()})

    @method("set")
    def set(self, msg: Message) -> None:
        """Set an attribute."""
        fields = unpack(msg, name=str, value=str, force=Optional(bool, False))
        name, value = fields["name"], fields["value"]
        if name.startswith(DELEGATED):
            request = {"name": name, "value": value}
            self.handle.rpc(f"{DELEGATE}.setattr", request).then(self._delegated, msg, name, value)
            return
        try:
            self.instance.attributes.set(name, value, fields["force"])
        except OSError as exc:
            raise RequestError(exc.errno or errno.EINVAL, exc.strerror) from None
        self.handle.respond(msg)

    def _delegated(self, rpc: RPC, msg: Message, name: str, value: str) -> None:
        try:
            rpc.get()
        except OSError as exc:
            self.handle.respond_error(msg, exc.errno or errno.EINVAL, exc.strerror)
            return
        self.instance.attributes.values[name] = value
        self.handle.respond(msg)

    @method("rm")
    def rm(self, msg: Message) -> None:
        """Take an attribute's value away."""
        try:
            self.instance.attributes.remove(unpack(msg, name=str)["name"])
        except OSError as exc:
            raise RequestError(exc.errno or errno.EINVAL) from None
        self.handle.respond(msg)

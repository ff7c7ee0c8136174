"""Service ``service``: the service names of modules.

Clients' registrations never come here, see `flux.devbroker._client`.
"""

from __future__ import annotations

import errno
import os

from flux.devbroker._service import Service, method
from flux.devbroker._unpack import RequestError, unpack
from flux.message import Message


class ServiceService(Service):
    """Registers further services of modules."""

    @method("add")
    def add(self, msg: Message) -> None:
        """Register a service of the module that asks."""
        name = unpack(msg, service=str)["service"]
        peer = self.sender(msg)
        try:
            self.instance.router.add_service(name, peer)
        except OSError as exc:
            errnum = exc.errno or errno.EINVAL
            module = self.instance.name_of(peer)
            text = f"could not register service {name} for module {module}: {os.strerror(errnum)}"
            raise RequestError(errnum, text) from None
        self.handle.respond(msg)

    @method("remove")
    def remove(self, msg: Message) -> None:
        """Take back a registration of the module that asks."""
        name = unpack(msg, service=str)["service"]
        peer = self.sender(msg)
        owner = self.instance.router.services.get(name)
        if owner is None or self.instance.is_internal(owner):
            raise RequestError(errno.ENOENT, f"{name} is not registered")
        if owner is not peer:
            raise RequestError(errno.EINVAL, f"requestor did not register {name}")
        self.instance.router.remove_service(name, peer)
        self.handle.respond(msg)

"""Service ``connector-local``: the local socket and who is connected to it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flux.core.handle import Flux
from flux.devbroker import _config
from flux.devbroker._service import Service, method
from flux.devbroker._unpack import RequestError, no_payload, payload_object
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance


class ConnectorService(Service):
    """Answers about clients, and obeys the section ``access`` of the configuration."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        instance.server.debug_test = lambda bit: self.debug_test(bit, clear=True)

    @method("stats-get")
    def stats_get(self, msg: Message) -> None:
        """Answer with the clients and what they have sent and received."""
        no_payload(msg)
        server = self.instance.server
        clients = [
            {
                "uuid": client.uuid,
                "userid": client.userid,
                "pid": client.pid,
                "txcount": client.sent,
                "rxcount": client.received,
                "rxbacklog": 0,
            }
            for client in server.clients()
        ]
        stats = {
            "server": {"clients": clients, "connects": server.connects},
            "allow_guest_user": server.access.allow_guest_user,
            "allow_root_owner": server.access.allow_root_owner,
        }
        self.handle.respond(msg, stats)

    @method("config-reload")
    def config_reload(self, msg: Message) -> None:
        """Take a new configuration."""
        try:
            self.instance.obey_access(_config.access(payload_object(msg)))
        except ValueError as exc:
            raise RequestError(errno.EINVAL, str(exc)) from None
        self.handle.respond(msg)

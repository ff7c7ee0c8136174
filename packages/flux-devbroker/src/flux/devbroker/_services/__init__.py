"""The services of the broker, one file each."""

from __future__ import annotations

from flux.devbroker._modules import ModuleService
from flux.devbroker._service import Service
from flux.devbroker._services.attr import AttrService
from flux.devbroker._services.broker import BrokerService
from flux.devbroker._services.config import ConfigService
from flux.devbroker._services.connector import ConnectorService
from flux.devbroker._services.event import EventService
from flux.devbroker._services.groups import GroupsService
from flux.devbroker._services.log import LogService
from flux.devbroker._services.overlay import OverlayService
from flux.devbroker._services.rexec import RexecService
from flux.devbroker._services.service import ServiceService
from flux.devbroker._services.state import RunatService, ShutdownService, StateMachineService

#: Parts of the broker itself by name, in the order in which they are made; ``log`` is the first
#: because the others write to it.
INTERNAL: dict[str, type[Service]] = {
    "log": LogService,
    "broker": BrokerService,
    "attr": AttrService,
    "event": EventService,
    "service": ServiceService,
    "module": ModuleService,
    "state-machine": StateMachineService,
    "shutdown": ShutdownService,
    "runat": RunatService,
    # Names that are taken, without a method that is of use here.
    "heaptrace": Service,
    "bootstrap": Service,
}

#: What the original has as built-in modules.
BUILTIN_MODULES: dict[str, type[Service]] = {
    "config": ConfigService,
    "connector-local": ConnectorService,
    "groups": GroupsService,
    "rexec": RexecService,
    "overlay": OverlayService,
}

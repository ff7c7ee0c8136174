"""Service ``module``: loading modules, removing them, and what there is to know of them."""

from __future__ import annotations

import errno
import syslog
import time
from typing import TYPE_CHECKING, Any, Callable

from flux.brokermod._state import RUNNING
from flux.constants import FLUX_MSGFLAG_NORESPONSE
from flux.core.handle import Flux
from flux.devbroker._modules.module import Module
from flux.devbroker._modules.target import resolve
from flux.devbroker._modules.trace import Tracer
from flux.devbroker._modules.unload import Unloading
from flux.devbroker._router import Peer
from flux.devbroker._service import USER, Service, method
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance

#: Attribute that tells whether the broker goes on when a module has failed.  With the original it
#: does if this is set and not "0"; here, where modules are being developed, unless it is "0".
NOPANIC = "broker.module-nopanic"

#: What stands for the path of a module that is part of the broker.
BUILTIN = "builtin"


class ModuleService(Service):
    """Keeps the modules.

    Attributes:
        modules: Those that are processes of their own.
        leaving: Those of them that are gone but for their process.
        tracer: Shows what goes to and from them.
    """

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self.modules: dict[Peer, Module] = {}
        self.leaving: set[Module] = set()
        self.tracer = Tracer(h, lambda text: instance.say(syslog.LOG_ERR, text))
        self._unloading: Unloading | None = None
        self._hurry = False
        self._held: list[Message] = []
        self._soon: list[Callable[[], None]] = []
        instance.router.hold = self._hold
        self._turn = h.prepare_watcher_create(lambda *_args: self._next_turn())

    # -- methods

    @method("load")
    def load(self, msg: Message) -> None:
        """Load a module; answered when it runs or has failed."""
        fields = unpack(
            msg,
            path=str,
            args=object,
            name=Optional(str),
            loader=Optional(str),
            exec=Optional(bool, False),
        )
        path, name, loader = fields["path"], fields["name"], fields["loader"]
        instance = self.instance
        if path in instance.modules and instance.modules[path] not in self.modules:
            if fields["exec"] or loader is not None:
                text = "built-in modules cannot execute in a separate process"
                raise RequestError(errno.EINVAL, text)
            raise RequestError(errno.EEXIST)
        target = resolve(path, name, loader, fields["exec"], instance.environ())
        if target.name in instance.router.services or target.name in instance.modules:
            raise RequestError(errno.EEXIST)
        if "." in target.name:
            raise RequestError(errno.EINVAL)
        if self._unloading is not None:
            raise RequestError(errno.EAGAIN, "the broker is shutting down")
        try:
            module = Module(self, target, fields["args"], msg)
        except OSError as exc:
            raise RequestError(exc.errno or errno.EINVAL, exc.strerror) from None
        self.modules[module.peer] = module
        instance.modules[module.name] = module.peer
        instance.router.add(module.peer)
        instance.router.add_service(module.name, module.peer)
        self._release()

    @method("remove")
    def remove(self, msg: Message) -> None:
        """Remove a module; answered when it is gone."""
        fields = unpack(msg, name=str, cancel=Optional(bool, False))
        name = fields["name"]
        module = self._find(name)
        if module is None:
            if name in self.instance.modules:
                raise RequestError(errno.EPERM, f"{name} is a part of the development broker")
            raise RequestError(errno.ENOENT)
        self.instance.say(syslog.LOG_DEBUG, f"rmmod {name}")
        module.stop(msg, fields["cancel"])

    @method("list", USER)
    def list(self, msg: Message) -> None:
        """Answer with all modules."""
        no_payload(msg)
        mods = [self._describe(name, peer) for name, peer in self.instance.modules.items()]
        self.handle.respond(msg, {"mods": mods})

    def _describe(self, name: str, peer: Peer) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "name": name,
            "path": BUILTIN,
            "idle": 0,
            "status": RUNNING,
            "services": sorted(peer.services, key=lambda service: (service != name, service)),
            "sendqueue": 0,
            "recvqueue": 0,
        }
        module = self.modules.get(peer)
        if module is not None:
            entry["path"] = module.path
            entry["idle"] = max(0, int(time.time() - module.peer.seen))
            entry["status"] = module.status
            # Until it has said anything, it has not read anything.
            entry["sendqueue"] = module.channel.unsent() if module.peer.seen else module.peer.early
        return entry

    @method("status")
    def status(self, msg: Message) -> None:
        """Take a module's report about itself; from anyone else it means nothing."""
        try:
            fields = unpack(msg, status=int, errnum=Optional(int, 0))
        except RequestError:
            text = "error decoding module.status request"
            if msg.bits & FLUX_MSGFLAG_NORESPONSE:
                self.instance.say(syslog.LOG_ERR, text)
            raise RequestError(errno.EPROTO, text) from None
        self.handle.respond(msg)
        peer = self.instance.sender(msg.route)
        module = None if peer is None else self.modules.get(peer)
        if module is not None:
            module.reported(fields["status"], fields["errnum"] & 0xFFFFFFFF)

    @method("debug")
    def debug(self, msg: Message) -> None:
        """Hold back what goes to a module, or no longer."""
        fields = unpack(msg, name=str, defer=Optional(bool))
        module = self._find(fields["name"])
        if module is None and fields["name"] not in self.instance.modules:
            raise RequestError(errno.ENOENT)
        if fields["defer"] is not None:
            if module is None:
                raise RequestError(errno.EPERM)
            module.peer.defer(fields["defer"])
        self.handle.respond(msg)

    @method("trace")
    def trace(self, msg: Message) -> None:
        """Show what goes to and from modules, until the client is gone."""
        self.tracer.add(msg)

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self.tracer.disconnect(msg)

    # -- what modules ask

    def _find(self, name: str) -> Module | None:
        for module in self.modules.values():
            if name in (module.name, module.path):
                return module
        return None

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back when all messages received until now have been acted on."""
        self._soon.append(callback)
        self._turn.start()

    def _hold(self, msg: Message) -> bool:
        """Keep a request for a service that there is not, if a request to load it may be due."""
        if not self.handle._dispatcher.ready:
            return False
        if not self._held:
            self.soon(self._release)
        self._held.append(msg)
        return True

    def _release(self) -> None:
        """Let requests go their way that came right behind one to load a module."""
        held, self._held = self._held, []
        for msg in held:
            self.instance.router.request(msg)

    def _next_turn(self) -> None:
        self._turn.stop()
        soon, self._soon = self._soon, []
        for callback in soon:
            callback()
        # This turn's time to write may be over.
        self.instance.server.output.flush()

    def forget(self, module: Module) -> None:
        """Take back the names of a module that is gone."""
        del self.modules[module.peer]
        del self.instance.modules[module.name]
        self.instance.router.remove(module.peer)
        self.leaving.add(module)

    def reaped(self, module: Module) -> None:
        """Take note that nothing is left of a module."""
        self.leaving.discard(module)
        if self._unloading is not None:
            self._unloading.proceed()

    def runtime_failure(self, module: Module) -> None:
        """Tell of a module that ended badly; the broker ends with it if it is to."""
        self.instance.say(syslog.LOG_CRIT, f"{module.name} module runtime failure")
        if self.instance.attributes.values.get(NOPANIC) == "0":
            self.instance.panic()

    # -- the end of the broker

    def unload(self, done: Callable[[], None]) -> None:
        """Remove all modules and then call back."""
        self._unloading = Unloading(self, done)
        if self._hurry:
            self._unloading.kill()
        self._unloading.proceed()

    def hurry(self) -> None:
        """Kill the modules that are still being waited for."""
        self._hurry = True
        if self._unloading is not None:
            self._unloading.kill()

    def close(self) -> None:
        """Leave no module."""
        for module in (*self.modules.values(), *self.leaving):
            module.destroy()
        self.modules.clear()
        self.leaving.clear()

"""One module: what it is waiting for, and how it comes to its end."""

from __future__ import annotations

import errno
import os
import socket
import syslog
import uuid
from typing import TYPE_CHECKING, Any

from flux.brokermod._state import EXITED, FINALIZING, RUNNING
from flux.constants import FLUX_MSGFLAG_NORESPONSE
from flux.devbroker._connection import Connection, Output
from flux.devbroker._modules.peer import ModulePeer
from flux.devbroker._modules.process import Loader
from flux.devbroker._modules.target import Target, command
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._modules.service import ModuleService

#: Status of a module that has not reported any.
INIT = 0

#: What comes before all messages on a channel: the module is welcome.
GREETING = b"\0"

#: What is answered to requests that a module leaves behind.
DISCONNECT = b"module disconnect"


class Channel(Connection):
    """The broker's end of a module's channel.

    Args:
        output: As of `Connection`.
        sock: As of `Connection`.
        module: Whose channel it is.
    """

    def __init__(self, output: Output, sock: socket.socket, module: Module) -> None:
        super().__init__(output, sock)
        self._module = module

    def ended(self) -> None:
        """Read no more.  The module is there until its process has ended."""
        self.stop_reading()
        if self._splitter.error is not None:
            self._module.complain(f"channel: {self._splitter.error}")

    def overran(self, why: str) -> None:
        """End a module that does not read."""
        self._module.complain(f"killed: {why}")
        self._module.loader.kill()


class Module:
    """A module, from the request to load it until nothing is left of it.

    Args:
        service: Where it belongs.
        target: What it is.
        args: Its arguments, as in the request.
        request: The request, which is answered when the module runs or has failed.

    Attributes:
        name: Its name.
        path: Its file.
        status: What it has reported.
        peer: It, as the router sees it.
        channel: The connection with it.
        loader: Its process.
        gone: Whether it has ended, as far as others can see.

    Raises:
        OSError: There is no room for a process or descriptor.
    """

    def __init__(self, service: ModuleService, target: Target, args: Any, request: Message) -> None:
        self.name, self.path, _loader = target
        self.status = INIT
        self.gone = False
        self._service = service
        self._instance = service.instance
        self._loading: Message | None = request
        self._removing: list[Message] = []
        self._unloading = False
        self._errnum = 0
        self._text: str | None = None
        near, far = socket.socketpair()
        near.setblocking(False)
        router = self._instance.router
        self.channel = Channel(self._instance.server.output, near, self)
        self.peer = ModulePeer(
            router, str(uuid.uuid4()), self.name, service.tracer, self.channel.write
        )
        self.channel.receive = self.peer.receive  # type: ignore[method-assign]
        self.loader = Loader(service.handle, target.loader, self._process_ended)
        env = self._instance.environ()
        try:
            self._greet(args)
            started = self.loader.start(command(target, env), env, far)
        except BaseException:
            self.channel.close()
            raise
        finally:
            far.close()
        say = self._instance.say
        say(syslog.LOG_DEBUG, f"insmod {self.name}")
        if started:
            say(syslog.LOG_DEBUG, f"{target.loader} {self.name} pid={self.loader.pid}")
        else:
            service.soon(self._conclude)

    def _greet(self, args: Any) -> None:
        instance = self._instance
        self.channel.write(GREETING)
        welcome = {
            "args": args,
            "attrs": instance.attributes.immutable(),
            "conf": instance.config,
            "name": self.name,
            "uuid": self.peer.uuid,
        }
        self.peer.command("welcome", welcome)

    def complain(self, text: str) -> None:
        """Log that something is wrong with it."""
        self._instance.say(syslog.LOG_ERR, f"{self.name}: {text}")

    # -- what it reports

    def reported(self, status: int, errnum: int) -> None:
        """Take a report of the module about itself."""
        if self.status == EXITED:
            return
        if status == FINALIZING:
            self.peer.muted = True
        if status == RUNNING and self.status == INIT:
            self._answer_load()
        if status in (RUNNING, FINALIZING):
            self.status = status
        elif status == EXITED:
            self._errnum = errnum
            self._leave()

    def _process_ended(self) -> None:
        # What it has said to the last is still to be read, and to be acted on.
        while not self.gone and self.channel.read():
            pass
        self._service.soon(self._conclude)

    def _conclude(self) -> None:
        """Its process has ended."""
        if self.status != EXITED:
            self._errnum, self._text = errno.EINVAL, self.loader.failure()
            self._leave()
        self._service.reaped(self)

    # -- its end

    def stop(self, request: Message | None = None, cancel: bool = False) -> None:
        """Have it end.

        Args:
            request: What to answer when it has.
            cancel: Do not ask it.
        """
        if cancel:
            self.loader.kill()
        else:
            self.peer.command(f"{self.name}.shutdown", bits=FLUX_MSGFLAG_NORESPONSE)
        self._unloading = True
        if request is not None:
            self._removing.append(request)

    def _answer_load(self) -> None:
        request, self._loading = self._loading, None
        if request is None:
            return
        if self._errnum:
            self._service.handle.respond_error(request, self._errnum, self._why())
        else:
            self._service.handle.respond(request)

    def _why(self) -> str:
        if self._text is not None:
            return self._text
        try:
            return os.strerror(self._errnum)
        except OverflowError:
            return f"Unknown error {self._errnum}"

    def _leave(self) -> None:
        """Take everything back that it had, in the order of the original."""
        self.status = EXITED
        self.gone = True
        instance = self._instance
        instance.say(syslog.LOG_DEBUG, f"module {self.name} exited")
        if self._errnum:
            self.complain(self._why())
        self._service.forget(self)
        if self._errnum and self._loading is None and not self._unloading:
            self._service.runtime_failure(self)
        self._answer_load()
        for request in self._removing:
            self._service.handle.respond(request)
        router = instance.router
        for request in self.peer.unanswered.take():
            router.refuse(request, errno.EHOSTUNREACH, DISCONNECT)
        self.peer.leave()
        self.channel.close()

    def destroy(self) -> None:
        """Leave nothing of it, and tell nobody."""
        self.loader.destroy()
        self.channel.close()

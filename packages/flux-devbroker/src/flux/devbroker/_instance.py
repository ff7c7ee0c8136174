"""One running broker, in this process: its tables, its services, and its life."""

from __future__ import annotations

import os
import signal
import socket
import syslog
import time
import uuid
from typing import Any, Callable

from flux._connector import MAX_SOCKET_PATH
from flux.brokermod._standard import StandardHandlers
from flux.brokermod._state import ModuleState, set_state
from flux.constants import FLUX_POLLIN
from flux.core.handle import Flux
from flux.core.watchers import FDWatcher
from flux.devbroker import _config, _connection
from flux.devbroker._attributes import MAX_UNREAD, MAX_UNREAD_TOTAL, Attributes
from flux.devbroker._faults import BrokerReactor, Faults
from flux.devbroker._local import LocalPeer
from flux.devbroker._modules import ModuleService
from flux.devbroker._program import Program, Result
from flux.devbroker._router import Peer, Router
from flux.devbroker._rundir import SOCKET, RunDir
from flux.devbroker._server import Server
from flux.devbroker._service import Service
from flux.devbroker._services import BUILTIN_MODULES, INTERNAL
from flux.devbroker._services.log import LogService
from flux.devbroker._services.state import ShutdownService
from flux.devbroker._signals import SignalPipe
from flux.devbroker._state import CLEANUP, EXIT, FINALIZE, GOODBYE, INIT, QUORUM, RUN, StateMachine

#: Signals that make the broker shut down.
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM)

#: Exit code of a broker that a module has brought down.
PANICKED = 1

_LOCAL = "local://"


class Instance:
    """A broker, rank 0 of 1.

    Args:
        attributes: Attributes set on the command line.
        config: The configuration.

    Attributes:
        attributes: The broker's attributes.
        config: The configuration.
        router: Who gets which message.
        modules: Broker modules, by name.
        cleanup: Shell commands by the phase in which to run them.
        endings: What is to end before those, each called with what to call when it has ended.
        faults: Where exceptions go that nobody expected.
        started: When the broker was started, as `time.monotonic` tells.
        handle: A handle of the broker itself, whose reactor all services share.
        log: The service that keeps the log.
        server: The local socket.
        state: Where in its life the broker is.

    Raises:
        OSError: The directory or the socket cannot be made.
        ValueError: An attribute cannot be set, or the configuration is malformed.
    """

    handle: Flux
    log: LogService

    def __init__(
        self, attributes: dict[str, str] | None = None, config: dict[str, Any] | None = None
    ) -> None:
        self.started = time.monotonic()
        self.config = config or {}
        access = _config.access(self.config)
        self.attributes = Attributes()
        for name, value in (attributes or {}).items():
            self.attributes.preset(name, value)
        self.router = Router(str(uuid.uuid4()), os.getuid())
        self.modules: dict[str, Peer] = {}
        self.cleanup: dict[str, list[str]] = {}
        self.endings: list[Callable[[Callable[[], None]], None]] = []
        self.state = StateMachine(lambda text: self.say(syslog.LOG_INFO, text))
        self.faults = Faults(self.say, self._cannot_go_on)
        self._reactor = BrokerReactor(self.faults)
        self._internal: dict[str, Peer] = {}
        self._services: dict[str, Service] = {}
        self._standard: list[StandardHandlers] = []
        self._program: Program | None = None
        self._signals: SignalPipe | None = None
        self._endings = 0
        self._panicked = False
        self._result = 0
        values = self.attributes.values
        self._rundir = RunDir(values.get("rundir"), (attributes or {}).get("rundir-cleanup"))
        try:
            self._set_attributes()
            self._start(access)
        except BaseException:
            self._rundir.remove()
            raise

    # -- making

    def _set_attributes(self) -> None:
        values = self.attributes.values
        hostname = values.setdefault("hostname", socket.gethostname().partition(".")[0])
        values.setdefault("statedir", self._rundir.path)
        values.setdefault("local-uri", f"{_LOCAL}{self._rundir.path}/{SOCKET}")
        values.update(
            {
                "broker.pid": str(os.getpid()),
                "broker.starttime": f"{time.time():.2f}",
                "broker.uuid": self.router.uuid,
                "hostlist": hostname,
                "rundir": self._rundir.path,
                "rundir-cleanup": str(int(self._rundir.cleanup)),
                "security.owner": str(self.router.owner),
            }
        )

    def _start(self, access: _config.Access) -> None:
        path = self.uri[len(_LOCAL) :]
        if not self.uri.startswith(_LOCAL) or len(os.fsencode(path)) > MAX_SOCKET_PATH:
            raise ValueError(
                f"local-uri: {self.uri} is not {_LOCAL} and a path of at most "
                f"{MAX_SOCKET_PATH} bytes"
            )
        for name, cls in INTERNAL.items():
            self._internal[name] = self._add(name, cls, module=False)
        identity = str(uuid.uuid4())
        self.server = Server(self.handle, self.router, identity, access)
        self.server.output.report = self.faults.report
        self.attributes.changed = self._obey_attributes
        self._obey_attributes()
        self.server.complain = lambda text: self.say(syslog.LOG_ERR, text, "connector-local")
        # All clients' requests pass connector-local, as their routes show.
        self._load(BUILTIN_MODULES, {"connector-local": identity})
        self.obey_access(access)
        self.server.listen(path)
        if self.attributes.values.get("broker.rc1_path"):
            from flux.devbroker._services.rc1 import MODULES

            self.state.advance(INIT)
            self._load(MODULES, {})
            self.state.advance(QUORUM, "rc1-success")
        self.state.advance(QUORUM)
        self.say(syslog.LOG_INFO, f"online: {self.attributes.values['hostlist']} (ranks 0)")
        self.state.advance(RUN)

    def _load(self, modules: dict[str, type[Service]], identities: dict[str, str]) -> None:
        for name, cls in modules.items():
            self.modules[name] = self._add(name, cls, module=True, identity=identities.get(name))
            self.say(syslog.LOG_DEBUG, f"insmod {name}")

    def _add(
        self, name: str, cls: type[Service], module: bool, identity: str | None = None
    ) -> Peer:
        peer = LocalPeer(self.router, identity or str(uuid.uuid4()), module)
        handle = Flux(handle=peer.session)
        handle.set_reactor(self._reactor)
        # A service cannot wait for an answer, so what it may ask for is there beforehand.
        handle._session.attrs.update(self.attributes.immutable())
        handle._cached_config = self.config
        handle.log_set_appname(name if module else "broker")
        # The broker's parts go by the broker's identity in ping's route.
        state = ModuleState(name, peer.uuid if module else self.router.uuid)
        set_state(handle, state)
        if module or name == "broker":
            # The end of a part of the broker is the end of the broker: nobody may ask for it.
            self._standard.append(StandardHandlers(handle, state, without=("shutdown",)))
        service = self._services[name] = cls(handle, self)
        if isinstance(service, LogService):
            self.log, self.handle = service, handle
        self.router.add_service(name, peer)
        return peer

    # -- what services and others ask

    def obey_access(self, access: _config.Access) -> None:
        """Admit clients as a configuration says."""
        self.server.access = access
        self._rundir.open_to_others(access.allow_guest_user)
        for key, value in zip(("allow-guest-user", "allow-root-owner"), access):
            self.say(syslog.LOG_DEBUG, f"{key}={str(value).lower()}", "connector-local")

    def _obey_attributes(self) -> None:
        output, number = self.server.output, self.attributes.number
        output.limit = number(MAX_UNREAD, _connection.MAX_UNREAD)
        output.total_limit = number(MAX_UNREAD_TOTAL, _connection.MAX_UNREAD_TOTAL)

    @property
    def uri(self) -> str:
        """Where clients connect."""
        return self.attributes.values["local-uri"]

    def say(self, level: int, text: str, name: str = "broker") -> None:
        """Log a text, at once, in the broker's name or that of one of its modules."""
        self.log.say(level, text, name)

    def environ(self) -> dict[str, str]:
        """Return the environment of the programs that the broker starts."""
        env = dict(os.environ, FLUX_URI=self.uri)
        env["PATH"] = os.pathsep.join((self._rundir.bin, env.get("PATH") or os.defpath))
        # It tells of the way to the enclosing instance.
        env.pop("FLUX_PROXY_REMOTE", None)
        return env

    def sender(self, route: bytes | None) -> Peer | None:
        """Return the module, or part of the broker, that a request came from at first hand."""
        return self.router.peers.get(route or b"")

    def name_of(self, peer: Peer) -> str:
        """Return the name of a module, or of a part of the broker."""
        for name, other in (*self.modules.items(), *self._internal.items()):
            if other is peer:
                return name
        return peer.uuid

    def is_internal(self, peer: Peer) -> bool:
        """Return True for a part of the broker itself."""
        return peer in self._internal.values()

    # -- life

    def catch_signals(self) -> None:
        """Take the signals that a broker takes.  In the main thread."""
        self._signals = SignalPipe(self.handle)
        for signum in ENDING_SIGNALS:
            self._signals.catch(signum, self.shutdown)
        for signum in (signal.SIGUSR1, signal.SIGUSR2):
            self._signals.catch(
                signum, lambda: self.say(syslog.LOG_ERR, "there are no jobs to pass a signal to")
            )

    def hold_on_to(self, lifeline: int) -> None:
        """Shut down at the end of file of a descriptor."""

        def ended(_handle: Flux, watcher: FDWatcher, *_args: Any) -> None:
            watcher.stop()
            self.shutdown()

        self.handle.fd_watcher_create(lifeline, ended, FLUX_POLLIN).start()

    def regularly(self, seconds: float, action: Callable[[], Any]) -> None:
        """Do something again and again, which does not keep the broker running."""
        self.handle.timer_watcher_create(seconds, lambda *_args: action(), seconds).start()

    def run(self, program: Program | None = None) -> int:
        """Serve until the initial program has ended, or `shutdown` was called.

        Args:
            program: The initial program; None for none.

        Returns:
            The exit code: that of the first program that failed, or 0.
        """
        if program is not None:
            self._run(program, self._program_done)
        self._reactor.run()
        return PANICKED if self._panicked else self._result

    def _run(self, program: Program, done: Callable[[Result], None]) -> None:
        if self._signals is None:
            self.catch_signals()
        assert self._signals is not None
        self._program = program
        program.start(self.environ(), self._signals, done)

    def shutdown(self) -> None:
        """End the initial program and then the broker; more urgently at each call."""
        self._endings += 1
        if self._program is not None:
            self._program.hang_up(self._endings)
        elif self.state.number == RUN:
            self._clean_up("shutdown")
        else:
            self._module_service.hurry()

    def panic(self) -> None:
        """Shut down, with an exit code that says that something failed."""
        self._panicked = True
        if self._program is not None:
            self._program.hang_up(1)
        elif self.state.number == RUN:
            self._clean_up("shutdown")

    def _cannot_go_on(self, text: str) -> None:
        """End at once: without what has failed not even a shutdown can be relied on."""
        self.say(syslog.LOG_CRIT, f"the broker cannot go on: {text}")
        self._panicked = True
        self._reactor.stop()

    @property
    def _module_service(self) -> ModuleService:
        service = self._services["module"]
        assert isinstance(service, ModuleService)
        return service

    def _program_done(self, result: Result) -> None:
        self._program = None
        self._result = result.code
        self.say(syslog.LOG_ERR if result.code else syslog.LOG_INFO, f"rc2.0: {result.text}")
        self._clean_up("rc2-fail" if result.code else "rc2-success")

    def _clean_up(self, event: str) -> None:
        self.state.advance(CLEANUP, event)
        self._soon(self._next_ending)

    def _soon(self, callback: Callable[[], None]) -> None:
        """Call back in the next turn, when what was answered until now is on its way."""
        self.handle.timer_watcher_create(0.0, lambda *_args: callback()).start()

    def _next_ending(self) -> None:
        if self.endings:
            self.endings.pop()(self._next_ending)
        else:
            self._next_cleanup()

    def _next_cleanup(self) -> None:
        commands = self.cleanup.get("cleanup")
        if commands:
            self._run(Program.shell(commands.pop(0)), self._cleanup_done)
            return
        self.state.advance(FINALIZE)
        self._module_service.unload(self._unloaded)

    def _unloaded(self) -> None:
        self.state.advance(GOODBYE)
        self._soon(self._say_goodbye)

    def _say_goodbye(self) -> None:
        shutdown = self._services["shutdown"]
        assert isinstance(shutdown, ShutdownService)
        shutdown.finish()
        self.state.advance(EXIT)
        self._soon(self._reactor.stop)

    def _cleanup_done(self, result: Result) -> None:
        self._program = None
        self._result = self._result or result.code
        self.say(syslog.LOG_ERR if result.code else syslog.LOG_INFO, f"cleanup.0: {result.text}")
        self._next_cleanup()

    def close(self) -> None:
        """Close all connections, and remove the socket and the directory."""
        if self._program is not None:
            self._program.kill()
        self.server.close()
        if self._signals is not None:
            self._signals.close()
        for service in self._services.values():
            service.close()
        self._rundir.remove()

"""Services ``state-machine``, ``shutdown`` and ``runat``: the life of the broker."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from flux.constants import FLUX_MSGFLAG_NORESPONSE, FLUX_MSGFLAG_STREAMING
from flux.core.handle import Flux
from flux.devbroker._service import USER, Service, method, same_sender
from flux.devbroker._state import RUN, STATES
from flux.devbroker._unpack import Optional, RequestError, no_payload, unpack
from flux.message import Message

if TYPE_CHECKING:
    from flux.devbroker._instance import Instance
    from flux.devbroker._services.log import Entry

#: Least urgent severity of which ``shutdown.start`` tells by default.
DEFAULT_LOGLEVEL = 6


class StateMachineService(Service):
    """Answers which state the broker is in."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._monitors: list[tuple[Message, int]] = []
        self._waiting: list[Message] = []
        instance.state.listeners.append(self._entered)

    @method("get", USER)
    def get(self, msg: Message) -> None:
        """Answer with the state, and for how long it has been that."""
        no_payload(msg)
        state = self.instance.state
        self.handle.respond(msg, {"state": STATES[state.number], "duration": state.duration()})

    @method("wait", USER)
    def wait(self, msg: Message) -> None:
        """Answer once the broker runs."""
        number = self.instance.state.number
        if number > RUN:
            raise RequestError(errno.ENOENT, "broker has surpassed RUN state")
        if number == RUN:
            self.handle.respond(msg)
        else:
            self._waiting.append(msg)

    @method("monitor")
    def monitor(self, msg: Message) -> None:
        """Answer with the state, and with each one up to the final one if streaming."""
        final = len(STATES) - 1
        if msg.data is not None:
            final = unpack(msg, final=int)["final"]
        number = self.instance.state.number
        if number > final:
            raise RequestError(errno.ENODATA)
        self.handle.respond(msg, {"state": number})
        if msg.bits & FLUX_MSGFLAG_STREAMING:
            if number == final:
                raise RequestError(errno.ENODATA)
            self._monitors.append((msg, final))

    @method("post")
    def post(self, msg: Message) -> None:
        """Take an event that advances the state, which here nobody but the broker has."""
        if not msg.bits & FLUX_MSGFLAG_NORESPONSE:
            raise RequestError(errno.EPROTO)

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._monitors = [item for item in self._monitors if not same_sender(item[0], msg)]
        self._waiting = [item for item in self._waiting if not same_sender(item, msg)]

    def _entered(self, number: int) -> None:
        monitors, self._monitors = self._monitors, []
        for msg, final in monitors:
            self.handle.respond(msg, {"state": number})
            if number >= final:
                self.handle.respond_error(msg, errno.ENODATA)
            else:
                self._monitors.append((msg, final))
        if number >= RUN:
            waiting, self._waiting = self._waiting, []
            for msg in waiting:
                if number == RUN:
                    self.handle.respond(msg)
                else:
                    text = "broker has surpassed RUN state"
                    self.handle.respond_error(msg, errno.ENOENT, text)


class ShutdownService(Service):
    """Shuts the broker down."""

    def __init__(self, h: Flux, instance: Instance) -> None:
        super().__init__(h, instance)
        self._followers: list[tuple[Message, int]] = []
        instance.log.listeners.append(self._tell)

    @method("start")
    def start(self, msg: Message) -> None:
        """Begin to shut down, on request telling of the progress."""
        loglevel = DEFAULT_LOGLEVEL
        if msg.data is not None:
            loglevel = unpack(msg, loglevel=Optional(int, DEFAULT_LOGLEVEL))["loglevel"]
        state = self.instance.state
        if state.number != RUN:
            text = f"shutdown cannot be initiated in state {STATES[state.number]}"
            raise RequestError(errno.EINVAL, text)
        follows = msg.bits & FLUX_MSGFLAG_STREAMING
        if not follows:
            # First, as there may be nothing that the end of the broker has to wait for.
            self.handle.respond(msg)
        self.instance.shutdown()
        if follows:
            self._followers.append((msg, loglevel))

    def disconnect(self, msg: Message) -> None:
        """Forget a client that is gone."""
        self._followers = [item for item in self._followers if not same_sender(item[0], msg)]

    def _tell(self, entry: Entry) -> None:
        for msg, loglevel in self._followers:
            if entry.severity <= loglevel:
                self.handle.respond(msg, {"log": entry.human()})

    def finish(self) -> None:
        """Tell those that follow that there is no more to tell."""
        followers, self._followers = self._followers, []
        for msg, _loglevel in followers:
            self.handle.respond_error(msg, errno.ENODATA)


class RunatService(Service):
    """Takes commands to be run when the initial program is done."""

    @method("push")
    def push(self, msg: Message) -> None:
        """Add commands to a phase; ``cleanup`` is the one that is run."""
        fields = unpack(msg, name=str, commands=list)
        commands = fields["commands"]
        if not all(isinstance(command, str) for command in commands):
            raise RequestError(errno.EPROTO)
        self.instance.cleanup.setdefault(fields["name"], []).extend(commands)
        self.handle.respond(msg)

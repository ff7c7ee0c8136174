"""Sweeps: do something at one instruction of ours after the other, and look what is left.

A scenario is run once for each bytecode instruction that this project's code executes in it; at
that instruction an exception is raised, a call comes in, or another thread tries.  Afterwards the
scenario says what must be true all the same.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FrameType
from typing import Any, Callable

import pytest

import flux
from flux import _codec
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_RPC_STREAMING
from flux.message import Message
from scripted import LIMIT

#: Where the code is at whose instructions something happens: all parts of `flux`.
OURS = f"{os.sep}flux{os.sep}"


#: How many positions of each scenario to try; 0 for all of them.
SAMPLE = int(os.environ.get("FLUX_SWEEP", "40"))

LONG = "x" * 300_000


class Interrupted(BaseException):
    """What a sweep raises; as little like anything that is handled as can be."""


class Position:
    """Runs a call, and does something at its n-th instruction.

    Args:
        number: Which, from 0.
        act: What to do there.
        entered: A function that must have been entered before instructions count, or None.

    Attributes:
        reached: Whether there is such an instruction.
        where: The place, for messages.
    """

    def __init__(self, number: int, act: Callable[[], Any]) -> None:
        self.left = number
        self.act = act
        self.reached = False
        self.where = "not reached"
        self._codes: dict[CodeType, bool] = {}

    def run(self, call: Callable[[], Any]) -> Any:
        """Make the call, in this thread."""

        def once() -> Iterator[Any]:
            yield call()

        previous = sys.gettrace()
        sys.settrace(self._trace)
        try:
            # In a generator, which keeps an account of its own of what is being handled: one raised
            # at the last instruction of a handler, where no signal handler runs, leaves it wrong.
            return next(once())
        finally:
            sys.settrace(previous)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.reached:
            return None
        code = frame.f_code
        ours = self._codes.get(code)
        if ours is None:
            name = code.co_filename
            ours = self._codes[code] = OURS in name and f"{os.sep}tests{os.sep}" not in name
        if not ours:
            return None
        if event == "call":
            if _in_finalizer(frame):
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return self._trace
        if event == "opcode":
            if self.left:
                self.left -= 1
            else:
                self.reached = True
                place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}"
                self.where = f"{place} {code.co_name}+{frame.f_lasti}"
                sys.settrace(None)
                self.act()
        return self._trace


def _in_finalizer(frame: FrameType) -> bool:
    """Return True where Python prints exceptions, instead of raising them."""
    caller: FrameType | None = frame
    while caller is not None:
        code = caller.f_code
        if code.co_name == "__del__" or code.co_filename.endswith("weakref.py"):
            return True
        caller = caller.f_back
    return False


#: What streams give before they end, by topic.
STREAMS: dict[str, list[dict[str, Any]]] = {
    "e.stream": [{"n": n} for n in range(5)],
    "e.journal": [
        {"events": [{"timestamp": 3.0, "name": "e0"}, {"timestamp": 1.0, "name": "e1"}]},
        {"events": [{"timestamp": 2.0, "name": "e2"}]},
        {"events": []},
        *({"events": [{"timestamp": n + 5.0, "name": f"e{n}"}]} for n in range(3, 6)),
    ],
    "job-info.eventlog-watch": [
        {"event": json.dumps({"timestamp": n + 1.0, "name": f"e{n}"}) + "\n"} for n in range(5)
    ],
}


class Echo:
    """A broker in a thread of its own: it echoes, streams, and counts what it got."""

    def __init__(self) -> None:
        near, self.sock = socket.socketpair()
        self.sock.sendall(b"\0")
        self.handle: Any = flux.Flux(f"fd://{near.detach()}")
        self.seen: list[Message] = []
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        splitter = _codec.Splitter()
        while True:
            try:
                chunk = self.sock.recv(1 << 20)
            except ConnectionError:
                return
            if not chunk:
                return
            for msg in splitter.messages(Message, chunk):
                self.seen.append(msg)
                self._answer(msg)
            assert splitter.error is None, splitter.error

    def _answer(self, msg: Message) -> None:
        out = []
        if msg.type != FLUX_MSGTYPE_REQUEST:
            return
        if msg.topic in STREAMS:
            out = [msg.respond(b"%s\0" % json.dumps(item).encode()) for item in STREAMS[msg.topic]]
            out.append(msg.respond(b"\0", errno.ENODATA))
        elif msg.topic == "e.events":
            out = [Message.from_event_encode(f"n.{n}", {"n": n}) for n in range(5)]
            out.append(msg.respond(b"{}\0"))
        elif msg.topic == "e.call":
            for n in range(3):
                request = Message(FLUX_MSGTYPE_REQUEST)
                request.topic = "mine.echo"
                request.payload = {"n": n}
                request.matchtag = 100 + n
                out.append(request)
            out.append(msg.respond(b"{}\0"))
        elif not msg.noresponse:
            out = [msg.respond(msg.payload_bytes and msg.payload_bytes + b"\0")]
        for response in out:
            response.rolemask = 1
        # The handle may be closed before it has read all.
        with suppress(ConnectionError):
            self.sock.sendall(b"".join(response.to_stream() for response in out))

    def close(self) -> None:
        """End the thread and the connection."""
        with self.handle:
            self.handle = None
        gc.collect()
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.sock.close()
        self.seen.clear()


class Scenario:
    """What is done, and what must be true afterwards.

    `act` is interrupted; `again` is then called until it is done, as a program would that caught
    the exception, and `check` looks.
    """

    def __init__(self, echo: Echo) -> None:
        self.echo = echo
        self.handle = echo.handle

    def prepare(self) -> None:
        """Do what is not to be interrupted."""

    def act(self) -> None:
        """Do what is."""

    def finish(self) -> None:
        """Do the rest, without being interrupted."""

    def check(self) -> None:
        """See that nothing is lost or doubled."""


@pytest.fixture
def echo() -> Iterator[Echo]:
    """Return an `Echo`."""
    echo = Echo()
    yield echo
    echo.close()


def positions(scenario: type[Scenario], sample: int = SAMPLE) -> list[int] | None:
    """Return a sample of positions, or None for all."""
    if not sample:
        return None
    return random.Random(scenario.__name__).sample(range(1500), sample)


def sweep(
    echo: Echo,
    scenario_class: type[Scenario],
    interfere: Callable[[Echo], Any],
    sample: int = SAMPLE,
) -> int:
    """Run a scenario with an interference at each position; return how many there were."""
    for number in positions(scenario_class, sample) or range(1 << 30):
        if callable(signal.getsignal(signal.SIGALRM)):
            # The limit of the test, for each position anew.
            signal.setitimer(signal.ITIMER_REAL, LIMIT)
        scenario = scenario_class(echo)
        scenario.prepare()
        handle = echo.handle
        position = Position(number, partial(interfere, echo))
        try:
            try:
                position.run(scenario.act)
            except Interrupted:
                pass
            scenario.finish()
            scenario.check()
            echo.seen.clear()
            # The handle answers, and nothing is left behind.
            assert handle.rpc("e.x", {"n": 7}).get() == {"n": 7}
            session = handle._session
            gc.collect(0)
            assert not session._out
            assert not session.owners
            assert not session.corks
            assert not session._waits
            assert not session._due
            assert not [ref for ref in session.rpcs.values() if ref() is not None]
            assert not handle._dispatcher.held
            assert handle.get_reactor().active() == 0
            assert not handle.reactor_running()
        except BaseException as exc:
            if isinstance(exc, KeyboardInterrupt):
                raise
            raise AssertionError(
                f"{scenario_class.__name__} at {number}, {position.where}: "
                f"{type(exc).__name__}: {exc}"
            ) from exc
        if not position.reached and not sample:
            return number
    return sample


def report(scenario: type[Scenario], count: int) -> None:
    """Say how many positions were tried; `nox -s sweep` adds them up."""
    sys.stdout.write(f"{scenario.__name__}: {count} positions\n")


def raise_there(echo: Echo) -> None:
    """Raise, as a signal handler may."""
    raise Interrupted


def call_there(echo: Echo) -> None:
    """Make a call that waits for its answer."""
    assert echo.handle.rpc("e.x", {"n": 9}).get() == {"n": 9}


def send_there(echo: Echo) -> None:
    """Send a message that is too long to be taken at once."""
    msg = Message(FLUX_MSGTYPE_REQUEST)
    msg.topic = "log.append"
    msg.payload = {"x": LONG}
    # An answer would be for nobody, and stay.
    msg.noresponse = True
    echo.handle.send(msg)


def drop_there(echo: Echo) -> None:
    """Begin a stream and cancel it."""
    echo.handle.rpc("e.stream", flags=FLUX_RPC_STREAMING).cancel()


def thread_there(echo: Echo) -> None:
    """Have another thread make a call, which is refused or answered."""
    errors: list[BaseException] = []

    def use() -> None:
        try:
            call_there(echo)
        except RuntimeError:
            pass
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert not errors, errors


interferences = pytest.mark.parametrize(
    "interfere", [raise_there, call_there, send_there, drop_there, thread_there]
)

"""Whatever comes at whatever instruction, a handle goes on: nothing is lost, doubled or left."""

from __future__ import annotations

import errno
import gc
import os
import random
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest
from instructions import Interrupted, Position

import flux
from flux import _codec
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_RPC_STREAMING,
)
from flux.message import Message

#: How many positions of each scenario to try; 0 for all of them.
SAMPLE = int(os.environ.get("FLUX_SWEEP", "40"))

LONG = "x" * 300_000


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
            chunk = self.sock.recv(1 << 20)
            if not chunk:
                return
            for msg in splitter.messages(Message, chunk):
                self.seen.append(msg)
                self._answer(msg)
            assert splitter.error is None, splitter.error

    def _answer(self, msg: Message) -> None:
        out = []
        if msg.type == FLUX_MSGTYPE_EVENT or msg.type != FLUX_MSGTYPE_REQUEST:
            return
        if msg.topic == "e.stream":
            out = [msg.respond(b'{"n":%d}\0' % n) for n in range(5)]
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
        self.sock.sendall(b"".join(response.to_stream() for response in out))

    def close(self) -> None:
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


class Call(Scenario):
    """An RPC and its get."""

    def prepare(self) -> None:
        self.got = []

    def act(self) -> None:
        self.got.append(self.handle.rpc("e.x", {"n": 1}).get())

    def check(self) -> None:
        assert self.got in ([], [{"n": 1}])


class Kept(Scenario):
    """The get of an RPC that is kept."""

    def prepare(self) -> None:
        self.rpc = self.handle.rpc("e.x", {"n": 1})

    def act(self) -> None:
        self.rpc.get()

    def check(self) -> None:
        assert self.rpc.get() == {"n": 1}
        del self.rpc


class Many(Scenario):
    """64 RPCs in flight."""

    def prepare(self) -> None:
        self.rpcs: list[Any] = []

    def act(self) -> None:
        for n in range(64):
            self.rpcs.append(self.handle.rpc("e.x", {"n": n}))
        for rpc in self.rpcs:
            rpc.get()

    def check(self) -> None:
        assert [rpc.get() for rpc in self.rpcs] == [{"n": n} for n in range(len(self.rpcs))]
        self.rpcs.clear()


class Stream(Scenario):
    """A stream."""

    def prepare(self) -> None:
        self.rpc = self.handle.rpc("e.stream", flags=FLUX_RPC_STREAMING)
        self.got: list[int] = []

    def act(self) -> None:
        for response in self.rpc:
            self.got.append(response["n"])

    def finish(self) -> None:
        for response in self.rpc:
            self.got.append(response["n"])

    def check(self) -> None:
        # What was on its way to the caller when the exception came may be lost to him.
        assert self.got == sorted(set(self.got)), self.got
        assert len(self.got) >= 4, self.got
        del self.rpc


class Long(Scenario):
    """A message sent and received in parts."""

    def prepare(self) -> None:
        self.rpcs: list[Any] = []

    def act(self) -> None:
        self.rpcs.append(self.handle.rpc("e.x", {"pad": LONG}))
        self.rpcs[0].get()

    def check(self) -> None:
        for rpc in self.rpcs:
            assert rpc.get() == {"pad": LONG}
        self.rpcs.clear()


class Events(Scenario):
    """Events, to a watcher."""

    def prepare(self) -> None:
        self.got: list[Message] = []
        self.watcher = self.handle.msg_watcher_create(
            lambda h, w, msg, a: self.got.append(msg), FLUX_MSGTYPE_EVENT, "n.*"
        )
        self.watcher.start()
        self.rpc = self.handle.rpc("e.events").then(lambda f: self.handle.reactor_stop())

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        while len(self.got) < 5:
            self.handle.reactor_run(flags=2)

    def check(self) -> None:
        self.watcher.stop()
        self.handle.reactor_run()
        assert [msg.payload["n"] for msg in self.got] == [0, 1, 2, 3, 4]
        del self.watcher, self.rpc


class Subscription(Scenario):
    """Subscribing, and unsubscribing."""

    def act(self) -> None:
        self.handle.event_subscribe("n.")
        self.handle.event_unsubscribe("n.")


class Receiving(Scenario):
    """Events, to a call that waits."""

    def prepare(self) -> None:
        self.handle.rpc("e.events").get()
        self.got: list[int] = []

    def act(self) -> None:
        while len(self.got) < 5:
            self.got.append(self.handle.event_recv().payload["n"])

    def finish(self) -> None:
        self.handle.rpc("e.events").get()
        while len(self.got) < 9 or self.got[-1] != 4:
            self.got.append(self.handle.event_recv().payload["n"])

    def check(self) -> None:
        # What was on its way to the caller when the exception came may be lost to him.
        assert self.got[-5:] == [0, 1, 2, 3, 4]
        first = self.got[:-5]
        assert first == sorted(set(first)), first
        assert len(first) >= 4, first


class Answer(Scenario):
    """A service's answers."""

    def prepare(self) -> None:
        self.echo.seen.clear()
        self.got: list[Message] = []

        def answer(handle: Any, watcher: Any, msg: Message, args: Any) -> None:
            self.got.append(msg)
            handle.respond(msg, msg.payload)

        self.watcher = self.handle.msg_watcher_create(answer, FLUX_MSGTYPE_REQUEST, "mine.*")
        self.watcher.start()
        self.rpc = self.handle.rpc("e.call").then(lambda f: self.handle.reactor_stop())

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        while len(self.got) < 3:
            self.handle.reactor_run(flags=2)

    def check(self) -> None:
        self.watcher.stop()
        self.handle.reactor_run()
        self.handle.rpc("e.x").get()
        assert [msg.payload["n"] for msg in self.got] == [0, 1, 2]
        answers = [msg for msg in self.echo.seen if msg.topic == "mine.echo"]
        # One that was being made when the exception came may not have been.
        tags = [msg.matchtag for msg in answers]
        assert tags == sorted(set(tags)), tags
        assert len(tags) >= 2, tags
        del self.watcher, self.rpc


class Continuations(Scenario):
    """Continuations of 16 RPCs."""

    def prepare(self) -> None:
        self.got: list[Any] = []
        self.rpcs = [self.handle.rpc("e.x", {"n": n}).then(self.got.append) for n in range(16)]

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        self.handle.reactor_run()

    def check(self) -> None:
        assert self.got == self.rpcs
        assert [rpc.get()["n"] for rpc in self.rpcs] == list(range(16))
        self.rpcs.clear()
        self.got.clear()


class StreamThen(Scenario):
    """A stream, to a continuation."""

    def prepare(self) -> None:
        self.got: list[int] = []
        self.ended = 0

        def more(rpc: Any) -> None:
            try:
                n = rpc.get()["n"]
            except OSError:
                self.ended += 1
                return
            if not self.got or self.got[-1] != n:
                self.got.append(n)
            rpc.reset()

        self.rpc = self.handle.rpc("e.stream", flags=FLUX_RPC_STREAMING).then(more)

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        # The continuation may have been cut short before it asked for more.
        while not self.ended:
            if not self.rpc._armed:
                self.rpc.reset()
            self.handle.reactor_run()

    def check(self) -> None:
        assert self.ended == 1
        assert self.got == sorted(set(self.got)), self.got
        assert len(self.got) >= 4, self.got
        del self.rpc


class Timers(Scenario):
    """Timers, once and repeated."""

    def prepare(self) -> None:
        self.once: list[int] = []
        self.often: list[int] = []
        self.timers = [
            self.handle.timer_watcher_create(0, lambda *a: self.once.append(1)),
            self.handle.timer_watcher_create(0, self.repeated, repeat=0.0001),
        ]
        for timer in self.timers:
            timer.start()

    def repeated(self, *_args: Any) -> None:
        self.often.append(1)
        if len(self.often) >= 3:
            self.timers[1].stop()

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        self.handle.reactor_run()
        # The last call may have been cut short in the middle of `stop`.
        self.timers[1].stop()

    def check(self) -> None:
        assert self.once == [1]
        assert len(self.often) in (3, 4), self.often
        self.timers.clear()


class Starting(Scenario):
    """Watchers of all kinds, started and stopped."""

    def prepare(self) -> None:
        h = self.handle
        self.pipe = os.pipe()
        self.watchers = [
            h.timer_watcher_create(60, lambda *a: None),
            h.fd_watcher_create(self.pipe[0], lambda *a: None, 1),
            h.msg_watcher_create(lambda *a: None, FLUX_MSGTYPE_EVENT, "z.*"),
            h.prepare_watcher_create(lambda *a: None),
            h.idle_watcher_create(lambda *a: None),
            h.signal_watcher_create(10, lambda *a: None),
        ]

    def act(self) -> None:
        for watcher in self.watchers:
            watcher.start()
        for watcher in self.watchers:
            watcher.stop()

    def check(self) -> None:
        for watcher in self.watchers:
            watcher.start()
        assert self.handle.get_reactor().active() == len(self.watchers)
        for watcher in self.watchers:
            watcher.stop()
        assert self.handle.get_reactor().active() == 0
        assert self.handle.reactor_run() == 0
        for fd in self.pipe:
            os.close(fd)
        self.watchers.clear()


class Timeout(Scenario):
    """A wait whose time runs out."""

    def act(self) -> None:
        rpc = flux.Flux("loop://")
        try:
            rpc.rpc("a.b").wait_for(0.0001)
        except OSError as exc:
            assert exc.errno == errno.ETIMEDOUT


class Opening(Scenario):
    """Opening and closing a handle."""

    def act(self) -> None:
        with flux.Flux("loop://") as handle:
            handle.event_send("a.b")
            assert handle.recv().topic == "a.b"


SCENARIOS = [
    Call, Kept, Many, Stream, Long, Events, Subscription, Receiving, Answer, Continuations,
    StreamThen, Timers, Starting, Timeout, Opening,
]  # fmt: skip


@pytest.fixture
def echo() -> Iterator[Echo]:
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
    interfere: Callable[[Scenario], Any],
    sample: int = SAMPLE,
) -> int:
    """Run a scenario with an interference at each position; return how many there were."""
    for number in positions(scenario_class, sample) or range(1 << 30):
        scenario = scenario_class(echo)
        scenario.prepare()
        handle = echo.handle
        position = Position(number, lambda: interfere(scenario))
        try:
            try:
                position.run(scenario.act)
            except Interrupted:
                pass
            scenario.finish()
            scenario.check()
            # The handle answers, and nothing is left behind.
            assert handle.rpc("e.x", {"n": 7}).get() == {"n": 7}
            session = handle._session
            gc.collect(0)
            assert not session._out
            assert not session.owners
            assert not session.corks
            assert not session._due
            assert not [ref for ref in session.rpcs.values() if ref() is not None]
            assert not handle._dispatcher.held
            assert handle.get_reactor().active() == 0
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


scenarios = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda cls: cls.__name__)


@scenarios
def test_an_exception(echo, scenario):
    def interfere(_scenario: Scenario) -> None:
        raise Interrupted

    report(scenario, sweep(echo, scenario, interfere))


@scenarios
@pytest.mark.parametrize("what", ["rpc", "log", "dropped stream"])
def test_a_call_on_the_same_handle(echo, scenario, what):
    def interfere(_scenario: Scenario) -> None:
        handle = echo.handle
        if what == "rpc":
            assert handle.rpc("e.x", {"n": 9}).get() == {"n": 9}
        elif what == "log":
            msg = Message(FLUX_MSGTYPE_REQUEST)
            msg.topic = "log.append"
            msg.payload = {"x": LONG[:100_000]}
            handle.send(msg)
        else:
            handle.rpc("e.stream", flags=FLUX_RPC_STREAMING).cancel()

    report(scenario, sweep(echo, scenario, interfere))


@scenarios
def test_another_thread(echo, scenario):
    errors: list[BaseException] = []

    def use() -> None:
        try:
            assert echo.handle.rpc("e.x", {"n": 9}).get() == {"n": 9}
        except RuntimeError:
            pass
        except BaseException as exc:
            errors.append(exc)

    def interfere(_scenario: Scenario) -> None:
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()

    report(scenario, sweep(echo, scenario, interfere))
    assert not errors, errors

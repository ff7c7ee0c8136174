"""Ctrl-C: every wait ends with KeyboardInterrupt, and is afterwards handled as it was before."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, Callable, ClassVar

import pytest

import flux
from flux._connector import MemoryConnector
from flux.constants import FLUX_REACTOR_NOWAIT, FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.future import FutureExt, WaitAllFuture, WaitAnyFuture
from flux.message import Message


def own_handler(*_args: object) -> None:
    """A program's own handler, which does nothing."""


HANDLERS: dict[str, Any] = {
    "default": signal.default_int_handler,
    "own": own_handler,
    "ignored": signal.SIG_IGN,
    "system": signal.SIG_DFL,
}


@pytest.fixture(params=HANDLERS)
def handler(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Install one of the ways to handle SIGINT."""
    previous = signal.signal(signal.SIGINT, HANDLERS[request.param])
    yield HANDLERS[request.param]
    signal.signal(signal.SIGINT, previous)


@pytest.fixture
def unchanged(handler) -> Iterator[None]:
    """See that SIGINT is at the end handled as before."""
    yield
    assert signal.getsignal(signal.SIGINT) is handler


WAITS: dict[str, Callable[[flux.Flux], object]] = {
    "get": lambda h: h.rpc("a.b").get(),
    "get_str": lambda h: h.rpc("a.b").get_str(),
    "wait_for": lambda h: h.rpc("a.b").wait_for(),
    "wait_for with a timeout": lambda h: h.rpc("a.b").wait_for(60),
    "iterating": lambda h: list(h.rpc("a.b", flags=FLUX_RPC_STREAMING)),
    "recv": lambda h: (h.event_send("a"), h.recv()),
    "attr_get": lambda h: h.attr_get("x"),
    "event_subscribe": lambda h: h.event_subscribe("x"),
    "a composite": lambda h: WaitAllFuture([h.rpc("a.b")]).get(),
    "any of a composite": lambda h: WaitAnyFuture([h.rpc("a.b")]).get(),
    "a chain": lambda h: h.rpc("a.b").and_then(lambda f: None).get(),
    "an extension": lambda h: FutureExt(
        lambda f: f.get_flux().rpc("a.b").then(lambda r: f.fulfill()), flux_handle=h
    ).get(),
    "reactor_run": lambda h: (h.rpc("a.b").then(lambda f: None), h.reactor_run()),
    "a reactor within a callback": lambda h: (
        h.timer_watcher_create(0, lambda *_: WAITS["reactor_run"](h.clone())).start(),
        h.reactor_run(),
    ),
    "get within a callback": lambda h: (
        h.timer_watcher_create(0, lambda *_: h.rpc("a.b").get()).start(),
        h.reactor_run(),
    ),
}


waits = pytest.mark.parametrize("name", WAITS)


@waits
def test_a_wait_ends_with_keyboard_interrupt(peer, interrupt, name):
    def script() -> None:
        # The call has been made; whether it already waits or is about to is all the same.
        peer.read()
        interrupt()

    peer.run(script)
    with pytest.raises(KeyboardInterrupt):
        WAITS[name](peer.handle)
    peer.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # The handle is as good as before.
    peer.serve()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


@waits
@pytest.mark.parametrize("own", [own_handler, signal.SIG_IGN])
def test_a_wait_ends_also_where_the_program_handles_the_signal_itself(peer, interrupt, name, own):
    ended = threading.Event()

    def script() -> None:
        peer.read()
        # What comes before the wait is the program's own affair.
        while not ended.wait(0.002):
            interrupt()

    previous = signal.signal(signal.SIGINT, own)
    try:
        peer.run(script)
        with pytest.raises(KeyboardInterrupt):
            WAITS[name](peer.handle)
        ended.set()
        peer.join()
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, previous)


@waits
def test_a_wait_that_begins_after_the_signal_in_the_same_callback_ends(peer, interrupt, name):
    def fire(handle: flux.Flux, *_args: object) -> None:
        interrupt()
        WAITS[name](handle.clone())
        raise AssertionError

    peer.handle.timer_watcher_create(0, fire).start()
    with pytest.raises(KeyboardInterrupt):
        peer.handle.reactor_run()


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("call", ["get", "wait_for", "reactor_run"])
def test_a_signal_while_the_answer_is_being_read_is_not_lost(peer, interrupt, call):
    rpc = peer.handle.rpc("a.b")
    peer.answer(peer.read(), {"x": 1})
    rpc.observe(lambda f: interrupt())
    if call == "reactor_run":
        rpc.then(lambda f: None)
    with pytest.raises(KeyboardInterrupt):
        getattr(peer.handle if call == "reactor_run" else rpc, call)()
    assert rpc.get() == {"x": 1}


@pytest.mark.usefixtures("unchanged")
class TestInCallbacks:
    """A signal that arrives while a callback runs, when the reactor's handler is in force."""

    STARTERS: ClassVar[dict[str, Callable[[flux.Flux, Callable[..., object]], object]]] = {
        "timer": lambda h, cb: h.timer_watcher_create(0, cb).start(),
        "prepare": lambda h, cb: h.prepare_watcher_create(cb).start(),
        "check": lambda h, cb: (
            h.check_watcher_create(cb).start(),
            h.timer_watcher_create(0, lambda *_: None).start(),
        ),
        "idle": lambda h, cb: h.idle_watcher_create(cb).start(),
        "message": lambda h, cb: (h.msg_watcher_create(cb).start(), h.event_send("a")),
        "future": lambda h, cb: TestInCallbacks.fulfilled(h).then(cb),
    }

    @staticmethod
    def fulfilled(handle: flux.Flux) -> flux.Future:
        future = flux.Future(flux_handle=handle)
        future.fulfill()
        return future

    @pytest.mark.parametrize("kind", STARTERS)
    def test_it_is_not_lost_even_in_the_last_one(self, loop, interrupt, kind):
        calls: list[object] = []

        def last(*args: Any) -> None:
            calls.append(1)
            interrupt()
            if len(args) > 1:
                args[1].stop()

        self.STARTERS[kind](loop, last)
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run()
        assert calls == [1]
        loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)

    @pytest.mark.parametrize("kind", STARTERS)
    def test_it_is_not_lost_when_the_callback_stops_the_reactor(self, loop, interrupt, kind):
        def last(*args: Any) -> None:
            interrupt()
            if len(args) > 1:
                args[1].stop()
            loop.reactor_stop()

        self.STARTERS[kind](loop, last)
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run()

    def test_it_is_not_lost_in_a_run_that_does_not_wait(self, loop, interrupt):
        self.fulfilled(loop).then(lambda f: interrupt())
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)

    def test_the_rest_of_the_callback_runs(self, loop, interrupt):
        done: list[str] = []

        def fire(*_args: object) -> None:
            interrupt()
            done.append("rest")

        loop.timer_watcher_create(0, fire).start()
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run()
        assert done == ["rest"]

    def test_one_interrupts_one_run(self, loop, interrupt):
        loop.timer_watcher_create(0, lambda *_: interrupt()).start()
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run()
        assert loop.reactor_run() == 0

    def test_a_watcher_of_the_signal_is_called_as_well(self, loop, interrupt):
        calls: list[int] = []
        with loop.signal_watcher_create(signal.SIGINT, lambda h, w, n, a: calls.append(n)):
            loop.timer_watcher_create(0, lambda *_: interrupt()).start()
            with pytest.raises(KeyboardInterrupt):
                loop.reactor_run()
        loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
        assert len(calls) <= 1


@pytest.mark.usefixtures("unchanged")
class TestHandlerAfterwards:
    """SIGINT is handled as before, however a wait ended."""

    def test_after_a_result(self, peer):
        peer.serve()
        peer.handle.rpc("a.b").get()
        peer.handle.rpc("a.b").then(lambda f: None)
        peer.handle.reactor_run()

    def test_after_a_timeout(self, peer):
        with pytest.raises(OSError, match="timed out"):
            peer.handle.rpc("a.b").wait_for(0.001)

    def test_after_an_exception_in_a_callback(self, loop):
        loop.timer_watcher_create(0, lambda *_: 1 / 0).start()
        with pytest.raises(ZeroDivisionError):
            loop.reactor_run()

    def test_after_an_exit_in_a_callback(self, loop):
        def leave(*_args: object) -> None:
            raise SystemExit

        loop.timer_watcher_create(0, leave).start()
        with pytest.raises(SystemExit):
            loop.reactor_run()

    def test_after_a_lost_connection(self, peer):
        rpc = peer.handle.rpc("a.b")
        peer.hang_up()
        with pytest.raises(OSError, match="lost connection"):
            rpc.get()
        watcher = peer.handle.msg_watcher_create(print)
        with watcher, pytest.raises(OSError, match="lost connection"):
            peer.handle.reactor_run()

    def test_after_a_wait_within_a_callback(self, peer):
        peer.serve()
        seen: list[object] = []

        def fire(handle: flux.Flux, *_args: object) -> None:
            before = signal.getsignal(signal.SIGINT)
            handle.rpc("a.b").get()
            seen.append(signal.getsignal(signal.SIGINT) is before)

        peer.handle.timer_watcher_create(0, fire).start()
        peer.handle.reactor_run()
        assert seen == [True]

    def test_after_bad_flags(self, loop):
        with pytest.raises(OSError, match="flags"):
            loop.reactor_run(flags=64)

    def test_after_a_wait_in_another_thread(self, peer, handler):
        peer.serve()

        def run() -> None:
            peer.handle.rpc("a.b").get()
            peer.handle.rpc("a.b").then(lambda f: None)
            peer.handle.reactor_run()
            assert signal.getsignal(signal.SIGINT) is handler

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()


class TestSend:
    """A signal while a message is being handed over: the message is sent all the same."""

    @pytest.fixture
    def sent(self) -> list[str]:
        return []

    @pytest.fixture
    def handle(self, sent) -> flux.Flux:
        def post(msg: Message) -> None:
            signal.raise_signal(signal.SIGINT)
            sent.append(msg.topic)

        return flux.Flux(handle=MemoryConnector(post, (0, 1)))

    def test_python_s_own_handler_raises_afterwards(self, handle, sent):
        with pytest.raises(KeyboardInterrupt):
            handle.rpc("a.b", flags=FLUX_RPC_NORESPONSE)
        assert sent == ["a.b"]

    def test_a_handler_of_the_program_is_left_to_deal_with_it(self, handle, sent):
        seen = []
        previous = signal.signal(signal.SIGINT, lambda *_args: seen.append("SIGINT"))
        try:
            handle.rpc("a.b", flags=FLUX_RPC_NORESPONSE)
        finally:
            signal.signal(signal.SIGINT, previous)
        assert sent == ["a.b"]
        assert seen == ["SIGINT"]


class TestStalledSend:
    """A request larger than the socket's buffer, to a peer that does not read."""

    @pytest.mark.parametrize("attempt", range(5))
    def test_an_interrupted_request_is_whole_or_the_connection_lost(self, peer, interrupt, attempt):
        def script() -> None:
            peer.sock.recv(1, socket.MSG_PEEK)
            interrupt()

        peer.run(script)
        with pytest.raises(KeyboardInterrupt):
            peer.handle.rpc("first.one", "x" * 3_000_000).get()
        peer.join()
        peer.serve(lambda msg: {"topic": msg.topic})
        try:
            # Never the answer to the other request, and never for ever.
            assert peer.handle.rpc("second.one").wait_for(5).get() == {"topic": "second.one"}
        except (BrokenPipeError, ConnectionError):
            return
        assert [msg.topic for msg in peer.requests] == ["first.one", "second.one"]

"""Signals during a wait: handlers run and may raise out of it, and nobody touches them."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, Callable, ClassVar

import pytest

import flux
from flux.constants import FLUX_REACTOR_NOWAIT, FLUX_RPC_STREAMING
from flux.future import FutureExt, WaitAllFuture, WaitAnyFuture


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
    """See that nobody touches a handler."""

    def refuse(*_args: object) -> None:
        raise AssertionError("a signal's handler was changed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", refuse)
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


@pytest.mark.parametrize("name", [name for name in WAITS if name not in ("iterating", "recv")])
@pytest.mark.parametrize("own", [own_handler, signal.SIG_IGN])
def test_a_wait_goes_on_where_the_program_handles_the_signal(peer, interrupt, name, own):
    def script() -> None:
        first = peer.read()
        for _ in range(3):
            interrupt()
        peer.answer(first, {"value": "1", "flags": 0})

    previous = signal.signal(signal.SIGINT, own)
    try:
        peer.run(script)
        WAITS[name](peer.handle)
        peer.join()
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, previous)


@pytest.mark.parametrize("call", ["get", "wait_for", "reactor_run"])
def test_what_is_read_when_the_signal_comes_is_not_lost(peer, interrupt, call):
    rpc = peer.handle.rpc("a.b")
    peer.answer(peer.read(), {"x": 1})
    done: list[int] = []

    def observe(_future: object) -> None:
        if not done:
            done.append(1)
            interrupt()

    rpc.observe(observe)
    if call == "reactor_run":
        rpc.then(lambda f: None)
    with pytest.raises(KeyboardInterrupt):
        getattr(peer.handle if call == "reactor_run" else rpc, call)()
    assert rpc.get() == {"x": 1}


class TestInCallbacks:
    """A signal that arrives while a callback runs raises in the callback, as anywhere else."""

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
    def test_it_ends_the_run_and_the_next_goes_on(self, loop, interrupt, kind):
        calls: list[str] = []

        def last(*args: Any) -> None:
            if len(args) > 1:
                args[1].stop()
            calls.append("begun")
            interrupt()
            calls.append("not reached")

        self.STARTERS[kind](loop, last)
        with pytest.raises(KeyboardInterrupt):
            loop.reactor_run()
        assert calls == ["begun"]
        assert not loop.reactor_running()
        loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
        assert calls == ["begun"]

    def test_a_watcher_of_the_signal_is_called_instead(self, loop, interrupt):
        calls: list[int] = []
        with loop.signal_watcher_create(
            signal.SIGINT, lambda h, w, n, a: calls.append(n)
        ) as watcher:
            loop.timer_watcher_create(0, lambda *_: interrupt()).start()
            watcher.unref()
            loop.reactor_run()
            loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
        assert calls == [signal.SIGINT]


@pytest.mark.usefixtures("unchanged")
class TestHandlers:
    """Nobody touches the handlers of the process, however a wait goes."""

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


class TestStalledSend:
    """A request larger than the socket's buffer, to a peer that does not read."""

    @pytest.mark.parametrize("attempt", range(5))
    def test_an_interrupted_request_is_sent_whole(self, peer, interrupt, attempt):
        def script() -> None:
            peer.sock.recv(1, socket.MSG_PEEK)
            interrupt()

        peer.run(script)
        with pytest.raises(KeyboardInterrupt):
            peer.handle.rpc("first.one", "x" * 3_000_000).get()
        peer.join()
        peer.serve(lambda msg: {"topic": msg.topic})
        assert peer.handle.rpc("second.one").wait_for(5).get() == {"topic": "second.one"}
        assert [msg.topic for msg in peer.requests] == ["first.one", "second.one"]

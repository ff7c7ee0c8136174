"""The reactor: when it returns, what it returns, and what becomes of exceptions."""

from __future__ import annotations

import errno
import gc
import socket
import threading
import traceback
import weakref

import pytest

import flux
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_REACTOR_NOWAIT,
    FLUX_REACTOR_ONCE,
)
from flux.core.reactor import Reactor


def test_a_reactor_without_watchers_returns_at_once(loop):
    assert loop.reactor_run() == 0
    for flags in (FLUX_REACTOR_NOWAIT, FLUX_REACTOR_ONCE):
        assert loop.reactor_run(flags=flags) == 0


def test_the_reactor_returns_when_nothing_referenced_is_left(loop):
    fired: list[int] = []
    ignored = loop.timer_watcher_create(3600, lambda *_: None).unref().start()
    for after in (0.002, 0, 0.001):
        loop.timer_watcher_create(
            after, lambda h, w, r, args: fired.append(args), args=after
        ).start()
    assert loop.reactor_run() == 0
    assert fired == [0, 0.001, 0.002]
    assert ignored.is_active()
    ignored.stop()


def test_the_reactor_returns_how_many_referenced_watchers_are_active(loop):
    watchers = [loop.timer_watcher_create(3600, lambda *_: None).start() for _ in range(3)]
    watchers[0].unref()
    loop.timer_watcher_create(0, lambda h, *_: h.reactor_stop()).start()
    assert loop.reactor_run() == 2
    for watcher in watchers:
        watcher.stop()
    assert loop.reactor_run() == 0


def test_stop_error_gives_minus_one_once(loop):
    timer = loop.timer_watcher_create(0, lambda h, *_: h.reactor_stop_error())
    timer.start()
    assert loop.reactor_run() == -1
    assert loop.reactor_run() == 0


def test_a_stop_before_the_run_has_no_effect(loop):
    loop.reactor_stop()
    loop.reactor_stop_error()
    fired: list[object] = []
    loop.timer_watcher_create(0, lambda *_: fired.append(1)).start()
    assert loop.reactor_run() == 0
    assert fired == [1]


def test_nowait_handles_what_is_ready_and_does_not_wait(loop):
    fired: list[object] = []
    timer = loop.timer_watcher_create(3600, lambda *_: None).start()
    assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
    loop.timer_watcher_create(0, lambda *_: fired.append(1)).start()
    assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
    assert fired == [1]
    timer.stop()


def test_once_waits_for_one_event(loop):
    fired: list[object] = []
    late = loop.timer_watcher_create(3600, lambda *_: None).start()
    loop.timer_watcher_create(0.005, lambda *_: fired.append(1)).start()
    assert loop.reactor_run(flags=FLUX_REACTOR_ONCE) == 1
    assert fired == [1]
    late.stop()


@pytest.mark.parametrize("flags", [4, 1 << 20])
def test_unknown_flags_are_refused(loop, flags):
    with pytest.raises(OSError, match="flags") as caught:
        loop.reactor_run(flags=flags)
    assert caught.value.errno == errno.EINVAL


def test_the_reactor_may_be_given(loop):
    reactor = loop.get_reactor()
    assert isinstance(reactor, Reactor)
    assert loop.get_reactor() is reactor
    timer = loop.timer_watcher_create(3600, lambda *_: None).start()
    loop.timer_watcher_create(0, lambda h, *_: h.reactor_stop(reactor)).start()
    assert flux.Flux("loop://").reactor_run(reactor) == 1
    assert flux.Flux("loop://").reactor_run(reactor, FLUX_REACTOR_NOWAIT) == 1
    timer.stop()


def test_handles_of_a_thread_may_share_a_reactor(connect):
    one, two = connect(), connect()
    two.handle.set_reactor(one.handle.get_reactor())
    got: list[object] = []
    for peer in (one, two):
        peer.serve()
        peer.handle.rpc("a.b", {"x": 1}).then(lambda f: got.append(f.get()))
    assert one.handle.reactor_run() == 0
    assert got == [{"x": 1}] * 2
    with pytest.raises(OSError, match="has a reactor") as caught:
        two.handle.set_reactor(Reactor())
    assert caught.value.errno == errno.EEXIST


def test_a_handle_that_is_closed_makes_room_on_a_shared_reactor(loop):
    calls: list[object] = []
    for _ in range(3):
        with flux.Flux("loop://") as other:
            other.set_reactor(loop.get_reactor())
            with other.msg_watcher_create(lambda *args: calls.append(args[2].topic)):
                other.event_send("a")
                assert loop.reactor_run(flags=FLUX_REACTOR_ONCE) == 1
    assert calls == ["a"] * 3


def test_a_handle_that_lost_its_connection_makes_room_on_a_shared_reactor(loop, connect):
    for _ in range(3):
        peer = connect()
        peer.handle.set_reactor(loop.get_reactor())
        calls: list[object] = []
        peer.handle.rpc("a.b").then(lambda f, calls: calls.append(f.error_string()), calls)
        peer.hang_up()
        assert loop.reactor_run() == 0
        assert len(calls) == 1
        del peer.handle
        peer.handle = None


def test_a_dropped_handle_leaves_a_shared_reactor(loop):
    other = flux.Flux("loop://")
    other.set_reactor(loop.get_reactor())
    other.rpc("a.b").then(lambda f: None).stop()
    loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
    session = weakref.ref(other._session)
    del other
    gc.collect()
    assert session() is None


def test_a_clone_may_share_the_reactor(peer):
    peer.serve()
    clone = peer.handle.clone()
    clone.set_reactor(peer.handle.get_reactor())
    got: list[object] = []
    for handle in (peer.handle, clone):
        handle.rpc("a.b", {"x": 1}).then(lambda f: got.append(f.get()))
    assert peer.handle.reactor_run() == 0
    assert got == [{"x": 1}] * 2


def test_a_reactor_runs_within_a_callback_of_another(loop, peer):
    peer.serve()
    got: list[object] = []

    def nested(*_args: object) -> None:
        peer.handle.rpc("a.b", {"x": 1}).then(lambda f: got.append(f.get()))
        assert peer.handle.reactor_run() == 0
        got.append("outer")

    loop.timer_watcher_create(0, nested).start()
    assert loop.reactor_run() == 0
    assert got == [{"x": 1}, "outer"]


class TestExceptions:
    """An exception in a callback surfaces from reactor_run, once, with its traceback."""

    @pytest.fixture(
        params=["timer", "message", "event", "future", "prepare", "check", "idle", "fd"]
    )
    def raising(self, request, loop):
        """Start something on the handle whose callback raises once."""

        def raise_here(*_args: object) -> None:
            for watcher in watchers:
                watcher.stop()
            raise ZeroDivisionError("in the callback")

        kind = request.param
        watchers = []
        sockets: list[socket.socket] = []
        if kind == "timer":
            watchers.append(loop.timer_watcher_create(0, raise_here))
        elif kind == "message":
            watchers.append(loop.msg_watcher_create(raise_here))
            loop.send(loop.request_encode("a.b"))
        elif kind == "event":
            watchers.append(loop.msg_watcher_create(raise_here, FLUX_MSGTYPE_EVENT))
            loop.event_send("a.b")
        elif kind == "future":
            future = flux.Future(flux_handle=loop)
            future.fulfill()
            future.then(raise_here)
        elif kind == "fd":
            near, far = socket.socketpair()
            sockets += near, far
            far.send(b"x")
            watchers.append(loop.fd_watcher_create(near.fileno(), raise_here, 1))
        else:
            watchers.append(getattr(loop, f"{kind}_watcher_create")(raise_here))
            loop.timer_watcher_create(0, lambda *_: None).start()
        for watcher in watchers:
            watcher.start()
        yield loop
        for sock in sockets:
            sock.close()

    def test_it_surfaces_once_with_its_traceback(self, raising):
        with pytest.raises(ZeroDivisionError, match="in the callback") as caught:
            raising.reactor_run()
        assert "raise_here" in [
            frame.name for frame in traceback.extract_tb(caught.value.__traceback__)
        ]
        raising.raise_if_exception()
        assert raising.reactor_run() == 0

    def test_what_was_due_is_left_for_the_next_run(self, loop):
        got: list[str] = []

        def receive(handle: object, watcher: object, msg: flux.Message, args: object) -> None:
            got.append(msg.topic)
            if msg.topic == "b":
                raise ZeroDivisionError

        with loop.msg_watcher_create(receive, FLUX_MSGTYPE_EVENT):
            for topic in "abc":
                loop.event_send(topic)
            with pytest.raises(ZeroDivisionError):
                loop.reactor_run()
            assert got == ["a", "b"]
            loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
            assert got == ["a", "b", "c"]

    def test_timers_that_were_due_are_left_for_the_next_run(self, loop):
        got: list[int] = []

        def fire(handle: object, watcher: object, revents: int, n: int) -> None:
            got.append(n)
            if n == 0:
                raise ZeroDivisionError

        for n in range(2):
            loop.timer_watcher_create(0, fire, args=n).start()
        with pytest.raises(ZeroDivisionError):
            loop.reactor_run()
        loop.reactor_run()
        assert got == [0, 1]

    def test_an_exception_in_a_nested_run_surfaces_there(self, loop):
        def fail(*_args: object) -> None:
            raise ZeroDivisionError

        def nested(*_args: object) -> None:
            other = flux.Flux("loop://")
            other.timer_watcher_create(0, fail).start()
            with pytest.raises(ZeroDivisionError):
                other.reactor_run()

        loop.timer_watcher_create(0, nested).start()
        assert loop.reactor_run() == 0

    def test_system_exit_passes_through(self, loop):
        def leave(*_args: object) -> None:
            raise SystemExit(3)

        loop.timer_watcher_create(0, leave).start()
        with pytest.raises(SystemExit):
            loop.reactor_run()
        assert not flux.Flux.reactor_running()
        assert loop.reactor_run() == 0

    def test_an_exception_may_be_set_by_hand(self, loop):
        first, second = ZeroDivisionError(), ValueError()

        def fire(handle: flux.Flux, *_args: object) -> None:
            assert handle.set_exception(first) is None
            assert handle.set_exception(second) is first
            handle.reactor_stop_error()

        loop.timer_watcher_create(0, fire).start()
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            loop.reactor_run()
        assert caught.value is second
        assert flux.Flux.set_exception(None) is None

    def test_exceptions_are_per_thread(self):
        flux.Flux.set_exception(ZeroDivisionError())
        thread = threading.Thread(target=flux.Flux.raise_if_exception)
        thread.start()
        thread.join()
        with pytest.raises(ZeroDivisionError):
            flux.Flux.raise_if_exception()


def test_a_thread_knows_whether_it_runs_a_reactor(loop):
    seen: list[bool] = []

    def look(*_args: object) -> None:
        seen.append(flux.Flux.reactor_running())
        thread = threading.Thread(target=lambda: seen.append(flux.Flux.reactor_running()))
        thread.start()
        thread.join()

    loop.timer_watcher_create(0, look).start()
    assert not loop.reactor_running()
    loop.reactor_run()
    assert seen == [True, False]
    assert not loop.reactor_running()
    with loop.in_reactor():
        assert loop.reactor_running()
    flux.Flux.reactor_enter()
    assert loop.reactor_running()
    flux.Flux.reactor_exit()
    assert not loop.reactor_running()


def test_the_reactor_runs_in_another_thread(connect):
    got: list[object] = []

    def run() -> None:
        peer = connect()
        peer.serve()
        peer.handle.rpc("a.b", {"x": 1}).then(lambda f: got.append(f.get()))
        got.append(peer.handle.reactor_run())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert got == [{"x": 1}, 0]

"""Watchers: timers, descriptors, signals, prepare, check and idle."""

from __future__ import annotations

import errno
import gc
import os
import signal
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import flux
from flux.constants import (
    FLUX_POLLERR,
    FLUX_POLLIN,
    FLUX_POLLOUT,
    FLUX_REACTOR_NOWAIT,
    FLUX_REACTOR_ONCE,
)
from flux.core.watchers import (
    CheckWatcher,
    FDWatcher,
    IdleWatcher,
    PrepareWatcher,
    SignalWatcher,
    TimerWatcher,
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture(params=["timer", "fd", "signal", "prepare", "check", "idle", "message"])
def watcher(request, loop, pair):
    """Return a watcher of each kind, whose callback appends its arguments to ``watcher.args``."""
    calls: list[Any] = []

    def callback(*args: object) -> None:
        calls.append(args)

    kind = request.param
    if kind == "timer":
        made = loop.timer_watcher_create(3600, callback, args=calls)
    elif kind == "fd":
        made = loop.fd_watcher_create(pair[0].fileno(), callback, FLUX_POLLIN, args=calls)
    elif kind == "signal":
        made = loop.signal_watcher_create(signal.SIGUSR1, callback, args=calls)
    elif kind == "message":
        made = loop.msg_watcher_create(callback, args=calls)
    else:
        made = getattr(loop, f"{kind}_watcher_create")(callback, args=calls)
    yield made
    made.stop()


class TestAllKinds:
    """What all watchers have in common."""

    def test_start_and_stop_are_idempotent(self, watcher, loop):
        assert not watcher.is_active()
        for _ in range(2):
            assert watcher.start() is watcher
            assert watcher.is_active()
            assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
        for _ in range(2):
            assert watcher.stop() is watcher
            assert not watcher.is_active()
            assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 0
        watcher.start()
        assert watcher.is_active()

    def test_unreferenced_ones_do_not_keep_the_reactor_running(self, watcher, loop):
        assert watcher.is_referenced()
        watcher.start()
        for _ in range(2):
            assert watcher.unref() is watcher
            assert not watcher.is_referenced()
            assert loop.reactor_run() == 0
        assert watcher.is_active()
        for _ in range(2):
            assert watcher.ref() is watcher
            assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
        watcher.unref().stop()
        watcher.ref()
        assert loop.reactor_run() == 0

    def test_it_starts_and_stops_as_a_context_manager(self, watcher, loop):
        with watcher as entered:
            assert entered is watcher
            assert watcher.is_active()
        assert not watcher.is_active()
        with pytest.raises(ZeroDivisionError), watcher:
            raise ZeroDivisionError
        assert not watcher.is_active()
        assert loop.reactor_run() == 0

    def test_a_destroyed_one_cannot_be_started(self, watcher, loop):
        watcher.start()
        loop.add_watcher(watcher)
        watcher.destroy()
        watcher.destroy()
        assert loop.reactor_run() == 0
        with pytest.raises(OSError, match="destroyed") as caught:
            watcher.start()
        assert caught.value.errno == errno.EINVAL

    def test_a_stopped_one_is_garbage_when_nobody_refers_to_it(self, loop):
        watchers = [
            loop.timer_watcher_create(3600, print),
            loop.signal_watcher_create(signal.SIGUSR1, print),
            loop.prepare_watcher_create(print),
            loop.msg_watcher_create(print),
        ]
        for made in watchers:
            made.start()
            made.stop()
        refs = [weakref.ref(made) for made in watchers]
        del made
        watchers.clear()
        gc.collect()
        assert [ref() for ref in refs] == [None] * 4

    def test_a_started_one_lives_without_a_reference(self, loop):
        calls: list[object] = []
        loop.timer_watcher_create(0, lambda *_: calls.append(1)).start()
        gc.collect()
        loop.reactor_run()
        assert calls == [1]

    def test_the_handle_keeps_what_it_is_told_to(self, loop):
        made = loop.add_watcher(loop.timer_watcher_create(3600, print))
        ref = weakref.ref(made)
        kept = ref()
        del made
        gc.collect()
        assert ref() is kept
        loop.del_watcher(kept)
        loop.del_watcher(kept)
        kept = None
        gc.collect()
        assert ref() is None


class TestTimers:
    """Timers, once and repeatedly."""

    def test_the_callback_gets_four_arguments(self, loop):
        calls: list[Any] = []
        timer = loop.timer_watcher_create(0, lambda *args: calls.append(args), args="mine")
        assert isinstance(timer, TimerWatcher)
        timer.start()
        assert loop.reactor_run() == 0
        [(handle, watcher, revents, args)] = calls
        assert (handle, watcher, args) == (loop, timer, "mine")
        assert isinstance(revents, int)
        assert not timer.is_active()

    def test_it_does_not_fire_early(self, loop):
        start = time.monotonic()
        loop.timer_watcher_create(0.01, lambda *_: None).start()
        loop.reactor_run()
        assert time.monotonic() - start >= 0.01

    def test_a_repeating_one_fires_until_it_is_stopped(self, loop):
        calls: list[object] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, args: object) -> None:
            calls.append(watcher.is_active())
            if len(calls) == 3:
                watcher.stop()

        loop.timer_watcher_create(0, fire, repeat=0.001).start()
        assert loop.reactor_run() == 0
        assert calls == [True] * 3

    def test_a_late_repeating_one_does_not_fire_in_a_burst(self, loop):
        calls: list[float] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, args: object) -> None:
            calls.append(time.monotonic())
            while time.monotonic() < calls[0] + 0.1:
                pass

        with loop.timer_watcher_create(0, fire, repeat=0.005):
            for _ in range(30):
                loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
            late = time.monotonic() - calls[0] - 0.1
        # Of the 20 calls that were missed one is made up for.
        assert len(calls) <= 3 + late / 0.005

    def test_a_fired_one_can_be_started_again(self, loop):
        calls: list[object] = []
        timer = loop.timer_watcher_create(0, lambda *_: calls.append(1))
        for n in range(1, 4):
            timer.start()
            loop.reactor_run()
            assert len(calls) == n

    def test_reset_arms_it_anew(self, loop):
        calls: list[object] = []
        timer = loop.timer_watcher_create(3600, lambda *_: calls.append(1))
        timer.start()
        timer.reset(after=0)
        assert loop.reactor_run() == 0
        assert calls == [1]
        # Not started, it is started; without arguments, with the times given at creation.
        timer.reset()
        assert timer.is_active()
        assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
        assert calls == [1]
        timer.stop()

    def test_reset_within_the_callback_makes_another_call(self, loop):
        calls: list[object] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, args: object) -> None:
            calls.append(1)
            if len(calls) < 3:
                watcher.reset()

        loop.timer_watcher_create(0, fire).start()
        loop.reactor_run()
        assert len(calls) == 3

    def test_reset_may_change_the_repeat(self, loop):
        calls: list[object] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, args: object) -> None:
            calls.append(1)
            if len(calls) == 2:
                watcher.reset(0, 0)

        loop.timer_watcher_create(0, fire, repeat=0.001).start()
        assert loop.reactor_run() == 0
        assert len(calls) == 3

    def test_one_stopped_by_another_due_with_it_does_not_fire(self, loop):
        calls: list[int] = []
        timers: list[TimerWatcher] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, n: int) -> None:
            calls.append(n)
            timers[1 - n].stop()

        timers += [loop.timer_watcher_create(0, fire, args=n) for n in range(2)]
        for timer in timers:
            timer.start()
        assert loop.reactor_run() == 0
        assert calls == [0]

    def test_one_that_rearms_itself_does_not_starve_messages(self, loop):
        got: list[str] = []

        def fire(handle: flux.Flux, watcher: TimerWatcher, revents: int, args: object) -> None:
            watcher.reset(after=0)

        def receive(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
            got.append(msg.topic)
            handle.reactor_stop()

        timer = loop.timer_watcher_create(0, fire).start()
        with loop.msg_watcher_create(receive):
            loop.event_send("a")
            loop.reactor_run()
        timer.stop()
        assert got == ["a"]

    @pytest.mark.parametrize(("after", "repeat"), [(-1, 0), (0, -1), (float("nan"), 0)])
    def test_negative_times_are_refused(self, loop, after, repeat):
        with pytest.raises(OSError, match="negative") as caught:
            loop.timer_watcher_create(after, print, repeat)
        assert caught.value.errno == errno.EINVAL
        timer = loop.timer_watcher_create(0, print)
        with pytest.raises(OSError, match="negative"):
            timer.reset(after, repeat)

    def test_resetting_for_ever_takes_no_memory(self, loop):
        timer = loop.timer_watcher_create(3600, print)
        for _ in range(5000):
            timer.reset()
        assert len(loop.get_reactor()._timers) < 1000
        timer.stop()


class TestDescriptors:
    """File descriptor watchers."""

    def test_the_callback_gets_the_descriptor_and_what_it_is_ready_for(self, loop, pair):
        calls: list[Any] = []

        def ready(*args: Any) -> None:
            calls.append(args)
            pair[0].recv(10)
            args[1].stop()

        fd = pair[0].fileno()
        watcher = loop.fd_watcher_create(fd, ready, FLUX_POLLIN, args="mine")
        assert isinstance(watcher, FDWatcher)
        watcher.start()
        assert loop.reactor_run(flags=FLUX_REACTOR_NOWAIT) == 1
        pair[1].send(b"x")
        assert loop.reactor_run() == 0
        assert calls == [(loop, watcher, fd, FLUX_POLLIN, "mine")]

    def test_it_is_level_triggered(self, loop, pair):
        calls: list[object] = []
        pair[1].send(b"x")
        with loop.fd_watcher_create(pair[0].fileno(), lambda *_: calls.append(1), FLUX_POLLIN):
            for n in range(1, 4):
                loop.reactor_run(flags=FLUX_REACTOR_ONCE)
                assert len(calls) == n

    def test_by_default_it_waits_for_everything(self, loop, pair):
        calls: list[int] = []
        pair[1].send(b"x")
        with loop.fd_watcher_create(pair[0].fileno(), lambda *args: calls.append(args[3])):
            loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert calls == [FLUX_POLLIN | FLUX_POLLOUT]

    def test_several_share_a_descriptor(self, loop, pair):
        calls: list[Any] = []

        def ready(handle: flux.Flux, watcher: FDWatcher, fd: int, revents: int, args: str) -> None:
            calls.append((args, revents))

        fd = pair[0].fileno()
        reading = [
            loop.fd_watcher_create(fd, ready, FLUX_POLLIN, args=name).start() for name in "ab"
        ]
        writing = loop.fd_watcher_create(fd, ready, FLUX_POLLOUT, args="w").start()
        loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert calls == [("w", FLUX_POLLOUT)]
        pair[1].send(b"x")
        writing.stop()
        calls.clear()
        loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert sorted(calls) == [("a", FLUX_POLLIN), ("b", FLUX_POLLIN)]
        reading[0].stop()
        calls.clear()
        loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert calls == [("b", FLUX_POLLIN)]
        reading[1].stop()

    def test_one_stopped_by_another_is_not_called(self, loop, pair):
        calls: list[str] = []

        def ready(handle: flux.Flux, watcher: FDWatcher, fd: int, revents: int, args: str) -> None:
            calls.append(args)
            for each in watchers:
                each.stop()

        pair[1].send(b"x")
        fd = pair[0].fileno()
        watchers = [
            loop.fd_watcher_create(fd, ready, FLUX_POLLIN, args=name).start() for name in "ab"
        ]
        assert loop.reactor_run() == 0
        assert len(calls) == 1

    def test_the_end_of_a_connection_is_readable(self, loop, pair):
        calls: list[bytes] = []

        def ready(
            handle: flux.Flux, watcher: FDWatcher, fd: int, revents: int, args: object
        ) -> None:
            calls.append(pair[0].recv(10))
            watcher.stop()

        loop.fd_watcher_create(pair[0].fileno(), ready, FLUX_POLLIN).start()
        pair[1].close()
        assert loop.reactor_run() == 0
        assert calls == [b""]

    def test_an_error_is_reported_as_what_would_no_longer_block(self, loop):
        read, write = os.pipe()
        os.close(read)
        calls: list[int] = []

        def ready(
            handle: flux.Flux, watcher: FDWatcher, fd: int, revents: int, args: object
        ) -> None:
            calls.append(revents)
            watcher.stop()

        loop.fd_watcher_create(write, ready, FLUX_POLLOUT | FLUX_POLLERR).start()
        assert loop.reactor_run() == 0
        os.close(write)
        assert calls[0] & FLUX_POLLOUT

    def test_closing_before_stopping_is_harmless(self, loop):
        near, far = socket.socketpair()
        watcher = loop.fd_watcher_create(near.fileno(), print, FLUX_POLLIN).start()
        near.close()
        watcher.stop()
        assert loop.reactor_run() == 0
        # The number is given to another file, which is then watched as any other.
        again, far2 = socket.socketpair()
        calls: list[object] = []
        far2.send(b"x")
        with loop.fd_watcher_create(again.fileno(), lambda *_: calls.append(1), FLUX_POLLIN):
            loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert calls == [1]
        for sock in (far, again, far2):
            sock.close()

    @pytest.mark.parametrize(
        ("fd", "events"), [(-1, FLUX_POLLIN), (0, 0), (0, 64), (0, FLUX_POLLERR)]
    )
    def test_nonsense_is_refused(self, loop, fd, events):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            loop.fd_watcher_create(fd, print, events)
        assert caught.value.errno == errno.EINVAL

    def test_a_closed_descriptor_cannot_be_watched(self, loop):
        # The reactor opens a descriptor of its own with the first watcher.
        loop.get_reactor().fileno()
        read, write = os.pipe()
        os.close(read)
        os.close(write)
        watcher = loop.fd_watcher_create(read, print, FLUX_POLLIN)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            watcher.start()
        assert caught.value.errno == errno.EBADF
        assert not watcher.is_active()
        assert loop.reactor_run() == 0

    def test_a_regular_file_cannot_be_watched(self, loop, tmp_path):
        with open(tmp_path / "file", "w") as file:
            watcher = loop.fd_watcher_create(file.fileno(), print, FLUX_POLLOUT)
            with pytest.raises(OSError, match="regular file") as caught:
                watcher.start()
        assert caught.value.errno == errno.EPERM


class TestSignals:
    """Signal watchers."""

    def test_the_callback_gets_the_number(self, loop):
        calls: list[Any] = []

        def caught(*args: Any) -> None:
            calls.append(args)
            args[1].stop()

        watcher = loop.signal_watcher_create(signal.SIGUSR1, caught, args="mine")
        assert isinstance(watcher, SignalWatcher)
        watcher.start()
        os.kill(os.getpid(), signal.SIGUSR1)
        assert loop.reactor_run() == 0
        assert calls == [(loop, watcher, int(signal.SIGUSR1), "mine")]

    def test_a_signal_ends_the_wait(self, loop):
        calls: list[object] = []
        thread = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGUSR1))

        def caught(handle: flux.Flux, *_args: object) -> None:
            calls.append(1)
            handle.reactor_stop()

        def prepare(handle: flux.Flux, watcher: PrepareWatcher, *_args: object) -> None:
            watcher.stop()
            thread.start()

        with loop.signal_watcher_create(signal.SIGUSR1, caught):
            loop.prepare_watcher_create(prepare).start()
            loop.reactor_run()
        thread.join()
        assert calls == [1]

    def test_the_previous_handler_is_put_back_by_the_last_to_stop(self, loop):
        def previous(*_args: object) -> None:
            raise AssertionError

        original = signal.signal(signal.SIGUSR1, previous)
        try:
            other = flux.Flux("loop://")
            calls: list[object] = []
            first = loop.signal_watcher_create(signal.SIGUSR1, calls.append).start()
            second = other.signal_watcher_create(
                signal.SIGUSR1, lambda *_: calls.append("second")
            ).start()
            first.stop()
            os.kill(os.getpid(), signal.SIGUSR1)
            other.reactor_run(flags=FLUX_REACTOR_NOWAIT)
            assert calls == ["second"]
            second.stop()
            assert signal.getsignal(signal.SIGUSR1) is previous
        finally:
            signal.signal(signal.SIGUSR1, original)

    @pytest.mark.parametrize("number", [0, -1, 4096])
    def test_what_is_no_signal_is_refused(self, loop, number):
        with pytest.raises(OSError, match="signal") as caught:
            loop.signal_watcher_create(number, print)
        assert caught.value.errno == errno.EINVAL

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
    def test_what_cannot_be_caught_is_refused(self, loop, number):
        watcher = loop.signal_watcher_create(number, print)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            watcher.start()
        assert caught.value.errno == errno.EINVAL
        assert not watcher.is_active()

    def test_only_the_main_thread_can_watch(self):
        errors: list[OSError] = []

        def start() -> None:
            try:
                flux.Flux("loop://").signal_watcher_create(signal.SIGUSR1, print).start()
            except OSError as exc:
                errors.append(exc)

        thread = threading.Thread(target=start)
        thread.start()
        thread.join()
        assert [exc.errno for exc in errors] == [errno.EINVAL]
        assert "main thread" in str(errors[0])
        errors.clear()


class TestPrepareCheckIdle:
    """The watchers that are called in each iteration."""

    def test_prepare_comes_before_check_and_check_before_all_others(self, loop, pair):
        order: list[str] = []

        def note(handle: flux.Flux, watcher: object, revents: int, name: str) -> None:
            order.append(name)

        def ready(handle: flux.Flux, watcher: FDWatcher, fd: int, revents: int, name: str) -> None:
            order.append(name)

        pair[1].send(b"x")
        prepare = loop.prepare_watcher_create(note, args="prepare")
        check = loop.check_watcher_create(note, args="check")
        assert isinstance(prepare, PrepareWatcher)
        assert isinstance(check, CheckWatcher)
        with (
            prepare,
            check,
            loop.fd_watcher_create(pair[0].fileno(), ready, FLUX_POLLIN, args="fd"),
        ):
            loop.timer_watcher_create(0, note, args="timer").start()
            loop.reactor_run(flags=FLUX_REACTOR_ONCE)
        assert order == ["prepare", "check", "fd", "timer"]

    def test_an_idle_one_keeps_the_reactor_from_blocking(self, loop):
        calls: list[object] = []

        def idle(handle: flux.Flux, watcher: IdleWatcher, revents: int, args: object) -> None:
            calls.append(args)
            if len(calls) == 3:
                watcher.stop()

        watcher = loop.idle_watcher_create(idle, args="mine")
        assert isinstance(watcher, IdleWatcher)
        watcher.start()
        assert loop.reactor_run() == 0
        assert calls == ["mine"] * 3

    def test_an_idle_one_is_called_only_when_nothing_else_is_ready(self, loop):
        order: list[str] = []

        def fire(handle: flux.Flux, *_args: object) -> None:
            order.append("timer")

        def idle(handle: flux.Flux, watcher: IdleWatcher, *_args: object) -> None:
            order.append("idle")
            watcher.stop()

        loop.idle_watcher_create(idle).start()
        loop.timer_watcher_create(0, fire).start()
        loop.reactor_run(flags=FLUX_REACTOR_NOWAIT)
        assert order == ["timer"]
        loop.reactor_run()
        assert order == ["timer", "idle"]

    def test_an_idle_one_needs_no_callback(self, loop):
        with loop.idle_watcher_create():
            assert loop.reactor_run(flags=FLUX_REACTOR_ONCE) == 1

    def test_a_prepare_one_can_supply_work(self, loop):
        got: list[object] = []
        future = flux.Future(flux_handle=loop)
        future.then(lambda f: got.append(f.get()))

        def prepare(handle: flux.Flux, watcher: PrepareWatcher, *_args: object) -> None:
            watcher.stop()
            future.fulfill("work")

        loop.prepare_watcher_create(prepare).start()
        assert loop.reactor_run() == 0
        assert got == ["work"]

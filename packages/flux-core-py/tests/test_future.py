"""Futures fulfilled by their user, continuations, chains and composites."""

from __future__ import annotations

import errno
import gc
import os
import time
import weakref

import pytest

import flux
from flux import Future
from flux.future import FutureExt, WaitAllFuture, WaitAnyFuture


def failed(future: Future, number: int, text: str | None = None) -> None:
    with pytest.raises(OSError, match=text) as caught:
        future.get()
    assert caught.value.errno == number


def test_a_future_is_fulfilled_by_its_user():
    future = Future()
    assert not future.is_ready()
    future.fulfill({"any": "object"})
    assert future.is_ready()
    assert future.get() == {"any": "object"}
    assert future.get() == {"any": "object"}
    assert future.wait_for() is future
    assert future.error_string() is None


def test_a_future_fulfilled_with_none_is_ready():
    future = Future()
    future.fulfill()
    assert future.is_ready()
    assert future.get() is None


def test_a_future_is_fulfilled_with_an_error():
    future = Future()
    future.fulfill_error(errno.EPERM, "not today")
    assert future.wait_for().is_ready()
    for _ in range(2):
        failed(future, errno.EPERM, "not today")
    assert future.error_string() == "not today"
    other = Future()
    other.fulfill_error(errno.EPERM)
    assert other.error_string() == os.strerror(errno.EPERM)
    failed(other, errno.EPERM, os.strerror(errno.EPERM))


def test_a_future_that_nothing_can_fulfil_does_not_block_for_ever():
    failed(Future(), errno.EDEADLK)
    with pytest.raises(OSError, match=os.strerror(errno.EDEADLK)):
        Future().wait_for()


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_waiting_ends_when_the_time_is_over(timeout):
    start = time.monotonic()
    with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)) as caught:
        Future().wait_for(timeout)
    assert caught.value.errno == errno.ETIMEDOUT
    assert time.monotonic() - start >= timeout


def test_results_queue_and_reset_moves_on():
    future = Future()
    for i in range(3):
        future.fulfill(i)
    for i in range(3):
        assert future.get() == i
        future.reset()
    assert not future.is_ready()
    future.fulfill(3)
    assert future.get() == 3


def test_references_are_counted_by_python():
    future = Future()
    future.incref()
    future.decref()
    future.decref()
    future.fulfill(1)
    assert future.get() == 1


def test_a_continuation_is_called_by_the_reactor_with_its_arguments(loop):
    future = Future(flux_handle=loop)
    calls = []
    assert future.then(lambda *args, **kwargs: calls.append((args, kwargs)), 1, 2, k=3) is future
    future.fulfill("x")
    assert calls == []
    assert loop.reactor_run() == 0
    assert calls == [((future, 1, 2), {"k": 3})]
    loop.reactor_run()
    assert len(calls) == 1


def test_a_ready_future_continues_as_well(loop):
    future = Future(flux_handle=loop)
    future.fulfill("x")
    got = []
    future.then(lambda f: got.append(f.get()))
    loop.reactor_run()
    assert got == ["x"]


def test_a_continuation_that_resets_is_called_for_each_result(loop):
    future = Future(flux_handle=loop)
    got = []

    def proceed(f: Future) -> None:
        got.append(f.get())
        if len(got) < 3:
            f.reset()

    for i in range(5):
        future.fulfill(i)
    future.then(proceed)
    loop.reactor_run()
    assert got == [0, 1, 2]


def test_a_second_continuation_is_refused(loop):
    future = Future(flux_handle=loop).then(print)
    with pytest.raises(OSError, match="already exists") as caught:
        future.then(print)
    assert caught.value.errno == errno.EEXIST
    future.stop()


def test_a_continuation_needs_a_callback_and_a_handle(loop):
    with pytest.raises(ValueError, match="None"):
        Future(flux_handle=loop).then(None)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="no Flux handle") as caught:
        Future().then(print)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="no Flux handle"):
        Future().get_reactor()


def test_the_handle_may_be_set_later(loop):
    future = Future()
    assert future.get_flux() is None
    future.set_flux(loop)
    assert future.get_flux() is loop
    assert future.get_reactor() is loop.get_reactor()
    got = []
    future.fulfill(1)
    future.then(lambda f: got.append(f.get()))
    loop.reactor_run()
    assert got == [1]


@pytest.mark.parametrize("fulfil", [False, True])
def test_a_stopped_future_is_not_called_back(loop, fulfil):
    calls: list[object] = []
    future = Future(flux_handle=loop)
    if fulfil:
        future.fulfill(1)
    with future.then(calls.append):
        pass
    future.fulfill(2)
    assert loop.reactor_run() == 0
    assert calls == []


def test_a_waiting_continuation_keeps_the_reactor_running(loop):
    future = Future(flux_handle=loop).then(lambda f: None)
    loop.timer_watcher_create(0, lambda *_: future.fulfill(1)).start()
    assert loop.reactor_run() == 0
    assert future.is_ready()


def test_a_continuation_keeps_its_future_alive(loop):
    got = []
    future = Future(flux_handle=loop).then(lambda f: got.append(f.get()))
    loop.timer_watcher_create(
        0, lambda handle, w, r, f: f().fulfill(1), args=weakref.ref(future)
    ).start()
    del future
    gc.collect()
    loop.reactor_run()
    assert got == [1]


def test_a_continuation_s_timeout_fulfils_with_an_error(loop):
    future = Future(flux_handle=loop)
    calls: list[str | None] = []
    future.then(lambda f: calls.append(f.error_string()), timeout=0.001)
    assert loop.reactor_run() == 0
    assert calls == [os.strerror(errno.ETIMEDOUT)]
    failed(future, errno.ETIMEDOUT)


def test_a_result_in_time_stops_the_timeout(loop):
    future = Future(flux_handle=loop)
    future.then(lambda f: None, timeout=3600)
    future.fulfill(1)
    assert loop.reactor_run() == 0
    assert future.get() == 1


def test_each_reset_starts_the_timeout_anew(loop):
    future = Future(flux_handle=loop)
    calls: list[str | None] = []

    def proceed(f: Future) -> None:
        calls.append(f.error_string())
        if f.error_string() is None:
            f.reset()

    future.then(proceed, timeout=0.005)
    future.fulfill(1)
    loop.reactor_run()
    assert calls == [None, os.strerror(errno.ETIMEDOUT)]


def test_a_future_made_of_another_has_its_results(loop):
    origin = Future(flux_handle=loop)
    early = Future(origin)
    origin.fulfill(1)
    late = Future(origin)
    assert (early.get(), late.get()) == (1, 1)
    assert early.get_flux() is loop
    origin.fulfill(2)
    early.reset()
    assert early.get() == 2
    with pytest.raises(TypeError, match="or a Future, not 'x'"):
        Future("x")


class TestFutureExt:
    """Futures that start to work when somebody waits."""

    def test_nothing_starts_before_somebody_waits(self, loop):
        calls: list[object] = []
        future = FutureExt(
            lambda f, *args, **kw: calls.append((args, kw)), 1, flux_handle=loop, k=2
        )
        assert not future.is_ready()
        assert calls == []
        future.then(lambda f: None)
        assert calls == [((1,), {"k": 2})]
        future.stop()

    def test_get_runs_it_on_a_handle_of_its_own(self, loop):
        handles = []

        def start(f: FutureExt) -> None:
            handle = f.get_flux()
            assert handle is not None
            handles.append(handle)
            handle.timer_watcher_create(0, lambda *_: f.fulfill("done")).start()

        others: list[object] = []
        loop.timer_watcher_create(0, lambda *_: others.append(1)).start()
        future = FutureExt(start, flux_handle=loop)
        assert future.get() == "done"
        # The watchers of the user's own reactor are not run meanwhile.
        assert others == []
        assert handles[0] is not loop
        assert future.get_flux() is loop
        loop.reactor_run()
        assert others == [1]

    def test_then_runs_it_in_the_reactor(self, loop):
        def start(f: FutureExt) -> None:
            assert f.get_flux() is loop
            loop.timer_watcher_create(0, lambda *_: f.fulfill("done")).start()

        got = []
        FutureExt(start, flux_handle=loop).then(lambda f: got.append(f.get()))
        loop.reactor_run()
        assert got == ["done"]

    def test_waiting_for_it_times_out(self, loop):
        def start(f: FutureExt) -> None:
            handle = f.get_flux()
            assert handle is not None
            handle.timer_watcher_create(3600, lambda *_: f.fulfill("late")).start()

        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            FutureExt(start, flux_handle=loop).wait_for(0.01)

    def test_one_that_starts_nothing_does_not_block_for_ever(self, loop):
        failed(FutureExt(lambda f: None, flux_handle=loop), errno.EDEADLK)

    def test_an_rpc_on_its_handle_fulfils_it(self, peer):
        peer.serve()

        def start(f: FutureExt) -> None:
            handle = f.get_flux()
            assert handle is not None
            handle.rpc("a.b", {"x": 1}).then(lambda rpc: f.fulfill(rpc.get()))

        assert FutureExt(start, flux_handle=peer.handle).get() == {"x": 1}
        got = []
        FutureExt(start, flux_handle=peer.handle).then(lambda f: got.append(f.get()))
        peer.handle.reactor_run()
        assert got == [{"x": 1}]


class TestComposites:
    """Waiting for all or any of several futures."""

    def test_all_are_waited_for(self, peer):
        peer.serve()
        rpcs = [peer.handle.rpc("a.b", {"n": n}) for n in range(3)]
        together = WaitAllFuture(rpcs)
        assert together.get() is None
        assert [rpc.get()["n"] for rpc in rpcs] == [0, 1, 2]
        assert together.children == rpcs

    def test_all_continue_together(self, peer):
        peer.serve()
        together = WaitAllFuture([peer.handle.rpc("a.b", {"n": n}) for n in range(3)])
        got = []
        together.then(lambda f: got.append([child.get()["n"] for child in f.children]))
        assert peer.handle.reactor_run() == 0
        assert got == [[0, 1, 2]]

    def test_all_have_the_first_error(self):
        futures = [Future() for _ in range(3)]
        together = WaitAllFuture(futures)
        futures[2].fulfill_error(errno.EPERM, "second")
        assert not together.is_ready()
        futures[1].fulfill_error(errno.ENOENT, "first")
        futures[0].fulfill()
        assert together.is_ready()
        failed(together, errno.ENOENT, "first")

    def test_children_are_added_and_found_by_name(self):
        together = WaitAllFuture()
        one, two = Future(), Future()
        together.push(one)
        together.push(two, "two")
        assert together.get_child("0") is one
        assert together.get_child("two") is two
        with pytest.raises(OSError, match="'two'") as caught:
            together.push(one, "two")
        assert caught.value.errno == errno.EEXIST
        with pytest.raises(OSError, match="'three'") as caught:
            together.get_child("three")
        assert caught.value.errno == errno.ENOENT

    def test_a_timeout_covers_all_children(self, peer):
        peer.serve(lambda msg: NotImplemented)
        # One after the other they would take longer than a test may.
        together = WaitAllFuture([peer.handle.rpc("a.b") for _ in range(500)])
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            together.wait_for(0.05)

    def test_any_is_enough(self, peer):
        peer.serve(lambda msg: NotImplemented if msg.payload["n"] != 1 else "{}")
        rpcs = [peer.handle.rpc("a.b", {"n": n}) for n in range(3)]
        either = WaitAnyFuture(rpcs)
        assert either.get() is None
        assert [rpc.is_ready() for rpc in rpcs] == [False, True, False]

    def test_any_continues_with_the_first(self, peer):
        peer.serve(lambda msg: NotImplemented if msg.payload["n"] != 1 else "{}")
        got = []

        def proceed(f: WaitAnyFuture) -> None:
            got.append([child.is_ready() for child in f.children])

        WaitAnyFuture([peer.handle.rpc("a.b", {"n": n}) for n in range(3)]).then(proceed)
        assert peer.handle.reactor_run() == 0
        assert got == [[False, True, False]]

    def test_children_of_two_handles_are_waited_for(self, connect):
        peers = [connect(), connect()]
        for peer in peers:
            peer.serve()
        together = WaitAllFuture([peer.handle.rpc("a.b", {}) for peer in peers])
        assert together.get() is None
        assert all(child.is_ready() for child in together.children)

    def test_children_of_handles_that_share_a_reactor_continue_together(self, connect):
        one, two = connect(), connect()
        two.handle.set_reactor(one.handle.get_reactor())
        for peer in (one, two):
            peer.serve()
        calls: list[object] = []
        WaitAllFuture([peer.handle.rpc("a.b", {}) for peer in (one, two)]).then(calls.append)
        assert one.handle.reactor_run() == 0
        assert len(calls) == 1


class TestChains:
    """What follows success, and what follows an error."""

    @pytest.fixture(params=["get", "then", "both"])
    def outcome(self, request, loop):
        """Return a function that gives a chain's result, learned in one of the ways there are."""

        def learn(future: Future) -> object:
            got: list[object] = []

            def result(f: Future) -> object:
                try:
                    return f.get()
                except OSError as exc:
                    return exc.errno, exc.strerror

            if request.param != "get":
                future.then(lambda f: got.append(result(f)))
            if request.param != "then":
                got.append(result(future))
            if request.param != "get":
                loop.reactor_run()
                assert got == [got[0]] * (2 if request.param == "both" else 1)
            return got[0]

        return learn

    @pytest.fixture
    def success(self, loop) -> Future:
        future = Future(flux_handle=loop)
        future.fulfill("first")
        return future

    @pytest.fixture
    def failure(self, loop) -> Future:
        future = Future(flux_handle=loop)
        future.fulfill_error(errno.ENOENT, "none")
        return future

    def test_the_callback_gets_the_future_and_arguments_once(self, outcome, success):
        calls: list[object] = []
        chain = success.and_then(lambda *args, **kwargs: calls.append((args, kwargs)), 1, k=2)
        assert outcome(chain) == "first"
        assert calls == [((success, 1), {"k": 2})]

    def test_a_value_takes_the_place_of_the_result(self, outcome, success):
        assert outcome(success.and_then(lambda f: f.get() + ", second")) == "first, second"

    def test_a_returned_future_is_waited_for(self, outcome, success, loop):
        def proceed(f: Future) -> FutureExt:
            def start(inner: FutureExt) -> None:
                handle = inner.get_flux()
                assert handle is not None
                handle.timer_watcher_create(0, lambda *_: inner.fulfill("second")).start()

            return FutureExt(start, flux_handle=loop)

        assert outcome(success.and_then(proceed)) == "second"

    def test_an_error_raised_becomes_the_result(self, outcome, success):
        def proceed(f: Future) -> None:
            raise OSError(errno.EPERM, "refused")

        assert outcome(success.and_then(proceed)) == (errno.EPERM, "refused")

    def test_an_error_passes_by_what_follows_success(self, outcome, failure):
        calls: list[object] = []
        assert outcome(failure.and_then(calls.append)) == (errno.ENOENT, "none")
        assert calls == []

    def test_or_then_mends_an_error(self, outcome, failure):
        assert outcome(failure.or_then(lambda f: "mended")) == "mended"

    def test_success_passes_by_what_follows_an_error(self, outcome, success):
        calls: list[object] = []
        assert outcome(success.or_then(calls.append)) == "first"
        assert calls == []

    def test_chains_are_as_long_as_one_likes(self, outcome, success):
        chain = success.and_then(lambda f: 2).and_then(lambda f: f.get() + 1)
        assert outcome(chain.or_then(lambda f: 0).and_then(lambda f: f.get() + 1)) == 4

    def test_other_exceptions_are_not_swallowed(self, success, loop):
        def proceed(f: Future) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            success.and_then(proceed).get()
        success.and_then(proceed).then(lambda f: None)
        with pytest.raises(ZeroDivisionError):
            loop.reactor_run()

    def test_a_chain_times_out(self, peer):
        rpc = peer.handle.rpc("a.b")
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            rpc.and_then(lambda f: None).wait_for(0.01)
        ready = Future(flux_handle=peer.handle)
        ready.fulfill()
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            ready.and_then(lambda f: rpc).wait_for(0.01)

    def test_rpcs_chain(self, peer):
        peer.serve()
        first = peer.handle.rpc("a.b", {"n": 1})
        chain = first.and_then(lambda f: peer.handle.rpc("a.b", {"n": f.get()["n"] + 1}))
        assert chain.get() == {"n": 2}


def test_flux_exports_the_class():
    assert flux.Future is Future

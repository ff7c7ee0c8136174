"""asyncio as the driver of a handle."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
from typing import Any

import pytest

import flux
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_MSGTYPE_REQUEST, FLUX_RPC_STREAMING
from flux.future import FutureExt, WaitAllFuture, WaitAnyFuture


def test_an_rpc_is_awaited(peer):
    peer.serve()

    async def main() -> object:
        return await peer.handle.rpc("a.b", {"x": 1})

    assert asyncio.run(main()) == {"x": 1}


def test_an_answer_that_is_there_already_is_awaited(peer):
    async def main() -> object:
        rpc = peer.handle.rpc("a.b")
        peer.answer(peer.read(), {"x": 1})
        rpc.wait_for(5)
        return await rpc, await rpc

    assert asyncio.run(main()) == ({"x": 1}, {"x": 1})


def test_rpcs_are_awaited_together(connect):
    peers = [connect() for _ in range(3)]
    for peer in peers:
        peer.serve()

    async def main() -> list[Any]:
        async def one(n: int) -> Any:
            return await peers[n % 3].handle.rpc("a.b", {"n": n})

        return await asyncio.gather(*(one(n) for n in range(30)))

    assert asyncio.run(main()) == [{"n": n} for n in range(30)]


def test_an_error_is_raised_where_it_is_awaited(peer):
    def refuse() -> None:
        peer.answer(peer.read(), "no", errno.EPERM)

    async def main() -> None:
        with pytest.raises(PermissionError, match="no"):
            await peer.handle.rpc("a.b")

    peer.run(refuse)
    asyncio.run(main())


def test_a_handle_outlives_a_loop(peer):
    peer.serve()

    async def main(n: int) -> object:
        return await peer.handle.rpc("a.b", {"n": n})

    for n in range(3):
        assert asyncio.run(main(n)) == {"n": n}
        # Outside a loop the same handle is used as ever.
        assert peer.handle.rpc("a.b", {"n": n}).get() == {"n": n}
        got: list[object] = []
        peer.handle.rpc("a.b", {"n": n}).then(lambda f, got: got.append(f.get()), got)
        assert peer.handle.reactor_run() == 0
        assert got == [{"n": n}]


def test_a_handle_with_a_started_watcher_outlives_a_loop(peer):
    peer.serve()
    events: list[str] = []

    async def main() -> object:
        return await peer.handle.rpc("a.b", {"x": 1})

    with peer.handle.msg_watcher_create(
        lambda h, w, m, a: events.append(m.topic), FLUX_MSGTYPE_EVENT, "e*"
    ):
        for n in range(2):
            assert asyncio.run(main()) == {"x": 1}
            got: list[object] = []
            peer.send(peer.event(f"e{n}"))
            peer.handle.rpc("a.b").then(
                lambda f, got: (got.append(f.get()), peer.handle.reactor_stop()), got
            )
            peer.handle.reactor_run()
            assert got == [None]
            assert asyncio.run(main()) == {"x": 1}
    assert events == ["e0", "e1"]


def answer_stream(peer, count, final=errno.ENODATA):
    def script() -> None:
        request = peer.read()
        for n in range(count):
            peer.answer(request, {"n": n})
        peer.answer(request, None, final)

    peer.run(script)


def test_a_stream_is_iterated_over(peer):
    async def main() -> list[int]:
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        return [value["n"] async for value in rpc]

    answer_stream(peer, 5)
    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_an_error_ends_a_stream(peer):
    async def main() -> list[int]:
        got = []
        try:
            async for value in peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING):
                got.append(value["n"])  # noqa: PERF401
        except PermissionError:
            return got
        raise AssertionError

    answer_stream(peer, 2, errno.EPERM)
    assert asyncio.run(main()) == [0, 1]


def test_two_streams_are_iterated_over_at_once(peer):
    def script() -> None:
        requests = [peer.read(), peer.read()]
        for n in range(10):
            for request in requests:
                peer.answer(request, {"n": n, "topic": request.topic})
        for request in requests:
            peer.answer(request, None, errno.ENODATA)

    async def read(topic: str) -> list[object]:
        return [v async for v in peer.handle.rpc(topic, flags=FLUX_RPC_STREAMING)]

    async def main() -> list[list[object]]:
        return list(await asyncio.gather(read("a.one"), read("a.two")))

    peer.run(script)
    expected = [[{"n": n, "topic": topic} for n in range(10)] for topic in ("a.one", "a.two")]
    assert asyncio.run(main()) == expected


def test_a_stream_is_cancelled_and_drained(peer):
    def script() -> None:
        request = peer.read()
        peer.answer(request, {"n": 0})
        cancel = peer.read()
        assert cancel.payload == {"matchtag": request.matchtag}
        peer.answer(request, {"n": 1})
        peer.answer(request, None, errno.ENODATA)

    async def main() -> list[int]:
        got = []
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        async for value in rpc:
            got.append(value["n"])
            rpc.cancel()
        return got

    peer.run(script)
    assert asyncio.run(main()) == [0, 1]


def test_watchers_and_continuations_run_while_something_is_awaited(peer):
    events: list[str] = []

    async def main() -> object:
        handle = peer.handle
        done = flux.Future(flux_handle=handle)

        def receive(h: object, watcher: object, msg: flux.Message, args: object) -> None:
            events.append(msg.topic)
            if msg.topic == "last":
                handle.timer_watcher_create(0.001, lambda *_: done.fulfill("timer")).start()

        with handle.msg_watcher_create(receive, FLUX_MSGTYPE_EVENT):
            handle.rpc("a.b").then(lambda f: events.append("continued"))
            peer.answer(peer.read())
            peer.send(peer.event("first"), peer.event("last"))
            return await done

    assert asyncio.run(main()) == "timer"
    assert events == ["continued", "first", "last"]


def test_a_request_is_served_under_asyncio(loop):
    async def main() -> object:
        def add(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
            handle.respond(msg, {"sum": sum(msg.payload["of"])})

        with loop.msg_watcher_create(add, FLUX_MSGTYPE_REQUEST, "math.add"):
            return await loop.rpc("math.add", {"of": [1, 2]})

    assert asyncio.run(main()) == {"sum": 3}


def test_all_kinds_of_watchers_run_under_asyncio(loop):
    near, far = socket.socketpair()
    calls: list[str] = []

    async def main() -> None:
        done = flux.Future(flux_handle=loop)

        def note(handle: object, watcher: Any, *args: Any) -> None:
            calls.append(args[-1])
            watcher.stop()
            if len(set(calls)) == 6:
                done.fulfill()

        far.send(b"x")
        loop.timer_watcher_create(0, note, args="timer").start()
        loop.prepare_watcher_create(note, args="prepare").start()
        loop.check_watcher_create(note, args="check").start()
        loop.idle_watcher_create(note, args="idle").start()
        loop.fd_watcher_create(near.fileno(), note, 1, args="fd").start()
        loop.signal_watcher_create(signal.SIGUSR1, note, args="signal").start()
        asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGUSR1)
        await done

    asyncio.run(main())
    near.close()
    far.close()
    assert sorted(calls) == ["check", "fd", "idle", "prepare", "signal", "timer"]


def test_user_fulfilled_futures_chains_and_composites_are_awaited(peer):
    peer.serve()

    async def main() -> list[object]:
        handle = peer.handle
        own = flux.Future(flux_handle=handle)
        asyncio.get_running_loop().call_soon(own.fulfill, "own")

        def start(f: FutureExt) -> None:
            f.get_flux().rpc("a.b", {"x": 2}).then(lambda r: f.fulfill(r.get()))  # type: ignore[union-attr]

        together = WaitAllFuture([handle.rpc("a.b", {"n": n}) for n in range(3)])
        return [
            await own,
            await handle.rpc("a.b", {"x": 1}).and_then(lambda f: handle.rpc("a.b", [f.get()])),
            await FutureExt(start, flux_handle=handle),
            await together,
            [child.get()["n"] for child in together.children],
            await WaitAnyFuture([handle.rpc("a.b")]),
        ]

    expected = ["own", [{"x": 1}], {"x": 2}, None, [0, 1, 2], None]
    assert asyncio.run(main()) == expected


def test_a_future_without_a_handle_cannot_be_awaited():
    async def main() -> None:
        with pytest.raises(RuntimeError, match="without a Flux handle"):
            await flux.Future()

    asyncio.run(main())


def test_an_await_outside_a_loop_is_refused(peer):
    with pytest.raises(RuntimeError, match="no running event loop"):
        peer.handle.rpc("a.b").__await__().send(None)


def test_cancellation_leaves_the_handle_usable(peer):
    async def main() -> object:
        task = asyncio.ensure_future(wait(peer.handle.rpc("never.answered")))
        first = await asyncio.get_running_loop().run_in_executor(None, peer.read)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        gc.collect()
        peer.answer(first, {"too": "late"})
        peer.serve()
        return await peer.handle.rpc("a.b", {"x": 1})

    async def wait(rpc: Any) -> None:
        await rpc

    assert asyncio.run(main()) == {"x": 1}
    assert peer.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}


def test_a_timeout_leaves_the_rpc_to_be_awaited_again(peer):
    async def main() -> object:
        rpc = peer.handle.rpc("a.b")

        async def wait() -> object:
            return await rpc

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait(), 0.01)
        peer.answer(peer.read(), {"late": True})
        return await rpc

    assert asyncio.run(main()) == {"late": True}


def test_a_loop_ends_with_rpcs_unanswered(peer):
    async def main() -> None:
        task = asyncio.ensure_future(wait())
        await asyncio.get_running_loop().run_in_executor(None, peer.read)
        del task

    async def wait() -> None:
        await peer.handle.rpc("never.answered")

    asyncio.run(main())
    peer.serve()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


def test_an_idle_handle_is_detached_from_the_loop(peer):
    peer.serve()

    async def main() -> None:
        await peer.handle.rpc("a.b")
        # A turn of the loop later nothing of the handle is left in it.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert peer.handle.get_reactor().wake is None

    asyncio.run(main())


def test_an_exception_in_a_callback_reaches_the_loop_s_handler(loop):
    seen: list[BaseException | None] = []

    async def main() -> object:
        asyncio.get_running_loop().set_exception_handler(
            lambda _l, c: seen.append(c.get("exception"))
        )
        done = flux.Future(flux_handle=loop)
        loop.timer_watcher_create(0, lambda *_: 1 / 0).start()
        loop.timer_watcher_create(0.002, lambda *_: done.fulfill("still running")).start()
        return await done

    assert asyncio.run(main()) == "still running"
    assert [type(exc) for exc in seen] == [ZeroDivisionError]
    seen.clear()
    flux.Flux.raise_if_exception()


def test_a_lost_connection_ends_every_await(peer):
    async def main() -> list[object]:
        async def one(rpc: Any) -> object:
            return await rpc

        async def stream() -> object:
            return [v async for v in peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)]

        waiting = [one(peer.handle.rpc("a.b")), one(peer.handle.rpc("a.b")), stream()]
        asyncio.get_running_loop().call_later(0.005, peer.hang_up)
        return await asyncio.gather(*waiting, return_exceptions=True)

    errors = asyncio.run(main())
    assert [getattr(error, "errno", None) for error in errors] == [errno.ECONNRESET] * 3
    del errors


def test_a_stalled_peer_does_not_stall_the_loop(peer):
    async def main() -> object:
        rpc = peer.handle.rpc("a.b", "x" * 3_000_000)

        async def wait() -> object:
            return await rpc

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait(), 0.01)
        peer.serve(lambda msg: {"size": len(msg.payload_str or "")})
        return await rpc

    assert asyncio.run(main()) == {"size": 3_000_000}


def test_more_than_the_socket_holds_goes_out_under_asyncio(peer):
    peer.serve(lambda msg: {"n": msg.payload["n"]})

    async def main() -> list[Any]:
        async def one(n: int) -> Any:
            return await peer.handle.rpc("a.b", {"n": n, "fill": "x" * 100_000})

        return await asyncio.gather(*(one(n) for n in range(20)))

    assert asyncio.run(main()) == [{"n": n} for n in range(20)]

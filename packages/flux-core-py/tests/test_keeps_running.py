"""What keeps ``reactor_run`` going, kind by kind: the table of docs/handle.md.

The rows were tried with flux-core 0.88's bindings on a broker.  A row says "returns" or "keeps" for
both, or "differs" where flux-core's keeps running with nobody left to call and ours returns.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_RPC_NORESPONSE, FLUX_RPC_STREAMING
from flux.future import FutureExt, WaitAllFuture
from scripted import LIMIT

#: Seconds after which a reactor that still runs keeps running.  Nothing here takes a tenth of it.
LONG = 0.1

Row = Callable[[Any, Any], Any]
ROWS: list[tuple[str, str, Row]] = []


def row(expected: str, name: str) -> Callable[[Row], Row]:
    def add(setup: Row) -> Row:
        ROWS.append((name, expected, setup))
        return setup

    return add


def nothing(*_args):
    pass


def again(future):
    future.reset()


def again_unless_failed(future):
    try:
        future.get()
    except OSError:
        return
    future.reset()


def ask(flux_handle, peer, *answers, flags=0):
    """Return an RPC, with errors and values as answers on their way."""
    rpc = flux_handle.rpc("service.method", flags=flags)
    request = peer.read()
    for answer in answers:
        if isinstance(answer, int):
            peer.answer(request, errnum=answer)
        else:
            peer.answer(request, answer)
    return rpc


def stream(flux_handle, peer, *answers):
    return ask(flux_handle, peer, *answers, flags=FLUX_RPC_STREAMING)


def every(flux_handle, *children):
    future = WaitAllFuture()
    future.set_flux(flux_handle)
    for child in children:
        future.push(child)
    return future


@row("returns", "nothing")
def _(h, p):
    pass


# -- RPCs


@row("returns", "RPC without continuation, unanswered")
def _(h, p):
    return ask(h, p)


@row("returns", "RPC without continuation, answer on its way")
def _(h, p):
    return ask(h, p, {})


@row("keeps", "RPC with continuation, unanswered")
def _(h, p):
    return ask(h, p).then(nothing)


@row("keeps", "RPC with continuation, unanswered and forgotten")
def _(h, p):
    ask(h, p).then(nothing)


@row("returns", "RPC with continuation, answered")
def _(h, p):
    return ask(h, p, {}).then(nothing)


@row("returns", "RPC with continuation, answered with an error")
def _(h, p):
    return ask(h, p, errno.ENOENT).then(nothing)


@row("returns", "RPC with continuation that resets, answered")
def _(h, p):
    return ask(h, p, {}).then(again)


@row("returns", "RPC with continuation and a long timeout, answered")
def _(h, p):
    return ask(h, p, {}).then(nothing, timeout=300)


@row("differs", "RPC with continuation, timed out")
def _(h, p):
    return ask(h, p).then(nothing, timeout=0.01)


@row("differs", "RPC with continuation, stopped")
def _(h, p):
    rpc = ask(h, p).then(nothing)
    rpc.stop()
    return rpc


@row("differs", "RPC with continuation set when the result was there")
def _(h, p):
    return ask(h, p, {}).wait_for(LIMIT).then(nothing)


@row("differs", "RPC with continuation, without response")
def _(h, p):
    return ask(h, p, flags=FLUX_RPC_NORESPONSE).then(nothing)


# -- streams


@row("returns", "stream without continuation")
def _(h, p):
    return stream(h, p, {})


@row("keeps", "stream with continuation, no response yet")
def _(h, p):
    return stream(h, p).then(nothing)


@row("keeps", "stream with continuation that does not reset, one response")
def _(h, p):
    return stream(h, p, {}).then(nothing)


@row("keeps", "stream with continuation that does not reset, one response, forgotten")
def _(h, p):
    stream(h, p, {}).then(nothing)


@row("keeps", "stream with continuation that resets, one response")
def _(h, p):
    return stream(h, p, {}).then(again)


@row("returns", "stream with continuation that does not reset, one response and the end")
def _(h, p):
    return stream(h, p, {}, errno.ENODATA).then(nothing)


@row("returns", "stream with continuation that resets, one response and the end")
def _(h, p):
    return stream(h, p, {}, errno.ENODATA).then(again)


@row("returns", "stream with continuation that resets unless failed, the end")
def _(h, p):
    return stream(h, p, {}, errno.ENODATA).then(again_unless_failed)


@row("returns", "stream with continuation, failed at once")
def _(h, p):
    return stream(h, p, errno.EPERM).then(nothing)


@row("differs", "stream with continuation, timed out")
def _(h, p):
    return stream(h, p).then(nothing, timeout=0.01)


@row("differs", "stream with continuation, stopped there")
def _(h, p):
    return stream(h, p, {}).then(lambda future: future.stop())


# -- other futures


@row("returns", "FutureExt without continuation")
def _(h, p):
    return FutureExt(nothing, flux_handle=h)


@row("returns", "FutureExt with continuation, not fulfilled")
def _(h, p):
    return FutureExt(nothing, flux_handle=h).then(nothing)


@row("returns", "FutureExt with continuation, timed out")
def _(h, p):
    return FutureExt(nothing, flux_handle=h).then(nothing, timeout=0.01)


@row("keeps", "FutureExt with continuation and a long timeout, not fulfilled")
def _(h, p):
    return FutureExt(nothing, flux_handle=h).then(nothing, timeout=300)


@row("returns", "FutureExt with continuation, fulfilled before")
def _(h, p):
    future = FutureExt(nothing, flux_handle=h)
    future.fulfill(1)
    return future.then(nothing)


@row("returns", "FutureExt with continuation, fulfilled when it begins")
def _(h, p):
    return FutureExt(lambda future: future.fulfill(1), flux_handle=h).then(nothing)


@row("returns", "FutureExt with continuation that resets, fulfilled once")
def _(h, p):
    return FutureExt(lambda future: future.fulfill(1), flux_handle=h).then(again)


@row("returns", "FutureExt with continuation, fulfilled by a timer")
def _(h, p):
    future = FutureExt(nothing, flux_handle=h).then(nothing)
    return future, h.timer_watcher_create(0.01, lambda *_: future.fulfill(1)).start()


@row("keeps", "FutureExt with continuation, its RPC unanswered")
def _(h, p):
    def begin(future):
        ask(future.get_flux(), p).then(lambda _rpc: future.fulfill(1))

    return FutureExt(begin, flux_handle=h).then(nothing)


@row("returns", "FutureExt with continuation, its RPC answered")
def _(h, p):
    def begin(future):
        ask(future.get_flux(), p, {}).then(lambda _rpc: future.fulfill(1))

    return FutureExt(begin, flux_handle=h).then(nothing)


@row("returns", "WaitAllFuture without continuation, unanswered")
def _(h, p):
    return every(h, ask(h, p))


@row("returns", "WaitAllFuture with continuation, no children")
def _(h, p):
    return every(h).then(nothing)


@row("keeps", "WaitAllFuture with continuation, one of two RPCs unanswered")
def _(h, p):
    return every(h, ask(h, p, {}), ask(h, p)).then(nothing)


@row("returns", "WaitAllFuture with continuation, answered")
def _(h, p):
    return every(h, ask(h, p, {}), ask(h, p, errno.ENOENT)).then(nothing)


@row("returns", "WaitAllFuture with continuation, its FutureExt not fulfilled")
def _(h, p):
    return every(h, ask(h, p, {}), FutureExt(nothing, flux_handle=h)).then(nothing)


# -- watchers


def pipe(h, p):
    # The ends are closed with the peer's connection, by the test.
    p.pipe = os.pipe()
    return h.fd_watcher_create(p.pipe[0], nothing)


WATCHERS: dict[str, Callable[[Any, Any], Any]] = {
    "timer": lambda h, p: h.timer_watcher_create(300, nothing),
    "repeating timer": lambda h, p: h.timer_watcher_create(0.01, nothing, repeat=0.01),
    "descriptor": pipe,
    "signal": lambda h, p: h.signal_watcher_create(signal.SIGUSR1, nothing),
    "prepare": lambda h, p: h.prepare_watcher_create(nothing),
    "check": lambda h, p: h.check_watcher_create(nothing),
    "idle": lambda h, p: h.idle_watcher_create(),
    "message": lambda h, p: h.msg_watcher_create(nothing, FLUX_MSGTYPE_EVENT, "a.*"),
}


def watcher_rows(kind, create):
    row("returns", f"{kind} watcher, created")(create)
    row("keeps", f"{kind} watcher, started")(lambda h, p: create(h, p).start())
    row("returns", f"{kind} watcher, stopped")(lambda h, p: create(h, p).start().stop())
    # Those of messages have no unref() in flux-core's bindings.
    row("returns", f"{kind} watcher, unreferenced")(lambda h, p: create(h, p).start().unref())


for kind, create in WATCHERS.items():
    watcher_rows(kind, create)


@row("keeps", "timer watcher, started and forgotten")
def _(h, p):
    h.timer_watcher_create(300, nothing).start()


@row("keeps", "timer watcher, unreferenced and referenced again")
def _(h, p):
    return h.timer_watcher_create(300, nothing).start().unref().ref()


@row("returns", "timer watcher, expired")
def _(h, p):
    return h.timer_watcher_create(0.01, nothing).start()


@row("returns", "repeating timer watcher, stopped in its callback")
def _(h, p):
    return h.timer_watcher_create(0.01, lambda _h, w, *_: w.stop(), repeat=0.01).start()


@row("keeps", "message watcher, started, and an RPC answered")
def _(h, p):
    watcher = h.msg_watcher_create(nothing, FLUX_MSGTYPE_EVENT, "a.*").start()
    return watcher, ask(h, p, {}).then(nothing)


@row("returns", "message watcher, stopped in a continuation")
def _(h, p):
    watcher = h.msg_watcher_create(nothing, FLUX_MSGTYPE_EVENT, "a.*").start()
    return watcher, ask(h, p, {}).then(lambda _rpc: watcher.stop())


@pytest.mark.parametrize(
    ("expected", "setup"),
    [pytest.param(expected, setup, id=name) for name, expected, setup in ROWS],
)
def test_what_keeps_the_reactor_running(peer, expected, setup):
    stopped = []

    def stop(flux_handle, *_args):
        stopped.append(True)
        flux_handle.reactor_stop()

    peer.pipe = ()
    keep = setup(peer.handle, peer)
    # Does not itself keep the reactor running.
    with peer.handle.timer_watcher_create(LONG if expected == "keeps" else LIMIT / 10, stop) as w:
        w.unref()
        peer.handle.reactor_run()
    assert ("keeps" if stopped else "returns") == expected.replace("differs", "returns")
    for item in keep if isinstance(keep, tuple) else (keep,):
        if hasattr(item, "stop"):
            item.stop()
    for fd in peer.pipe:
        os.close(fd)

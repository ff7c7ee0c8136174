"""In a forked child what was inherited is inert, and the parent notices nothing."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import os
import signal
import sys
import traceback
from typing import Any, Callable

import pytest

import flux
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_RPC_STREAMING


def in_child(call: Callable[[], Any]) -> int:
    """Make a call in a forked child; return its exit code, 1 for an exception."""
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            call()
        except SystemExit as exc:
            os._exit(int(exc.code or 0))
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(OSError, match="process that this one was forked from") as caught:
        call()
    assert caught.value.errno in (errno.EBADF, errno.EPIPE)


USES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "rpc": lambda h, rpc, watcher: h.rpc("a.b"),
    "get": lambda h, rpc, watcher: rpc.get(),
    "wait_for": lambda h, rpc, watcher: rpc.wait_for(5).get(),
    "recv": lambda h, rpc, watcher: h.recv(),
    "event_send": lambda h, rpc, watcher: h.event_send("a"),
    "log": lambda h, rpc, watcher: h.log(6, "a"),
    "cancel": lambda h, rpc, watcher: h.event_subscribe("a"),
    "reactor_run": lambda h, rpc, watcher: h.reactor_run(),
}


@pytest.mark.parametrize("use", USES)
def test_each_use_is_an_error_that_says_so(peer, use):
    rpc = peer.handle.rpc("a.b", {"x": 1})
    watcher = peer.handle.msg_watcher_create(print, FLUX_MSGTYPE_EVENT, "a").start()
    peer.handle.reactor_run(flags=1)
    assert in_child(lambda: refused(lambda: USES[use](peer.handle, rpc, watcher))) == 0
    peer.serve()
    assert rpc.get() == {"x": 1}
    watcher.stop()


def test_closing_dropping_and_ending_do_nothing_to_the_parent(peer):
    peer.serve()
    got: list[Any] = []
    handle = peer.handle
    stream = handle.rpc("a.b", {"x": 1}, flags=FLUX_RPC_STREAMING).then(got.append)
    timer = handle.timer_watcher_create(60, print).start()
    read, write = os.pipe()
    fds = handle.fd_watcher_create(read, print, 1).start()
    handle.reactor_run(flags=1)

    def leave() -> None:
        with handle:
            pass
        stream.stop()
        timer.stop()
        fds.stop()
        gc.collect()

    assert in_child(leave) == 0
    fds.stop()
    timer.stop()
    os.close(read)
    os.close(write)
    stream.stop()
    assert handle.rpc("a.b", {"x": 2}).get() == {"x": 2}
    with handle.msg_watcher_create(lambda h, w, m, a: h.reactor_stop(), FLUX_MSGTYPE_EVENT):
        peer.send(peer.event("e"))
        handle.reactor_run()


def test_the_descriptors_are_closed_and_a_handle_of_its_own_works(peer):
    peer.serve()
    peer.handle.reactor_run(flags=1)
    fd = peer.handle._session.connector.fileno()

    def look() -> None:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
        own: Any = flux.Flux("loop://")
        own.event_send("a")
        assert own.recv().topic == "a"

    assert in_child(look) == 0


def test_a_fork_within_a_callback(peer):
    peer.serve()
    codes: list[int] = []

    def fork(handle: flux.Flux, *_args: object) -> None:
        pid = os.fork()
        if pid:
            codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    parent = os.getpid()
    peer.handle.timer_watcher_create(0, fork).start()
    peer.handle.rpc("a.b").then(lambda f: None)
    try:
        peer.handle.reactor_run()
    except OSError as exc:
        if os.getpid() != parent:
            os._exit(7 if "forked" in str(exc) else 1)
        raise
    finally:
        if os.getpid() != parent:
            os._exit(2)
    assert codes == [7]
    assert peer.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}


def test_signal_watchers_end_in_the_child(loop):
    before = signal.getsignal(signal.SIGUSR1)
    with loop.signal_watcher_create(signal.SIGUSR1, print):
        assert signal.getsignal(signal.SIGUSR1) is not before
        code = in_child(lambda: sys.exit(signal.getsignal(signal.SIGUSR1) is not before))
        assert code == 0
        assert signal.getsignal(signal.SIGUSR1) is not before


def test_a_child_that_only_executes(peer):
    peer.serve()
    assert in_child(lambda: os.execv("/bin/true", ["true"])) == 0
    assert peer.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_multiprocessing(peer, method):
    peer.serve()
    context: Any = multiprocessing.get_context(method)
    process = context.Process(target=os.getpid)
    process.start()
    process.join()
    assert process.exitcode == 0
    process.close()
    if method == "forkserver":
        from multiprocessing import forkserver, resource_tracker

        forkserver._forkserver._stop()  # type: ignore[attr-defined]
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    assert peer.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}

"""What is special about handles over the machine's own libflux-core.  For its cells alone."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import os
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import flux
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_NODEID_ANY,
    FLUX_O_NONBLOCK,
    FLUX_RPC_STREAMING,
)
from flux.core.inner import ffi, lib, raw
from flux.future import Future
from flux.rpc import RPC
from flux.wrapper import (
    InvalidArguments,
    MissingFunctionError,
    Wrapper,
    WrongNumArguments,
)
from harness.cell import Cell


@pytest.fixture
def native_uri(cell: Cell) -> str:
    """The instance, for other ways to connect to it than the cell's."""
    return cell.instance.uri


@pytest.fixture
def uri(cell: Cell) -> str:
    """The instance, through libflux-core."""
    return cell.uri


def ping(handle: flux.Flux, seq: int, pad: str = "") -> RPC:
    return handle.rpc("broker.ping", {"seq": seq, "pad": pad})


class Service:
    """A service of a handle, that counts: `count` streams, `echo` answers."""

    def __init__(self, handle: flux.Flux, name: str) -> None:
        self.name = name
        self.handle = handle
        handle.service_register(name).get()
        self.watcher = handle.msg_watcher_create(self.serve, FLUX_MSGTYPE_REQUEST, f"{name}.*")
        self.watcher.start()

    def serve(self, handle: flux.Flux, watcher: Any, msg: flux.Message, arg: Any) -> None:
        if msg.topic.endswith(".count"):
            for i in range(msg.payload["upto"]):
                handle.respond(msg, {"i": i})
            handle.respond_error(msg, errno.ENODATA)
        else:
            handle.respond(msg, msg.payload)

    def stop(self) -> None:
        self.watcher.stop()
        self.handle.service_unregister(self.name).get()


class TestEverydayUse:
    def test_rpcs_one_by_one(self, handle: Any) -> None:
        for i in range(100):
            assert ping(handle, i).get()["seq"] == i
        assert handle.get_rank() == 0

    def test_errors_of_services(self, handle: Any) -> None:
        with pytest.raises(OSError, match=r"nosuch") as caught:
            handle.rpc("nosuch.method").get()
        assert caught.value.errno == errno.ENOSYS

    def test_continuations_in_order(self, handle: Any) -> None:
        seen: list[int] = []
        for i in range(3000):
            ping(handle, i, "x" * (i % 300)).then(lambda f: seen.append(f.get()["seq"]))
        handle.reactor_run()
        assert seen == list(range(3000))

    def test_more_than_the_socket_holds(self, handle: Any) -> None:
        seen: list[int] = []
        for i in range(100):
            ping(handle, i, "x" * 200_000).then(lambda f: seen.append(f.get()["seq"]))
        handle.reactor_run()
        assert seen == list(range(100))

    def test_more_than_the_socket_holds_without_a_reactor(self, handle: Any) -> None:
        rpcs = [ping(handle, i, "x" * 200_000) for i in range(100)]
        assert [rpc.get()["seq"] for rpc in reversed(rpcs)] == list(reversed(range(100)))

    def test_a_service_that_streams(self, handle: Any, uri: str) -> None:
        service = Service(handle, "libfluxtest")
        client = flux.Flux(uri)
        client.set_reactor(handle.get_reactor())
        seen: list[int] = []

        def more(rpc: RPC) -> None:
            if rpc.error_string() is not None:
                handle.reactor_stop()
                return
            seen.append(rpc.get()["i"])
            rpc.reset()

        rpc = client.rpc("libfluxtest.count", {"upto": 1000}, flags=FLUX_RPC_STREAMING)
        rpc.then(more)
        handle.reactor_run()
        assert seen == list(range(1000))
        with pytest.raises(OSError, match=os.strerror(errno.ENODATA)):
            rpc.get()
        service.stop()

    def test_events(self, handle: Any) -> None:
        handle.event_subscribe("libfluxtest")
        seen: list[int] = []

        def got(h: flux.Flux, watcher: Any, msg: flux.Message, arg: Any) -> None:
            seen.append(msg.payload["i"])
            if len(seen) == 500:
                h.reactor_stop()

        with handle.msg_watcher_create(got, FLUX_MSGTYPE_EVENT, "libfluxtest.*"):
            for i in range(500):
                handle.event_send(f"libfluxtest.{i}", {"i": i})
            handle.reactor_run()
        assert seen == list(range(500))
        handle.event_unsubscribe("libfluxtest")

    def test_messages_that_are_taken_one_at_a_time(self, handle: Any) -> None:
        handle.event_subscribe("libfluxtest")
        for i in range(200):
            handle.event_send("libfluxtest", {"i": i, "pad": "x" * 2000})
        taken = [handle.event_recv("libfluxtest").payload["i"] for i in range(200)]
        assert taken == list(range(200))
        assert handle.recv(flags=FLUX_O_NONBLOCK) is None

    def test_asyncio(self, uri: str) -> None:
        async def main() -> list[int]:
            handle: Any = flux.Flux(uri)
            answers = await asyncio.gather(*(ping(handle, i, "x" * 50_000) for i in range(100)))
            # C code that reads from the connection must not take a wake-up from the loop.
            rpcs = [ping(handle, i) for i in range(100, 200)]
            future = Future(handle.flux_rpc("broker.ping", '{"seq":0}', FLUX_NODEID_ANY, 0))
            future.get()
            answers += await asyncio.gather(*rpcs)
            return [answer["seq"] for answer in answers]

        assert asyncio.run(main()) == list(range(200))

    def test_an_idle_handle_does_not_keep_the_reactor_busy(self, handle: Any) -> None:
        rounds = 0

        def count(*_args: Any) -> None:
            nonlocal rounds
            rounds += 1

        for _ in range(2):
            # Also once C code has the handle, which makes every wait begin with a look.
            ping(handle, 1).get()
            handle.event_subscribe("libfluxtest")
            check = handle.check_watcher_create(count).unref()
            watcher = handle.msg_watcher_create(count, FLUX_MSGTYPE_EVENT, "none.*").unref()
            with check, watcher, handle.timer_watcher_create(0.2, lambda *_: handle.reactor_stop()):
                handle.reactor_run()
            assert handle.handle is not None
        assert rounds < 20

    def test_an_interrupt_loses_nothing(self, handle: Any) -> None:
        ping(handle, 1).get()
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            handle.event_recv("never")
        timer.join()
        assert ping(handle, 2).get()["seq"] == 2

    def test_flags_reach_the_library(self, uri: str) -> None:
        handle: Any = flux.Flux(uri, FLUX_O_NONBLOCK)
        assert handle.recv() is None
        assert handle.flux_flags_get() & FLUX_O_NONBLOCK

    def test_credentials_are_the_librarys(self, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLUX_HANDLE_ROLEMASK", "0x2")
        monkeypatch.setenv("FLUX_HANDLE_USERID", "9999")
        with pytest.raises(PermissionError):
            flux.Flux(uri).attr_set("libfluxtest", "x")

    def test_the_end_of_a_context(self, uri: str) -> None:
        with flux.Flux(uri) as handle:
            ping(handle, 1).get()
            functions: Any = handle
            rank = functions.flux_get_rank
        with pytest.raises(OSError, match="closed"):
            ping(handle, 2)
        assert handle.handle is None
        with pytest.raises(ValueError, match="NULL handle"):
            rank(ffi.new("uint32_t *"))


class TestOpening:
    def test_the_loop_connector_of_the_library(self) -> None:
        handle: Any = flux.Flux("libflux+loop://")
        handle.send(handle.request_encode("a.b", {"x": 1}))
        assert handle.recv().payload == {"x": 1}

    def test_an_unknown_scheme_is_the_librarys_error(self) -> None:
        with pytest.raises(OSError, match="Unable to find connector name 'nosuch'") as caught:
            flux.Flux("nosuch://x")
        assert caught.value.errno == errno.ENOENT
        assert "FLUX_LIBFLUX_CORE" not in str(caught.value)

    def test_a_broker_that_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", "0")
        with pytest.raises(OSError, match="Unable to connect to Flux") as caught:
            flux.Flux(f"libflux+local://{tmp_path}/nosuch")
        assert caught.value.errno == errno.ENOENT

    def test_the_environment_can_ask_for_it(
        self, native_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUX_HANDLE_CONNECTOR", "libflux")
        monkeypatch.setenv("FLUX_URI", native_uri)
        handle = flux.Flux()
        assert handle.handle is not None
        assert ping(handle, 1).get()["seq"] == 1

    def test_a_native_handle_loads_no_library(self, native_uri: str) -> None:
        code = (
            "import flux; flux.Flux().rpc('broker.ping', {'seq': 1}).get()\n"
            "maps = open('/proc/self/maps').read(); assert 'libflux' not in maps\n"
            "assert 'cffi' not in maps"
        )
        environment = {**os.environ, "FLUX_URI": native_uri}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)


class TestAdoptedHandles:
    def test_it_is_used_and_closed(self, native_uri: str) -> None:
        c_handle = raw.flux_open(native_uri, 0)
        fd = raw.flux_pollfd(c_handle)
        handle = flux.Flux(handle=c_handle)
        assert handle.handle == c_handle
        assert ping(handle, 1).get()["seq"] == 1
        del handle
        gc.collect()
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)

    def test_a_reference_keeps_it(self, native_uri: str) -> None:
        c_handle = raw.flux_open(native_uri, 0)
        assert raw.flux_incref(c_handle) == c_handle
        assert ping(flux.Flux(handle=c_handle), 1).get()["seq"] == 1
        gc.collect()
        assert raw.flux_attr_get(c_handle, "rank") == b"0"
        raw.flux_close(c_handle)


def sockets() -> set[int]:
    """Return this process's sockets."""
    found = set()
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                found.add(fd)
    return found


class TestWhatCCodeLeavesUnread:
    """C code that waits takes the news that there is something to read, and leaves the rest."""

    @pytest.fixture
    def leave_some(self, native_uri: str) -> Callable[[], list[RPC]]:
        """Return a function that leaves the responses to some RPCs in the socket."""
        before = sockets()
        c_handle = raw.flux_open(native_uri, 0)
        (connection,) = sockets() - before
        handle = flux.Flux(handle=c_handle)

        def leave() -> list[RPC]:
            future = lib.flux_rpc(c_handle, b"broker.ping", b'{"seq":0}', FLUX_NODEID_ANY, 0)
            rpcs = [ping(handle, i, "x" * 1000) for i in range(5)]
            # In a callback it would wait for the end of that.
            handle._session.flush()
            arrived = bytearray(4)
            while int.from_bytes(arrived, sys.byteorder) < 5000:
                fcntl.ioctl(connection, termios.FIONREAD, arrived)
            assert lib.flux_future_get(future, ffi.NULL) == 0
            lib.flux_future_destroy(future)
            return rpcs

        return leave

    def test_by_a_blocking_call(self, leave_some: Callable[[], list[RPC]]) -> None:
        assert [rpc.get()["seq"] for rpc in leave_some()] == list(range(5))

    def test_by_the_reactor(self, leave_some: Callable[[], list[RPC]]) -> None:
        seen: list[int] = []
        rpcs = leave_some()
        for rpc in rpcs:
            rpc.then(lambda f: seen.append(f.get()["seq"]))
        rpcs[0].flux_handle.reactor_run()
        assert seen == list(range(5))

    def test_in_a_callback_by_the_reactor_that_called_it(
        self, leave_some: Callable[[], list[RPC]]
    ) -> None:
        seen: list[int] = []

        def callback(*_args: Any) -> None:
            for rpc in leave_some():
                rpc.then(lambda f: seen.append(f.get()["seq"]))

        first = leave_some()[-1]
        first.then(callback)
        first.flux_handle.reactor_run()
        assert seen == list(range(5))

    def test_by_an_asyncio_loop(self, leave_some: Callable[[], list[RPC]]) -> None:
        async def main() -> list[Any]:
            rpcs = leave_some()
            await asyncio.gather(*rpcs)
            return await asyncio.gather(*leave_some())

        assert [answer["seq"] for answer in asyncio.run(main())] == list(range(5))


class TestCFunctions:
    def test_by_name(self, cell: Cell, handle: Any) -> None:
        size = ffi.new("uint32_t *")
        assert handle.flux_get_size(size) == handle.get_size(size) == 0
        assert size[0] == cell.size
        assert handle.flux_attr_get("rank") == b"0"
        assert raw.attr_get(handle, "rank") == b"0"
        assert isinstance(handle, Wrapper)

    def test_the_class_stays_the_users(self, uri: str) -> None:
        class Mine(flux.Flux):
            """A handle of one's own."""

        handle: Any = Mine(uri)
        assert handle.flux_attr_get("rank") == b"0"
        assert isinstance(handle, Mine)
        assert type(handle).__name__ == "Mine"
        assert type(handle.clone()) is type(handle)

    def test_what_is_wrong_with_a_call(self, handle: Any) -> None:
        with pytest.raises(FileNotFoundError):
            handle.flux_attr_get("no.such.attribute")
        with pytest.raises(WrongNumArguments, match="flux_attr_get takes 1 arguments and got 0"):
            handle.flux_attr_get()
        with pytest.raises(InvalidArguments, match="flux_attr_get"):
            handle.flux_attr_get(17)
        with pytest.raises(MissingFunctionError, match="did you mean flux_attr_get"):
            handle.flux_atr_get("rank")

    def test_events_that_c_code_subscribes_to(self, handle: Any) -> None:
        handle.flux_event_subscribe("libfluxtest")
        handle.event_send("libfluxtest.x", {"i": 1})
        assert handle.event_recv("libfluxtest.x").payload == {"i": 1}

    def test_a_message_both_ways(self, handle: Any) -> None:
        msg = handle.request_encode("a.b", {"x": [1, "ä"]})
        topic = ffi.new("char **")
        assert raw.flux_msg_get_topic(msg, topic) == 0
        made = flux.Message(handle=raw.flux_request_encode("a.b", '{"x": [1, "ä"]}'))
        assert made.encode() == msg.encode()

    def test_job_ids(self) -> None:
        jobid = ffi.new("flux_jobid_t *")
        raw.flux_job_id_parse("ƒ1", jobid)
        assert jobid[0] == 0
        text = ffi.new("char[]", 32)
        raw.flux_job_id_encode(1234, "hex", text, 32)
        assert int(ffi.string(text), 16) == 1234


class TestMatchtags:
    def test_rpcs_of_both_sides_at_once(self, handle: Any) -> None:
        ours: list[RPC] = []
        theirs: list[Any] = []
        for i in range(50):
            ours.append(ping(handle, i))
            future = handle.flux_rpc("broker.ping", f'{{"seq":{i}}}', FLUX_NODEID_ANY, 0)
            theirs.append(future)
        tags = [rpc.get_matchtag() for rpc in ours]
        tags += [raw.flux_rpc_get_matchtag(future) for future in theirs]
        assert len(set(tags)) == 100
        # Python reads their responses along with its own, and keeps them for C code.
        assert [rpc.get()["seq"] for rpc in ours] == list(range(50))
        text = ffi.new("char **")
        for i, future in enumerate(theirs):
            assert raw.flux_rpc_get(future, text) == 0
            assert f'"seq": {i}'.replace(" ", "") in ffi.string(text[0]).decode().replace(" ", "")
            raw.flux_future_destroy(future)

    def test_c_code_amid_a_long_write(self, handle: Any) -> None:
        # More than the socket takes, so that it holds part of a message when C code writes.
        seen: list[int] = []
        theirs: list[Any] = []

        def answered(rpc: RPC) -> None:
            seen.append(rpc.get()["seq"])
            if len(seen) % 10 == 1:
                future = Future(handle.flux_rpc("broker.ping", '{"seq":0}', FLUX_NODEID_ANY, 0))
                theirs.append(future.get())

        def begin(*_args: Any) -> None:
            for i in range(100):
                ping(handle, i, "x" * 300_000).then(answered)

        with handle.timer_watcher_create(0, begin):
            handle.reactor_run()
        assert seen == list(range(100))
        assert theirs == [None] * 10


class TestCFutures:
    def test_one_that_c_code_fulfils(self, handle: Any) -> None:
        future = Future(handle.future_create(None, None))
        again = Future(future)
        assert not future.is_ready()
        with pytest.raises(TimeoutError):
            future.wait_for(0)
        with pytest.raises(OSError, match="no continuations"):
            future.then(print)
        future.pimpl.fulfill(None, None)
        assert future.is_ready()
        assert again.is_ready()
        assert again.get() is None

    def test_one_that_fails(self, handle: Any) -> None:
        future = Future(handle.future_create(None, None))
        raw.flux_future_fulfill_error(future, errno.ENOENT, "all lost")
        with pytest.raises(FileNotFoundError, match="all lost"):
            future.get()
        assert future.error_string() == "all lost"

    def test_one_that_nothing_can_fulfil(self, handle: Any) -> None:
        with pytest.raises(OSError, match="deadlock") as caught:
            Future(handle.future_create(None, None)).wait_for()
        assert caught.value.errno == errno.EDEADLK

    def test_an_rpc_made_by_c_code(self, handle: Any) -> None:
        rpc = ping(handle, 1)
        rpc.handle = handle.flux_rpc("broker.ping", '{"seq":2}', FLUX_NODEID_ANY, 0)
        assert rpc.get()["seq"] == 2
        with pytest.raises(TypeError, match="expected a"):
            rpc.handle = ping(handle, 3)
        rpc.pimpl.handle = None
        with pytest.raises(ValueError, match="NULL handle"):
            rpc.get()

    def test_ours_for_c_code(self, handle: Any) -> None:
        text = ffi.new("char **")
        rpc = ping(handle, 17)
        assert raw.flux_future_get(rpc, None) == 0
        pointer = rpc.handle
        assert raw.flux_rpc_get(pointer, text) == 0
        assert b"17" in ffi.string(text[0])
        with pytest.raises(OSError, match="ENOSYS"):
            raw.flux_future_get(handle.rpc("nosuch.method"), None)

    def test_it_outlives_its_handle(self, native_uri: str) -> None:
        handle: Any = flux.Flux(f"libflux+{native_uri}")
        future = Future(handle.flux_rpc("broker.ping", '{"seq":2}', FLUX_NODEID_ANY, 0))
        fd = handle.flux_pollfd()
        del handle
        gc.collect()
        assert future.get() is None
        os.fstat(fd)
        del future
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)

    def test_an_interrupt_ends_the_wait(self, handle: Any, uri: str) -> None:
        service = flux.Flux(uri)
        service.service_register("libfluxtest").get()
        future = Future(handle.flux_rpc("libfluxtest.never", None, FLUX_NODEID_ANY, 0))
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            future.get()
        timer.join()
        assert ping(handle, 2).get()["seq"] == 2

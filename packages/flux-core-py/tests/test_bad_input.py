"""Peers that misbehave: the call that meets one ends with a documented error, and no other does."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import threading
from typing import Any, Callable

import pytest

import flux
from flux.constants import (
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_O_NONBLOCK,
    FLUX_RPC_STREAMING,
)
from flux.future import FutureExt, WaitAllFuture, WaitAnyFuture

MAGIC = struct.pack("=I", 0xFFEE0012)


def framed(wire: bytes) -> bytes:
    return MAGIC + struct.pack(">I", len(wire)) + wire


def proto(mtype: int, flags: int, aux2: int = 1, magic: int = 0x8E) -> bytes:
    return struct.pack(">BBBBBIIII", 20, magic, 1, mtype, flags, 0, 1, 0, aux2)


#: What a peer may send in place of the answer to the request with matchtag 1, and the error.
FAULTS: dict[str, tuple[bytes, int, str]] = {
    "end": (b"", errno.ECONNRESET, "lost connection"),
    "end within the magic": (MAGIC[:2], errno.ECONNRESET, "in the middle of a message"),
    "end within the length": (MAGIC + b"\0\0", errno.ECONNRESET, "in the middle of a message"),
    "end before a frame": (MAGIC + b"\0\0\0\x40", errno.ECONNRESET, "in the middle of a message"),
    "end within a frame": (
        framed(b"\0\x03a.b" + proto(2, 9))[:-9],
        errno.ECONNRESET,
        "in the middle",
    ),
    "end within a large message": (
        MAGIC + b"\x3f\xff\xff\xff" + b"x" * 9,
        errno.ECONNRESET,
        "middle",
    ),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n", errno.EPROTO, "magic"),
    "another byte order": (MAGIC[::-1] + b"\0\0\0\x15", errno.EPROTO, "magic"),
    "length 0": (MAGIC + bytes(4), errno.EPROTO, "length of 0"),
    "length of 4 GiB": (MAGIC + b"\xff" * 4, errno.EPROTO, "length of 4294967295"),
    "a frame that overruns": (framed(b"\0\x03a.b\x7f{}" + proto(2, 11)), errno.EPROTO, "add up"),
    "a frame of 4 GiB": (
        framed(b"\0\x03a.b" + b"\xff" * 5 + b"{}" + proto(2, 11)),
        errno.EPROTO,
        "add up",
    ),
    "wrong flags": (framed(b"\0\x03a.b" + proto(2, 11)), errno.EPROTO, "add up"),
    "a bad PROTO frame": (framed(b"\0\x03a.b" + proto(2, 9, magic=0)), errno.EPROTO, "PROTO"),
    "an unknown type": (framed(b"\0\x03a.b" + proto(7, 9)), errno.EPROTO, "PROTO"),
    "truncated UTF-8 in a topic": (framed(b"\0\x03a.\xc3" + proto(2, 9)), errno.EPROTO, "UTF-8"),
    "truncated UTF-8 in an event": (framed(b"\0\x01\xc3" + proto(4, 9)), errno.EPROTO, "UTF-8"),
}
faults = pytest.mark.parametrize("fault", FAULTS)

#: Every public call that waits.
WAITS: dict[str, Callable[[flux.Flux], object]] = {
    "get": lambda h: h.rpc("a.b").get(),
    "get_str": lambda h: h.rpc("a.b").get_str(),
    "get_bytes": lambda h: h.rpc("a.b").get_bytes(),
    "wait_for": lambda h: h.rpc("a.b").wait_for().get(),
    "wait_for with a timeout": lambda h: h.rpc("a.b").wait_for(60).get(),
    "iterating": lambda h: list(h.rpc("a.b", flags=FLUX_RPC_STREAMING)),
    "recv": lambda h: (h.rpc("a.b"), h.recv()),
    "event_recv": lambda h: (h.rpc("a.b"), h.event_recv("x")),
    "attr_get": lambda h: h.attr_get("x"),
    "attr_set": lambda h: h.attr_set("x", "y"),
    "attr_remove": lambda h: h.attr_remove("x"),
    "get_rank": lambda h: h.get_rank(),
    "conf_get": lambda h: h.conf_get(),
    "log": lambda h: h.log(6, "x"),
    "event_subscribe": lambda h: h.event_subscribe("x"),
    "event_unsubscribe": lambda h: h.event_unsubscribe("x"),
    "event_publish": lambda h: h.event_publish("x").get(),
    "service_register": lambda h: h.service_register("x").get(),
    "service_unregister": lambda h: h.service_unregister("x").get(),
    "all": lambda h: WaitAllFuture([h.rpc("a.b"), h.rpc("a.b")]).get(),
    "any": lambda h: WaitAnyFuture([h.rpc("a.b")]).children[0].get(),
    "a chain": lambda h: h.rpc("a.b").and_then(lambda f: None).get(),
    "a chain of two": lambda h: ready(h).and_then(lambda f: h.rpc("a.b")).get(),
    "an extension": lambda h: FutureExt(
        lambda f: f.get_flux().rpc("a.b").then(lambda r: (r.get(), f.fulfill())), flux_handle=h
    ).get(),
    "a reactor with a handler": lambda h: (
        h.rpc("a.b"),
        h.msg_watcher_create(print, FLUX_MSGTYPE_REQUEST, "x").start(),
        h.reactor_run(),
    ),
    "a reactor with a continuation": lambda h: (
        h.rpc("a.b").then(lambda f: f.get()),
        h.reactor_run(),
    ),
    "a wait in a callback": lambda h: (
        h.timer_watcher_create(0, lambda *_: h.rpc("a.b").get()).start(),
        h.reactor_run(),
    ),
}


def poll(handle: flux.Flux) -> None:
    """Receive without waiting, as a program with a loop of its own does."""
    handle.rpc("a.b")
    while True:
        handle.recv(flags=FLUX_O_NONBLOCK)


WAITS["recv without waiting"] = poll
waits = pytest.mark.parametrize("wait", WAITS)


def ready(handle: flux.Flux) -> flux.Future:
    future = flux.Future(flux_handle=handle)
    future.fulfill()
    return future


def misbehave(peer: Any, fault: bytes) -> None:
    """Have the peer send something in place of an answer, and hang up."""

    def script() -> None:
        peer.read()
        peer.sock.sendall(fault)
        peer.sock.shutdown(socket.SHUT_RDWR)

    peer.run(script)


@faults
def test_a_fault_is_told_where_it_is_met_and_no_other_connection_ends(connect, fault):
    data, number, text = FAULTS[fault]
    bad, good = connect(), connect()
    good.serve()
    waiting = good.handle.rpc("a.b", {"x": 1})
    misbehave(bad, data)
    rpc = bad.handle.rpc("a.b")
    with pytest.raises(OSError, match=text) as caught:
        rpc.get()
    assert caught.value.errno == number
    assert rpc.error_string() is not None
    # The message says which connection it was.
    assert bad.handle._session.uri in str(caught.value)
    assert waiting.get() == {"x": 1}
    assert good.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}


@faults
def test_an_await_ends_with_the_fault(peer, fault):
    async def main() -> None:
        rpc = peer.handle.rpc("a.b")
        with pytest.raises(OSError, match=FAULTS[fault][2]) as caught:
            await rpc
        assert caught.value.errno == FAULTS[fault][1]

    misbehave(peer, FAULTS[fault][0])
    asyncio.run(main())


@faults
def test_a_continuation_is_called_with_the_fault(peer, fault):
    errors: list[int | None] = []

    def proceed(f: flux.Future) -> None:
        with pytest.raises(OSError) as caught:  # noqa: PT011
            f.get()
        errors.append(caught.value.errno)

    misbehave(peer, FAULTS[fault][0])
    peer.handle.rpc("a.b").then(proceed)
    assert peer.handle.reactor_run() == 0
    assert errors == [FAULTS[fault][1]]


@waits
@pytest.mark.parametrize(
    "fault", ["end", "end within a frame", "another protocol", "a bad PROTO frame"]
)
def test_every_wait_ends_with_the_fault(peer, wait, fault):
    data, number, _ = FAULTS[fault]
    misbehave(peer, data)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        WAITS[wait](peer.handle)
    # What is sent afterwards fails as it does with a broker that is gone.
    assert caught.value.errno in (number, errno.EPIPE)


@faults
def test_after_a_fault_every_use_is_an_error_at_once(peer, fault):
    misbehave(peer, FAULTS[fault][0])
    with pytest.raises(OSError):  # noqa: PT011
        peer.handle.rpc("a.b").get()
    peer.join()
    for send in (lambda: peer.handle.rpc("a.b"), lambda: peer.handle.event_send("a")):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            send()
        assert caught.value.errno == errno.EPIPE
    for receive in (
        peer.handle.recv,
        lambda: peer.handle.recv(flags=FLUX_O_NONBLOCK),
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011
            receive()
        assert caught.value.errno == FAULTS[fault][1]
    with peer.handle.msg_watcher_create(print), pytest.raises(OSError) as caught:  # noqa: PT011
        peer.handle.reactor_run()
    assert caught.value.errno == FAULTS[fault][1]


def test_answers_before_the_fault_are_delivered(peer):
    rpcs = [peer.handle.rpc("a.b", {"n": n}) for n in range(3)]
    requests = [peer.read() for _ in rpcs]
    for request in requests[:2]:
        peer.answer(request, request.payload_str)
    peer.sock.sendall(b"garbage!")
    assert [rpc.get()["n"] for rpc in rpcs[:2]] == [0, 1]
    with pytest.raises(OSError, match="magic") as caught:
        rpcs[2].get()
    assert caught.value.errno == errno.EPROTO


def test_every_outstanding_rpc_fails_with_the_connection(peer):
    rpcs = [peer.handle.rpc("a.b", flags=flags) for flags in (0, FLUX_RPC_STREAMING, 0)]
    calls: list[int] = []

    def failed(f: flux.Future) -> None:
        with pytest.raises(ConnectionResetError):
            f.get()
        calls.append(1)

    for rpc in rpcs:
        rpc.then(failed)
    peer.hang_up()
    assert peer.handle.reactor_run() == 0
    assert len(calls) == 3


def test_a_broker_that_goes_away_while_we_write_is_read_to_the_end(peer):
    rpc = peer.handle.rpc("a.b")
    peer.answer(peer.read(), {"last": "words"})
    peer.hang_up()

    def send_on() -> None:
        for _ in range(1000):
            peer.handle.event_send("a", "x" * 100_000)

    with pytest.raises(BrokenPipeError):
        send_on()
    assert rpc.get() == {"last": "words"}


class TestOneCallOnly:
    """Faults of one message: the call that reads it fails, and the connection lives on."""

    @pytest.fixture(autouse=True)
    def _alive(self, peer):
        yield
        peer.serve()
        assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}

    @pytest.mark.parametrize(
        "payload",
        [
            b"",
            b"{}",
            b"{\0",
            b"no\0",
            b'{"a":NaN}\0',
            b'{"a":Infinity}\0',
            b'{"s":"\xc3"}\0',
            b"\0",
            b"\xff\0",
        ],
    )
    def test_a_payload_that_is_not_json(self, peer, payload):
        rpc = peer.handle.rpc("a.b")
        peer.send(peer.read().respond(payload))
        with pytest.raises(OSError) as caught:  # noqa: PT011
            rpc.get()
        assert caught.value.errno == errno.EPROTO
        assert isinstance(caught.value, ValueError)

    def test_an_integer_of_70_bits(self, peer):
        with pytest.raises(OSError, match="integer of 71 bits") as caught:
            peer.handle.rpc("a.b", {"n": 1 << 70})
        assert caught.value.errno == errno.EPROTO
        rpc = peer.handle.rpc("a.b")
        peer.send(peer.read().respond(b'{"n":%d}\0' % (1 << 70)))
        assert rpc.get() == {"n": 1 << 70}

    def test_a_response_for_an_unknown_matchtag(self, peer):
        stray = peer.request("a.b", matchtag=4000)
        rpc = peer.handle.rpc("a.b")
        peer.answer(stray, {"stray": 1})
        peer.answer(peer.read(), {"mine": 1})
        assert rpc.get() == {"mine": 1}

    def test_a_response_without_topic_or_route(self, peer):
        rpc = peer.handle.rpc("a.b")
        tag = peer.read().matchtag
        peer.sock.sendall(framed(proto(2, 0, tag)))
        assert rpc.wait_for(5).get() is None

    def test_a_second_response_to_the_same_request(self, peer):
        rpc = peer.handle.rpc("a.b")
        request = peer.read()
        peer.answer(request, {"n": 1})
        peer.answer(request, {"n": 2})
        assert rpc.get() == {"n": 1}

    def test_an_event_and_a_control_message_that_nobody_asked_for(self, peer):
        peer.send(peer.event("unasked"), flux.Message(8))
        rpc = peer.handle.rpc("a.b")
        peer.answer(peer.read(), {"mine": 1})
        assert rpc.get() == {"mine": 1}

    @pytest.mark.parametrize("errnum", [1, 61, 133, 9999, 0xFFFFFFFF])
    def test_any_error_number(self, peer, errnum):
        rpc = peer.handle.rpc("a.b")
        peer.answer(peer.read(), None, errnum)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            rpc.get()
        assert caught.value.errno == errnum
        assert str(caught.value)

    def test_a_request_with_a_bad_payload_is_the_handler_s_to_judge(self, peer):
        def receive(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
            with pytest.raises(OSError, match="JSON"):
                _ = msg.payload
            handle.respond_error(msg, errno.EPROTO, "not JSON")
            handle.reactor_stop()

        peer.send(peer.request("a.b", "not JSON", matchtag=3))
        with peer.handle.msg_watcher_create(receive, FLUX_MSGTYPE_REQUEST):
            peer.handle.reactor_run()
        assert peer.read().errnum == errno.EPROTO


class TestStalled:
    """Peers that neither read nor write: every wait with a timeout ends by it."""

    def test_a_wait_for_an_answer(self, peer):
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            peer.handle.rpc("a.b").wait_for(0.01)

    def test_a_wait_within_a_callback_whose_request_is_still_unsent(self, peer):
        errors: list[int | None] = []

        def fire(handle: flux.Flux, *_args: object) -> None:
            try:
                handle.rpc("a.b", "x" * 3_000_000).wait_for(0.01)
            except OSError as exc:
                errors.append(exc.errno)
            timed_out.set()
            handle.reactor_stop()

        timed_out = threading.Event()
        with peer.handle.msg_watcher_create(fire, FLUX_MSGTYPE_EVENT):
            peer.send(peer.event("go"))

            peer.run(lambda: (timed_out.wait(), peer.read()))
            # The run writes what is left before it returns.
            peer.handle.reactor_run()
            peer.join()
        assert errors == [errno.ETIMEDOUT]

    def test_a_peer_that_stops_within_a_message(self, peer):
        rpc = peer.handle.rpc("a.b")
        answer = peer.read().respond(b"{}\0").to_stream()
        peer.sock.sendall(answer[:-1])
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)):
            rpc.wait_for(0.01)
        peer.sock.sendall(answer[-1:])
        assert rpc.get() == {}

    def test_a_continuation(self, peer):
        calls: list[str | None] = []
        peer.handle.rpc("a.b").then(lambda f: calls.append(f.error_string()), timeout=0.01)
        assert peer.handle.reactor_run() == 0
        assert calls == [os.strerror(errno.ETIMEDOUT)]

    def test_a_peer_that_reads_byte_by_byte_gets_all(self, peer):
        def script() -> None:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            data = b""
            while len(data) < 400_000:
                data += peer.sock.recv(977)
            peer.sock.sendall(answer)

        request = peer.request("a.b", matchtag=1)
        answer = request.respond(b'{"done":1}\0').to_stream()
        rpc = peer.handle.rpc("a.b")
        peer.read()
        peer.run(script)
        for _ in range(4):
            peer.handle.event_send("fill", "x" * 100_000)
        assert rpc.get() == {"done": 1}

    def test_both_sides_writing_more_than_fits_do_not_block_each_other(self, peer):
        def script() -> None:
            for n in range(20):
                peer.send(peer.event("from.peer", {"n": n, "fill": "x" * 100_000}))
            for _ in range(20):
                assert peer.read().topic == "from.us"

        peer.run(script)
        for _ in range(20):
            peer.handle.event_send("from.us", "x" * 100_000)
        assert [peer.handle.recv().payload["n"] for _ in range(20)] == list(range(20))
        peer.join()

"""RPCs, with a scripted peer in the place of the service."""

from __future__ import annotations

import errno
import gc
import os
import time

import pytest

from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_PAYLOAD,
    FLUX_MSGFLAG_ROUTE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGFLAG_TOPIC,
    FLUX_MSGFLAG_UPSTREAM,
    FLUX_MSGTYPE_REQUEST,
    FLUX_NODEID_ANY,
    FLUX_NODEID_UPSTREAM,
    FLUX_ROLE_NONE,
    FLUX_RPC_NORESPONSE,
    FLUX_RPC_STREAMING,
    FLUX_USERID_UNKNOWN,
)
from flux.rpc import RPC


def stream(peer, count, final=errno.ENODATA, text=None):
    """Answer the next request with numbered responses and a final error; return the request."""
    request = peer.read()
    for n in range(count):
        peer.answer(request, {"n": n})
    if final:
        peer.answer(request, text, final)
    return request


def test_a_request_is_sent_as_official_clients_do(peer):
    rpc = peer.handle.rpc("a.b", {"x": 1})
    msg = peer.read()
    assert isinstance(rpc, RPC)
    assert (msg.type, msg.topic, msg.payload_bytes) == (FLUX_MSGTYPE_REQUEST, "a.b", b'{"x":1}\0')
    assert msg.flags == FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_PAYLOAD | FLUX_MSGFLAG_ROUTE
    assert msg.routes == []
    assert (msg.nodeid, msg.userid) == (FLUX_NODEID_ANY, FLUX_USERID_UNKNOWN)
    assert msg.rolemask == FLUX_ROLE_NONE
    assert msg.matchtag == rpc.get_matchtag() != 0


@pytest.mark.parametrize(
    ("payload", "data"),
    [(None, None), ("text", b"text\0"), (b"raw\xff", b"raw\xff\0"), ({}, b"{}\0"), ([1], b"[1]\0")],
)
def test_request_payloads_may_be_anything(peer, payload, data):
    peer.handle.rpc("a.b", payload)
    assert peer.read().payload_bytes == data


@pytest.mark.parametrize("topic", ["a.b", b"a.b"])
def test_topics_may_be_str_or_bytes(peer, topic):
    peer.handle.rpc(topic)
    assert peer.read().topic == "a.b"


def test_a_rank_is_addressed(peer):
    peer.handle.rpc("a.b", nodeid=3)
    assert peer.read().nodeid == 3


def test_upstream_names_the_own_rank(peer):
    peer.serve(lambda msg: {"value": "5", "flags": 1} if msg.topic == "attr.get" else "{}")
    peer.handle.rpc("a.b", nodeid=FLUX_NODEID_UPSTREAM).get()
    msg = peer.requests[-1]
    assert (msg.topic, msg.nodeid) == ("a.b", 5)
    assert msg.flags & FLUX_MSGFLAG_UPSTREAM


def test_a_response_is_read_as_json_text_or_bytes(peer):
    peer.serve()
    rpc = peer.handle.rpc("a.b", '{"x": 1}')
    assert rpc.get() == {"x": 1}
    assert rpc.get_str() == '{"x": 1}'
    assert rpc.get_bytes() == b'{"x": 1}\0'
    assert rpc.get() == {"x": 1}


def test_a_response_without_payload_is_none(peer):
    peer.serve()
    rpc = peer.handle.rpc("a.b")
    assert rpc.get() is None
    assert rpc.get_str() is None
    assert rpc.get_bytes() is None
    assert rpc.is_ready()


@pytest.mark.parametrize(("text", "shown"), [("no such thing", "no such thing"), (None, None)])
def test_an_error_is_raised_with_its_text(peer, text, shown):
    rpc = peer.handle.rpc("a.b")
    peer.answer(peer.read(), text, errno.ENOENT)
    for read in (rpc.get, rpc.get_str, rpc.get_bytes, rpc.get):
        with pytest.raises(OSError, match=shown or os.strerror(errno.ENOENT)) as caught:
            read()
        assert caught.value.errno == errno.ENOENT
    assert rpc.error_string() == shown or os.strerror(errno.ENOENT)
    assert rpc.wait_for() is rpc


@pytest.mark.parametrize("payload", [b"not JSON\0", b"unterminated", b"", b'{"a":NaN}\0'])
def test_a_payload_that_is_not_json_fails_only_that_call(peer, payload):
    rpc = peer.handle.rpc("a.b")
    peer.send(peer.read().respond(payload))
    with pytest.raises(OSError) as caught:  # noqa: PT011
        rpc.get()
    assert caught.value.errno == errno.EPROTO
    assert rpc.get_bytes() == payload
    peer.serve()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


def test_responses_find_their_requests_in_any_order(peer):
    rpcs = [peer.handle.rpc("a.b", {"n": n}) for n in range(5)]
    requests = [peer.read() for _ in rpcs]
    for request in reversed(requests):
        peer.answer(request, request.payload_str)
    assert [rpc.get()["n"] for rpc in rpcs] == list(range(5))


def test_matchtags_of_outstanding_rpcs_differ(peer):
    peer.serve(lambda msg: "{}" if msg.payload["n"] % 2 else NotImplemented)
    rpcs = []
    for n in range(50):
        rpcs.append(peer.handle.rpc("a.b", {"n": n}))
        if n % 2:
            rpcs[-1].get()
    outstanding = [rpc.get_matchtag() for rpc in rpcs if not rpc.is_ready()]
    assert len(set(outstanding)) == 25


def test_a_matchtag_is_not_used_again_before_the_final_response(peer):
    rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
    abandoned = peer.read()
    tag = rpc.get_matchtag()
    peer.answer(abandoned, {"n": 0})
    del rpc
    gc.collect()
    peer.answer(abandoned, {"n": 1})
    second = peer.handle.rpc("a.b")
    request = peer.read()
    assert request.matchtag != tag
    peer.answer(abandoned, None, errno.ENODATA)
    peer.answer(request, {"mine": True})
    assert second.get() == {"mine": True}
    # Now it is free.
    tags = {peer.handle.rpc("a.b").get_matchtag(), peer.handle.rpc("a.b").get_matchtag()}
    assert tag in tags


def test_a_response_that_nobody_waits_for_is_dropped(peer):
    peer.serve()
    request = peer.request("a.b", matchtag=99)
    peer.answer(request, {"stray": True})
    peer.answer(request, "stray", errno.EPERM)
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


def test_no_response_is_ready_at_once(peer):
    rpc = peer.handle.rpc("a.b", {"x": 1}, flags=FLUX_RPC_NORESPONSE)
    assert rpc.is_ready()
    assert rpc.get() is None
    msg = peer.read()
    assert msg.noresponse
    assert not msg.flags & FLUX_MSGFLAG_STREAMING
    assert (msg.matchtag, msg.payload) == (0, {"x": 1})


def test_no_response_wins_over_streaming(peer):
    peer.handle.rpc("a.b", flags=FLUX_RPC_NORESPONSE | FLUX_RPC_STREAMING)
    msg = peer.read()
    assert msg.flags == FLUX_MSGFLAG_TOPIC | FLUX_MSGFLAG_ROUTE | FLUX_MSGFLAG_NORESPONSE


@pytest.mark.parametrize(
    ("args", "kind", "number"),
    [
        ({"topic": None}, OSError, errno.EINVAL),
        ({"topic": 17}, TypeError, None),
        ({"topic": "a.b", "flags": 64}, OSError, errno.EINVAL),
        ({"topic": "a.b", "nodeid": -7}, OSError, errno.EINVAL),
        ({"topic": "a.b", "nodeid": 1 << 40}, OSError, errno.EINVAL),
        ({"topic": "a.b", "payload": {"a": float("nan")}}, OSError, errno.EPROTO),
        ({"topic": "a.b", "payload": {"a": 1 << 70}}, OSError, errno.EPROTO),
        ({"topic": "a.b", "payload": {"a": object()}}, TypeError, None),
        ({"topic": "a\ud800"}, OSError, None),
    ],
)
def test_a_bad_call_is_refused_and_sends_nothing(peer, args, kind, number):
    with pytest.raises(kind) as caught:
        peer.handle.rpc(**args)
    if number is not None:
        assert caught.value.errno == number
    peer.serve()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}
    assert len(peer.requests) == 1


def test_a_timeout_leaves_the_rpc_usable(peer):
    rpc = peer.handle.rpc("a.b")
    for timeout in (0, 0.01):
        start = time.monotonic()
        with pytest.raises(OSError, match=os.strerror(errno.ETIMEDOUT)) as caught:
            rpc.wait_for(timeout)
        assert caught.value.errno == errno.ETIMEDOUT
        assert time.monotonic() - start >= timeout
    peer.answer(peer.read(), {"late": True})
    assert rpc.wait_for(5).get() == {"late": True}


def test_a_continuation_that_times_out_lets_the_reactor_end(peer):
    calls = []
    rpc = peer.handle.rpc("a.b")
    rpc.then(lambda f: calls.append(f.error_string()), timeout=0.001)
    assert peer.handle.reactor_run() == 0
    assert calls == [os.strerror(errno.ETIMEDOUT)]
    peer.answer(peer.read(), {"late": True})
    peer.serve()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


def test_continuations_run_in_the_order_of_the_responses(peer):
    got = []
    for n in range(4):
        peer.handle.rpc("a.b", {"n": n}).then(lambda f, tag: got.append((tag, f.get()["n"])), n)
    requests = [peer.read() for _ in range(4)]
    for i in (2, 0, 3, 1):
        peer.answer(requests[i], requests[i].payload_str)
    assert peer.handle.reactor_run() == 0
    assert got == [(2, 2), (0, 0), (3, 3), (1, 1)]


def test_an_rpc_whose_future_is_dropped_is_forgotten(peer):
    peer.serve()
    for _ in range(20):
        peer.handle.rpc("a.b", {"x": 0})
    gc.collect()
    assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}


class TestStreams:
    """RPCs with several responses."""

    def test_a_stream_is_read_until_enodata(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        assert stream(peer, 3).flags & FLUX_MSGFLAG_STREAMING
        got = []
        for _ in range(3):
            got.append(rpc.get()["n"])
            rpc.reset()
        with pytest.raises(OSError, match=os.strerror(errno.ENODATA)) as caught:
            rpc.get()
        assert caught.value.errno == errno.ENODATA
        assert got == [0, 1, 2]

    def test_a_stream_is_iterated_over(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        stream(peer, 3)
        assert [value["n"] for value in rpc] == [0, 1, 2]
        assert list(rpc) == []

    def test_a_plain_rpc_is_an_iterator_of_one(self, peer):
        peer.serve()
        assert list(peer.handle.rpc("a.b", {"x": 1})) == [{"x": 1}]

    def test_an_error_within_a_stream_is_raised(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        stream(peer, 2, errno.EPERM, "enough")
        got: list[int] = []
        with pytest.raises(OSError, match="enough") as caught:
            got.extend(value["n"] for value in rpc)
        assert caught.value.errno == errno.EPERM

    def test_a_stream_continues_by_reset_in_the_callback(self, peer):
        got: list[object] = []

        def proceed(rpc: RPC) -> None:
            try:
                got.append(rpc.get()["n"])
            except OSError as exc:
                got.append(exc.errno)
                return
            rpc.reset()

        peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING).then(proceed)
        stream(peer, 4)
        assert peer.handle.reactor_run() == 0
        assert got == [0, 1, 2, 3, errno.ENODATA]

    def test_messages_keep_their_order_between_responses_of_a_stream(self, peer):
        got: list[object] = []

        def proceed(rpc: RPC) -> None:
            if rpc.error_string() is None:
                got.append(rpc.get()["n"])
                rpc.reset()
            else:
                peer.handle.reactor_stop()

        peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING).then(proceed)
        watcher = peer.handle.msg_watcher_create(lambda h, w, msg, a: got.append(msg.topic))
        watcher.start()
        request = peer.read()
        answers = [request.respond(b'{"n":%d}\0' % n) for n in range(3)]
        end = request.respond(None, errno.ENODATA)
        peer.send(
            peer.event("e0"), answers[0], peer.event("e1"), *answers[1:], peer.event("e2"), end
        )
        peer.handle.reactor_run()
        watcher.stop()
        assert got == ["e0", 0, "e1", 1, 2, "e2"]

    def test_cancel_asks_the_service_and_waits_for_its_end(self, peer):
        rpc = peer.handle.rpc("my.service.watch", flags=FLUX_RPC_STREAMING, nodeid=2)
        request = peer.read()
        peer.answer(request, {"n": 0})
        assert rpc.get() == {"n": 0}
        rpc.reset()
        rpc.cancel()
        cancel = peer.read()
        assert cancel.topic == "my.service.cancel"
        assert cancel.payload == {"matchtag": request.matchtag}
        assert cancel.noresponse
        assert cancel.nodeid == 2
        # What the service had already sent still arrives.
        peer.answer(request, {"n": 1})
        peer.answer(request, None, errno.ENODATA)
        assert [value["n"] for value in rpc] == [1]

    def test_cancelling_what_has_ended_does_nothing(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        stream(peer, 1)
        assert len(list(rpc)) == 1
        rpc.cancel()
        peer.handle.rpc("next.one")
        assert peer.read().topic == "next.one"

    def test_cancel_may_name_its_method(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        peer.read()
        rpc.cancel("other.stop")
        assert peer.read().topic == "other.stop"

    def test_an_open_stream_keeps_the_reactor_running(self, peer):
        rpc = peer.handle.rpc("a.b", flags=FLUX_RPC_STREAMING)
        peer.answer(peer.read(), {"n": 0})
        calls: list[object] = []
        rpc.then(calls.append)
        timer = peer.handle.timer_watcher_create(0.01, lambda h, *_: h.reactor_stop()).unref()
        timer.start()
        assert peer.handle.reactor_run() > 0
        assert len(calls) == 1
        rpc.stop()
        assert peer.handle.reactor_run() == 0
        timer.stop()

"""Which message goes to which handler, and when; what becomes of those that nobody handles."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import flux
from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGTYPE_ANY,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_REACTOR_NOWAIT,
    FLUX_REACTOR_ONCE,
    FLUX_ROLE_ALL,
    FLUX_ROLE_NONE,
    FLUX_ROLE_OWNER,
    FLUX_ROLE_USER,
)
from flux.core.watchers import MessageWatcher, topic_matcher


class Topics(list[str]):
    """Collects the topics of messages that a watcher got."""

    def __call__(self, handle: object, watcher: object, msg: flux.Message, args: object) -> None:
        self.append(msg.topic)


def run_until_quiet(handle: flux.Flux) -> None:
    """Have all messages sent so far handled: the last of them stops the reactor."""
    done = handle.msg_watcher_create(lambda h, *_: h.reactor_stop(), FLUX_MSGTYPE_EVENT, "quiet")
    with done:
        handle.reactor_run()


def test_the_callback_gets_four_arguments(loop):
    calls: list[Any] = []
    watcher = loop.msg_watcher_create(lambda *args: calls.append(args), args="mine")
    assert isinstance(watcher, MessageWatcher)
    loop.event_send("a.b", {"x": 1})
    with watcher:
        loop.reactor_run(flags=FLUX_REACTOR_ONCE)
    [(handle, made, msg, args)] = calls
    assert (handle, made, args) == (loop, watcher, "mine")
    assert (msg.topic, msg.payload) == ("a.b", {"x": 1})


def test_a_request_is_answered_over_the_loop(loop):
    def add(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
        handle.respond(msg, {"sum": sum(msg.payload["of"])})

    def proceed(f: flux.Future) -> None:
        got.append(f.get())
        loop.reactor_stop()

    got: list[object] = []
    with loop.msg_watcher_create(add, FLUX_MSGTYPE_REQUEST, "math.add"):
        loop.rpc("math.add", {"of": [1, 2, 3]}).then(proceed)
        loop.reactor_run()
    assert got == [{"sum": 6}]


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (FLUX_MSGTYPE_ANY, [1, 2, 4, 8]),
        (FLUX_MSGTYPE_REQUEST, [1]),
        (FLUX_MSGTYPE_RESPONSE, [2]),
        (FLUX_MSGTYPE_EVENT, [4]),
        (FLUX_MSGTYPE_CONTROL, [8]),
        (FLUX_MSGTYPE_EVENT | FLUX_MSGTYPE_CONTROL, [4, 8]),
    ],
)
def test_messages_are_chosen_by_type(peer, mask, expected):
    got: list[int] = []
    messages = []
    for mtype in (1, 2, 4, 8):
        msg = flux.Message(mtype)
        if mtype != FLUX_MSGTYPE_CONTROL:
            msg.topic = "a.b"
        messages.append(msg)
    peer.send(*messages, peer.event("quiet"))
    with peer.handle.msg_watcher_create(
        lambda h, w, msg, a: got.append(msg.type) if msg.raw_topic != "quiet" else None, mask
    ):
        run_until_quiet(peer.handle)
    assert got == expected


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("a.b", ["a.b"]),
        (b"a.b", ["a.b"]),
        ("a.*", ["a.b", "a.c", "a.b.c"]),
        ("*.c", ["a.c", "a.b.c"]),
        ("a.?", ["a.b", "a.c"]),
        ("a.[bx]", ["a.b"]),
        ("a.[!b]", ["a.c"]),
        ("A.*", []),
        ("*", ["a.b", "a.c", "a.b.c", "ab"]),
        (None, ["a.b", "a.c", "a.b.c", "ab"]),
        ("", ["a.b", "a.c", "a.b.c", "ab"]),
    ],
)
def test_messages_are_chosen_by_topic(peer, glob, expected):
    got: list[str] = []
    peer.send(*(peer.event(topic) for topic in ("a.b", "a.c", "a.b.c", "ab", "quiet")))
    with peer.handle.msg_watcher_create(Topics(), topic_glob=glob) as watcher:
        got = watcher.callback
        run_until_quiet(peer.handle)
    assert [topic for topic in got if topic != "quiet"] == expected


def test_a_glob_is_a_string(loop):
    with pytest.raises(TypeError, match="Topic must be a string"):
        loop.msg_watcher_create(print, topic_glob=17)
    assert topic_matcher("a.b") is not None


def test_messages_are_chosen_by_matchtag(peer):
    got: list[int] = []
    requests = [peer.request("a.b", matchtag=tag) for tag in (1, 2, 3)]
    responses = [request.respond(None) for request in requests]
    peer.send(*responses, peer.event("quiet"))
    with peer.handle.msg_watcher_create(
        lambda h, w, msg, a: got.append(msg.matchtag), FLUX_MSGTYPE_RESPONSE, match_tag=2
    ):
        run_until_quiet(peer.handle)
    assert got == [2]


def test_a_request_goes_to_the_newest_handler_and_an_event_to_all(peer):
    got: list[tuple[int, str]] = []

    def note(handle: object, watcher: object, msg: flux.Message, n: int) -> None:
        got.append((n, msg.topic))

    watchers = [
        peer.handle.msg_watcher_create(
            note, FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_EVENT, "a.*", args=n
        )
        for n in range(3)
    ]
    for watcher in watchers:
        watcher.start()
    watchers[2].stop()
    peer.send(peer.request("a.r"), peer.event("a.e"), peer.event("quiet"))
    run_until_quiet(peer.handle)
    for watcher in watchers:
        watcher.stop()
    assert got[0] == (1, "a.r")
    assert sorted(got[1:]) == [(0, "a.e"), (1, "a.e")]


def test_handlers_that_come_and_go_are_noticed(loop):
    first, second = Topics(), Topics()
    with loop.msg_watcher_create(first, FLUX_MSGTYPE_EVENT, "a"):
        for start, *expected in ((False, 1, 0), (True, 2, 1), (False, 3, 1)):
            loop.event_send("a")
            watcher = loop.msg_watcher_create(second, FLUX_MSGTYPE_EVENT, "a")
            if start:
                watcher.start()
            loop.reactor_run(flags=FLUX_REACTOR_ONCE)
            watcher.stop()
            assert [len(first), len(second)] == expected


class TestUnhandled:
    """Messages that no handler matches."""

    def test_a_request_without_handler_is_answered_enosys(self, peer):
        with peer.handle.msg_watcher_create(print, FLUX_MSGTYPE_REQUEST, "mine.*"):
            peer.send(peer.request("other.method", matchtag=7, route=b"\x01r"), peer.event("quiet"))
            run_until_quiet(peer.handle)
        answer = peer.read()
        assert (answer.type, answer.topic, answer.matchtag) == (
            FLUX_MSGTYPE_RESPONSE,
            "other.method",
            7,
        )
        assert answer.errnum == errno.ENOSYS
        assert answer.payload_str == "Unknown service method 'other.method'"
        assert answer.routes == ["r"]

    def test_without_any_handler_messages_wait_for_one(self, peer):
        peer.send(peer.request("a.b"), peer.event("e"))
        timer = peer.handle.timer_watcher_create(0, lambda *_: None)
        peer.handle.rpc("x.y").then(lambda f: None)
        peer.answer(peer.read())
        timer.start()
        peer.handle.reactor_run()
        got = Topics()
        peer.send(peer.event("quiet"))
        with peer.handle.msg_watcher_create(got, FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_EVENT):
            run_until_quiet(peer.handle)
        assert got[:2] == ["a.b", "e"]

    def test_a_request_that_wants_no_response_gets_none(self, peer):
        request = peer.request("other.method")
        request.flags |= FLUX_MSGFLAG_NORESPONSE
        peer.send(request, peer.request("another.method"), peer.event("quiet"))
        with peer.handle.msg_watcher_create(print, FLUX_MSGTYPE_REQUEST, "mine.*"):
            run_until_quiet(peer.handle)
        assert peer.read().topic == "another.method"

    @pytest.mark.parametrize(
        "mtype", [FLUX_MSGTYPE_RESPONSE, FLUX_MSGTYPE_EVENT, FLUX_MSGTYPE_CONTROL]
    )
    def test_other_messages_are_dropped(self, peer, mtype):
        msg = flux.Message(mtype)
        if mtype == FLUX_MSGTYPE_RESPONSE:
            msg.matchtag = 77
        got = Topics()
        peer.send(msg, peer.event("quiet"))
        with peer.handle.msg_watcher_create(got, FLUX_MSGTYPE_REQUEST):
            run_until_quiet(peer.handle)
        # Neither kept for a later handler nor answered.
        with peer.handle.msg_watcher_create(got):
            peer.handle.reactor_run(flags=FLUX_REACTOR_NOWAIT)
        assert got == []
        peer.handle.rpc("a.b")
        assert peer.read().topic == "a.b"

    def test_a_request_without_topic_is_answered_as_well(self, peer):
        request = flux.Message()
        request.matchtag = 3
        peer.send(request, peer.event("quiet"))
        with peer.handle.msg_watcher_create(print, FLUX_MSGTYPE_REQUEST, "mine.*"):
            run_until_quiet(peer.handle)
        assert (peer.read().errnum) == errno.ENOSYS


class TestRoles:
    """Who is admitted to a handler."""

    @pytest.mark.parametrize("noresponse", [False, True])
    @pytest.mark.parametrize(
        ("mask", "roles", "text"),
        [
            (None, FLUX_ROLE_OWNER, None),
            (None, FLUX_ROLE_USER, "Request requires owner credentials"),
            (None, 4, "Request requires owner credentials"),
            (FLUX_ROLE_USER, FLUX_ROLE_OWNER, None),
            (FLUX_ROLE_USER, FLUX_ROLE_USER | 4, None),
            (FLUX_ROLE_USER, 4, "Request rejected due to insufficient privilege"),
            (FLUX_ROLE_ALL, 4, None),
            (FLUX_ROLE_NONE, FLUX_ROLE_OWNER, None),
            (FLUX_ROLE_NONE, FLUX_ROLE_USER, "Request requires owner credentials"),
        ],
    )
    def test_a_guest_is_refused_unless_admitted(self, peer, mask, roles, text, noresponse):
        got = Topics()
        request = peer.request(
            "a.b", userid=1000, rolemask=roles, matchtag=5, noresponse=noresponse
        )
        peer.send(request, peer.event("quiet"))
        with peer.handle.msg_watcher_create(got, FLUX_MSGTYPE_REQUEST, "a.b", rolemask=mask):
            run_until_quiet(peer.handle)
        assert got == ([] if text else ["a.b"])
        peer.handle.rpc("next.one")
        if text and not noresponse:
            answer = peer.read()
            assert (answer.errnum, answer.payload_str, answer.matchtag) == (errno.EPERM, text, 5)
        assert peer.read().topic == "next.one"

    def test_the_rolemask_is_changed_later(self, peer):
        got = Topics()
        watcher = peer.handle.msg_watcher_create(got, FLUX_MSGTYPE_EVENT, "a")
        guest = peer.event("a", rolemask=FLUX_ROLE_USER)
        with watcher:
            for allowed, expected in ((False, 0), (True, 1), (False, 1)):
                if allowed:
                    peer.handle.msg_handler_allow_rolemask(watcher, FLUX_ROLE_USER)
                else:
                    watcher.deny_rolemask(FLUX_ROLE_USER | FLUX_ROLE_OWNER)
                peer.send(guest, peer.event("quiet"))
                run_until_quiet(peer.handle)
                assert len(got) == expected
            peer.send(peer.event("a", rolemask=FLUX_ROLE_OWNER), peer.event("quiet"))
            run_until_quiet(peer.handle)
            assert len(got) == 2

    def test_a_guest_s_event_reaches_only_handlers_that_admit_guests(self, peer):
        owners, guests = Topics(), Topics()
        event = peer.event("a", rolemask=FLUX_ROLE_USER)
        nobody = peer.event("a")
        # Not through `send`, which would make it an owner's.
        peer.sock.sendall(nobody.to_stream())
        peer.send(event, peer.event("quiet"))
        handle = peer.handle
        first = handle.msg_watcher_create(owners, FLUX_MSGTYPE_EVENT, "a")
        second = handle.msg_watcher_create(guests, FLUX_MSGTYPE_EVENT, "a", rolemask=FLUX_ROLE_ALL)
        with first, second:
            run_until_quiet(handle)
        assert (owners, guests) == ([], ["a"])


class TestOrder:
    """A blocking call in a callback serves only its own future."""

    @pytest.mark.parametrize("blocking", ["get", "wait_for", "iterate", "recv"])
    def test_other_messages_are_kept_for_later_in_order(self, peer, blocking):
        order: list[str] = []

        def answer() -> None:
            request = peer.read()
            peer.send(
                peer.event("e2"),
                peer.request("r3"),
                request.respond(b"{}\0"),
                peer.event("e4"),
                peer.event("quiet"),
            )

        def handle_message(
            handle: flux.Flux, watcher: object, msg: flux.Message, args: object
        ) -> None:
            order.append(msg.topic)
            if msg.topic == "e0":
                rpc = handle.rpc("a.b")
                if blocking == "get":
                    assert rpc.get() == {}
                elif blocking == "wait_for":
                    rpc.wait_for(5)
                elif blocking == "iterate":
                    assert list(rpc) == [{}]
                else:
                    late = handle.recv(FLUX_MSGTYPE_REQUEST, topic_glob="r3")
                    assert late is not None
                    handle.requeue(late)
                order.append("waited")

        peer.send(peer.event("e0"), peer.event("e1"))
        peer.run(answer)
        with peer.handle.msg_watcher_create(
            handle_message, FLUX_MSGTYPE_REQUEST | FLUX_MSGTYPE_EVENT
        ):
            run_until_quiet(peer.handle)
            expected = ["e0", "waited", "e1", "e2", "r3", "e4", "quiet"]
            if blocking == "recv":
                # What was taken and put back comes after what was there.
                peer.handle.reactor_run(flags=FLUX_REACTOR_NOWAIT)
                expected.remove("r3")
                expected.append("r3")
        assert order == expected

    def test_continuations_of_other_rpcs_wait_for_the_reactor(self, peer):
        order: list[str] = []

        def fire(handle: flux.Flux, *_args: object) -> None:
            handle.rpc("other.one").then(lambda f: order.append("continued"))
            handle.rpc("mine.one").get()
            order.append("got")

        peer.serve()
        peer.handle.timer_watcher_create(0, fire).start()
        assert peer.handle.reactor_run() == 0
        assert order == ["got", "continued"]

    def test_what_a_stop_leaves_is_handled_by_the_next_run(self, peer):
        order: list[str] = []

        def receive(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
            order.append(msg.topic)
            handle.reactor_stop()

        peer.send(*(peer.event(topic) for topic in "abc"))
        with peer.handle.msg_watcher_create(receive, FLUX_MSGTYPE_EVENT):
            for n in range(1, 4):
                assert peer.handle.reactor_run() == 1
                assert order == list("abc")[:n]

    def test_a_continuation_that_causes_the_next_does_not_starve_timers(self, loop):
        def proceed(f: flux.Future) -> None:
            f.reset()
            f.fulfill()

        future = flux.Future(flux_handle=loop)
        future.fulfill()
        future.then(proceed)
        loop.timer_watcher_create(0.001, lambda h, *_: h.reactor_stop()).start()
        assert loop.reactor_run() == 1
        future.stop()

    def test_a_blocking_call_serves_no_timer(self, peer):
        fired: list[object] = []
        rpc = peer.handle.rpc("a.b")
        peer.handle.timer_watcher_create(0, lambda *_: fired.append(1)).start()
        peer.answer(peer.read())
        rpc.get()
        assert fired == []
        peer.handle.reactor_run()
        assert fired == [1]

    def test_messages_before_a_fault_are_handled_first(self, peer):
        got = Topics()
        peer.send(peer.event("a"), peer.event("b"))
        peer.sock.sendall(b"garbage!")
        watcher = peer.handle.msg_watcher_create(got, FLUX_MSGTYPE_EVENT)
        with watcher, pytest.raises(OSError, match="magic") as caught:
            peer.handle.reactor_run()
        assert caught.value.errno == errno.EPROTO
        assert got == ["a", "b"]

    def test_more_than_one_read_s_worth_comes_in_order(self, loop):
        got: list[int] = []
        with loop.msg_watcher_create(
            lambda h, w, msg, a: got.append(msg.payload["n"]), FLUX_MSGTYPE_EVENT
        ):
            for n in range(500):
                loop.event_send("a", {"n": n, "fill": "x" * 1000})
            loop.timer_watcher_create(0, lambda *_: loop.event_send("quiet", {"n": -1})).start()
            run_until_quiet(loop)
        assert [n for n in got if n >= 0] == list(range(500))

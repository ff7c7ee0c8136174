"""The handle: receiving, responding, events, attributes, configuration, log, life and death."""

from __future__ import annotations

import base64
import errno
import gc
import re
import socket
import syslog
import threading
import weakref
from typing import Any

import pytest

import flux
from flux.constants import (
    FLUX_MSGFLAG_PRIVATE,
    FLUX_MSGFLAG_USER1,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_O_MATCHDEBUG,
    FLUX_O_NONBLOCK,
    FLUX_O_NOREQUEUE,
    FLUX_O_RPCTRACK,
    FLUX_O_TEST_NOSUB,
    FLUX_O_TRACE,
    FLUX_ROLE_OWNER,
    FLUX_RQ_HEAD,
    FLUX_RQ_TAIL,
)
from flux.core.handle import Flux
from flux.wrapper import Wrapper


def test_the_class_is_what_the_package_exports():
    assert flux.Flux is Flux
    assert issubclass(Flux, Wrapper)


class TestReceive:
    """Receiving without a handler."""

    def test_messages_are_received_in_order(self, peer):
        peer.send(peer.event("a"), peer.request("b"), peer.event("c"))
        assert [peer.handle.recv().topic for _ in range(3)] == ["a", "b", "c"]

    def test_others_stay_where_they_are(self, peer):
        peer.send(peer.event("a.x"), peer.request("b", matchtag=4), peer.event("c"))
        assert peer.handle.recv(FLUX_MSGTYPE_REQUEST).topic == "b"
        assert peer.handle.recv(topic_glob="c").topic == "c"
        peer.send(peer.request("d", matchtag=9))
        assert peer.handle.recv(match_tag=9).topic == "d"
        assert peer.handle.recv(topic_glob=b"a.*").topic == "a.x"

    @pytest.mark.parametrize("how", ["flag", "open"])
    def test_it_may_be_told_not_to_wait(self, connect, how):
        peer = connect(flags=FLUX_O_NONBLOCK if how == "open" else 0)
        flags = FLUX_O_NONBLOCK if how == "flag" else 0
        assert peer.handle.recv(flags=flags) is None
        peer.send(peer.event("a"), peer.event("b"))
        assert peer.handle.recv(flags=flags).topic == "a"
        assert peer.handle.recv(flags=flags).topic == "b"
        assert peer.handle.recv(flags=flags) is None

    @pytest.mark.parametrize("flags", [0, FLUX_O_NONBLOCK])
    def test_a_lost_connection_is_told_after_what_arrived(self, peer, flags):
        peer.send(peer.event("a"))
        peer.hang_up()
        assert peer.handle.recv(flags=flags).topic == "a"
        for _ in range(2):
            with pytest.raises(OSError, match="lost connection") as caught:
                peer.handle.recv(flags=flags)
            assert caught.value.errno == errno.ECONNRESET

    def test_responses_to_rpcs_go_to_their_futures(self, peer):
        rpc = peer.handle.rpc("a.b")
        peer.answer(peer.read(), {"x": 1})
        peer.send(peer.event("e"))
        assert peer.handle.recv().topic == "e"
        assert rpc.is_ready()

    def test_the_response_to_a_message_sent_by_hand_is_received(self, peer):
        msg = peer.handle.request_encode("a.b", {"x": 1})
        assert peer.handle.send(msg) == 0
        request = peer.read()
        assert (request.topic, request.payload, request.matchtag) == ("a.b", {"x": 1}, 0)
        peer.answer(request, {"y": 2})
        assert peer.handle.recv(FLUX_MSGTYPE_RESPONSE).payload == {"y": 2}

    def test_events_are_received_by_topic(self, peer):
        peer.send(peer.request("a"), peer.event("b"), peer.event("a", {"x": 1}))
        assert peer.handle.event_recv("a").payload == {"x": 1}
        assert peer.handle.event_recv().topic == "b"

    def test_messages_are_put_back(self, peer):
        peer.send(*(peer.event(topic) for topic in "abc"))
        first = peer.handle.recv()
        peer.handle.requeue(first)
        assert peer.handle.recv().topic == "b"
        second = peer.handle.recv()
        peer.handle.requeue(second, FLUX_RQ_HEAD)
        assert [peer.handle.recv().topic for _ in range(2)] == ["c", "a"]
        peer.handle.requeue(first, FLUX_RQ_TAIL)
        with pytest.raises(OSError, match="requeue") as caught:
            peer.handle.requeue(first, 3)
        assert caught.value.errno == errno.EINVAL

    def test_what_was_put_back_reaches_a_handler(self, loop):
        loop.event_send("a")
        msg = loop.recv()
        got: list[str] = []
        loop.requeue(msg)

        def receive(handle: flux.Flux, watcher: object, msg: flux.Message, args: object) -> None:
            got.append(msg.topic)
            handle.reactor_stop()

        with loop.msg_watcher_create(receive):
            loop.reactor_run()
        assert got == ["a"]


class TestRespond:
    """Answering requests."""

    def receive(self, peer: Any, **fields: Any) -> flux.Message:
        request = peer.request("a.b", {"x": 1}, matchtag=5, userid=100, **fields)
        request.route_push("client")
        request.route_push("broker")
        peer.send(request)
        msg = peer.handle.recv()
        assert msg is not None
        return msg  # type: ignore[no-any-return]

    @pytest.mark.parametrize(
        ("payload", "data"),
        [
            (None, None),
            ({"y": 2}, b'{"y":2}\0'),
            ("text", b"text\0"),
            (b"raw", b"raw\0"),
            ([1], b"[1]\0"),
        ],
    )
    def test_a_response_keeps_route_topic_tag_and_flags(self, peer, payload, data):
        request = self.receive(peer, flags=FLUX_MSGFLAG_USER1 | 0x40)
        assert peer.handle.respond(request, payload) == 0
        msg = peer.read()
        assert (msg.type, msg.topic, msg.matchtag, msg.errnum) == (
            FLUX_MSGTYPE_RESPONSE,
            "a.b",
            5,
            0,
        )
        assert msg.routes == ["broker", "client"]
        assert msg.payload_bytes == data
        assert msg.streaming
        assert msg.flags & FLUX_MSGFLAG_USER1
        assert (msg.userid, msg.rolemask) == (0xFFFFFFFF, 0)

    @pytest.mark.parametrize(
        ("args", "number", "text"),
        [
            ((errno.ENOENT,), errno.ENOENT, None),
            ((errno.ENOENT, "gone"), errno.ENOENT, "gone"),
            ((errno.ENODATA, None), errno.ENODATA, None),
            ((0, "no error is an error"), errno.EINVAL, "no error is an error"),
        ],
    )
    def test_an_error_has_a_number_and_perhaps_a_text(self, peer, args, number, text):
        peer.handle.respond_error(self.receive(peer), *args)
        msg = peer.read()
        assert (msg.errnum, msg.payload_str, msg.matchtag) == (number, text, 5)

    def test_a_request_that_wants_no_response_gets_none(self, peer):
        request = self.receive(peer, noresponse=True)
        assert peer.handle.respond(request) == 0
        assert peer.handle.respond_error(request, errno.EPERM) == 0
        peer.handle.event_send("next")
        assert peer.read().topic == "next"

    def test_only_requests_are_answered(self, peer):
        for respond in (peer.handle.respond, lambda m: peer.handle.respond_error(m, 1)):
            with pytest.raises(
                OSError, match="cannot respond to a message of type event"
            ) as caught:
                respond(peer.event("a"))
            assert caught.value.errno == errno.EPROTO

    def test_a_bad_payload_sends_nothing(self, peer):
        request = self.receive(peer)
        with pytest.raises(OSError, match="nan"):
            peer.handle.respond(request, {"x": float("nan")})
        with pytest.raises(TypeError):
            peer.handle.respond(request, {"x": object()})
        peer.handle.respond(request, {"x": 1})
        assert peer.read().payload == {"x": 1}

    def test_a_message_sent_with_a_number_out_of_range_is_refused(self, peer):
        msg = peer.request("a", matchtag=1 << 40)
        with pytest.raises(OSError, match="does not fit"):
            peer.handle.send(msg)
        peer.handle.event_send("next")
        assert peer.read().topic == "next"


class TestEvents:
    """Publishing and subscribing."""

    @pytest.mark.parametrize("topic", ["a.b", b"a.b"])
    def test_subscriptions_are_asked_for(self, peer, topic):
        peer.serve(lambda msg: None)
        assert peer.handle.event_subscribe(topic) == 0
        assert peer.handle.event_unsubscribe(topic) == 0
        assert [(m.topic, m.payload) for m in peer.requests] == [
            ("event.subscribe", {"topic": "a.b"}),
            ("event.unsubscribe", {"topic": "a.b"}),
        ]

    def test_an_error_is_that_of_the_broker(self, peer):
        def refuse() -> None:
            peer.answer(peer.read(), None, errno.ENOENT)

        peer.run(refuse)
        with pytest.raises(FileNotFoundError):
            peer.handle.event_unsubscribe("never")

    @pytest.mark.parametrize("method", ["event_subscribe", "event_unsubscribe"])
    def test_a_topic_is_a_string(self, peer, method):
        with pytest.raises(EnvironmentError) as caught:  # noqa: PT011
            getattr(peer.handle, method)(None)
        assert caught.value.errno == errno.EINVAL
        with pytest.raises(TypeError):
            getattr(peer.handle, method)(17)

    def test_a_test_can_do_without_subscriptions(self, connect):
        peer = connect(flags=FLUX_O_TEST_NOSUB)
        assert peer.handle.event_subscribe("a") == 0
        assert peer.handle.event_unsubscribe("a") == 0
        assert flux.Flux("loop://", FLUX_O_TEST_NOSUB).event_subscribe("a") == 0

    @pytest.mark.parametrize("payload", [None, {"x": 1}, "text", b"raw"])
    def test_an_event_is_created_and_sent(self, peer, payload):
        created = peer.handle.event_create("a.b", payload)
        assert created.type == FLUX_MSGTYPE_EVENT
        assert peer.handle.event_send("a.b", payload) == 0
        sent = peer.read()
        assert (sent.type, sent.topic, sent.seq) == (FLUX_MSGTYPE_EVENT, "a.b", 0)
        assert sent.payload_bytes == created.payload_bytes

    @pytest.mark.parametrize(
        ("flags", "payload", "raw"),
        [(0, None, None), (FLUX_MSGFLAG_PRIVATE, {"x": 1}, b'{"x":1}\0'), (0, "", b"\0")],
    )
    def test_publishing_tells_the_sequence_number(self, peer, flags, payload, raw):
        peer.serve(lambda msg: {"seq": 42})
        assert peer.handle.event_publish("a.b", flags, payload).get() == {"seq": 42}
        [request] = peer.requests
        assert request.topic == "event.publish"
        sent = request.payload
        assert (sent["topic"], sent["flags"]) == ("a.b", flags)
        assert base64.b64decode(sent["payload"]) if raw else "payload" not in sent
        if raw:
            assert base64.b64decode(sent["payload"]) == raw


def test_services_are_registered_and_given_up(peer):
    peer.serve(lambda msg: None)
    peer.handle.service_register("mine").get()
    peer.handle.service_unregister("mine").get()
    assert [(m.topic, m.payload) for m in peer.requests] == [
        ("service.add", {"service": "mine"}),
        ("service.remove", {"service": "mine"}),
    ]


class TestAttributes:
    """Broker attributes, and which of them are remembered."""

    @pytest.fixture
    def attrs(self, peer):
        """Serve attributes: (value, flags) by name; return the dict."""
        values: dict[str, tuple[str, int]] = {"rank": ("7", 1), "changing": ("a", 0)}
        missing = object()

        def script() -> None:
            while True:
                try:
                    msg = peer.read()
                except (EOFError, OSError):
                    return
                peer.requests.append(msg)
                value = values.get(msg.payload["name"], missing)
                if value is missing:
                    peer.answer(msg, None, errno.ENOENT)
                elif msg.topic == "attr.get":
                    peer.answer(msg, {"value": value[0], "flags": value[1]})  # type: ignore[index]
                else:
                    peer.answer(msg, {})

        peer.run(script)
        return values

    def test_one_that_never_changes_is_asked_for_once(self, peer, attrs):
        assert [peer.handle.attr_get("rank") for _ in range(3)] == ["7"] * 3
        assert peer.handle.get_rank() == 7
        assert len(peer.requests) == 1
        clone = peer.handle.clone()
        assert clone.get_rank() == 7

    def test_one_that_may_change_is_asked_for_each_time(self, peer, attrs):
        assert peer.handle.attr_get("changing") == "a"
        attrs["changing"] = ("b", 0)
        assert peer.handle.attr_get("changing") == "b"
        assert len(peer.requests) == 2

    def test_a_missing_one_is_asked_for_again(self, peer, attrs):
        for _ in range(2):
            with pytest.raises(FileNotFoundError):
                peer.handle.attr_get("missing")
        attrs["missing"] = ("x", 1)
        assert peer.handle.attr_get("missing") == "x"

    def test_they_are_set_and_removed(self, peer, attrs):
        peer.handle.attr_set("changing", "b")
        peer.handle.attr_remove("changing")
        assert [(m.topic, m.payload) for m in peer.requests] == [
            ("attr.set", {"name": "changing", "value": "b"}),
            ("attr.rm", {"name": "changing"}),
        ]
        with pytest.raises(FileNotFoundError):
            peer.handle.attr_set("missing", "b")

    @pytest.mark.parametrize(
        ("method", "args"),
        [("attr_set", (1, "x")), ("attr_set", ("x", 1)), ("attr_remove", (None,))],
    )
    def test_names_and_values_are_strings(self, peer, method, args):
        with pytest.raises(ValueError, match="must be a string"):
            getattr(peer.handle, method)(*args)

    def test_the_parent_behind_a_proxy_is_reached_by_ssh(self, peer, attrs, monkeypatch):
        attrs["parent-uri"] = ("local:///run/x/local", 1)
        assert peer.handle.attr_get("parent-uri") == "local:///run/x/local"
        monkeypatch.setenv("FLUX_PROXY_REMOTE", "host")
        assert peer.handle.attr_get("parent-uri").startswith("ssh://host/")

    @pytest.mark.parametrize(
        "payload", [None, {}, {"value": "1"}, "[]", "text", '{"value":[],"flags":"x"}']
    )
    def test_an_answer_that_makes_no_sense_is_an_error_of_the_protocol(self, peer, payload):
        peer.serve(lambda msg: payload)
        with pytest.raises(OSError) as caught:  # noqa: PT011
            peer.handle.attr_get("x")
        assert caught.value.errno == errno.EPROTO
        with pytest.raises(OSError):  # noqa: PT011
            peer.handle.get_rank()


def test_the_configuration_is_fetched_once_and_on_request(peer):
    configs = [{"tbon": {"topo": "kary:2"}, "list": [1]}, {"tbon": {}}]
    peer.serve(lambda msg: configs[len(peer.requests) - 1])
    get = peer.handle.conf_get
    assert get() == configs[0]
    assert get("tbon") == {"topo": "kary:2"}
    assert get("tbon.topo") == "kary:2"
    assert get("tbon.topo.x", default="d") == "d"
    assert get("tbon.none") is None
    assert get("none.at.all", "d") == "d"
    assert get("list.0", "d") == "d"
    assert get("tbon.topo", default="kary:32", update=True) == "kary:32"
    assert get("tbon.topo") is None
    assert [m.topic for m in peer.requests] == ["config.get"] * 2


class TestLog:
    """The broker's log."""

    @pytest.fixture
    def entries(self, peer):
        """Return a function that gives the entries logged so far."""

        def respond(msg: flux.Message) -> object:
            return {"value": "3", "flags": 1} if msg.topic == "attr.get" else NotImplemented

        peer.serve(respond)

        def collect() -> list[bytes]:
            peer.handle.rpc("attr.get", {"name": "x"}).get()
            logged = [msg for msg in peer.requests if msg.topic == "log.append"]
            assert all(msg.matchtag == 0 for msg in logged)
            return [msg.payload_bytes or b"" for msg in logged]

        return collect

    @pytest.mark.parametrize("level", [syslog.LOG_ERR, syslog.LOG_DEBUG, syslog.LOG_EMERG])
    def test_an_entry_is_as_official_clients_write_it(self, peer, entries, level):
        peer.handle.log_set_appname("tests")
        peer.handle.log(level, "the message")
        [entry] = entries()
        pattern = rb"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z 3 tests \d+ - - the message"
        found = re.fullmatch(pattern, entry)
        assert found is not None
        assert int(found[1]) == level << 3

    @pytest.mark.parametrize(
        ("text", "lines"),
        [
            ("one\ntwo\n", [b"one", b"two"]),
            ("100 % {as} it \\is", [b"100 % {as} it \\is"]),
            ("€", ["€".encode()]),
            (b"bytes", [b"bytes"]),
            ("", [b""]),
        ],
    )
    def test_each_line_becomes_an_entry(self, peer, entries, text, lines):
        peer.handle.log(syslog.LOG_INFO, text)
        assert [entry.split(b" - - ", 1)[1] for entry in entries()] == lines

    def test_without_a_name_it_is_that_of_the_program(self, peer, entries, monkeypatch):
        monkeypatch.setattr("sys.argv", ["/some/where/tool"])
        peer.handle.log(syslog.LOG_INFO, "x")
        assert b" 3 tool " in entries()[0]


class TestLife:
    """How a handle ends."""

    def test_it_is_not_closed_by_hand(self, loop):
        with pytest.raises(RuntimeError, match="Unnecessary manual invocation"):
            loop.close()

    def test_it_is_closed_with_the_last_reference(self, peer):
        rpc = peer.handle.rpc("a.b")
        peer.read()
        peer.handle = None
        gc.collect()
        peer.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.sock.recv(1)
        del rpc
        assert peer.sock.recv(1) == b""

    def test_as_a_context_manager_it_is_closed_at_its_end(self, peer):
        rpc = peer.handle.rpc("a.b")
        peer.read()
        with peer.handle as handle:
            assert handle is peer.handle
        assert peer.sock.recv(1) == b""
        with pytest.raises(OSError, match="closed") as caught:
            rpc.get()
        assert caught.value.errno == errno.EBADF
        for call in (handle.event_send, handle.rpc):
            with pytest.raises(OSError, match="closed") as caught:
                call("a")
            assert caught.value.errno == errno.EPIPE
        with pytest.raises(OSError, match="closed"):
            handle.recv()
        with handle:
            pass

    def test_it_may_be_closed_in_a_callback(self, peer):
        peer.handle.timer_watcher_create(0, lambda h, *_: h.__exit__(None, None, None)).start()
        assert peer.handle.reactor_run() == 0
        assert peer.sock.recv(1) == b""

    @pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2), (2, 0, 3, 1)])
    def test_handle_futures_and_watchers_go_in_any_order(self, peer, order):
        handle = peer.handle
        things: list[Any] = [
            handle,
            handle.rpc("a.b").then(lambda f: None),
            handle.msg_watcher_create(lambda *_: None).start(),
            handle.timer_watcher_create(3600, lambda *_: None, args=handle).start(),
        ]
        ref = weakref.ref(handle._session)
        peer.handle = None
        del handle
        for i in order:
            things[i] = None
            gc.collect()
        assert ref() is None
        peer.read()
        with pytest.raises(EOFError):
            peer.read()

    def test_a_cycle_through_a_callback_is_collected(self, peer):
        class Holder:
            pass

        holder: Any = Holder()
        holder.handle = peer.handle
        holder.rpc = peer.handle.rpc("a.b").then(lambda f: holder)
        holder.watcher = peer.handle.fd_watcher_create(0, lambda *_: holder, 1)
        peer.handle.conf = holder
        ref = weakref.ref(holder)
        peer.handle = None
        holder = None
        gc.collect()
        assert ref() is None
        peer.read()
        assert peer.sock.recv(1) == b""

    @pytest.mark.parametrize("flags", [FLUX_O_RPCTRACK, FLUX_O_NOREQUEUE, FLUX_O_MATCHDEBUG])
    def test_other_open_flags_change_nothing_for_an_rpc(self, connect, flags):
        peer = connect(flags=flags)
        peer.serve()
        assert peer.handle.rpc("a.b", {"x": 1}).get() == {"x": 1}

    def test_trace_prints_all_messages(self, connect, capsys):
        peer = connect(flags=FLUX_O_TRACE)
        peer.serve()
        peer.handle.rpc("my.topic", {"my": "payload"}).get()
        lines = capsys.readouterr().err
        assert lines.count("my.topic") == 2
        assert "request" in lines
        assert "response" in lines

    def test_matchdebug_reports_late_responses(self, connect, capsys):
        peer = connect(flags=FLUX_O_MATCHDEBUG)
        peer.handle.rpc("my.topic")
        gc.collect()
        request = peer.read()
        peer.answer(request)
        peer.serve()
        peer.handle.rpc("a.b").get()
        assert f"matchtag={request.matchtag}" in capsys.readouterr().err


class TestClone:
    """A clone shares the connection and has its own reactor."""

    def test_both_use_the_connection(self, peer):
        peer.serve()
        clone = peer.handle.clone()
        assert isinstance(clone, flux.Flux)
        rpcs = [handle.rpc("a.b", {"n": n}) for n, handle in enumerate((peer.handle, clone))]
        assert [rpc.get()["n"] for rpc in reversed(rpcs)] == [1, 0]
        assert clone.get_reactor() is not peer.handle.get_reactor()

    def test_each_runs_its_own_continuations(self, peer):
        peer.serve()
        clone = peer.handle.clone()
        got: list[str] = []
        peer.handle.rpc("a.b").then(lambda f: got.append("original"))
        clone.rpc("a.b").then(lambda f: got.append("clone"))
        assert clone.reactor_run() == 0
        assert got == ["clone"]
        assert peer.handle.reactor_run() == 0
        assert got == ["clone", "original"]

    def test_requests_and_events_stay_with_the_original(self, peer):
        clone = peer.handle.clone()
        peer.send(peer.event("a"))
        rpc = clone.rpc("a.b")
        peer.answer(peer.read(), {})
        rpc.get()
        assert peer.handle.recv(flags=FLUX_O_NONBLOCK).topic == "a"

    def test_the_connection_lives_as_long_as_one_of_them(self, peer):
        peer.serve()
        clone = peer.handle.clone()
        peer.handle = None
        gc.collect()
        assert clone.rpc("a.b", {"x": 1}).get() == {"x": 1}


class TestThreads:
    """One handle per thread is the rule."""

    def other_thread(self, call: Any) -> list[BaseException]:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except Exception as exc:
                errors.append(exc)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return errors

    def test_use_by_another_thread_within_a_callback_is_a_clear_error(self, peer):
        errors: list[BaseException] = []
        rpc = peer.handle.rpc("a.b")

        def receive(handle: flux.Flux, *_args: object) -> None:
            errors.extend(self.other_thread(lambda: handle.rpc("c.d")))
            errors.extend(self.other_thread(rpc.get))
            handle.reactor_stop()

        peer.send(peer.event("a"))
        with peer.handle.msg_watcher_create(receive, FLUX_MSGTYPE_EVENT):
            peer.handle.reactor_run()
        assert [type(error) for error in errors] == [RuntimeError] * 2
        assert "thread" in str(errors[0])
        errors.clear()
        peer.answer(peer.read(), {"x": 1})
        assert rpc.get() == {"x": 1}

    def test_use_by_another_thread_during_a_wait_is_a_clear_error(self, peer):
        errors: list[BaseException] = []

        def script() -> None:
            request = peer.read()
            errors.extend(self.other_thread(lambda: peer.handle.rpc("c.d")))
            peer.answer(request, {"x": 1})

        peer.run(script)
        assert peer.handle.rpc("a.b").wait_for(5).get() == {"x": 1}
        peer.join()
        # The request may have been read before the main thread began to wait.
        assert [type(error) for error in errors] in ([RuntimeError], [])
        errors.clear()

    def test_a_handle_may_pass_from_one_thread_to_another(self, peer):
        peer.serve()
        got: list[object] = []
        assert self.other_thread(lambda: got.append(peer.handle.rpc("a.b", {"x": 1}).get())) == []
        assert got == [{"x": 1}]
        assert peer.handle.rpc("a.b", {"x": 2}).get() == {"x": 2}

    def test_each_thread_has_its_own_handle(self, connect):
        peers = [connect() for _ in range(4)]
        for peer in peers:
            peer.serve()
        results: list[object] = []

        def run(handle: flux.Flux, n: int) -> None:
            for i in range(20):
                assert handle.rpc("a.b", {"n": n, "i": i}).get() == {"n": n, "i": i}
            results.append(n)

        threads = [threading.Thread(target=run, args=(p.handle, n)) for n, p in enumerate(peers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [0, 1, 2, 3]  # type: ignore[type-var]


def test_a_connector_may_take_the_place_of_a_uri():
    from flux._connector import StreamConnector

    near, far = socket.socketpair()
    with far:
        handle = flux.Flux(handle=StreamConnector(near, (17, FLUX_ROLE_OWNER)))
        handle.event_send("a")
        assert flux.Message.from_encoded(far.recv(1000)[8:]).userid == 17


def test_messages_sent_on_the_loop_have_the_user_s_credentials(loop):
    import os

    loop.event_send("a")
    msg = loop.recv()
    assert (msg.userid, msg.rolemask) == (os.getuid(), FLUX_ROLE_OWNER)


def test_large_messages_pass_whole(loop, peer):
    payload = {"fill": "x" * 3_000_000}
    loop.event_send("a", payload)
    assert loop.recv().payload == payload
    peer.serve()
    assert peer.handle.rpc("a.b", payload).get() == payload
    got: list[object] = []
    peer.handle.rpc("a.b", payload).then(lambda f: got.append(f.get() == payload))
    assert peer.handle.reactor_run() == 0
    assert got == [True]

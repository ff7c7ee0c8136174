"""The tables and the ways through them, without a socket or a process."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from flux._codec import encode_frame
from flux.constants import (
    FLUX_MSGFLAG_NORESPONSE,
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGFLAG_UPSTREAM,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_RESPONSE,
)
from flux.devbroker._client import Client
from flux.devbroker._departures import MAX_SEEN, MAX_TRACKED_SERVICE
from flux.devbroker._router import Peer, Router
from flux.message import Message

OWNER, OTHER = 1000, 1001
BROKER, CONNECTOR = "b" * 36, "c" * 36


class Service(Peer):
    """Keeps what is delivered to it."""

    def __init__(self, router: Router, uuid: str = "s" * 36) -> None:
        super().__init__(uuid, OWNER)
        self.got: list[Message] = []
        router.add(self)

    def request(self, msg: Message) -> None:
        self.got.append(msg)

    def response(self, msg: Message, route: bytes) -> None:
        msg.route = route
        self.got.append(msg)

    def event(self, msg: Message, stream: bytes) -> None:
        self.got.append(msg)


class Line:
    """A client and what was written to it."""

    def __init__(self, router: Router, uuid: str, userid: int = OWNER) -> None:
        self.written: list[bytes] = []
        self.client = Client(
            router, uuid, encode_frame(CONNECTOR.encode()), userid, userid == OWNER, self.take
        )

    def take(self, data: bytes) -> None:
        self.written.append(data)

    def got(self) -> list[Message]:
        messages = [Message.from_encoded(data[8:]) for data in self.written]
        self.written.clear()
        return messages

    def send(self, topic: str, payload: Any = None, bits: int = 0, **fields: Any) -> list[Message]:
        msg = Message()
        msg.topic = topic
        msg.payload = payload
        msg.bits = bits
        msg.matchtag = 1
        for name, value in fields.items():
            setattr(msg, name, value)
        self.client.receive(msg)
        return self.got()


@pytest.fixture
def router() -> Router:
    return Router(BROKER, OWNER)


@pytest.fixture
def service(router) -> Service:
    peer = Service(router)
    router.add_service("svc", peer)
    return peer


@pytest.fixture
def line(router) -> Line:
    return Line(router, "1" * 36)


def test_a_request_carries_the_way_back(line, service, router):
    line.send("svc.method", {"a": 1})
    [request] = service.got
    assert request.routes == [CONNECTOR, "1" * 36]
    assert (request.userid, request.rolemask) == (OWNER, 5)
    router.response(request.respond(b"{}\0"), request.route)
    [response] = line.got()
    assert response.routes == []
    assert response.payload == {}


def test_a_response_to_somebody_gone_is_dropped(line, service, router):
    line.send("svc.method")
    [request] = service.got
    line.client.leave()
    router.response(request.respond(None), request.route)
    assert not line.got()


@pytest.mark.parametrize(
    ("bits", "nodeid", "errnum"),
    [
        (0, 0xFFFFFFFF, 0),
        (0, 0, 0),
        (0, 1, errno.EHOSTUNREACH),
        (0, 0xFFFFFFFE, errno.EHOSTUNREACH),
        (FLUX_MSGFLAG_UPSTREAM, 0, errno.EHOSTUNREACH),
        (FLUX_MSGFLAG_UPSTREAM, 3, 0),
    ],
)
def test_only_this_rank_is_here(bits, nodeid, errnum, line, service):
    responses = line.send("svc.method", bits=bits, nodeid=nodeid)
    assert [response.errnum for response in responses] == ([errnum] if errnum else [])
    assert bool(service.got) == (not errnum)


def test_the_name_of_a_service_is_the_whole_first_word(line, service):
    for topic in ("svcx.method", "sv.method", "sv", ""):
        [response] = line.send(topic)
        assert response.errnum == errno.ENOSYS
    [response] = line.send("x" * 100)
    assert response.payload_str == f"No service matching {'x' * 100} is registered"[:63]


def test_nobody_answers_a_request_that_wants_no_answer(line):
    assert not line.send("nosuch.method", bits=FLUX_MSGFLAG_NORESPONSE)
    assert not line.send("service.add", {"service": "x"}, FLUX_MSGFLAG_NORESPONSE)
    # But for these two, which real brokers answer as well.
    assert line.send("event.subscribe", {"topic": "x"}, FLUX_MSGFLAG_NORESPONSE)
    assert line.send("event.unsubscribe", {"topic": "x"}, FLUX_MSGFLAG_NORESPONSE)


def test_a_guest_cannot_choose_its_credentials(router, service):
    guest = Line(router, "2" * 36, OTHER)
    guest.send("svc.method", userid=OWNER, rolemask=1)
    owner = Line(router, "3" * 36)
    owner.send("svc.method", userid=OTHER, rolemask=2)
    assert [(msg.userid, msg.rolemask) for msg in service.got] == [(OTHER, 6), (OTHER, 2)]


def test_a_guest_may_register_only_names_that_begin_with_its_userid(router):
    guest = Line(router, "2" * 36, OTHER)
    [refused] = guest.send("service.add", {"service": "svc"})
    [added] = guest.send("service.add", {"service": f"{OTHER}-svc"})
    assert (refused.errnum, added.errnum) == (errno.EPERM, 0)


def test_services_are_freed_when_their_client_leaves(router, line):
    other = Line(router, "2" * 36)
    assert line.send("service.add", {"service": "x"})[0].errnum == 0
    assert other.send("service.add", {"service": "x"})[0].errnum == errno.EEXIST
    line.client.leave()
    assert other.send("service.add", {"service": "x"})[0].errnum == 0


def test_a_client_that_leaves_is_announced_once_to_each_it_used(router, line, service):
    line.send("svc.a", {"x": 1}, FLUX_MSGFLAG_STREAMING)
    line.send("svc.b")
    line.send("svc.sub.c", nodeid=0)
    line.send("svc.d", bits=FLUX_MSGFLAG_NORESPONSE)
    line.send("svc.quiet.e", bits=FLUX_MSGFLAG_NORESPONSE)
    line.send("svc")
    service.got.clear()
    line.client.leave()
    notices = {(msg.topic, msg.nodeid, msg.matchtag) for msg in service.got}
    assert notices == {("svc.disconnect", 0xFFFFFFFF, 1), ("svc.sub.disconnect", 0, 1)}
    for msg in service.got:
        assert msg.bits == FLUX_MSGFLAG_NORESPONSE
        assert msg.data is None
        assert msg.route_first() == "1" * 36


def test_announcements_survive_any_number_of_other_topics(router, line, service):
    line.send("svc.first")
    for i in range(2 * MAX_SEEN):
        line.send(f"other{i}.x", bits=FLUX_MSGFLAG_NORESPONSE)
    line.send("svc.first")
    service.got.clear()
    line.client.leave()
    assert [msg.topic for msg in service.got] == ["svc.disconnect"]


def test_a_service_name_too_long_to_be_announced_is_not_served(line):
    assert line.send("x" * MAX_TRACKED_SERVICE + ".y")
    assert not line.send("x" * (MAX_TRACKED_SERVICE + 1) + ".y")


# -- events


def event(topic: str, userid: int = OWNER, bits: int = 0) -> Message:
    msg = Message(FLUX_MSGTYPE_EVENT)
    msg.topic = topic
    msg.userid = userid
    msg.bits = bits
    return msg


def test_subscriptions_are_prefixes_and_are_counted(router, line):
    for prefix in ("fo", "fo", "foo.bar"):
        line.send("event.subscribe", {"topic": prefix})
    router.publish(event("foo.bar"))
    assert [msg.topic for msg in line.got()] == ["foo.bar"]
    line.send("event.unsubscribe", {"topic": "fo"})
    router.publish(event("fob"))
    assert len(line.got()) == 1
    line.send("event.unsubscribe", {"topic": "fo"})
    router.publish(event("fob"))
    assert not line.got()
    [response] = line.send("event.unsubscribe", {"topic": "fo"})
    assert response.errnum == errno.ENOENT


def test_events_are_numbered_whoever_listens(router, line):
    assert [router.publish(event("a")) for _ in range(3)] == [1, 2, 3]
    line.send("event.subscribe", {"topic": ""})
    router.publish(event("b"))
    assert [msg.seq for msg in line.got()] == [4]


def test_who_listens_is_known_anew_after_each_change(router, line):
    other = Line(router, "2" * 36)
    for listener in (line, other):
        listener.send("event.subscribe", {"topic": "a"})
    router.publish(event("a"))
    other.client.leave()
    router.publish(event("a"))
    late = Line(router, "3" * 36)
    late.send("event.subscribe", {"topic": "a"})
    router.publish(event("a"))
    assert [len(listener.got()) for listener in (line, other, late)] == [3, 1, 1]


def test_private_events_are_for_their_user_and_the_owner(router):
    owner, user, other = (Line(router, c * 36, u) for c, u in (("1", OWNER), ("2", 7), ("3", 8)))
    for listener in (owner, user, other):
        listener.send("event.subscribe", {"topic": "a"})
    router.publish(event("a", userid=7, bits=0x20))
    assert [len(listener.got()) for listener in (owner, user, other)] == [1, 1, 0]


def test_a_response_may_not_come_by_another_way(router, line, service):
    line.send("service.add", {"service": "mine"})
    other = Line(router, "2" * 36)
    other.send("mine.x")
    [request] = line.got()
    response = request.respond(None)
    for route in (b"", request.route[37:], request.route[37:74] + request.route[:37]):
        stray = response.copy()
        stray.mtype = FLUX_MSGTYPE_RESPONSE
        stray.route = route
        line.client.receive(stray)
    assert not other.got()
    line.client.receive(response)
    assert len(other.got()) == 1

"""What is fuzzed, and what has to hold whatever comes in: a failed assertion is a finding."""

from __future__ import annotations

import base64
import os
import socket
import tempfile
from typing import Callable

from flux._codec import PREFIX_SIZE, ProtocolError, Splitter, encode_frame
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_REACTOR_NOWAIT
from flux.devbroker._client import Client
from flux.devbroker._instance import Instance
from flux.devbroker._router import Peer, Router
from flux.message import Message

Target = Callable[[bytes], None]

#: Inputs that one broker gets, before there is a new one.
LIFE = 200

#: Turns of the reactor within which the broker answers.
TURNS = 200

#: What would run programs, or end the broker, as it should.
LEFT_OUT = (
    "job-ingest.submit",
    "module.",
    "runat.",
    "shutdown.",
    "state-machine.",
    "rexec.",
    "broker.setenv",
)


def codec(data: bytes) -> None:
    """A message is refused with the one documented error, or is what it is encoded as again."""
    try:
        msg = Message.from_encoded(data)
    except ProtocolError:
        return
    again = Message.from_encoded(msg.encode())
    assert again.encode() == msg.encode()
    for name in ("mtype", "bits", "userid", "rolemask", "aux1", "aux2", "raw_topic", "data"):
        assert getattr(again, name) == getattr(msg, name), name
    assert again.routes == msg.routes if _is_text(msg.route) else True


def _is_text(route: bytes | None) -> bool:
    try:
        (route or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def splitter(data: bytes) -> None:
    """However a stream is cut, the same messages come, and the same fault; what is held is bounded.

    The first byte says how it is cut.
    """
    size, stream = (data[0] % 61 + 1 if data else 1), data[1:]
    whole, pieces = Splitter(), Splitter()
    expected = [msg.encode() for msg in whole.messages(Message, stream)]
    found = []
    for start in range(0, len(stream), size):
        piece = stream[start : start + size]
        found += [msg.encode() for msg in pieces.messages(Message, piece)]
        assert pieces.held() <= start + len(piece)
    # What is known of a fault may wait for the rest of the message.
    assert found == expected[: len(found)]
    assert (whole.error is None) == (pieces.error is None)
    if whole.error is None:
        assert found == expected
        assert whole.held() == pieces.held()


class _Sink(Peer):
    """A service that answers each request."""

    def __init__(self, router: Router) -> None:
        super().__init__("s" * 36, 1000)
        self._router = router
        router.add(self)
        for name in ("svc", "broker", "attr", "kvs", "job-manager"):
            router.add_service(name, self)

    def request(self, msg: Message) -> None:
        answer = msg.respond(None)
        self._router.response(answer, answer.route or b"")

    def response(self, msg: Message, route: bytes) -> None:
        pass

    def event(self, msg: Message, stream: bytes) -> None:
        pass


def router(data: bytes) -> None:
    """Whatever a client sends, another one is still answered, and gets nothing that is not its own.

    The first byte says whether the client is a guest.
    """
    tables = Router("b" * 36, 1000)
    _Sink(tables)
    via = encode_frame(b"c" * 36)
    guest = bool(data and data[0] & 1)
    got: list[bytes] = []
    culprit = Client(tables, "1" * 36, via, 1001 if guest else 1000, not guest, lambda _data: None)
    bystander = Client(tables, "2" * 36, via, 1000, True, got.append)
    for msg in Splitter().messages(Message, data[1:]):
        culprit.receive(msg)
    for stream in got:
        # Only who knows another's route can answer to it, and here nobody does.
        assert ("2" * 36).encode() in data, stream
    got.clear()
    ping = Message(FLUX_MSGTYPE_REQUEST)
    ping.topic = "svc.ping"
    ping.matchtag = 7
    bystander.receive(ping)
    if "svc" in culprit.services:
        return
    assert len(got) == 1
    assert Message.from_encoded(got[0][PREFIX_SIZE:]).matchtag == 7
    culprit.leave()
    bystander.leave()
    assert len(tables.peers) == 1


class _Broker:
    """A broker in this process, with a client that misbehaves and one that does not."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="flux-fuzz-")
        self.instance = Instance({"rundir": self._directory.name, "log-stderr-level": "-1"})
        self._reactor = self.instance.handle.get_reactor()
        self.left = LIFE
        self.bystander = self.connect()
        self._answers = Splitter()

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(self.instance.uri[len("local://") :])
        sock.setblocking(False)
        for _ in range(3):
            self._reactor.run(FLUX_REACTOR_NOWAIT)
        assert sock.recv(1) == b"\0"
        return sock

    def send(self, sock: socket.socket, data: bytes) -> None:
        while data:
            try:
                data = data[sock.send(data) :]
            except BlockingIOError:
                pass
            except OSError:
                return
            self._reactor.run(FLUX_REACTOR_NOWAIT)

    def ask(self, sock: socket.socket, splitter: Splitter, msg: Message) -> Message:
        """Send a request, and return the answer to it, which has to come soon."""
        self.send(sock, msg.to_stream())
        for _ in range(TURNS):
            self._reactor.run(FLUX_REACTOR_NOWAIT)
            try:
                data = sock.recv(1 << 20)
            except BlockingIOError:
                continue
            assert data, "the connection has ended"
            for answer in splitter.messages(Message, data):
                if answer.aux2 == msg.aux2:
                    return answer
        raise AssertionError(f"{msg.topic} is not answered")

    def check(self) -> None:
        """The other client is answered, and nothing has raised what it should not."""
        ping = Message(FLUX_MSGTYPE_REQUEST)
        ping.topic = "broker.ping"
        ping.matchtag = 7
        ping.payload = {}
        assert self.ask(self.bystander, self._answers, ping).errnum == 0
        assert not self.instance.faults.counts, self.instance.faults.counts
        self.left -= 1

    def close(self) -> None:
        self.bystander.close()
        self.instance.close()
        self._directory.cleanup()


#: The one that serves now, if there is one.
_brokers: list[_Broker] = []


def _current() -> _Broker:
    if _brokers and not _brokers[0].left:
        _brokers.pop().close()
    if not _brokers:
        _brokers.append(_Broker())
    return _brokers[0]


def services(data: bytes) -> None:
    """Whatever a client sends to the services, another client is answered, and nothing raises."""
    for msg in Splitter().messages(Message, data):
        if (msg.raw_topic or "").startswith(LEFT_OUT):
            return
    broker = _current()
    sock = broker.connect()
    try:
        broker.send(sock, data)
        broker.check()
    finally:
        sock.close()
    broker.check()


_HEADER = f"version\0i1\0userid\0i{os.getuid()}\0mechanism\0snone\0"


def jobspec(data: bytes) -> None:
    """A jobspec is taken or refused with a text, and the job is then held and can be cancelled."""
    broker = _current()
    sock = broker.connect()
    answers = Splitter()
    parts = (base64.b64encode(part).decode() for part in (_HEADER.encode(), data))
    try:
        submit = Message(FLUX_MSGTYPE_REQUEST)
        submit.topic = "job-ingest.submit"
        submit.matchtag = 1
        # With urgency 0 it never runs.
        submit.payload = {"J": ".".join((*parts, "none")), "urgency": 0, "flags": 0}
        answer = broker.ask(sock, answers, submit)
        if answer.errnum:
            assert answer.payload_str, "refused without a word"
        else:
            cancel = Message(FLUX_MSGTYPE_REQUEST)
            cancel.topic = "job-manager.raise"
            cancel.matchtag = 2
            cancel.payload = {"id": answer.payload["id"], "severity": 0, "type": "cancel"}
            assert broker.ask(sock, answers, cancel).errnum == 0
    finally:
        sock.close()
    broker.check()


TARGETS: dict[str, Target] = {
    "codec": codec,
    "splitter": splitter,
    "router": router,
    "services": services,
    "jobspec": jobspec,
}

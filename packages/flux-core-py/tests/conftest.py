"""What the tests share: a scripted peer in place of a broker, and a limit on how long a test waits.

The peer is the other end of a socket that the handle opens as ``fd://N``.  It says what a test
tells it to, on the wire; nothing of the package is replaced.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any, Callable

import pytest

import flux
from flux import _codec
from flux._payload import encode_payload
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_ROLE_OWNER
from flux.message import Message
from scripted import LIMIT, limit

__all__ = ["limit"]


class Peer:
    """The broker's side of one connection.

    Attributes:
        sock: The socket, on which the greeting has been sent.
        handle: The handle at the other end.
        requests: What `serve` has answered, or passed to its function.
    """

    def __init__(self, greeting: bytes = b"\0", **open_args: Any) -> None:
        near, self.sock = socket.socketpair()
        self.sock.settimeout(LIMIT)
        self.sock.sendall(greeting)
        self.handle: Any = flux.Flux(f"fd://{near.detach()}", **open_args)
        self.requests: list[Message] = []
        self._splitter = _codec.Splitter()
        self._arrived: list[Message] = []
        self._thread: threading.Thread | None = None

    def read(self) -> Message:
        """Return the next message that the handle sent."""
        while not self._arrived:
            chunk = self.sock.recv(1 << 16)
            if not chunk:
                raise EOFError("the handle closed the connection")
            self._arrived += self._splitter.messages(Message, chunk)
            assert self._splitter.error is None
        return self._arrived.pop(0)

    def send(self, *messages: Message) -> None:
        """Send messages in one write, with an owner's credentials where they have none."""
        data = b""
        for msg in messages:
            msg = msg.copy()
            msg.rolemask = msg.rolemask or FLUX_ROLE_OWNER
            data += msg.to_stream()
        self.sock.sendall(data)

    def answer(self, request: Message, payload: Any = None, errnum: int = 0) -> None:
        """Answer a request."""
        self.send(request.respond(encode_payload(payload), errnum))

    def request(self, topic: str, payload: Any = None, **fields: Any) -> Message:
        """Make a request, for `send`."""
        msg = Message(FLUX_MSGTYPE_REQUEST)
        msg.topic = topic
        msg.payload = payload
        for name, value in fields.items():
            setattr(msg, name, value)
        return msg

    def event(self, topic: str, payload: Any = None, **fields: Any) -> Message:
        """Make an event, for `send`."""
        msg = Message.from_event_encode(topic, payload)
        for name, value in fields.items():
            setattr(msg, name, value)
        return msg

    def run(self, script: Callable[[], Any]) -> None:
        """Run a function in a thread, which `close` joins."""
        assert self._thread is None
        self._thread = threading.Thread(target=script)
        self._thread.start()

    def serve(self, respond: Callable[[Message], Any] | None = None) -> None:
        """Pass each request to a function, in a thread, until the handle hangs up.

        Args:
            respond: Called with the request; what it returns is the answer's payload, unless it
                is `NotImplemented`.  By default the payload is sent back.
        """

        def script() -> None:
            while True:
                try:
                    msg = self.read()
                except (EOFError, OSError):
                    return
                self.requests.append(msg)
                payload = msg.payload_str if respond is None else respond(msg)
                if payload is not NotImplemented and not msg.noresponse:
                    self.answer(msg, payload)

        self.run(script)

    def join(self) -> None:
        """Wait for the thread of `run` to end."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def hang_up(self) -> None:
        """Close the connection."""
        self.sock.close()

    def close(self) -> None:
        """End the thread, close the connection and let go of the handle."""
        del self.handle
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.join()
        self.sock.close()


@pytest.fixture
def connect() -> Iterator[Callable[..., Peer]]:
    """Return a function that makes a `Peer` and the handle connected to it."""
    peers: list[Peer] = []

    def make(**args: Any) -> Peer:
        peers.append(Peer(**args))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def peer(connect: Callable[..., Peer]) -> Peer:
    """Return a `Peer` with its handle."""
    return connect()


@pytest.fixture
def loop() -> flux.Flux:
    """Return a handle connected to itself."""
    return flux.Flux("loop://")


@pytest.fixture
def interrupt() -> Callable[[], None]:
    """Return a function that does what Ctrl-C does; may be called in any thread."""
    return lambda: os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the environment's broker."""
    for name in ("FLUX_URI", "FLUX_HANDLE_USERID", "FLUX_HANDLE_ROLEMASK", "FLUX_PROXY_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", "0")

"""What the tests share: the fixtures of the plugin, raw connections, and a limit on waiting."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from typing import Callable

import pytest
from _flux_devbroker.pytest_plugin import (
    _flux_warm_parent,
    flux_broker,
    flux_handle,
    pytest_configure,
)

from flux._codec import Splitter
from flux.devbroker import Broker
from flux.message import Message

__all__ = ["_flux_warm_parent", "flux_broker", "flux_handle", "pytest_configure"]

#: Seconds after which a test that waits for something that never comes fails.
LIMIT = 10.0


class RawClient:
    """A client without a library: what it sends is up to the test.

    Attributes:
        greeting: The byte that the broker greeted with.
    """

    def __init__(self, broker: Broker) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT)
        self.sock.connect(broker.uri[len("local://") :])
        self.greeting = self.sock.recv(1)[0]
        self._splitter = Splitter()
        self._messages: list[Message] = []

    def send_bytes(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_encoded(self, raw: bytes) -> None:
        """Send an encoded message, with its prefix."""
        self.sock.sendall(struct.pack("=I", 0xFFEE0012) + struct.pack(">I", len(raw)) + raw)

    def send(self, msg: Message) -> None:
        self.sock.sendall(msg.to_stream())

    def receive(self) -> Message:
        while not self._messages:
            data = self.sock.recv(1 << 16)
            assert data, "the broker closed the connection"
            self._messages += self._splitter.messages(Message, data)
        return self._messages.pop(0)

    def at_end(self) -> bool:
        """Wait for the end of the connection; False if there is a message before it."""
        if self._messages:
            return False
        try:
            return not self.sock.recv(1 << 16)
        except ConnectionResetError:
            return True

    def request(self, topic: str, payload: object = None, matchtag: int = 1) -> Message:
        """Send a request and return the next message."""
        msg = Message()
        msg.topic = topic
        msg.payload = payload
        msg.matchtag = matchtag
        self.send(msg)
        return self.receive()

    def leave(self) -> None:
        """Close the connection, and wait until the broker has done what it does then."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(1 << 16):
                pass
        except OSError:
            # It was the first to go.
            pass
        self.close()

    def close(self) -> None:
        self.sock.close()


@pytest.fixture
def raw_client(flux_broker: Broker) -> Iterator[Callable[[], RawClient]]:
    """Makes raw connections to the test's broker."""
    clients = []

    def connect() -> RawClient:
        clients.append(RawClient(flux_broker))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


@pytest.fixture(scope="session", autouse=True)
def _warm(_flux_warm_parent: None) -> None:
    """For tests that make brokers themselves."""

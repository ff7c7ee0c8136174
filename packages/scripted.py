"""What several distributions' tests share: a scripted peer in place of a broker, and a limit.

The peer is the other end of a socket that the handle opens as ``fd://N``.  What a test has it say
waits in the socket until the handle reads it; only a call that asks and waits needs a thread.
"""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import flux
from flux import _codec
from flux._payload import encode_payload
from flux.constants import FLUX_ROLE_OWNER
from flux.message import Message

#: Seconds after which a test that waits for something that never comes is ended.
LIMIT = 10.0


class Peer:
    """The broker's side of one connection.

    Args:
        recordings: Where `replay` finds recordings.

    Attributes:
        sock: The socket, on which the greeting has been sent.
        handle: The handle at the other end.
    """

    def __init__(self, recordings: Path) -> None:
        near, self.sock = socket.socketpair()
        self.sock.settimeout(LIMIT)
        self.sock.sendall(b"\0")
        self.handle: Any = flux.Flux(f"fd://{near.detach()}")
        self._recordings = recordings
        self._splitter = _codec.Splitter()
        self._arrived: list[Message] = []
        self._thread: threading.Thread | None = None

    def read(self, topic: str | None = None) -> Message:
        """Return the next message that the handle sent, whose topic must be the one given."""
        if threading.current_thread() is not self._thread:
            self.join()
        while not self._arrived:
            chunk = self.sock.recv(1 << 16)
            assert chunk, "the handle closed the connection"
            self._arrived += self._splitter.messages(Message, chunk)
            assert self._splitter.error is None
        msg = self._arrived.pop(0)
        assert topic in (None, msg.topic)
        return msg

    def expect(self, topic: str, *payloads: Any) -> None:
        """Answer the next request when it comes, as `answer` does."""
        self.join()
        self._thread = threading.Thread(
            target=lambda: self.answer(self.read(topic), *payloads), name="peer"
        )
        self._thread.start()

    def join(self) -> None:
        """Wait until the expected request was answered."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def quiet(self) -> bool:
        """Return True if the handle has sent nothing that was not read."""
        self.join()
        self.sock.setblocking(False)
        try:
            return not self._arrived and not self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(LIMIT)

    def answer(self, request: Message, *payloads: Any) -> None:
        """Answer a request, once for each payload: a JSON value, bytes, or an errno as an int."""
        data = b""
        for payload in payloads:
            errnum, text = (payload, None) if isinstance(payload, int) else (0, payload)
            data += self.response(request, text, errnum)
        self.sock.sendall(data)

    def response(self, request: Message, payload: Any = None, errnum: int = 0) -> bytes:
        """Return a response as it goes on the wire, with an owner's credentials."""
        msg = request.respond(encode_payload(payload), errnum)
        msg.rolemask = FLUX_ROLE_OWNER
        return msg.to_stream()

    def replay(self, request: Message, name: str, step: str, topic: str | None = None) -> None:
        """Answer a request as a real broker was recorded to answer one.

        Args:
            request: The request.
            name: The recording.
            step: How the steps of the recording begin.
            topic: The topic of the responses; that of the request if None.
        """
        for line in (self._recordings / f"{name}.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            if (
                record["dir"] == "response"
                and record["step"].startswith(step)
                and record["topic"] == (topic or request.topic)
            ):
                self.sock.sendall(self.response(request, record["payload"], record["errnum"]))

    def hang_up(self) -> None:
        """Close the connection."""
        self.sock.close()

    def close(self) -> None:
        """Let go of the handle and close the connection."""
        del self.handle
        self.join()
        self.sock.close()


@pytest.fixture(autouse=True)
def limit(request: pytest.FixtureRequest) -> Iterator[None]:
    """End a test that hangs: every wait of a handle ends with the exception of a signal handler."""

    def expired(*_args: object) -> None:
        pytest.fail(f"still waiting after {LIMIT:g} s")

    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)
    # pytest keeps the values of fixtures, and so handles, longer than the check for leaks waits.
    request.node.funcargs.clear()

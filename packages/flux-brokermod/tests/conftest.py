"""A broker's end of a module's channel, to play against the loader in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from flux._codec import Splitter
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_MSGTYPE_REQUEST, FLUX_MSGTYPE_RESPONSE
from flux.message import Message

#: Seconds after which a test gives up waiting for the other side.
LIMIT = 20.0

BROKER, CLIENT, MODULE = "broker-uuid", "client-uuid", "module-uuid"
OWNER, GUEST = 5, 6


class Channel:
    """The loader running a module file, and the broker's end of its connection.

    Attributes:
        log: The messages of the module's ``log.append`` requests.
        subscriptions: The topics it subscribed to.
        others: What it sent besides, that nobody has looked for yet.
        running: How often it reported to be running.
    """

    def __init__(self) -> None:
        self.sock: socket.socket
        self.process: subprocess.Popen[str]
        self.log: list[str] = []
        self.subscriptions: list[str] = []
        self.others: list[Message] = []
        self.running = 0
        self._splitter = Splitter()
        self._arrived: list[Message] = []
        self._tag = 100

    def start(self, *args: str, **options: Any) -> None:
        """Start the program."""
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "flux.brokermod", *args],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def load(self, path: Path) -> None:
        """Start the program as a loader, with the other end of a socket pair."""
        self.sock, far = socket.socketpair()
        self.sock.settimeout(LIMIT)
        with far:
            env = {**os.environ, "FLUX_MODULE_URI": f"fd://{far.fileno()}"}
            self.start(str(path), env=env, pass_fds=[far.fileno()])

    def attach(self, directory: Path, *args: str) -> None:
        """Start the program so that it connects to a broker, and greet it."""
        path = directory / "socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            listener.settimeout(LIMIT)
            self.start(*args, env={**os.environ, "FLUX_URI": f"local://{path}"})
            self.sock = listener.accept()[0]
        path.unlink()
        self.sock.settimeout(LIMIT)
        self.sock.sendall(b"\0")

    def close(self) -> None:
        self.sock.close()
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    # -- one message at a time

    def send(self, msg: Message) -> None:
        self.sock.sendall(msg.to_stream())

    def read(self) -> Message | None:
        """Return the next message of the module, None at the end of the connection."""
        while not self._arrived:
            try:
                chunk = self.sock.recv(1 << 16)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self._arrived += self._splitter.messages(Message, chunk)
            assert self._splitter.error is None
        return self._arrived.pop(0)

    # -- what a broker does

    def welcome(self, name: str = "mod", args: Any = (), conf: Any = None, **fields: Any) -> None:
        self.sock.sendall(b"\0")
        payload = {
            "args": args,
            "attrs": {"rank": "0", "size": "1"},
            "conf": {} if conf is None else conf,
            "name": name,
            "uuid": MODULE,
            **fields,
        }
        self.request("welcome", payload, matchtag=0, routes=[BROKER])

    def request(self, topic: str, payload: Any = None, **fields: Any) -> int:
        """Send a request from a client and return its matchtag."""
        msg = Message(FLUX_MSGTYPE_REQUEST)
        msg.topic = topic
        msg.payload = payload
        msg.userid, msg.rolemask = 1000, OWNER
        self._tag += 1
        msg.matchtag = self._tag
        for route in reversed(fields.pop("routes", [BROKER, CLIENT])):
            msg.route_push(route)
        for name, value in fields.items():
            setattr(msg, name, value)
        self.send(msg)
        return msg.matchtag

    def event(self, topic: str, payload: Any = None, rolemask: int = OWNER) -> None:
        msg = Message(FLUX_MSGTYPE_EVENT)
        msg.topic = topic
        msg.payload = payload
        msg.userid, msg.rolemask, msg.seq = 1000, rolemask, 1
        self.send(msg)

    def answer(self, request: Message, payload: Any = None, errnum: int = 0) -> None:
        response = request.respond(None, errnum)
        response.payload = payload
        response.userid, response.rolemask = 0, OWNER
        self.send(response)

    def next(self) -> Message | None:
        """Return the module's next message other than those that a broker deals with itself."""
        while True:
            msg = self.read()
            if msg is None or msg.type != FLUX_MSGTYPE_REQUEST:
                return msg
            if msg.topic == "log.append":
                assert msg.payload_bytes is not None
                self.log.append(msg.payload_bytes.decode().split(" ", 7)[7])
            elif msg.topic == "event.subscribe":
                self.subscriptions.append(msg.payload["topic"])
                self.answer(msg)
            elif msg.topic == "attr.get":
                value = {"rank": "0", "size": "1"}[msg.payload["name"]]
                self.answer(msg, {"value": value, "flags": 1})
            elif msg.topic == "config.get":
                self.answer(msg, {"from": "config.get"})
            elif msg.topic == "module.status" and msg.payload == {"status": 1}:
                assert msg.noresponse
                self.running += 1
            else:
                return msg

    def call(self, topic: str, payload: Any = None, **fields: Any) -> Message:
        """Send a request and return the response to it."""
        tag = self.request(topic, payload, **fields)
        return self.response(tag)

    def response(self, tag: int) -> Message:
        """Return the response to an earlier request."""
        for msg in self.others:
            if msg.type == FLUX_MSGTYPE_RESPONSE and msg.matchtag == tag:
                self.others.remove(msg)
                return msg
        while True:
            newest = self.next()
            assert newest is not None, self.fate()
            if newest.type == FLUX_MSGTYPE_RESPONSE and newest.matchtag == tag:
                return newest
            self.others.append(newest)

    def finish(self) -> int:
        """Follow the module to its end and return the errno that it reports."""
        msg = self._status()
        assert msg.payload == {"status": 2}
        assert not msg.noresponse
        self.answer(msg)
        msg = self._status()
        assert msg.noresponse
        assert msg.payload["status"] == 3
        assert self.next() is None
        assert self.process.wait(LIMIT) == 0
        return int(msg.payload["errnum"])

    def _status(self) -> Message:
        """Return the module's next report of its state."""
        while True:
            msg = self.next()
            assert msg is not None, self.fate()
            if msg.raw_topic == "module.status":
                return msg
            self.others.append(msg)

    def unload(self, name: str = "mod") -> int:
        """Have the module end, and return the errno that it reports."""
        self.request(f"{name}.shutdown", noresponse=True, matchtag=0, routes=[BROKER])
        return self.finish()

    def fate(self) -> str:
        """Wait for the process and return what it wrote to standard error."""
        assert self.process.stderr is not None
        text = self.process.stderr.read()
        self.process.wait(LIMIT)
        return text


@pytest.fixture(autouse=True)
def _limit() -> Iterator[None]:
    """End a test that waits for what never comes."""

    def expire(*_args: object) -> None:
        raise TimeoutError(f"the test took more than {LIMIT} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, 2 * LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Callable[..., Channel]]:
    """Start the loader on a module given as its source, or as a path, and say nothing to it."""
    channels: list[Channel] = []

    def start(source: str | Path, filename: str = "mod.py") -> Channel:
        path = write(source, tmp_path / filename)
        channels.append(Channel())
        channels[-1].load(path)
        return channels[-1]

    yield start
    for channel in channels:
        channel.close()


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Callable[..., Channel]]:
    """Attach a module given as its source, or as a path."""
    channels: list[Channel] = []

    def start(
        source: str | Path, *args: str, options: Sequence[str] = (), filename: str = "mod.py"
    ) -> Channel:
        path = write(source, tmp_path / filename)
        channels.append(Channel())
        channels[-1].attach(tmp_path, *options, str(path), *args)
        return channels[-1]

    yield start
    for channel in channels:
        channel.close()


def write(source: str | Path, path: Path) -> Path:
    """Write a module's source to a file, unless it is in one already."""
    if isinstance(source, Path):
        return source
    path.write_text(textwrap.dedent(source), "utf-8")
    return path


@pytest.fixture
def load(spawn: Callable[..., Channel]) -> Callable[..., Channel]:
    """Start the loader and welcome the module."""

    def start(source: str | Path, name: str = "mod", args: Any = (), **fields: Any) -> Channel:
        channel = spawn(source)
        channel.welcome(name, args, **fields)
        return channel

    return start

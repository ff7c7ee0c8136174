"""URIs: which connection they lead to, and what happens when there is none."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flux
from flux import _connector, _uri
from flux._codec import Splitter
from flux.message import Message

if TYPE_CHECKING:
    from typing_extensions import Self

cases = pytest.mark.parametrize


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="fx") as path:
        yield Path(path)


class Listener:
    """A socket that listens, and does with a connection what it is told to."""

    def __init__(self, path: Path, backlog: int = 5) -> None:
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(backlog)
        self.sock.settimeout(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_args: object) -> None:
        self.sock.close()


def refused(uri: str | None, number: int, text: str | None = None) -> None:
    with pytest.raises(OSError, match=text) as caught:
        flux.Flux(uri)
    assert caught.value.errno == number


@cases(
    ("uri", "number", "text"),
    [
        ("", errno.ENOENT, "Unable to find connector name ''"),
        ("nosuch://x", errno.ENOENT, "Unable to find connector name 'nosuch'"),
        ("local:/path", errno.ENOENT, "Unable to find connector name 'local:/path'"),
        ("local://", errno.EINVAL, "no socket path"),
        ("local:// \t", errno.EINVAL, "no socket path"),
        ("local:///" + "x" * 107, errno.EINVAL, "107 bytes"),
        ("local:///" + "é" * 54, errno.EINVAL, "107 bytes"),
        ("local:///nosuch/socket", errno.ENOENT, "broker socket /nosuch/socket was not found"),
        ("fd://", errno.EINVAL, "URI path is not set"),
        ("fd://one", errno.EINVAL, "error parsing file descriptor"),
        ("fd://9999", errno.EBADF, None),
        ("fd://-1", errno.EBADF, None),
        ("fd://99999999999999999999", errno.EBADF, None),
        ("/elsewhere", errno.EINVAL, "/elsewhere: invalid URI"),
        ("//", errno.EINVAL, "//: invalid URI"),
        ("../x", errno.EINVAL, "../x: invalid URI path element 'x'"),
        (".x", errno.EINVAL, ".x: invalid URI path element '.x'"),
        ("...", errno.EINVAL, "invalid URI path element '...'"),
    ],
)
def test_a_uri_that_leads_nowhere_says_why(uri, number, text):
    refused(uri, number, text)


@cases("flags", [1 << 20, 2])
def test_unknown_open_flags_are_refused(flags):
    with pytest.raises(OSError, match="flags") as caught:
        flux.Flux("loop://", flags)
    assert caught.value.errno == errno.EINVAL


def test_a_uri_of_another_type_is_a_type_error():
    with pytest.raises(TypeError, match="must be str or bytes"):
        flux.Flux(17)  # type: ignore[arg-type]


def test_the_argument_precedes_the_environment(monkeypatch):
    monkeypatch.setenv("FLUX_URI", "nosuch://env")
    assert flux.Flux("loop://") is not None
    refused(None, errno.ENOENT, "'nosuch'")


def test_the_environment_names_no_paths(monkeypatch):
    monkeypatch.setenv("FLUX_URI", "..")
    refused(None, errno.ENOENT, r"Unable to find connector name '\.\.'")
    monkeypatch.setenv("FLUX_URI", "")
    refused(None, errno.ENOENT, "Unable to find connector name ''")


def test_without_either_the_system_instance_is_meant():
    assert _uri.default() == "local:///run/flux/local"


@cases(
    ("uri", "levels"),
    [
        ("/", float("inf")),
        (".", 0),
        ("./", 0),
        ("..", 1),
        ("../..", 2),
        ("..//./..", 2),
        ("a", None),
    ],
)
def test_path_like_forms_count_levels(uri, levels):
    assert _uri.levels_up(uri) == levels


def serve_attrs(listener: Listener, script: list[dict[str, str]]) -> threading.Thread:
    """Accept a connection for each dict, and answer attr.get from it until the client leaves."""

    def serve(sock: socket.socket, attrs: dict[str, str]) -> None:
        with sock:
            sock.sendall(b"\0")
            splitter = Splitter()
            while chunk := sock.recv(4096):
                for msg in splitter.messages(Message, chunk):
                    value = attrs.get(msg.payload["name"])
                    answer = msg.respond(None, errno.ENOENT)
                    if value is not None:
                        answer = msg.respond(b'{"value":"%s","flags":1}\0' % value.encode())
                    answer.rolemask = 1
                    sock.sendall(answer.to_stream())

    def run() -> None:
        threads = []
        for attrs in script:
            sock, _ = listener.sock.accept()
            threads.append(threading.Thread(target=serve, args=(sock, attrs)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@cases(
    ("uri", "connections"),
    [(".", 1), ("..", 2), ("/", 3), ("../..", 3), ("../../../..", 3)],
)
def test_path_like_uris_follow_parent_uri_as_far_as_there_are_parents(
    directory, monkeypatch, uri, connections
):
    with Listener(directory / "s") as listener:
        address = f"local://{listener.path}"
        chain = [
            {"instance-level": "2", "parent-uri": address, "depth": "2"},
            {"instance-level": "1", "parent-uri": address, "depth": "1"},
            {"instance-level": "0", "depth": "0"},
        ]
        monkeypatch.setenv("FLUX_URI", address)
        thread = serve_attrs(listener, chain[:connections])
        handle = flux.Flux(uri)
        assert handle.attr_get("depth") == chain[connections - 1]["depth"]
        del handle
        thread.join()


@cases("form", [str, str.encode, lambda uri: uri + " \t"])
def test_a_local_uri_connects_to_the_socket(directory, form):
    with Listener(directory / "s") as listener:
        thread = serve_attrs(listener, [{"rank": "3"}])
        handle = flux.Flux(form(f"local://{listener.path}"))
        assert handle.get_rank() == 3
        del handle
        thread.join()


def test_connecting_is_tried_again_until_the_socket_is_there(directory, monkeypatch):
    monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", "8")
    attempts: list[float] = []

    def listen_at_last(delay: float) -> None:
        attempts.append(delay)
        if len(attempts) == 3:
            listeners.append(Listener(directory / "s"))
            threads.append(serve_attrs(listeners[0], [{"rank": "0"}]))

    listeners: list[Listener] = []
    threads: list[threading.Thread] = []
    monkeypatch.setattr("flux._connector.time.sleep", listen_at_last)
    handle = flux.Flux(f"local://{directory}/s")
    assert handle.get_rank() == 0
    assert attempts == [0.016, 0.032, 0.064]
    del handle
    threads[0].join()
    listeners[0].sock.close()


def test_the_pauses_double_up_to_two_seconds(monkeypatch):
    monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", "9")
    pauses: list[float] = []
    monkeypatch.setattr("flux._connector.time.sleep", pauses.append)
    refused("local:///nosuch/socket", errno.ENOENT)
    assert pauses == [0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.0, 2.0]


@cases("count", ["-1", "x", "", "1.5"])
def test_a_retry_count_that_is_none_is_refused(monkeypatch, count):
    monkeypatch.setenv("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", count)
    refused("local:///nosuch/socket", errno.EINVAL, "not a non-negative integer")


def test_what_is_not_a_socket_is_refused(directory):
    path = directory / "file"
    path.touch()
    refused(f"local://{path}", errno.ECONNREFUSED)
    fd = os.open(path, os.O_RDONLY)
    try:
        refused(f"fd://{fd}", errno.ENOTSOCK, "Socket operation on non-socket")
        os.fstat(fd)
    finally:
        os.close(fd)


def test_a_socket_that_nobody_listens_on_is_refused(directory):
    with Listener(directory / "s"):
        pass
    refused(f"local://{directory}/s", errno.ECONNREFUSED)


def test_a_listener_that_never_accepts_does_not_block_for_ever(directory, monkeypatch):
    monkeypatch.setattr(_connector, "GREETING_TIMEOUT", 0.05)
    waiting = []
    with Listener(directory / "s", backlog=0) as listener:
        while True:
            sock = socket.socket(socket.AF_UNIX)
            waiting.append(sock)
            sock.setblocking(False)
            try:
                sock.connect(listener.path)
            except BlockingIOError:
                break
        with pytest.raises(OSError, match="Unable to connect to Flux"):
            flux.Flux(f"local://{listener.path}")
        for sock in waiting:
            sock.close()


def test_a_socket_that_accepts_and_says_nothing_times_out(directory, monkeypatch):
    monkeypatch.setattr(_connector, "GREETING_TIMEOUT", 0.05)
    with Listener(directory / "s") as listener:
        refused(f"local://{listener.path}", errno.ETIMEDOUT, "nothing that speaks Flux")
    near, far = socket.socketpair()
    with far:
        refused(f"fd://{near.detach()}", errno.ETIMEDOUT, "nothing that speaks Flux")
        assert far.recv(1) == b""


def greeted_by(greeting: bytes) -> str:
    near, far = socket.socketpair()
    with far:
        far.sendall(greeting)
    return f"fd://{near.detach()}"


def test_a_peer_that_refuses_is_believed():
    refused(greeted_by(b"\x01"), errno.EPERM, "refused the connection: Operation not permitted")
    refused(greeted_by(b"\x16"), errno.EINVAL, "refused the connection")


def test_a_peer_that_hangs_up_without_greeting_is_a_reset():
    refused(greeted_by(b""), errno.ECONNRESET, "without a greeting")


def test_what_follows_the_greeting_at_once_is_kept(connect):
    peer = connect()
    msg = peer.event("a")
    late = connect(greeting=b"\0" + msg.to_stream())
    assert late.handle.recv().topic == "a"


def test_the_descriptor_is_closed_with_the_handle(peer):
    peer.handle = None
    assert peer.sock.recv(1) == b""


def test_a_handle_stamps_the_credentials_of_the_environment(directory, monkeypatch):
    monkeypatch.setenv("FLUX_HANDLE_USERID", "1000")
    monkeypatch.setenv("FLUX_HANDLE_ROLEMASK", "0x2")
    with Listener(directory / "s") as listener:
        found: list[Message] = []

        def run() -> None:
            sock, _ = listener.sock.accept()
            with sock:
                sock.sendall(b"\0")
                splitter = Splitter()
                while chunk := sock.recv(4096):
                    found.extend(splitter.messages(Message, chunk))

        thread = threading.Thread(target=run)
        thread.start()
        handle = flux.Flux(f"local://{listener.path}")
        handle.rpc("a.b")
        handle.event_send("e")
        msg = Message()
        msg.topic, msg.userid, msg.rolemask = "a.c", 5, 1
        handle.send(msg)
        del handle
        thread.join()
    assert [(m.userid, m.rolemask) for m in found] == [(1000, 2), (1000, 2), (5, 1)]
    assert (msg.userid, msg.rolemask) == (5, 1)


@cases("uri", ["loop://", "fd://0"])
def test_only_the_local_connector_takes_those_credentials(monkeypatch, uri):
    monkeypatch.setenv("FLUX_HANDLE_USERID", "1000")
    refused(uri, errno.EINVAL, "only the local connector")


@cases(("name", "value"), [("USERID", "me"), ("ROLEMASK", "owner"), ("ROLEMASK", "")])
def test_credentials_that_are_no_numbers_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(f"FLUX_HANDLE_{name}", value)
    refused("local:///nosuch/socket", errno.EINVAL, "FLUX_HANDLE_")

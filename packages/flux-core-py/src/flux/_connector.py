"""Connectors: what moves encoded messages between a handle and its broker.

`open_uri` finds the one that a URI names.  All of them satisfy `Connector`, never block, and
know nothing of what the bytes mean.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import time
import weakref
from collections.abc import Iterator
from struct import Struct
from typing import Callable, Protocol

from flux._uri import URI
from flux.constants import FLUX_ROLE_NONE, FLUX_ROLE_OWNER, FLUX_USERID_UNKNOWN

#: Seconds to wait for a broker that accepted the connection to greet.
GREETING_TIMEOUT = 20.0

_TIMEVAL = Struct("@ll")

#: Longest socket path in bytes: that of sockaddr_un, less the final NUL.
MAX_SOCKET_PATH = 107

#: In front of a URI: that libflux-core is to open it.
_LIBFLUX = "libflux+"

#: How often connecting to a local socket is tried again, see `_retry_delays`.
DEFAULT_RETRY_COUNT = 5


class BusyError(RuntimeError):
    """A call from within another on the same handle that has to be finished first."""


class Connector(Protocol):
    """A connection to a broker.

    `send` and `recv` are C functions, so that nothing can come between what they do and the keeping
    of their result.  A connector for which that cannot be has a `reader` in place of `recv`, and a
    `send` that goes on where an exception has cut it short; see `flux._libflux`.

    Attributes:
        credentials: The userid and rolemask to fill into messages that have none.
    """

    credentials: tuple[int, int]

    def fileno(self) -> int:
        """Return a descriptor that polls readable when `recv` has something, -1 if none does."""

    def send(self, data: bytes | memoryview) -> int:
        """Send what can be sent at once and return how many bytes that were.

        Raises:
            BlockingIOError: None at the moment.
            OSError: The connection is broken.
        """

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, or b"" at the end of the connection.

        Raises:
            BlockingIOError: Nothing has arrived.
            OSError: The connection is broken.
        """

    def close(self) -> None:
        """Give the connection up.  Doing so again is harmless."""


class StreamConnector:
    """A connected stream socket whose peer has already greeted."""

    def __init__(
        self,
        sock: socket.socket,
        credentials: tuple[int, int] = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE),
    ) -> None:
        sock.setblocking(False)
        self.credentials = credentials
        self.fileno = sock.fileno
        self.send: Callable[[bytes | memoryview], int] = sock.send
        self.recv: Callable[[int], bytes] = sock.recv
        # The finalizer holds the socket, so it closes quietly even when the garbage collector
        # takes a whole cycle of handle, futures and watchers at once, in any order.
        self.close = weakref.finalize(self, sock.close)


class LoopConnector:
    """A connection to itself: every message sent is received on the same handle."""

    def __init__(self) -> None:
        near, far = socket.socketpair()
        for sock in (near, far):
            sock.setblocking(False)
        self.credentials = (os.getuid(), FLUX_ROLE_OWNER)
        self.fileno = near.fileno
        self.recv: Callable[[int], bytes] = near.recv
        self.send: Callable[[bytes | memoryview], int] = far.send
        self.close = weakref.finalize(self, _close_all, near, far)


def _close_all(*socks: socket.socket) -> None:
    for sock in socks:
        sock.close()


def open_uri(uri: URI, flags: int = 0) -> Connector:
    """Connect to the broker that a native URI names.

    What is not in the table of connectors goes through the machine's libflux-core: schemes that it
    may know, those that ask for it (``libflux+local``), and all of them if the environment does
    (FLUX_HANDLE_CONNECTOR=libflux).

    Args:
        uri: The URI.
        flags: ``FLUX_O_*`` flags for libflux-core.

    Raises:
        OSError: ENOENT, unknown scheme or no such socket; EINVAL, a malformed URI; ETIMEDOUT,
            no greeting; otherwise what the system or the broker reports.
    """
    wanted = os.environ.get("FLUX_HANDLE_CONNECTOR", "native")
    if wanted not in ("native", "libflux"):
        raise OSError(errno.EINVAL, f"FLUX_HANDLE_CONNECTOR={wanted} is not native or libflux")
    opener = _OPENERS.get(uri.scheme)
    if opener is None or wanted == "libflux":
        return _open_libflux(uri, flags)
    credentials = _testing_credentials()
    if credentials and uri.scheme != "local":
        raise OSError(
            errno.EINVAL,
            f"{uri}: FLUX_HANDLE_USERID and FLUX_HANDLE_ROLEMASK are set in the environment, "
            "but only the local connector takes them",
        )
    connector = opener(uri)
    if credentials:
        connector.credentials = credentials
    return connector


def _testing_credentials() -> tuple[int, int] | None:
    """Return the credentials that the environment asks to put into all messages, if any."""
    userid = os.environ.get("FLUX_HANDLE_USERID")
    rolemask = os.environ.get("FLUX_HANDLE_ROLEMASK")
    if userid is None and rolemask is None:
        return None
    try:
        return (
            FLUX_USERID_UNKNOWN if userid is None else int(userid),
            FLUX_ROLE_NONE if rolemask is None else int(rolemask, 0),
        )
    except ValueError as exc:
        raise OSError(errno.EINVAL, f"FLUX_HANDLE_USERID or FLUX_HANDLE_ROLEMASK: {exc}") from None


def _open_local(uri: URI) -> Connector:
    path = uri.path.rstrip(" \t")
    if not path:
        raise OSError(errno.EINVAL, f"{uri}: the URI has no socket path")
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise OSError(errno.EINVAL, f"{uri}: the path exceeds {MAX_SOCKET_PATH} bytes")
    delays = _retry_delays()
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # A broker that is busy may keep a connection waiting, but one that hangs not for ever.
            seconds, rest = divmod(GREETING_TIMEOUT, 1)
            timeval = _TIMEVAL.pack(int(seconds), int(rest * 1e6))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
            sock.connect(path)
            return _greeted(sock, uri)
        except BlockingIOError:
            sock.close()
            text = f"{uri}: the broker did not accept the connection within {GREETING_TIMEOUT:g} s"
            raise OSError(errno.ETIMEDOUT, text) from None
        except _RefusedError as exc:
            sock.close()
            raise exc.error from None
        except OSError as exc:
            sock.close()
            delay = next(delays, None)
            if delay is None:
                if exc.errno == errno.ENOENT:
                    raise OSError(errno.ENOENT, f"broker socket {path} was not found") from None
                raise OSError(exc.errno, f"{uri}: {os.strerror(exc.errno or 0)}") from None
        except BaseException:
            sock.close()
            raise
        time.sleep(delay)


def _retry_delays() -> Iterator[float]:
    """Return the pauses between attempts, in seconds: 16 ms, doubled each time up to 2 s."""
    text = os.environ.get("FLUX_LOCAL_CONNECTOR_RETRY_COUNT", str(DEFAULT_RETRY_COUNT))
    if not re.fullmatch(r"\s*\+?[0-9]+", text):
        raise OSError(
            errno.EINVAL,
            f"FLUX_LOCAL_CONNECTOR_RETRY_COUNT={text} is not a non-negative integer",
        )
    return (min(0.016 * 2**i, 2.0) for i in range(int(text)))


class _RefusedError(Exception):
    """The broker was reached and did not take us: trying again is of no use."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _greeted(sock: socket.socket, uri: URI) -> StreamConnector:
    """Wait for the greeting: one byte, 0 or the errno of a refusal."""
    sock.settimeout(GREETING_TIMEOUT)
    try:
        greeting = sock.recv(1)
    except socket.timeout:
        raise _RefusedError(
            OSError(
                errno.ETIMEDOUT,
                f"{uri}: connected, but nothing that speaks Flux greeted within "
                f"{GREETING_TIMEOUT:g} s",
            )
        ) from None
    except OSError as exc:
        raise _RefusedError(exc) from None
    if not greeting:
        raise _RefusedError(
            OSError(errno.ECONNRESET, f"{uri}: the peer closed the connection without a greeting")
        )
    if greeting[0]:
        text = os.strerror(greeting[0])
        raise _RefusedError(
            OSError(greeting[0], f"{uri}: the broker refused the connection: {text}")
        )
    return StreamConnector(sock)


def _open_fd(uri: URI) -> Connector:
    if not uri.path:
        raise OSError(errno.EINVAL, f"{uri}: URI path is not set")
    try:
        fd = int(uri.path)
    except ValueError:
        raise OSError(errno.EINVAL, f"{uri}: error parsing file descriptor") from None
    try:
        sock = socket.socket(fileno=fd)
    except (ValueError, OverflowError):
        raise OSError(errno.EBADF, f"{uri}: {os.strerror(errno.EBADF)}") from None
    except OSError as exc:
        raise OSError(exc.errno, f"{uri}: {os.strerror(exc.errno or 0)}") from None
    try:
        return _greeted(sock, uri)
    except _RefusedError as exc:
        sock.close()
        raise exc.error from None
    except BaseException:
        sock.close()
        raise


def _open_loop(uri: URI) -> Connector:
    return LoopConnector()


def _open_ssh(uri: URI) -> Connector:
    # Only here: few programs need it, and it takes a while to import.
    from flux._ssh import open_ssh

    return open_ssh(uri)


def _open_libflux(uri: URI, flags: int) -> Connector:
    from _flux._core import lib
    from flux import _libflux

    text = str(uri)
    if text.startswith(_LIBFLUX):
        return _libflux.open_uri(text[len(_LIBFLUX) :], flags)
    try:
        return _libflux.open_uri(text, flags)
    except OSError as exc:
        if uri.scheme in _OPENERS or lib._found is not None:
            raise
        raise OSError(
            errno.ENOENT, f"Unable to find connector name '{uri.scheme}': {exc.strerror}"
        ) from None


_OPENERS: dict[str, Callable[[URI], Connector]] = {
    "local": _open_local,
    "fd": _open_fd,
    "loop": _open_loop,
    "ssh": _open_ssh,
}

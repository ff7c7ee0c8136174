"""The local socket: accepting clients, and connecting them with the router."""

from __future__ import annotations

import errno
import os
import socket
import struct
import uuid
from collections.abc import Iterable
from typing import Any, Callable

from flux._codec import encode_frame
from flux.constants import (
    FLUX_POLLIN,
    FLUX_ROLE_USER,
    FLUX_USERID_UNKNOWN,
)
from flux.core.handle import Flux
from flux.core.watchers import FDWatcher
from flux.devbroker._client import Client
from flux.devbroker._config import Access
from flux.devbroker._connection import Connection, Output
from flux.devbroker._router import Router

#: Connections the kernel holds while the broker is busy.
BACKLOG = 512

#: Seconds to wait before accepting again, when the process has no descriptor left for a client.
ACCEPT_PAUSE = 0.1

#: Debug bits of connector-local, for tests of clients: refuse the next connection, and take the
#: owner's next one for that of a user who is not known.
DEBUG_REFUSE, DEBUG_GUEST = 1, 4

_CREDENTIALS = struct.Struct("=iII")


class ClientConnection(Connection):
    """The socket of one client.

    Args:
        server: Where it belongs.
        sock: The connected socket, not blocking.
        userid: The user at the other end.
        pid: The process at the other end.
        owner: Whether that user may speak as anyone.
    """

    def __init__(
        self, server: Server, sock: socket.socket, userid: int, pid: int, owner: bool
    ) -> None:
        super().__init__(server.output, sock)
        self._server = server
        self.client = Client(
            server.router, str(uuid.uuid4()), server.frame, userid, owner, self.write
        )
        self.client.pid = pid
        self.receive = self.client.receive  # type: ignore[method-assign]

    def ended(self) -> None:
        """Forget the client."""
        self._server.drop(self)

    def overran(self, why: str) -> None:
        """Disconnect a client, and tell which."""
        client = self.client
        if self._server.drop(self):
            who = f"{client.uuid} (process {client.pid} of user {client.userid})"
            self._server.complain(f"disconnected client {who}: {why}")


class Server:
    """The listening socket and its connections.

    Args:
        handle: The handle whose reactor does the waiting.
        router: Where clients' messages go.
        identity: The UUID of connector-local, which all of them pass.
        access: Who may connect.

    Attributes:
        connects: How many connections there have been.
        output: Writes what goes out, also to others than clients.
        path: Where it listens, None until it does.
    """

    def __init__(self, handle: Flux, router: Router, identity: str, access: Access) -> None:
        self.handle = handle
        self.router = router
        self.frame = encode_frame(identity.encode())
        self.access = access
        self.connects = 0
        self.output = Output(handle)
        self.path: str | None = None
        #: Tells whether a debug bit of connector-local is set, and clears it.
        self.debug_test: Callable[[int], bool] = lambda bit: False
        #: Logs what clients did wrong, and what there is not enough of.
        self.complain: Callable[[str], Any] = lambda text: None
        self._short = False
        self._connections: set[ClientConnection] = set()
        self._sock: socket.socket | None = None
        self._acceptor: FDWatcher | None = None
        self._pause = handle.timer_watcher_create(ACCEPT_PAUSE, lambda *_args: self._resume())

    def listen(self, path: str) -> None:
        """Begin to take connections.

        Raises:
            OSError: The socket cannot be made at this path.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if _is_abandoned(path):
                os.unlink(path)
            sock.bind(path)
            # Whoever may reach the directory may connect; who is admitted is decided then.
            os.chmod(path, 0o777)
            sock.listen(BACKLOG)
            sock.setblocking(False)
        except OSError as exc:
            sock.close()
            text = os.strerror(exc.errno) if exc.errno else str(exc)
            raise OSError(exc.errno, f"cannot listen at {path}: {text}") from None
        self._sock = sock
        self.path = path
        self._acceptor = self.handle.fd_watcher_create(
            sock.fileno(), lambda *_args: self._accept(sock), FLUX_POLLIN
        )
        self._acceptor.start()
        self.output.start()

    def clients(self) -> Iterable[Client]:
        """Return the clients."""
        return [connection.client for connection in self._connections]

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _address = listener.accept()
        except OSError as exc:
            if exc.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # The client goes on to wait, and without a pause we would go round and round.
                assert self._acceptor is not None
                self._acceptor.stop()
                self._pause.reset()
                if not self._short:
                    self._short = True
                    self.complain(f"clients have to wait: {exc.strerror}")
            return
        self._short = False
        try:
            self._admit(sock)
        except BaseException:
            sock.close()
            raise

    def _admit(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.connects += 1
        pid, userid = peer_credentials(sock)
        owner = userid == self.router.owner or (userid == 0 and self.access.allow_root_owner)
        admitted = owner or self.access.allow_guest_user
        if self.debug_test(DEBUG_REFUSE) or not admitted:
            _greet(sock, errno.EPERM)
            sock.close()
            return
        if not _greet(sock, 0):
            sock.close()
            return
        if owner and self.debug_test(DEBUG_GUEST):
            owner, userid = False, FLUX_USERID_UNKNOWN
        connection = ClientConnection(self, sock, userid, pid, owner)
        if userid == FLUX_USERID_UNKNOWN:
            connection.client.roles = FLUX_ROLE_USER
        self._connections.add(connection)

    def _resume(self) -> None:
        if self._acceptor is not None:
            self._acceptor.start()

    def drop(self, connection: ClientConnection) -> bool:
        """Close a connection and tell the services that the client has used.

        Returns:
            Whether it was there.
        """
        if connection not in self._connections:
            return False
        self._connections.discard(connection)
        connection.close()
        connection.client.leave()
        return True

    def close(self) -> None:
        """Close all connections and remove the socket."""
        self.output.close()
        self._pause.stop()
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None
        for connection in list(self._connections):
            connection.close()
        self._connections.clear()
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        if self.path is not None:
            try:
                os.unlink(self.path)
            except OSError:
                pass


def _is_abandoned(path: str) -> bool:
    """Whether a socket is what a broker that crashed has left behind: nobody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            # There is nothing at the path, or nothing that we know.
            pass
    return False


def _greet(sock: socket.socket, errnum: int) -> bool:
    """Send the greeting byte; return False if the client is gone."""
    try:
        return sock.send(bytes((errnum,))) == 1
    except OSError:
        return False


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end of a socket, as the kernel says."""
    if hasattr(socket, "SO_PEERCRED"):
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, userid, _groupid = _CREDENTIALS.unpack(data)
        return pid, userid
    # The BSD way: struct xucred, whose second field is the user.
    data = sock.getsockopt(0, 1, struct.calcsize("=IIh18x16I"))
    return -1, struct.unpack_from("=II", data)[1]

"""One connected socket of the broker, of a client or a module, and the turn in which to write."""

from __future__ import annotations

import socket
from typing import Any, Callable

from flux._codec import Splitter
from flux.constants import FLUX_POLLIN, FLUX_POLLOUT
from flux.core.handle import Flux
from flux.core.watchers import FDWatcher
from flux.message import Message

#: Bytes to ask a socket for at a time.
READ_SIZE = 1 << 16

#: Bytes to ask for at most, while a long message is coming in.
MAX_READ_SIZE = 1 << 20

#: Bytes to put together from many messages and to send at a time.
WRITE_SIZE = 1 << 20

#: Bytes that may wait for a peer that does not read, and for all such peers together, unless
#: attributes say otherwise.
MAX_UNREAD = 1 << 26
MAX_UNREAD_TOTAL = 1 << 28


class Output:
    """Writes, once in each turn of the reactor, what its connections are to send.

    A connection for which more waits than it may is given up, so that it cannot make the broker's
    memory grow without bound.  The message, or the piece of `WRITE_SIZE`, that a peer is in the
    middle of does not count: it may be a long one.

    Args:
        handle: The handle whose reactor does the waiting.

    Attributes:
        dirty: Connections with something to write.
        limit: Bytes that may wait for one connection.
        total_limit: Bytes that may wait for all of them; if it is more, the one is given up for
            which the most waits.
        total: Bytes that wait for connections whose sockets are full.
        full: Those connections.
        overrun: Connections to give up, each with why.
        report: Takes exceptions that nobody expected.
    """

    def __init__(self, handle: Flux) -> None:
        self.handle = handle
        self.dirty: list[Connection] = []
        self.limit = MAX_UNREAD
        self.total_limit = MAX_UNREAD_TOTAL
        self.total = 0
        self.full: set[Connection] = set()
        self.overrun: dict[Connection, str] = {}
        self.report: Callable[[Exception], Any] = lambda exc: None
        self._flusher = handle.prepare_watcher_create(lambda *_args: self.flush())

    def start(self) -> None:
        """Begin to write."""
        self._flusher.start()

    def flush(self) -> None:
        """Write what all connections are to send."""
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                try:
                    connection.flush()
                except Exception as exc:  # noqa: PERF203 - it costs nothing where there is none
                    # One connection's trouble is not the others'.
                    self.report(exc)
                    self.overrun.setdefault(connection, "unexpected exception")
        if self.total > self.total_limit:
            self._give_up_largest()
        while self.overrun:
            connection, why = self.overrun.popitem()
            connection.overran(why)

    def _give_up_largest(self) -> None:
        left = self.total
        for connection in sorted(self.full, key=lambda each: each.backlog, reverse=True):
            if left <= self.total_limit:
                return
            left -= connection.backlog
            why = f"more than {self.total_limit} bytes waited to be read by all clients together"
            self.overrun.setdefault(connection, f"{why}, most of them by this one")

    def close(self) -> None:
        """Write what is left, and nothing more."""
        self.flush()
        self._flusher.stop()


class Connection:
    """A connected socket: cuts what comes in into messages, and gathers what goes out.

    Args:
        output: Where it says that there is something to write.
        sock: The socket, not blocking.

    Attributes:
        backlog: Bytes that wait to be written, besides those that are being written.
    """

    def __init__(self, output: Output, sock: socket.socket) -> None:
        self._output = output
        self._sock = sock
        self._recv = sock.recv
        self._splitter = Splitter()
        self._out: list[bytes] = []
        self._unsent = memoryview(b"")
        self.backlog = 0
        fd = sock.fileno()
        on_readable, on_writable = self._on_readable, self._on_writable
        self._readable = FDWatcher(output.handle, fd, FLUX_POLLIN, on_readable, self.overran)
        self._writable = FDWatcher(output.handle, fd, FLUX_POLLOUT, on_writable, self.overran)
        self._readable.start()

    def receive(self, msg: Message) -> None:
        """Take a message from the peer."""
        raise NotImplementedError

    def ended(self) -> None:
        """Take note that nothing more will come: the peer is gone, or does not speak Flux."""
        raise NotImplementedError

    def overran(self, why: str) -> None:
        """Take note that the peer cannot be served any longer: it has let too much wait, say."""
        raise NotImplementedError

    def _on_readable(self, *_args: Any) -> None:
        self.read()

    def read(self) -> bool:
        """Take what has arrived; return False if there is nothing, or nothing more to come."""
        splitter = self._splitter
        try:
            data = self._recv(max(READ_SIZE, min(splitter.wanted, MAX_READ_SIZE)))
        except BlockingIOError:
            return False
        except OSError:
            self.ended()
            return False
        receive = self.receive
        try:
            for msg in splitter.messages(Message, data):
                receive(msg)
        except Exception as exc:
            # What came after this message is lost to the peer, which is not to wait for it.
            self._output.report(exc)
            self._output.overrun.setdefault(self, "unexpected exception")
            return False
        if not data or splitter.error is not None:
            # The end, or something that is not Flux: where the next message begins is unknown.
            self.ended()
            return False
        return True

    def write(self, data: bytes) -> None:
        """Send an encoded message at the end of the reactor's turn."""
        out = self._out
        if not out and not self._unsent:
            self._output.dirty.append(self)
        out.append(data)
        size = len(data)
        self.backlog += size
        if self._unsent:
            # The socket is full; it will say when it is not.
            self._output.total += size
        if self.backlog > self._output.limit:
            self._check_limit()

    def _check_limit(self) -> None:
        output = self._output
        if not self._unsent:
            # So much in one turn: some of it may go already.
            self.flush()
        if self.backlog > output.limit:
            why = f"more than {output.limit} bytes waited to be read"
            output.overrun.setdefault(self, why)
            self._drop()

    def _drop(self) -> None:
        """Forget what waits."""
        if self._unsent:
            self._output.total -= self.backlog
            self._output.full.discard(self)
        self._out.clear()
        self.backlog = 0

    def unsent(self) -> int:
        """Return about how many messages the socket could not take yet."""
        return len(self._out) + 1 if self._unsent else 0

    def _on_writable(self, *_args: Any) -> None:
        self.flush()

    def _next_piece(self) -> bytes:
        """Take from what waits as much as to send at a time, but whole messages."""
        out = self._out
        if self.backlog <= WRITE_SIZE or len(out) == 1:
            self._out = []
            size = self.backlog
            piece = out[0] if len(out) == 1 else b"".join(out)
        else:
            count = size = 0
            while not size or size + len(out[count]) <= WRITE_SIZE:
                size += len(out[count])
                count += 1
            piece = out[0] if count == 1 else b"".join(out[:count])
            del out[:count]
        self.backlog -= size
        return piece

    def flush(self) -> None:
        """Write what the socket takes; what it does not is kept until it does."""
        output = self._output
        if output.overrun and self in output.overrun:
            # Nothing is to go after what has been dropped.
            return
        while True:
            data: bytes | memoryview
            was_full = bool(self._unsent)
            if was_full:
                data = self._unsent
            elif self._out:
                data = self._next_piece()
            else:
                self._writable.stop()
                return
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # It is gone; what it sent before that is still to be read, and then the end.
                self._drop()
                self._unsent = memoryview(b"")
                self._writable.stop()
                return
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                if not was_full:
                    output.total += self.backlog
                    output.full.add(self)
                    self._writable.start()
                return
            if was_full:
                self._unsent = memoryview(b"")
                output.total -= self.backlog
                output.full.discard(self)
            if not self._out:
                self._writable.stop()
                return

    def stop_reading(self) -> None:
        """Take nothing more from the peer."""
        self._readable.stop()

    def close(self) -> None:
        """Close the socket."""
        self._readable.stop()
        self._writable.stop()
        self._drop()
        self._unsent = memoryview(b"")
        self._sock.close()

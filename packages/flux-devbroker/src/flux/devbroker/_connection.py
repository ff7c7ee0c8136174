"""One connected socket of the broker, of a client or a module, and the turn in which to write."""

from __future__ import annotations

import socket
from typing import Any

from flux._codec import Splitter
from flux.constants import FLUX_POLLIN, FLUX_POLLOUT
from flux.core.handle import Flux
from flux.core.watchers import FDWatcher
from flux.message import Message

#: Bytes to ask a socket for at a time.
READ_SIZE = 1 << 16

#: Bytes to ask for at most, while a long message is coming in.
MAX_READ_SIZE = 1 << 20

#: Bytes that may wait for a peer that does not read.  One that lets more accumulate is given up,
#: so that it cannot make the broker's memory grow without bound.
MAX_UNSENT = 1 << 28


class Output:
    """Writes, once in each turn of the reactor, what its connections are to send.

    Args:
        handle: The handle whose reactor does the waiting.

    Attributes:
        dirty: Connections with something to write.
        overrun: Connections for which more waits than `MAX_UNSENT`.
    """

    def __init__(self, handle: Flux) -> None:
        self.handle = handle
        self.dirty: list[Connection] = []
        self.overrun: list[Connection] = []
        self._flusher = handle.prepare_watcher_create(lambda *_args: self.flush())

    def start(self) -> None:
        """Begin to write."""
        self._flusher.start()

    def flush(self) -> None:
        """Write what all connections are to send."""
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            for connection in dirty:
                connection.flush()
        while self.overrun:
            self.overrun.pop().overran()

    def close(self) -> None:
        """Write what is left, and nothing more."""
        self.flush()
        self._flusher.stop()


class Connection:
    """A connected socket: cuts what comes in into messages, and gathers what goes out.

    Args:
        output: Where it says that there is something to write.
        sock: The socket, not blocking.
    """

    def __init__(self, output: Output, sock: socket.socket) -> None:
        self._output = output
        self._sock = sock
        self._recv = sock.recv
        self._splitter = Splitter()
        self._out: list[bytes] = []
        self._unsent = memoryview(b"")
        self._backlog = 0
        fd = sock.fileno()
        self._readable = FDWatcher(output.handle, fd, FLUX_POLLIN, self._on_readable)
        self._writable = FDWatcher(output.handle, fd, FLUX_POLLOUT, self._on_writable)
        self._readable.start()

    def receive(self, msg: Message) -> None:
        """Take a message from the peer."""
        raise NotImplementedError

    def ended(self) -> None:
        """Take note that nothing more will come: the peer is gone, or does not speak Flux."""
        raise NotImplementedError

    def overran(self) -> None:
        """Take note that the peer has let too much wait."""
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
        for msg in splitter.messages(Message, data):
            receive(msg)
        if not data or splitter.error is not None:
            # The end, or something that is not Flux: where the next message begins is unknown.
            self.ended()
            return False
        return True

    def write(self, data: bytes) -> None:
        """Send an encoded message at the end of the reactor's turn."""
        out = self._out
        if self._unsent:
            # The socket is full; it will say when it is not.
            self._backlog += len(data)
            if self._backlog > MAX_UNSENT:
                self._output.overrun.append(self)
        elif not out:
            self._output.dirty.append(self)
        out.append(data)

    def unsent(self) -> int:
        """Return about how many messages the socket could not take yet."""
        return len(self._out) + 1 if self._unsent else 0

    def _on_writable(self, *_args: Any) -> None:
        self.flush()

    def flush(self) -> None:
        """Write what the socket takes; what it does not is kept until it does."""
        while True:
            data: bytes | memoryview
            if self._unsent:
                data = self._unsent
            elif self._out:
                out, self._out = self._out, []
                data = out[0] if len(out) == 1 else b"".join(out)
                self._backlog = 0
            else:
                self._writable.stop()
                return
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                # It is gone; what it sent before that is still to be read, and then the end.
                self._out.clear()
                self._unsent = memoryview(b"")
                self._writable.stop()
                return
            if sent < len(data):
                self._unsent = memoryview(data)[sent:]
                self._writable.start()
                return
            if self._unsent:
                self._unsent = memoryview(b"")
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
        self._out = []
        self._unsent = memoryview(b"")
        self._sock.close()

"""The state of one handle: its connection, outstanding RPCs, and messages not yet dispatched.

A `Session` is driven from outside, by a blocking call (`Session.wait`), by the reactor through a
`Dispatcher`, or by an asyncio loop that runs the reactor; none of them repeats what another does.

What arrives is sorted once, in `Session.receive`.  A response goes to its future at once, found
by matchtag; its continuation, and every other message, waits in `Session.ready` in order of
arrival until a dispatcher takes it.  So a blocking call inside a callback serves its own future,
and the rest is as if it had arrived later.
"""

from __future__ import annotations

import errno
import select
import sys
import threading
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Callable
from weakref import ref

from flux._codec import TYPE_OFFSET, RequestEncoder, Splitter, decode, encode, payload_of
from flux._connector import Connector, MemoryConnector
from flux._future import Failure, Future
from flux._sigint import Interruptible, uninterrupted
from flux.constants import (
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_O_MATCHDEBUG,
    FLUX_O_TRACE,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.message import Message

if TYPE_CHECKING:
    from flux.rpc import RPC

#: Bytes to ask the connection for at a time.
READ_SIZE = 1 << 16

#: Messages written together at most, while the reactor runs.
MAX_CORKED = 64

#: Distinct (topic, nodeid, flags) whose encoded form is remembered.
MAX_ENCODERS = 256

_get_ident = threading.get_ident
_NOTHING = memoryview(b"")


class Session:
    """One connection and what is under way on it.

    Attributes:
        connector: Moves the bytes.
        uri: Where the connection leads, for messages to the user.
        rpcs: The outstanding RPCs by matchtag.  One that nobody refers to any more leaves its
            matchtag taken until the last response has come.
        ready: Messages and futures with a continuation, in order of arrival.
        error: Why the connection is of no use any more, or None.
        attrs: Broker attributes that never change.
        encoders: How to encode requests, by the arguments of `flux.Flux.rpc`.
    """

    def __init__(self, connector: Connector, uri: str, flags: int = 0) -> None:
        self.connector = connector
        self.uri = uri
        self.flags = flags
        self.rpcs: dict[int, ref[RPC]] = {}
        self.ready: deque[Message | Future] = deque()
        self.error: OSError | None = None
        self.attrs: dict[str, str] = {}
        #: Called when a blocking call leaves something in `ready`; set by an asyncio driver.
        self.wake: Callable[[], None] | None = None
        self._tracing = bool(flags & FLUX_O_TRACE)
        self._splitter = Splitter()
        self.encoders: dict[tuple[str | bytes, int, int], RequestEncoder] = {}
        self._tags: list[int] = []
        # C code that shares the connection takes matchtags as well.
        self._new_tag: Callable[[], int] = getattr(connector, "matchtag", count(1).__next__)
        #: Whether C code may read from the connection as well; None if it has no way to.
        self.shared: bool | None = getattr(connector, "shared", None)
        self._out: list[bytes] = []
        self._unsent = _NOTHING
        self._corks = 0
        self._owner = 0
        self._poll: select.poll | None = None
        self._recv = connector.recv
        self._tx_counts: list[int] | None = None
        self._rx_counts: list[int] | None = None
        self._post: Callable[[Message], None] | None = None
        if isinstance(connector, MemoryConnector):
            connector.deliver = self.accept
            self._post = connector.post

    def close(self) -> None:
        """Give the connection up."""
        self.connector.close()

    def count_messages(self) -> tuple[list[int], list[int]]:
        """Return how many messages were sent and received, each a list by message type.

        They are counted from the first call on, as only broker modules want to know.  What is
        received counts when it is handled, a response when it arrives.
        """
        if self._tx_counts is None or self._rx_counts is None:
            self._tx_counts = [0] * (FLUX_MSGTYPE_CONTROL + 1)
            self._rx_counts = [0] * (FLUX_MSGTYPE_CONTROL + 1)
        return self._tx_counts, self._rx_counts

    # -- sending

    def encoder(self, topic: str, nodeid: int, bits: int) -> RequestEncoder:
        """Make an encoder for requests of one kind, to be kept in `encoders`."""
        if len(self.encoders) >= MAX_ENCODERS:
            self.encoders.clear()
        return RequestEncoder(topic, bits, *self.connector.credentials, nodeid)

    def request(self, rpc: RPC, encoder: RequestEncoder, data: bytes | None) -> int:
        """Send a request that an RPC waits for, and return its matchtag."""
        tag = self._tags.pop() if self._tags else self._new_tag()
        try:
            request = encoder.encode(data, tag)
        except OSError:
            self._tags.append(tag)
            raise
        # Known before it is sent: sending may read, and the response may be among what is read.
        # If sending fails the matchtag stays taken, since the request may still be on its way.
        self.rpcs[tag] = ref(rpc)
        self.send(request)
        return tag

    def send_message(self, msg: Message, flags: int = 0) -> None:
        """Send a message, filling in the connection's credentials where it has none."""
        userid, rolemask = self.connector.credentials
        if userid != FLUX_USERID_UNKNOWN or rolemask:
            msg = msg.copy()
            if msg.userid == FLUX_USERID_UNKNOWN:
                msg.userid = userid
            if msg.rolemask == FLUX_ROLE_NONE:
                msg.rolemask = rolemask
        if self._post is not None:
            if self._tx_counts is not None:
                self._tx_counts[msg.mtype] += 1
            self._post(msg)
        else:
            self.send(msg.to_stream())

    def respond(self, request: Message, data: bytes | None, errnum: int) -> None:
        """Send the response to a request.

        Args:
            request: The request.
            data: An encoded payload frame, or None.
            errnum: 0 for success.
        """
        if self._post is not None:
            self.send_message(request.respond(data, errnum))
            return
        # As above, without making a message first: services do little else.
        userid, rolemask = self.connector.credentials
        self.send(
            encode(
                FLUX_MSGTYPE_RESPONSE,
                request.bits,
                userid,
                rolemask,
                errnum,
                request.aux2,
                request.raw_topic,
                request.route,
                data,
            )
        )

    def send(self, data: bytes) -> None:
        """Send an encoded message: at once, or at the end of the reactor's turn.

        Raises:
            OSError: EPIPE, the connection is lost.
            RuntimeError: Another thread is using the handle.
        """
        if self.error is not None:
            raise self._broken_pipe()
        if self._owner and self._owner != _get_ident():
            raise RuntimeError("a Flux handle in use by one thread was used by another")
        if self._tracing:
            self._trace(">", data)
        if self._tx_counts is not None:
            self._tx_counts[data[TYPE_OFFSET]] += 1
        out = self._out
        out.append(data)
        if not self._corks or len(out) >= MAX_CORKED:
            if uninterrupted(self.flush):
                self._flush_rest()
            if self.error is not None:
                raise self._broken_pipe()

    def _broken_pipe(self) -> OSError:
        assert self.error is not None
        return OSError(errno.EPIPE, f"cannot send to {self.uri}: {self.error.strerror}")

    def _flush_rest(self) -> None:
        """Write what could not be written without waiting.

        Under asyncio it is left to the driver, which a handle has once something on it is awaited.
        """
        if self.wake is not None:
            self.wake()
        elif not _in_asyncio():
            with Interruptible() as interruptible:
                self.flush(interruptible)

    def flush(
        self, interruptible: Interruptible | None = None, deadline: float | None = None
    ) -> bool:
        """Write what is to be written.  A lost connection is noted in `error`, not raised.

        Args:
            interruptible: With what to wait until all is written; None not to wait.
            deadline: Until when to wait; None for no limit.

        Returns:
            True if some of it is still unsent.
        """
        send = self.connector.send
        while True:
            data: bytes | memoryview
            if self._unsent:
                data = self._unsent
            elif self._out:
                out = self._out
                data = out[0] if len(out) == 1 else b"".join(out)
                out.clear()
            else:
                return False
            size = len(data)
            try:
                sent = send(data)
            except BlockingIOError:
                sent = 0
            except OSError as exc:
                # What the broker sent before it went away is still to be read.
                while self.receive():
                    pass
                self.fail(exc)
                return False
            if sent == size:
                if self._unsent:
                    self._unsent = _NOTHING
                continue
            self._unsent = memoryview(data)[sent:]
            if interruptible is None:
                return True
            # The peer may be waiting for us to read before it reads on.
            if not self._wait_io(deadline, select.POLLIN | select.POLLOUT, interruptible):
                return True
            if self.error is not None:
                return False

    def cork(self) -> None:
        """From now on, write once a turn; see `flush`."""
        self._corks += 1

    def uncork(self) -> None:
        """Write at once again."""
        self._corks -= 1
        if not self._corks and (self._out or self._unsent) and uninterrupted(self.flush):
            self._flush_rest()

    # -- receiving

    def receive(self) -> bool:
        """Read and sort what has arrived; return False if nothing had."""
        if self.error is not None:
            return False
        splitter = self._splitter
        try:
            chunk = self._recv(max(READ_SIZE, splitter.wanted))
        except BlockingIOError:
            return False
        except OSError as exc:
            self.fail(exc)
            return True
        if not chunk:
            held = splitter.held()
            text = f" in the middle of a message ({held} bytes of it came)" if held else ""
            self.fail(OSError(errno.ECONNRESET, f"lost connection to {self.uri}{text}"))
            return True
        spans = splitter.feed(chunk)
        data = splitter.buffer
        counts = self._rx_counts
        if counts is not None:
            for span in spans:
                if span[2] == FLUX_MSGTYPE_RESPONSE:
                    counts[FLUX_MSGTYPE_RESPONSE] += 1
        rpcs = self.rpcs
        try:
            for start, stop, mtype, bits, aux1, aux2 in spans:
                if mtype == FLUX_MSGTYPE_RESPONSE:
                    rpc: Any = rpcs.get(aux2)
                    if rpc is not None:
                        rpc = rpc()
                        payload = None
                        if rpc is not None:
                            # If it is malformed, the RPC fails with the others.
                            payload = payload_of(data, start, stop, bits, rpc.encoder.head)
                        streaming = bits & FLUX_MSGFLAG_STREAMING
                        if aux1 or not streaming:
                            del rpcs[aux2]
                            self._tags.append(aux2)
                        if rpc is not None:
                            rpc.deliver(aux1, payload, streaming)
                        else:
                            self._late(aux2)
                        continue
                self.ready.append(decode(Message, data, start, stop))
            if splitter.error is not None:
                raise splitter.error
        except OSError as exc:
            self.fail(exc)
        if self._tracing:
            for start, stop, *_ in spans:
                self._trace("<", data[start - 8 : stop])
        return True

    def accept(self, msg: Message) -> None:
        """Sort a message that arrived decoded."""
        if self._rx_counts is not None and msg.mtype == FLUX_MSGTYPE_RESPONSE:
            self._rx_counts[FLUX_MSGTYPE_RESPONSE] += 1
        rpc: Any = self.rpcs.get(msg.aux2) if msg.mtype == FLUX_MSGTYPE_RESPONSE else None
        if rpc is None:
            self.ready.append(msg)
            return
        streaming = msg.bits & FLUX_MSGFLAG_STREAMING
        if msg.aux1 or not streaming:
            del self.rpcs[msg.aux2]
            self._tags.append(msg.aux2)
        rpc = rpc()
        if rpc is not None:
            rpc.deliver(msg.aux1, msg.data, streaming)

    def fail(self, exc: OSError) -> None:
        """Note that the connection is lost, and fail everything that waits for it."""
        if self.error is not None:
            return
        text = exc.strerror or str(exc)
        if self.uri not in text:
            text = f"lost connection to {self.uri}: {text}"
        self.error = OSError(exc.errno or errno.ECONNRESET, text)
        self._out.clear()
        self._unsent = _NOTHING
        self.connector.close()
        failure = Failure(self.error.errno or 0, text)
        rpcs, self.rpcs = self.rpcs, {}
        for entry in rpcs.values():
            rpc = entry()
            if rpc is not None:
                rpc.fail(failure)

    def raise_if_lost(self) -> None:
        """Raise the error that ended the connection, if one did."""
        if self.error is not None:
            raise OSError(self.error.errno, self.error.strerror)

    def _late(self, tag: int) -> None:
        if self.flags & FLUX_O_MATCHDEBUG and tag not in self.rpcs:
            sys.stderr.write(f"MATCHDEBUG: reclaimed matchtag={tag}\n")

    def _trace(self, direction: str, data: bytes) -> None:
        for msg in Splitter().messages(Message, data):
            sys.stderr.write(f"{direction} {msg!r}\n")

    # -- blocking

    def wait(self, done: Callable[[], Any], timeout: float) -> bool:
        """Read until ``done()`` is true, in the calling thread and without calling callbacks.

        Args:
            done: What is waited for.
            timeout: Seconds to wait; negative for no limit.

        Returns:
            False if the time ran out.

        Raises:
            OSError: The connection is lost.
            KeyboardInterrupt: SIGINT was received.
        """
        ident = _get_ident()
        owner = self._owner
        if owner and owner != ident:
            raise RuntimeError("a Flux handle in use by one thread was used by another")
        deadline = None if timeout < 0 else time.monotonic() + timeout
        self._owner = ident
        try:
            with Interruptible() as interruptible:
                if (self._out or self._unsent) and self.flush(interruptible, deadline):
                    return False
                # C code may have been told of what is there to read, in our place.
                look_first = self.shared
                while not done():
                    if self.error is not None:
                        raise OSError(self.error.errno, self.error.strerror)
                    if look_first:
                        look_first = self.receive()
                        continue
                    if not self._wait_io(deadline, select.POLLIN, interruptible):
                        return False
        finally:
            self._owner = owner
            if self.ready and self.wake is not None:
                self.wake()
        return True

    def _wait_io(self, deadline: float | None, events: int, interruptible: Interruptible) -> bool:
        """Wait for the connection and read what came; return False at the deadline."""
        poll = self._poll
        if poll is None:
            fd = self.connector.fileno()
            if fd < 0:
                raise OSError(
                    errno.EDEADLK,
                    f"a blocking call on {self.uri} would wait for its own thread; use then()",
                )
            poll = self._poll = select.poll()
            poll.register(fd, select.POLLIN)
        timeout = -1.0 if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
        if events == select.POLLIN:
            if interruptible.poll(poll.poll, timeout):
                self.receive()
                return True
            return deadline is None or time.monotonic() < deadline
        poll.modify(self.connector.fileno(), events)
        try:
            found = interruptible.poll(poll.poll, timeout)
        finally:
            poll.modify(self.connector.fileno(), select.POLLIN)
        if found:
            if found[0][1] & ~select.POLLOUT:
                self.receive()
            return True
        return deadline is None or time.monotonic() < deadline


def _in_asyncio() -> bool:
    """Return True if an asyncio loop runs in this thread, which must not be blocked."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True

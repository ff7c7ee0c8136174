"""The state of one handle: its connection, outstanding RPCs, and messages not yet dispatched.

A `Session` is driven from outside, by a blocking call (`Session.wait`), by the reactor through a
`Dispatcher`, or by an asyncio loop that runs the reactor; none of them repeats what another does.

What arrives is sorted once, in `Session.sort`.  A response goes to its future at once, found by
matchtag; its continuation, and every other message, waits in `Session.ready` in order of arrival
until a dispatcher takes it.  So a blocking call inside a callback serves its own future, and the
rest is as if it had arrived later.

**Anything may come between any two instructions here**: an exception from a signal handler, or a
call on the same handle by a handler or a finalizer.  One rule keeps the state whole:

    Every byte and every message is in exactly one queue, and moves on in one C call, which does
    nothing if somebody else has been here since the caller looked.

"One C call" is ``next(map(put, ...))``: taking from one queue and putting into the other happen
within it, without any Python in between.  ``send`` and ``recv`` are such calls, whose result is in
a queue before an exception can be raised.  "Since the caller looked" is a *claim*, an iterator
with a few items left: whoever is to look at a queue first uses up the claim of those before him,
who are waiting below him on the stack, and the call that moves things begins by taking an item
from its own claim.  Nothing is left to be put right: who comes next looks, and goes on from there.

Other threads are kept out by `Session.inside`.
"""

from __future__ import annotations

import errno
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import compress, count, repeat, takewhile
from operator import is_not
from typing import TYPE_CHECKING, Any, Callable, TypeVar
from weakref import ref

from flux._codec import (
    PREFIX_SIZE,
    TYPE_OFFSET,
    RequestEncoder,
    Splitter,
    cut,
    decode,
    encode,
    payload_of,
)
from flux._connector import BusyError, Connector
from flux._fork import inert_after_fork, lost_by_fork
from flux._future import Failure, Future
from flux.constants import (
    FLUX_MSGFLAG_STREAMING,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_NODEID_ANY,
    FLUX_O_MATCHDEBUG,
    FLUX_O_TRACE,
    FLUX_ROLE_NONE,
    FLUX_USERID_UNKNOWN,
)
from flux.message import Message

if TYPE_CHECKING:
    from flux.core.reactor import Reactor
    from flux.rpc import RPC

#: Bytes to ask the connection for at a time.
READ_SIZE = 1 << 16

#: Messages written together at most, while the reactor runs.
MAX_CORKED = 64

#: Bytes of a message from which on it is not copied to be written together with others.
MAX_JOINED = 1 << 14

#: Distinct (topic, nodeid, flags) whose encoded form is remembered.
MAX_ENCODERS = 256

#: Longest single wait for the connection, in seconds.  Signal handlers that Python runs within
#: the wait may read what is waited for; that, and a signal in the instant before the system call,
#: is seen this late.
SLICE = 1.0

_FIRST_TWO = (slice(0, 2),)

_use_up = deque[object](maxlen=0).extend

_get_ident = threading.get_ident

T = TypeVar("T")


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
        corks: The reactors that run; while there are any, output is written once a turn.
        owners: At 0, whoever is inside: a tuple, made for the occasion, of his thread.
        wake: Called when a blocking call leaves something in `ready`; set by an asyncio driver.
    """

    wake: Callable[[], None] | None = None

    #: Whether the broker is in this thread, so that there is nothing to read, write or wait for.
    local = False

    def __init__(self, connector: Connector, uri: str, flags: int = 0) -> None:
        self.connector = connector
        self.uri = uri
        self.flags = flags
        self.rpcs: dict[int, Callable[[], RPC | None]] = {}
        self.ready: deque[Message | Future] = deque()
        self.error: OSError | None = None
        self.attrs: dict[str, str] = {}
        self.encoders: dict[tuple[str | bytes, int, int], RequestEncoder] = {}
        self.corks: dict[Reactor, None] = {}
        self.owners: dict[int, tuple[int]] = {}
        #: Whether C code may read from the connection as well; None if it has no way to.
        self.shared: bool | None = getattr(connector, "shared", None)
        self.claim: Iterator[int] = iter(())
        # What is to be written.  A number in front says how much of the first has been.
        self._out: list[Any] = []
        # Messages that were found, then bytes as they came, then maybe an error.
        self._in: list[Any] = []
        # The bytes in which a message begins that is known to be longer, and how long it is.
        self._begun: tuple[bytes, int] = (b"", 0)
        # Futures that have something new, which may not have been told yet.
        self._due: dict[Future, None] = {}
        self._waits = 0
        self._poller: select.poll | None = None
        # What else there is to do after a read.
        self._aside: Callable[[], None] | None = getattr(connector, "aside", None)
        # Matchtags that are free, and where more come from: C code that shares the connection
        # takes some as well.
        self._tags: list[int] = []
        self._new_tag: Callable[[], int] = getattr(connector, "matchtag", count(1).__next__)
        self._tracing = self._noting = bool(flags & FLUX_O_TRACE)
        self._tx_counts: list[int] | None = None
        self._rx_counts: list[int] | None = None
        reader = getattr(connector, "reader", None)
        self._read: Callable[[], Any] = (
            map(self._in.append, map(connector.recv, repeat(READ_SIZE))).__next__
            if reader is None
            else reader(self._in.append)
        )
        inert_after_fork(self, Session._disown)

    def _disown(self) -> None:
        """In a forked child: leave the connection to the parent."""
        self.look(0)
        for queue in (self._out, self._in, self.ready, self.corks, self.owners):
            queue.clear()
        self.wake = None
        disown = getattr(self.connector, "disown", None)
        if disown is not None:
            disown()
        self.fail(lost_by_fork(f"the handle for {self.uri}"))

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
            self._noting = True
        return self._tx_counts, self._rx_counts

    def look(self, steps: int) -> Iterator[int]:
        """Return a claim to what is looked at from now on, good for some steps."""
        _use_up(self.claim)
        self.claim = claim = repeat(0, steps)
        return claim

    # -- who is inside

    def inside(self, call: Callable[..., T], *args: Any) -> T:
        """Make a call that no other thread can come into.

        The same thread can, from a signal handler or a finalizer.

        Raises:
            RuntimeError: Another thread is inside.
        """
        owners = self.owners
        held = owners.get(0)
        if held is not None and held[0] == _get_ident():
            return call(*args)
        token = (_get_ident(),)
        # An exception may be raised in the inner `finally`, before it has done anything.
        try:
            try:
                self.enter(token)
                return call(*args)
            finally:
                if owners.get(0) is token:
                    owners.clear()
        finally:
            if owners.get(0) is token:
                owners.clear()

    def enter(self, token: tuple[int]) -> None:
        """Keep other threads out until `leave` is called with the same token.

        If this thread is inside already, it stays so until whoever brought it in leaves.

        Raises:
            RuntimeError: Another thread is inside.
        """
        # One C call, so that of two threads only one can be told that it is its own.
        held = self.owners.setdefault(0, token)
        if held[0] != token[0]:
            raise RuntimeError(
                f"the Flux handle for {self.uri} is in use by another thread: open one in each "
                "thread, or hand the work to the thread that drives the handle"
            )

    def leave(self, token: tuple[int]) -> None:
        """Let other threads in again, if `enter` with this token has kept them out."""
        if self.owners.get(0) is token:
            self.owners.clear()

    # -- sending

    def encoder(self, topic: str, nodeid: int, bits: int) -> RequestEncoder:
        """Make an encoder for requests of one kind, to be kept in `encoders`."""
        if len(self.encoders) >= MAX_ENCODERS:
            self.encoders.clear()
        return RequestEncoder(topic, bits, *self.connector.credentials, nodeid)

    def matchtag(self) -> int:
        """Return a matchtag that no outstanding RPC has."""
        try:
            return self._tags.pop()
        except IndexError:
            return self._new_tag()

    def request(
        self, rpc: RPC | None, encoder: RequestEncoder, data: bytes | None, tag: int
    ) -> None:
        """Send a request.

        Args:
            rpc: The RPC that waits for the response, or None.
            encoder: Knows all of the request but the following.
            data: An encoded payload frame, or None.
            tag: The matchtag.

        Raises:
            OSError: EPIPE, the connection is lost; EPROTO, the request is too long.
            RuntimeError: Another thread is using the handle.
        """
        request = encoder.encode(data, tag)
        if rpc is None:
            self.send(request)
            return
        # The RPC is known before the request can be sent, and only if it is going to be.  If
        # sending fails the matchtag stays taken, since the request may still be on its way.
        known = map(self.rpcs.setdefault, (tag,), (ref(rpc),))
        self._send(request, compress((request,), known))

    def send(self, data: bytes) -> None:
        """Send an encoded message: at once, or at the end of the reactor's turn.

        Raises:
            OSError: EPIPE, the connection is lost.
            RuntimeError: Another thread is using the handle.
        """
        self._send(data, (data,))

    def send_message(self, msg: Message) -> None:
        """Send a message, filling in the connection's credentials where it has none."""
        self.send(self._stamped(msg).to_stream())

    def respond(self, request: Message, data: bytes | None, errnum: int) -> None:
        """Send the response to a request.

        Args:
            request: The request.
            data: An encoded payload frame, or None.
            errnum: 0 for success.
        """
        # As `send_message`, without making a message first: services do little else.
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

    def _stamped(self, msg: Message) -> Message:
        userid, rolemask = self.connector.credentials
        if userid != FLUX_USERID_UNKNOWN or rolemask:
            msg = msg.copy()
            if msg.userid == FLUX_USERID_UNKNOWN:
                msg.userid = userid
            if msg.rolemask == FLUX_ROLE_NONE:
                msg.rolemask = rolemask
        return msg

    def _send(self, data: bytes, once: Iterable[bytes]) -> None:
        """Queue a message, which is taken from an iterator in the same C call, and send it."""
        if self.error is not None:
            raise self._broken_pipe()
        if self._noting:
            if self._tracing:
                self._trace(">", data)
            if self._tx_counts is not None:
                self._tx_counts[data[TYPE_OFFSET]] += 1
        try:
            unsent = self.inside(self._push, once)
        except BusyError:
            # Whoever is inside, below us on the stack, will send it.
            return
        if unsent:
            self._flush_rest()
        if self.error is not None:
            raise self._broken_pipe()

    def _push(self, once: Iterable[bytes]) -> bool:
        out = self._out
        next(map(out.append, once))
        return (not self.corks or len(out) >= MAX_CORKED) and self.flush()

    def uncorked(self) -> None:
        """Write what a reactor has left, unless another runs."""
        if self._out and not self.corks and self.inside(self.flush):
            self._flush_rest()

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
            # Who writes must also read: the peer may be waiting for that before it reads on.
            self.wait(lambda: self.error is not None or not self.flush(), -1.0, lost=False)

    def flush(self) -> bool:
        """Write what can be written at once.  A lost connection is noted in `error`, not raised.

        Returns:
            True if some of it is still unsent.
        """
        out = self._out
        send = self.connector.send
        while out:
            # As `look`, which would be one call more for each message.
            _use_up(self.claim)
            self.claim = claim = repeat(0, 3)
            try:
                head = out[0]
                if head.__class__ is not int:
                    if len(out) > 1 and self.shared is None:
                        head = self._joined(claim)
                    next(map(out.insert, claim, map(send, (head,))), None)
                sent = out[0]
                if sent.__class__ is int:
                    head = out[1]
                    if sent == len(head):
                        next(map(out.__delitem__, map(_FIRST_TWO.__getitem__, claim)), None)
                    else:
                        rest = ((memoryview(head)[sent:],),)
                        next(map(out.__setitem__, map(_FIRST_TWO.__getitem__, claim), rest), None)
            except BlockingIOError:
                return True
            except IndexError:
                # Somebody has been here, and there is nothing left.
                continue
            except OSError as exc:
                # What the broker sent before it went away is still to be read.
                while self.receive():
                    pass
                self.fail(exc)
                return False
        return False

    def _joined(self, claim: Iterator[int]) -> Any:
        """Put short messages together to be written in one call, and return the first."""
        out = self._out
        short = list(takewhile(lambda item: len(item) < MAX_JOINED, tuple(out)))
        if len(short) < 2:
            return out[0]
        where = (slice(0, len(short)),)
        joined = b"".join(short)
        next(map(out.__setitem__, map(where.__getitem__, claim), ((joined,),)), None)
        return joined

    # -- receiving

    def receive(self) -> bool:
        """Read and sort what has arrived; return False if nothing had."""
        if self.error is not None:
            return False
        try:
            if self._begun[1]:
                self._read_rest()
            else:
                self._read()
        except BlockingIOError:
            return False
        except OSError as exc:
            self.fail(self._with_last_words(exc))
            return True
        if self._aside is not None and self._in and self._in[-1]:
            self._aside()
        self.sort()
        return True

    def _with_last_words(self, exc: OSError) -> OSError:
        words: Callable[[], str] | None = getattr(self.connector, "last_words", None)
        text = words() if words is not None else ""
        return OSError(errno.ECONNRESET, text) if text else exc

    def read_all(self) -> None:
        """Read and sort all that has arrived."""
        self.sort()
        while self.receive():
            pass

    def _read_rest(self) -> None:
        """Read what a long message lacks."""
        begun, size = self._begun
        came = [item for item in tuple(self._in) if item.__class__ is bytes]
        wanted = size - sum(map(len, came)) if came and came[0] is begun else 0
        sizes = (max(READ_SIZE, wanted),)
        next(map(self._in.append, map(self.connector.recv, sizes)))

    def sort(self) -> None:
        """Give what was read to whom it is for."""
        queue = self._in
        while queue:
            # As `look`.
            _use_up(self.claim)
            self.claim = claim = repeat(0, 1)
            try:
                item = queue[0]
            except IndexError:
                return
            if item.__class__ is tuple:
                self._deliver(item, claim)
            elif item.__class__ is bytes:
                if not self._cut(claim):
                    break
            else:
                self.fail(item)
                queue.clear()
        if self._due:
            self.tell()

    def _cut(self, claim: Iterator[int]) -> bool:
        """Have the bytes in the queue replaced by the messages they are; return False if not."""
        queue = self._in
        parts = tuple(queue)
        if not parts or parts[0].__class__ is not bytes:
            # Somebody has been here.
            return True
        begun, size = self._begun
        ended = not parts[-1]
        if len(parts) > 1:
            if parts[0] is begun and sum(map(len, parts)) < size and not ended:
                return False
            data = b"".join(parts)
        else:
            data = parts[0]
        spans, pos, wanted, error = cut(data)
        if len(spans) == 1 and pos == len(data) and len(parts) == 1:
            # The bytes are just one message, as most are, and need not be replaced first.
            self._begun = (b"", 0)
            self._deliver((data, *spans[0]), claim)
            return True
        # Not more than is at hand: the rest is put together with what comes.
        found: list[Any] = [(data, *span) for span in spans]
        if error is not None:
            found.append(error)
        elif ended:
            held = len(data) - pos
            text = f" in the middle of a message ({held} bytes of it came)" if held else ""
            lost = OSError(errno.ECONNRESET, f"lost connection to {self.uri}{text}")
            found.append(self._with_last_words(lost))
        elif pos < len(data):
            rest = data[pos:] if pos else data
            found.append(rest)
            self._begun = (rest, len(rest) + wanted)
        else:
            self._begun = (b"", 0)
        where = (slice(0, len(parts)),)
        next(map(queue.__setitem__, map(where.__getitem__, claim), (found,)), None)
        return bool(spans) or error is not None or ended

    def _deliver(self, span: tuple[Any, ...], claim: Iterator[int]) -> None:
        """Move a message to where it belongs."""
        data, start, stop, mtype, bits, aux1, aux2 = span
        try:
            taken: Iterator[Any] = map(self._in.pop, claim)
            if mtype == FLUX_MSGTYPE_RESPONSE:
                entry = self.rpcs.get(aux2)
                if entry is not None:
                    rpc = entry()
                    if aux1 or not bits & FLUX_MSGFLAG_STREAMING:
                        # The last response: with it the matchtag becomes free.
                        ended = map(is_not, taken, map(self.rpcs.pop, (aux2,)))
                        taken = map(is_not, ended, map(self._tags.append, (aux2,)))
                    if rpc is None:
                        next(map(bool, compress((span,), taken)), None)
                        self._late(aux2)
                    else:
                        payload: Any = payload_of(data, start, stop, bits, rpc.encoder.head)
                        if aux1:
                            payload = Failure(aux1, payload)
                        # First, as an exception may come after the result: a place too many in
                        # the queue is passed over.
                        placed = rpc._then is not None
                        if placed:
                            rpc.schedule()
                        told = rpc._observers is not None or rpc._timer is not None
                        if told:
                            self._due[rpc] = None
                        next(map(rpc.results.append, compress((payload,), taken)), None)
                        if told or rpc._observers is not None or (rpc._then and not placed):
                            self._due[rpc] = None
                    if self._noting:
                        self._note(span)
                    return
            msg = decode(Message, data, start, stop)
        except OSError as exc:
            self.fail(exc)
            self._in.clear()
            return
        next(map(self.ready.append, compress((msg,), taken)), None)
        if self._noting:
            self._note(span)

    def _note(self, span: tuple[Any, ...]) -> None:
        data, start, stop, mtype = span[:4]
        if self._rx_counts is not None and mtype == FLUX_MSGTYPE_RESPONSE:
            self._rx_counts[FLUX_MSGTYPE_RESPONSE] += 1
        if self._tracing:
            self._trace("<", data[start - PREFIX_SIZE : stop])

    def tell(self) -> None:
        """Tell futures of their new results, those included that an exception has left untold."""
        due = self._due
        for future in tuple(due):
            future.tell()
            due.pop(future, None)

    def fail(self, exc: OSError) -> None:
        """Note that the connection is lost, and fail everything that waits for it."""
        if self.error is None:
            text = exc.strerror or str(exc)
            if self.uri not in text:
                text = f"lost connection to {self.uri}: {text}"
            self.error = OSError(exc.errno or errno.ECONNRESET, text)
        self.bury()

    def bury(self) -> None:
        """Fail what waits for a lost connection, unless that has been done."""
        assert self.error is not None
        self.look(0)
        self._out.clear()
        self.connector.close()
        rpcs = self.rpcs
        failure = Failure(self.error.errno or 0, self.error.strerror)
        for tag in tuple(rpcs):
            entry = rpcs.get(tag)
            rpc = None if entry is None else entry()
            taken = map(rpcs.pop, (tag,))
            try:
                if rpc is None:
                    next(taken)
                else:
                    self._due[rpc] = None
                    next(map(rpc.results.append, compress((failure,), taken)))
            except KeyError:
                pass
        self.tell()

    def raise_if_lost(self) -> None:
        """Raise the error that ended the connection, if one did."""
        if self.error is not None:
            self.bury()
            raise OSError(self.error.errno, self.error.strerror)

    def _late(self, tag: int) -> None:
        if self.flags & FLUX_O_MATCHDEBUG and tag not in self.rpcs:
            sys.stderr.write(f"MATCHDEBUG: reclaimed matchtag={tag}\n")

    def _trace(self, direction: str, data: bytes) -> None:
        for msg in Splitter().messages(Message, data):
            sys.stderr.write(f"{direction} {msg!r}\n")

    # -- blocking

    def wait(self, done: Callable[[], Any], timeout: float, lost: bool = True) -> bool:
        """Read until ``done()`` is true, in the calling thread and without calling callbacks.

        Args:
            done: What is waited for.
            timeout: Seconds to wait; negative for no limit.
            lost: Whether a lost connection is an error.

        Returns:
            False if the time ran out.

        Raises:
            OSError: The connection is lost.
            RuntimeError: Another thread is using the handle.
        """
        waits = self._waits
        try:
            try:
                self._waits = waits + 1
                return self.inside(self._wait, done, timeout, lost)
            finally:
                self._waits = waits
        finally:
            self._waits = waits
            if waits or self.corks or self.wake is not None:
                self._rouse(waits)

    def _rouse(self, waits: int) -> None:
        """See that whoever waits below us on the stack looks at what we may have read for him."""
        if self.ready and self.wake is not None:
            self.wake()
        if (waits or any(reactor.waiting for reactor in self.corks)) and self.error is None:
            # We are in a signal handler that runs within his system call, which Python then
            # makes again: only the connection can end it.  Any answer will do.
            tag = self.matchtag()
            request = self.encoder("broker.ping", FLUX_NODEID_ANY, 0).encode(None, tag)
            known = map(self.rpcs.setdefault, (tag,), (_nobody,))
            next(map(self._out.append, compress((request,), known)))
            self.inside(self.flush)

    def _wait(self, done: Callable[[], Any], timeout: float, lost: bool) -> bool:
        deadline = None if timeout < 0 else time.monotonic() + timeout
        # C code may have been told of what is there to read, in our place.
        look_first = self.shared
        while True:
            if self._in or self._due:
                # What an exception has left, or somebody who came in between.
                self.sort()
                self.tell()
            if done():
                if self._out:
                    # From who came in between and could not send it.
                    self.flush()
                return True
            if self.error is not None:
                if lost:
                    self.raise_if_lost()
                return False
            if look_first:
                look_first = self.receive()
                continue
            events = select.POLLIN
            if self._out and self.flush():
                events |= select.POLLOUT
            left = SLICE if deadline is None else deadline - time.monotonic()
            found = self._poll(events, max(0.0, min(left, SLICE)))
            if found and found[0][1] & ~select.POLLOUT:
                self.receive()
            elif left <= 0:
                return False

    def _poll(self, events: int, seconds: float) -> list[tuple[int, int]]:
        fd = self.connector.fileno()
        if fd < 0:
            raise OSError(
                errno.EDEADLK,
                f"a blocking call on {self.uri} would wait for its own thread; use then()",
            )
        poll = self._poller
        if poll is None or events != select.POLLIN:
            poll = select.poll()
            poll.register(fd, events)
            if events == select.POLLIN:
                self._poller = poll
        try:
            return poll.poll(seconds * 1000)
        except RuntimeError:
            # We are in a signal handler that runs within a call of the same.
            self._poller = None
            return self._poll(events, seconds)


def _nobody() -> None:
    """Stand for an RPC whose answer nobody wants."""


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

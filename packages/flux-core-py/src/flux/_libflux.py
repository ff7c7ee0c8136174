"""The connector that goes through the machine's own libflux-core, so every URI that it knows.

It moves encoded messages like the others: the library's flux_send(3) and flux_recv(3) take and give
decoded ones, which cost one more encoding each way.  C code may use the same flux_t, either by name
(`flux.wrapper`) or as what made it; see `LibfluxConnector.share`.
"""

from __future__ import annotations

import errno
import os
import weakref
from itertools import compress
from operator import is_
from typing import Any, Callable

from _flux._core import ffi, lib
from flux._codec import MAGIC, PREFIX, PREFIX_SIZE, TYPE_OFFSET, U32
from flux._connector import BusyError
from flux.constants import (
    FLUX_MATCHTAG_NONE,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_O_NONBLOCK,
    FLUX_O_TRACE,
    FLUX_POLLERR,
    FLUX_POLLIN,
    FLUX_ROLE_NONE,
    FLUX_RQ_HEAD,
    FLUX_USERID_UNKNOWN,
)

_WOULD_BLOCK = (errno.EAGAIN, errno.EWOULDBLOCK)

#: Messages that are read at once, at most.
MAX_MESSAGES = 256

_succeeded = (0).__eq__

#: In the place of a message that was stuck and then went out without `LibfluxConnector.send`.
_SENT = object()


class LibfluxConnector:
    """A connection that is a ``flux_t`` of libflux-core.

    Args:
        handle: The ``flux_t *``, which `close` gives to flux_close(3).
        shared: Whether C code has it already.

    Attributes:
        credentials: None of ours: the library puts in its own.
        shared: Whether C code had the handle from the start.  C code that reads from it may take
            the news that more is to be read, which the descriptor tells only once.
    """

    credentials = (FLUX_USERID_UNKNOWN, FLUX_ROLE_NONE)

    def __init__(self, handle: Any, shared: bool = False) -> None:
        self.shared = shared
        self.close = weakref.finalize(self, lib.flux_close, handle)
        self._handle = handle
        self._fd: int = lib.flux_pollfd(handle)
        if self._fd < 0:
            error = _error("flux_pollfd")
            self.close()
            raise error
        self._match = ffi.new("struct flux_match *", {"typemask": 0})[0]
        # The matchtags of our requests.  Responses to any others are for C code.
        self._tags: set[int] = set()
        self._foreign: list[Any] = []
        # What `send` was last given, the messages in it, and what flux_send(3) has returned for
        # each: it is called again for those that it has not taken, with the same objects, as the
        # library may hold part of the first of them.
        self._sending: tuple[Any, list[Any], list[int]] = (None, [], [])
        # Messages that flux_recv(3) has returned.
        self._received: list[Any] = []
        self._busy = False

    def disown(self) -> None:
        """In a forked child: leave the ``flux_t`` as it is, since closing it could be noticed."""
        self.close.detach()

    @property
    def handle(self) -> Any:
        """The ``flux_t *``, or None once the connection is closed."""
        return self._handle if self.close.alive else None

    def fileno(self) -> int:
        """Return the descriptor that polls readable when `recv` or `send` is worth trying.

        It does so until `recv` has found nothing more.
        """
        return self._fd

    def matchtag(self) -> int:
        """Return a matchtag that no C code will use; any number once the connection is closed.

        Raises:
            OSError: There is none left.
        """
        if not self.close.alive:
            return FLUX_MATCHTAG_NONE
        tag: int = lib.flux_matchtag_alloc(self._handle)
        if tag == FLUX_MATCHTAG_NONE:
            raise OSError(ffi.errno or errno.EBUSY, "libflux-core has no matchtag left")
        return tag

    def send(self, data: bytes | memoryview) -> int:
        """Send whole messages; see `flux._connector.Connector`.

        Cut short by an exception, it goes on when it is called with the same object again.
        """
        if not self.close.alive:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        busy = self._busy
        try:
            self._enter()
            return self._send(data)
        finally:
            self._busy = busy

    def _enter(self) -> None:
        if self._busy:
            # From a signal handler or a finalizer: what it sends is sent by the call below.
            raise BusyError(
                "this handle is over libflux-core and in the middle of a call that a signal "
                "handler has interrupted: an answer cannot be waited for here"
            )
        self._busy = True

    def _send(self, data: bytes | memoryview) -> int:
        if self._sending[0] is not data:
            messages = []
            view = memoryview(data)
            stop = 0
            while stop < len(view):
                start = stop + PREFIX_SIZE
                stop = start + PREFIX.unpack_from(view, stop)[1]
                messages.append(self._decode(view[start:stop]))
            self._sending = (data, messages, [])
        _, messages, results = self._sending
        while len(results) < len(messages):
            msg = messages[len(results)]
            if msg is not _SENT:
                sent = map(lib.flux_send, (self._handle,), (msg,), (FLUX_O_NONBLOCK,))
                # Its result is kept before anything can come in between.
                next(map(results.append, filter(_succeeded, sent)), None)
            else:
                results.append(0)
            if len(results) < len(messages) and messages[len(results)] is msg:
                code = ffi.errno
                if code not in _WOULD_BLOCK:
                    raise OSError(code, f"flux_send: {os.strerror(code)}")
                raise BlockingIOError
        return len(data)

    def _decode(self, frames: memoryview) -> Any:
        if frames[TYPE_OFFSET] == FLUX_MSGTYPE_REQUEST:
            self._tags.add(U32.unpack(frames[-U32.size :])[0])
        msg = lib.flux_msg_decode(ffi.from_buffer(frames), len(frames))
        if msg == ffi.NULL:
            raise _error("flux_msg_decode")
        return ffi.gc(msg, lib.flux_msg_destroy)

    def reader(self, put: Callable[[bytes], None]) -> Callable[[], None]:
        """Return what reads messages, of which there is at least one, and puts each somewhere.

        Raises:
            BlockingIOError: Nothing has arrived; raised by what is returned.
            OSError: The connection is broken; likewise.
        """

        def read() -> None:
            if not self.close.alive:
                raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            busy = self._busy
            try:
                self._enter()
                self._read(put)
            finally:
                self._busy = busy

        return read

    def recv(self, size: int) -> bytes:
        """Not used: see `reader`."""
        raise BlockingIOError

    def _read(self, put: Callable[[bytes], None]) -> None:
        received = self._received
        found = False
        for _ in range(MAX_MESSAGES):
            if not received:
                msg = map(lib.flux_recv, (self._handle,), (self._match,), (FLUX_O_NONBLOCK,))
                next(map(received.append, filter(None, msg)), None)
            if not received:
                code = ffi.errno
                if code not in _WOULD_BLOCK:
                    if found:
                        return
                    raise OSError(code, f"flux_recv: {os.strerror(code)}")
                # This clears the descriptor; what has come since then shows in the result.
                events = lib.flux_pollevents(self._handle)
                if events >= 0 and events & FLUX_POLLIN:
                    continue
                if not found and (events < 0 or events & FLUX_POLLERR):
                    raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                break
            frames = encoded(received[0])
            taken = map(received.pop, (0,))
            if frames[TYPE_OFFSET] == FLUX_MSGTYPE_RESPONSE:
                (tag,) = U32.unpack(frames[-U32.size :])
                if tag != FLUX_MATCHTAG_NONE and tag not in self._tags:
                    owned = map(ffi.gc, taken, (lib.flux_msg_destroy,))
                    next(map(self._foreign.append, owned))
                    continue
            whole = PREFIX.pack(MAGIC, len(frames)) + frames
            destroyed = map(lib.flux_msg_destroy, taken)
            next(map(put, compress((whole,), map(is_, destroyed, (None,)))))
            found = True
        if not found:
            raise BlockingIOError

    def share(self) -> None:
        """Prepare for C code that uses the handle.

        It finds the responses that are its own, and no message half sent.
        """
        if not self.close.alive:
            return
        _, messages, results = self._sending
        if len(results) < len(messages):
            stuck = messages[len(results)]
            if stuck is not _SENT and lib.flux_send(self._handle, stuck, 0) == 0:
                messages[len(results)] = _SENT
        foreign, self._foreign = self._foreign, []
        for msg in reversed(foreign):
            lib.flux_requeue(self._handle, msg, FLUX_RQ_HEAD)


def open_uri(uri: str, flags: int = 0) -> LibfluxConnector:
    """Connect to what a URI names, in any form that flux_open(3) takes.

    Args:
        uri: The URI.
        flags: ``FLUX_O_*`` flags for the library, except FLUX_O_TRACE: messages are traced once,
            by the handle.

    Raises:
        OSError: What the library reports, or there is no library.
    """
    flux_open_ex = lib.flux_open_ex
    text = ffi.new("flux_error_t *")
    handle = flux_open_ex(os.fsencode(uri), flags & ~FLUX_O_TRACE, text)
    if handle == ffi.NULL:
        code = ffi.errno
        said = ffi.string(text.text).decode("utf-8", "replace")
        raise OSError(code, said or f"{uri}: {os.strerror(code)}")
    return LibfluxConnector(handle)


def encoded(msg: Any) -> bytes:
    """Return the frames of a ``flux_msg_t *``."""
    size = lib.flux_msg_encode_size(msg)
    if size < 0:
        raise _error("flux_msg_encode_size")
    buffer = ffi.new("char[]", size)
    if lib.flux_msg_encode(msg, buffer, size) < 0:
        raise _error("flux_msg_encode")
    return bytes(ffi.buffer(buffer, size))


def _error(function: str) -> OSError:
    code = ffi.errno
    return OSError(code, f"{function}: {os.strerror(code)}")

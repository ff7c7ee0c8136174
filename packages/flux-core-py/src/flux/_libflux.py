"""The connector that goes through the machine's own libflux-core, so every URI that it knows.

It moves encoded messages like the others: the library's flux_send(3) and flux_recv(3) take and give
decoded ones, which cost one more encoding each way.  C code may use the same flux_t, either by name
(`flux.wrapper`) or as what made it; see `LibfluxConnector.share`.
"""

from __future__ import annotations

import errno
import os
import weakref
from typing import Any

from _flux._core import ffi, lib
from flux._codec import MAGIC, PREFIX, PREFIX_SIZE, TYPE_OFFSET, U32
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
        # A message that could not be sent at once: the library may hold part of it, so it must be
        # the next one that it is given.
        self._stuck: Any = None

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
        """Send whole messages; see `flux._connector.Connector`."""
        if not self.close.alive:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        view = memoryview(data)
        sent = 0
        while sent < len(view):
            _, length = PREFIX.unpack_from(view, sent)
            stop = sent + PREFIX_SIZE + length
            msg = self._stuck
            if msg is None:
                msg = self._decode(view[sent + PREFIX_SIZE : stop])
            if msg is not _SENT and lib.flux_send(self._handle, msg, FLUX_O_NONBLOCK) < 0:
                if ffi.errno not in _WOULD_BLOCK:
                    raise _error("flux_send")
                self._stuck = msg
                break
            self._stuck = None
            sent = stop
        if not sent:
            raise BlockingIOError
        return sent

    def _decode(self, frames: memoryview) -> Any:
        if frames[TYPE_OFFSET] == FLUX_MSGTYPE_REQUEST:
            self._tags.add(U32.unpack(frames[-U32.size :])[0])
        msg = lib.flux_msg_decode(ffi.from_buffer(frames), len(frames))
        if msg == ffi.NULL:
            raise _error("flux_msg_decode")
        return ffi.gc(msg, lib.flux_msg_destroy)

    def recv(self, size: int) -> bytes:
        """Return whole messages, at least one and no more than make up ``size`` bytes."""
        if not self.close.alive:
            raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        parts: list[bytes] = []
        held = 0
        while held < size:
            msg = lib.flux_recv(self._handle, self._match, FLUX_O_NONBLOCK)
            if msg == ffi.NULL:
                if ffi.errno not in _WOULD_BLOCK:
                    if parts:
                        break
                    raise _error("flux_recv")
                # This clears the descriptor; what has come since then shows in the result.
                events = lib.flux_pollevents(self._handle)
                if events >= 0 and events & FLUX_POLLIN:
                    continue
                if not parts and (events < 0 or events & FLUX_POLLERR):
                    raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
                break
            msg = ffi.gc(msg, lib.flux_msg_destroy)
            frames = encoded(msg)
            if frames[TYPE_OFFSET] == FLUX_MSGTYPE_RESPONSE:
                (tag,) = U32.unpack(frames[-U32.size :])
                if tag != FLUX_MATCHTAG_NONE and tag not in self._tags:
                    self._foreign.append(msg)
                    continue
            parts += (PREFIX.pack(MAGIC, len(frames)), frames)
            held += PREFIX_SIZE + len(frames)
        if not parts:
            raise BlockingIOError
        return b"".join(parts)

    def share(self) -> None:
        """Prepare for C code that uses the handle.

        It finds the responses that are its own, and no message half sent.
        """
        if not self.close.alive:
            return
        if self._stuck not in (None, _SENT) and lib.flux_send(self._handle, self._stuck, 0) == 0:
            self._stuck = _SENT
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

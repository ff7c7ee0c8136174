"""Handles, futures and messages as C objects, for code that calls libflux-core by name.

Nothing here is imported before such code asks for it.
"""

from __future__ import annotations

import errno
import os
import time
from abc import ABCMeta
from collections.abc import Generator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from _flux._core import check_pointer, ffi, lib
from flux._duration import limit
from flux._future import Failure, Future
from flux._libflux import LibfluxConnector, encoded
from flux._payload import decode_json
from flux._session import Session
from flux.message import Message
from flux.rpc import RPC
from flux.wrapper import Wrapper

if TYPE_CHECKING:
    from flux.core.handle import Flux

#: Longest wait in C code in seconds.  Between two of them Python sees signals.
_SLICE = 0.5

#: The sessions that C code may read from.
_sessions: WeakSet[Session] = WeakSet()


_classes: dict[tuple[type, ...], type] = {}


def _derived(*bases: type) -> type:
    """Return a class like that of the bases which is the user's, with the methods of the other."""
    found = _classes.get(bases)
    if found is None:
        cls = next(base for base in bases if base not in (CHandle, CFuture))
        names = {name: getattr(cls, name) for name in ("__module__", "__qualname__", "__doc__")}
        kind = ABCMeta if CHandle in bases else type
        found = _classes[bases] = kind(cls.__name__, bases, names)
    return found


# -- handles


class CHandle(Wrapper):
    """What a handle over libflux-core has more than others: C functions as methods."""


def adopt_handle(handle: Any) -> LibfluxConnector:
    """Return a connector for a ``flux_t *``, which is closed with it.

    Raises:
        TypeError: It is something else.
    """
    check_pointer(handle, "flux_t *", "a connector")
    return LibfluxConnector(handle, shared=True)


def add_functions(flux_handle: Flux) -> None:
    """Make C functions attributes of a handle over libflux-core.

    By changing its class, as it is known only now: `Flux` itself does not look anything up that it
    has not, which would slow down every access to an attribute.
    """
    session = flux_handle._session
    _sessions.add(session)
    if not isinstance(flux_handle, CHandle):
        flux_handle.__class__ = _derived(type(flux_handle), CHandle)
    Wrapper.__init__(
        flux_handle,  # type: ignore[arg-type]
        ffi,
        lib,
        handle=session.connector.handle,  # type: ignore[attr-defined]
        match=ffi.typeof("flux_t *"),
        filter_match=False,
        prefixes=["flux_", "FLUX_"],
    )


def share(session: Session) -> None:
    """Prepare for C code that uses a handle."""
    connector = session.connector
    assert isinstance(connector, LibfluxConnector)
    connector.share()
    session.shared = True
    if session.wake is not None:
        # C code may take the news that there is something to read.
        session.wake()


def share_all() -> None:
    """Prepare for C code that uses any handle."""
    for session in _sessions:
        share(session)


# -- messages


def message_fields(handle: Any) -> dict[str, Any]:
    """Return the fields of a ``flux_msg_t *``, which is destroyed.

    Raises:
        TypeError: It is something else.
    """
    check_pointer(handle, "flux_msg_t *", "a Message")
    try:
        return Message.from_encoded(encoded(handle)).__dict__
    finally:
        lib.flux_msg_destroy(handle)


def c_message(msg: Message) -> Any:
    """Return a ``flux_msg_t *`` with the fields of a message, which lives as long as the object."""
    frames = msg.encode()
    handle = lib.flux_msg_decode(frames, len(frames))
    if handle == ffi.NULL:
        raise OSError(ffi.errno, os.strerror(ffi.errno))
    return ffi.gc(handle, lib.flux_msg_destroy)


# -- futures


def c_future(future: Future) -> Any:
    """Wait for a future, and return a ``flux_future_t *`` with its result.

    The result of an RPC is the response, so that flux_rpc_get(3) finds it.
    """
    future.wait_for()
    handle = ffi.gc(lib.flux_future_create(ffi.NULL, ffi.NULL), lib.flux_future_destroy)
    result = future.results[0]
    if isinstance(result, Failure):
        lib.flux_future_fulfill_error(handle, result.errnum, result.text.encode())
    elif isinstance(future, RPC):
        topic, data = future.encoder.topic.encode(), result or b""
        response = lib.flux_response_encode_raw(topic, data or ffi.NULL, len(data))
        destroy = ffi.cast("flux_free_f", lib.flux_msg_destroy)
        lib.flux_future_fulfill(handle, response, destroy)
    else:
        lib.flux_future_fulfill(handle, ffi.NULL, ffi.NULL)
    return handle


class _FutureFunctions(Wrapper):
    """The ``pimpl`` of a future that is a C object."""

    def __init__(self, handle: Any) -> None:
        super().__init__(
            ffi,
            lib,
            handle=handle,
            match=ffi.typeof("flux_future_t *"),
            prefixes=["flux_future_", "flux_rpc_"],
            destructor=lib.flux_future_destroy,
        )
        self._hold_flux()

    def check_handle(self, name: str, fun_type: Any) -> bool:
        """As `Wrapper.check_handle`; without a handle there is nothing to call either."""
        takes_it: bool = fun_type.args and fun_type.args[0] == self.match
        return takes_it or super().check_handle(name, fun_type)

    @property
    def handle(self) -> Any:
        """The ``flux_future_t *``."""
        share_all()
        return self._handle

    @handle.setter
    def handle(self, value: Any) -> None:
        Wrapper.handle.fset(self, value)  # type: ignore[attr-defined]
        self._hold_flux()

    def _hold_flux(self) -> None:
        """Keep the future's ``flux_t``: destroying an RPC needs it, also after its handle."""
        flux_t = None if self._handle is None else lib.flux_future_get_flux(self._handle)
        self._flux_t = ffi.gc(lib.flux_incref(flux_t), lib.flux_close) if flux_t else None


class CFuture(Future):
    """What is different about a future that is a C object: its result is there and not here."""

    _functions: _FutureFunctions

    @property
    def pimpl(self) -> Any:
        """The C object's functions."""
        return self._functions

    @property
    def handle(self) -> Any:
        """The ``flux_future_t *``, or None."""
        return self._functions.handle

    @handle.setter
    def handle(self, value: Any) -> None:
        self._functions.handle = value

    def is_ready(self) -> bool:
        """Return True if there is a result."""
        return bool(self._functions.is_ready())

    def get(self) -> Any:
        """Wait for the result and return it: the payload of an RPC, None for other futures."""
        self.wait_for()
        functions = self._functions
        try:
            if not isinstance(self, RPC):
                functions.get(None)
                return None
            text = ffi.new("char **")
            functions.flux_rpc_get(text)
        except OSError as exc:
            raise OSError(exc.errno, self.error_string() or exc.strerror) from None
        return None if text[0] == ffi.NULL else decode_json(ffi.string(text[0]) + b"\0")

    def wait_for(self, timeout: float = -1.0) -> Any:
        """Wait for the result; see `Future.wait_for`."""
        timeout = limit(timeout)
        functions = self._functions
        if functions.is_ready():
            return self
        # Without a handle nothing can come, and the library knows better how to say so.
        endless = timeout < 0 and not lib.flux_future_get_flux(functions.handle)
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic() if timeout >= 0 else _SLICE
            try:
                functions.wait_for(-1.0 if endless else max(0.0, min(left, _SLICE)))
            except OSError as exc:
                if exc.errno != errno.ETIMEDOUT or endless:
                    raise
                if timeout >= 0 and left <= _SLICE:
                    raise
            else:
                return self

    def error_string(self) -> str | None:
        """Return the text of the error that the future was fulfilled with, or None."""
        text = self._functions.error_string() if self._functions.has_error() else None
        return None if text is None else text.decode("utf-8", "replace")

    def reset(self) -> None:
        """Go on to the next result."""
        self._functions.reset()

    def fulfill(self, result: Any = None) -> None:
        """Fulfil the future; C code does not see the result."""
        self._functions.fulfill(None, None)

    def fulfill_error(self, errnum: int = errno.ENOENT, errstr: str | None = None) -> None:
        """Fulfil the future with an error."""
        self._functions.fulfill_error(errnum, errstr)

    def then(self, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Raise: the Python reactor cannot tell when C code fulfils a future."""
        raise _no_continuations()

    def observe(self, observer: Any) -> None:
        """Raise, as `then`."""
        raise _no_continuations()

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.is_ready():
            raise _no_continuations()
        yield from ()
        return self.get()


def _no_continuations() -> OSError:
    return OSError(
        errno.ENOSYS,
        "a future made by C code has no continuations and cannot be awaited; use wait_for() or "
        "get()",
    )


def adopt_future(future: Future, handle: Any) -> None:
    """Make a future stand for a ``flux_future_t *``, which is destroyed with it.

    Args:
        future: The future.
        handle: The C object, another future that is one, or None for a future that has lost it.

    Raises:
        TypeError: It is something else.
    """
    if isinstance(handle, CFuture):
        handle = handle.handle
        lib.flux_future_incref(handle)
    if handle is not None:
        check_pointer(handle, "flux_future_t *", "a Future")
    future.results = []
    functions = _FutureFunctions(handle)
    future.__class__ = _derived(CFuture, type(future))
    future._functions = functions  # type: ignore[attr-defined]

"""What all requests to the KVS have in common."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any, Callable, Generic, NoReturn, TypeVar

from flux._future import Failure
from flux._payload import PayloadError
from flux.constants import FLUX_NODEID_ANY
from flux.rpc import RPC

if TYPE_CHECKING:
    from collections.abc import Generator

    from flux.core.handle import Flux

__all__ = ["KVSFuture"]

T = TypeVar("T")

#: Errors that say something of what was asked for.
_ABOUT_IT = frozenset(
    (
        errno.ENOENT,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EINVAL,
        errno.EPERM,
        errno.EEXIST,
        errno.EOPNOTSUPP,
    )
)


def namespace_name(namespace: str | None) -> str:
    """Return the namespace to use: the one given, or else that of the environment."""
    if namespace is None:
        return os.environ.get("FLUX_KVS_NAMESPACE", "primary")
    return namespace


class KVSFuture(RPC, Generic[T]):
    """A request to the KVS; `get`, or ``await``, gives what the response stands for.

    Args:
        flux_handle: The handle to send on.
        topic: Topic string of the method.
        payload: The request.
        read: Makes the result of the response; None to take the response as it is.
        nodeid: Rank to address.
        flags: As for `flux.rpc.RPC`.
        key: What errors are about: the key, or the namespace.
        namespace: The namespace, which must exist.
    """

    _key: str | None = None
    _namespace: str | None = None
    #: Whether symbolic links are followed.
    _links = False

    def __init__(
        self,
        flux_handle: Flux,
        topic: str,
        payload: Any = None,
        read: Callable[[Any], T] | None = None,
        nodeid: int = FLUX_NODEID_ANY,
        flags: int = 0,
        key: str | None = None,
        namespace: str | None = None,
    ) -> None:
        RPC.__init__(self, flux_handle, topic, payload, nodeid, flags)
        self._make = read
        self._key = key
        self._namespace = namespace

    def get(self) -> T:
        """Wait for the response and return what it stands for.

        Raises:
            OSError: The request failed; ENOTSUP, there is no such namespace.  EPROTO, the
                response is not what the KVS answers; this one is a ValueError as well.
                ECONNRESET, the connection was lost.
            KeyboardInterrupt: SIGINT was received while waiting.
        """
        try:
            response = RPC.get(self)
        except OSError as exc:
            return self._failed(exc)
        return self._read(response)

    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, None, T]: ...

    def response(self) -> Any:
        """Wait for the response and return it, decoded from JSON, as it is.

        Raises:
            OSError: As `get`.
        """
        try:
            return RPC.get(self)
        except OSError as exc:
            self._explain(exc)

    def _read(self, response: Any) -> T:
        """Return what a response stands for."""
        return response if self._make is None else self._make(response)

    def _failed(self, exc: OSError) -> T:
        """Return what an error stands for; none for anything, here."""
        self._explain(exc)

    def _decoded(self, result: Any) -> Any:
        # For those who take a result with `Future.fulfill_with`, errors included.
        result = RPC._decoded(self, result)
        try:
            if isinstance(result, Failure):
                return self._failed(OSError(result.errnum, result.text))
            return self._read(result)
        except OSError as exc:
            about = "" if exc.filename is None else f": '{exc.filename}'"
            return Failure(exc.errno or errno.EPROTO, f"{exc.strerror}{about}")

    def _explain(self, exc: OSError) -> NoReturn:
        """Raise an error again, with what it is about besides what the broker says.

        Raises:
            OSError: Always.
        """
        if exc.errno == errno.EOPNOTSUPP and (self._namespace is not None or self._links):
            reasons = []
            if self._namespace not in (None, "primary"):
                reasons.append(f"there is no KVS namespace '{self._namespace}'")
            if self._links:
                reasons.append("a symbolic link leads where it cannot be followed")
            text = ": ".join(filter(None, (exc.strerror, ", or ".join(reasons))))
            raise OSError(exc.errno, text, self._key) from None
        if self._key is not None and exc.errno in _ABOUT_IT:
            raise OSError(exc.errno, exc.strerror, self._key) from None
        raise exc


def field(response: Any, name: str, kind: type) -> Any:
    """Return what a response has under a name.

    Raises:
        PayloadError: It has nothing of that type there.
    """
    value = response.get(name) if isinstance(response, dict) else None
    if value.__class__ is not kind:
        raise PayloadError(f"a response of the KVS has no '{name}'")
    return value

"""Exceptions of handlers, as others see them: the requester, the broker, the caller of `run`."""

from __future__ import annotations

import errno
from typing import Any, ClassVar


class ModuleError(OSError):
    """A callback of the module raised an exception that is no OSError.

    It is the ``__cause__``.  What `BrokerModule.run` raises is also of the type of the cause, so
    that ``except KeyError`` catches what began as a KeyError.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _make, (self._cause, *self.args), self.__dict__ or None

    #: The type that `_make` added to this one.
    _cause: ClassVar[type[Exception] | None] = None


def describe(exc: BaseException) -> str:
    """Return an exception in one line, with its type unless that is implied by an errno."""
    if isinstance(exc, OSError) and exc.strerror and not isinstance(exc, ModuleError):
        return str(exc.strerror)
    text = str(exc)
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def errnum_of(exc: BaseException, default: int = errno.ECONNRESET) -> int:
    """Return the errno that stands for an exception.

    That of an OSError; EINVAL for a ValueError, as for bad arguments; else a default, which for
    the end of a module is what flux-core's loader reports.
    """
    if isinstance(exc, OSError) and exc.errno:
        return exc.errno
    if isinstance(exc, ValueError) and not isinstance(exc, OSError):
        return errno.EINVAL
    return default


def as_oserror(exc: Exception) -> OSError:
    """Return the OSError to raise for any exception; one that is an OSError itself."""
    if isinstance(exc, OSError):
        return exc
    error = _make(type(exc), errnum_of(exc), describe(exc))
    error.__cause__ = exc
    return error


def _make(cause: type[Exception] | None, *args: Any) -> ModuleError:
    if cause is None:
        return ModuleError(*args)
    try:
        attributes = {"__module__": __name__, "_cause": cause}
        cls = type(ModuleError.__name__, (ModuleError, cause), attributes)
        return cls(*args)  # type: ignore[no-any-return]
    except TypeError:
        # Some built-in types cannot be combined with OSError, others want other arguments.
        return ModuleError(*args)

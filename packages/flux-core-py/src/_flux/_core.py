"""Where the binding to libflux-core is found: ``ffi`` and ``lib``.

Nothing but calling C functions needs it.  This release has no such binding: ``lib`` says so at
the first use of a name from it, and ``ffi`` has the one name that Python code passes around.
"""

from __future__ import annotations

import errno
from typing import Any

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["ffi", "lib"]


class _FFI:
    """What of cffi's interface has a meaning without a library."""

    #: The null pointer, which stands for "not given" in argument lists.
    NULL = None

    def __getattr__(self, name: str) -> Any:
        raise _no_library(f"ffi.{name}")


class _Library:
    """Stands in for libflux-core."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _no_library(name)


def _no_library(name: str) -> OSError:
    return OSError(
        errno.ENOSYS,
        f"{name} is a name of libflux-core, which is not loaded: this Python package speaks the "
        "Flux protocol itself; use the methods of flux.Flux, flux.Message and flux.Future",
    )


ffi = _FFI()
lib = _Library()

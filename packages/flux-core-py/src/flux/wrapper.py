"""The base of classes that stand for objects of the C library.

On this implementation a handle, a message or a future is a Python object and needs no library.
`Wrapper` remains what such classes derive from, so that code that tests for it works, and it
explains itself where code asks for a C function that has no counterpart here.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Wrapper"]


class Wrapper:
    """Base class of `flux.Flux` and `flux.core.inner.Core`."""

    def __getattr__(self, name: str) -> Any:
        # Internal names are looked up by the interpreter itself; it expects a plain answer.
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"{type(self).__name__!r} object has no attribute {name!r}; functions of libflux-core "
            "that are not part of the Python API need the library itself (flux_open(3))"
        )

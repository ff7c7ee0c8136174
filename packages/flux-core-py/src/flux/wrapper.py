"""The base of classes that stand for objects of the C library.

On this implementation a handle, a message or a future is a Python object and needs no library.
`Wrapper` remains what such classes derive from, so that code that tests for it works.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Pimpl", "Wrapper"]

_PREFIXES = ("flux_msg_", "flux_rpc_", "flux_future_")


class Wrapper:
    """Base class of `flux.Flux` and `flux.core.inner.Core`."""

    # No __getattr__ here to explain what is missing: it would slow down every access to an
    # attribute of a handle.


class Pimpl:
    """The C library's names for what a message or future does, as in ``rpc.pimpl.get_matchtag()``.

    ``set_NAME(value)`` assigns the attribute NAME; any other name is that of a method.
    """

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        for prefix in _PREFIXES:
            name = name.removeprefix(prefix)
        wrapped = self._wrapped
        if name.startswith("set_") and not hasattr(wrapped, name):
            return lambda value: setattr(wrapped, name[4:], value)
        return getattr(wrapped, name)

"""Exceptions that are not made from their ``args``, through pickle and copy."""

from __future__ import annotations

from typing import Any


def reduce_exception(self: BaseException) -> tuple[Any, ...]:
    """Be the ``__reduce__`` of an exception whose ``__init__`` makes a text of its arguments.

    By default pickle and copy would call that with the finished text.
    """
    return _restore, (type(self), self.args), self.__dict__ or None


def _restore(cls: type[BaseException], args: tuple[Any, ...]) -> BaseException:
    exc = cls.__new__(cls)
    # Of the built-in base, which alone knows what it keeps beside `args`: errno and strerror.
    (OSError if issubclass(cls, OSError) else BaseException).__init__(exc, *args)
    return exc

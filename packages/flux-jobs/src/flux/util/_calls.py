"""Helpers of bindings to C functions, for code that was written with them.

Nothing here needs them: futures raise errors with the text of the response, and Ctrl-C ends any
wait.
"""

from __future__ import annotations

import errno
import json
from typing import Any, Callable, TypeVar

from flux.wrapper import is_null

__all__ = ["check_future_error", "encode_payload", "encode_topic", "interruptible"]

_F = TypeVar("_F", bound=Callable[..., Any])


def check_future_error(func: _F) -> _F:
    """Return a method of a future as it is: the errors have their text already."""
    return func


def interruptible(func: _F) -> _F:
    """Return a method of a future as it is: Ctrl-C ends it already."""
    return func


def encode_payload(payload: Any) -> Any:
    """Return a payload for a C function.

    Args:
        payload: Text, bytes, what has a form in JSON, or None.

    Returns:
        Bytes, or the null pointer.
    """
    if payload is None or is_null(payload):
        from _flux._core import ffi

        return ffi.NULL
    if isinstance(payload, bytes):
        return payload
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def encode_topic(topic: Any) -> bytes:
    """Return a topic for a C function.

    Raises:
        OSError: EINVAL, there is none.
        TypeError: It is no text.
    """
    if topic is None or is_null(topic):
        raise OSError(errno.EINVAL, "Topic must not be None/NULL")
    if isinstance(topic, str):
        return topic.encode()
    if not isinstance(topic, bytes):
        raise TypeError(errno.EINVAL, f"Topic must be a string, not {type(topic)}")
    return topic

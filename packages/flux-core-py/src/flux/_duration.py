"""Lengths of time as arguments, from zero to for ever.

Seconds are floats, and as in flux-core a negative timeout is a wait without limit.  Beyond what
the system can wait for lies the same: nobody will see the difference.
"""

from __future__ import annotations

import errno
import math
import threading
from typing import SupportsFloat, SupportsIndex, Union

__all__ = ["NO_LIMIT", "DurationError", "limit", "one_wait", "seconds"]


class DurationError(OSError, ValueError):
    """A length of time is NaN: an ``OSError`` with ``EINVAL``, as flux-core has it."""


#: The timeout of a wait without limit.
NO_LIMIT = -1.0

#: Longest wait that poll(2) and epoll_wait(2) take, in seconds: an int of milliseconds.
_LONGEST = float(((1 << 31) - 1) // 1000)


def seconds(value: Union[SupportsFloat, SupportsIndex], name: str) -> float:  # noqa: UP007
    """Return an argument as seconds, an infinity where it is beyond the range of floats.

    Args:
        value: The argument.
        name: Its name, for messages.

    Raises:
        ValueError: It is NaN.
        TypeError: It is no number.
    """
    try:
        if isinstance(value, (str, bytes, bytearray)):
            # Which float() would read.
            raise TypeError
        number = float(value)
    except TypeError:
        raise TypeError(f"{name} is a number of seconds, not {value!r:.80}") from None
    except OverflowError:
        number = math.inf if value > 0 else -math.inf  # type: ignore[operator]
    if math.isnan(number):
        raise DurationError(errno.EINVAL, f"{name} is a number of seconds, not {value!r}")
    return number


def limit(value: Union[SupportsFloat, SupportsIndex], name: str = "timeout") -> float:  # noqa: UP007
    """Return an argument that limits a wait as seconds, `NO_LIMIT` where it is no limit.

    That is what is negative, or longer than a thread can wait (292 years).

    Args:
        value: The argument.
        name: Its name, for messages.

    Raises:
        ValueError: It is NaN.
        TypeError: It is no number.
    """
    number = seconds(value, name)
    return number if 0 <= number < threading.TIMEOUT_MAX else NO_LIMIT


def one_wait(left: float | None) -> float | None:
    """Return how long to wait at once of a time that may be longer than the system takes.

    Args:
        left: Seconds, at least 0; None for no limit.

    Returns:
        What to give a selector, whose return then need not mean that the time has run out.
    """
    return left if left is None or left < _LONGEST else _LONGEST

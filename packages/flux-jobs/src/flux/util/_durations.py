"""Durations as text (RFC 23)."""

from __future__ import annotations

import math
import re

__all__ = ["fsd", "parse_fsd"]

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: Where the next unit begins, in seconds.
_BELOW = (("s", 60), ("m", 3600), ("h", 86400))
_DURATION = re.compile(r"(.*?)(ms|[smhd]?)", re.DOTALL)
_INFINITY = {"inf", "infinity", "INF", "INFINITY"}


def parse_fsd(fsd_string: str) -> float:
    """Return a duration in seconds.

    Args:
        fsd_string: A duration in the form of RFC 23: a number, and the unit ``ms``, ``s``, ``m``,
            ``h`` or ``d``; or ``infinity``.

    Raises:
        ValueError: It is none.
    """
    if fsd_string in _INFINITY:
        return math.inf
    match = _DURATION.fullmatch(fsd_string)
    try:
        # Always a match: for the type checker.
        number, unit = match.groups() if match else ("", "")
        value = float(number) * _SECONDS[unit]
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ValueError(
            f"invalid Flux standard duration {fsd_string!r}: it is a number with or without a unit "
            "(ms, s, m, h or d), or infinity"
        )
    return value


def fsd(secs: float) -> str:
    """Return a duration in the form of RFC 23, in the largest unit that it fills.

    Args:
        secs: The duration in seconds; less than a millisecond is shown as ``0s``.
    """
    if math.isinf(secs):
        return "inf"
    if secs < 0.001:
        return "0s"
    if secs < 10:
        return f"{secs:.3f}s"
    unit = next((unit for unit, below in _BELOW if secs < below), "d")
    return f"{secs / _SECONDS[unit]:.4g}{unit}"

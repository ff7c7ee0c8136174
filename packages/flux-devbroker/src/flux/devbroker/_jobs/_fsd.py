"""Flux Standard Duration (RFC 23)."""

from __future__ import annotations

import math
from typing import Any

_UNITS = (("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0))


def parse_duration(value: Any) -> float:
    """Return seconds, given as a number or as a string with a unit.

    Raises:
        ValueError: It is neither, or negative.
    """
    scale = 1.0
    if isinstance(value, str):
        for unit, factor in _UNITS:
            if value.endswith(unit):
                value, scale = value[: -len(unit)], factor
                break
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError(f"{value!r} is not a duration")
    seconds = float(value) * scale
    if seconds < 0 or math.isnan(seconds):
        raise ValueError(f"{value!r} is not a duration")
    return seconds

"""How times, durations and foreign text are written."""

from __future__ import annotations

import math
from datetime import datetime

#: Distances between ticks beyond a second, where steps of 1, 2 and 5 are no longer round.
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)

_UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def duration(seconds: float) -> str:
    """Return a duration in some three digits: ``40us``, ``85ms``, ``1.25s``, ``2m05s``."""
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 0.9995:
        millis = seconds * 1e3
        if millis < 0.095:
            return f"{millis * 1e3:.0f}us" if millis else "0s"
        return f"{millis:.0f}ms" if millis >= 9.95 else f"{millis:.1f}ms"
    if seconds < 59.95:
        return f"{seconds:.2f}s" if seconds < 9.995 else f"{seconds:.1f}s"
    for size, unit, part, name in _UNITS:
        if seconds >= size - part / 2:
            whole, rest = divmod(round(seconds / part), size // part)
            return f"{whole}{unit}{rest:02d}{name}"
    return f"{seconds:.1f}s"


def ticks(span: float, count: int) -> list[tuple[float, str]]:
    """Choose round times.

    Args:
        span: Seconds from the beginning to the end.
        count: About how many of them there may be.

    Returns:
        Seconds from the beginning, and how to write them.
    """
    step = _step(span / max(1, count))
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    found = []
    for number in range(int(span / step * (1 + 1e-9)) + 1):
        when = number * step
        found.append((when, duration(when) if step >= 60 else f"{when:.{places}f}s"))
    return found


def _step(least: float) -> float:
    if least > _STEPS[-1]:
        days = _decimal(least / 86400)
        return days * 86400
    if least > 1:
        return next(float(step) for step in _STEPS if step >= least)
    return _decimal(least)


def _decimal(least: float) -> float:
    """Return the next greater of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def clock(when: float) -> str:
    """Return local time to the second, or seconds since the epoch beyond the calendar."""
    try:
        return datetime.fromtimestamp(when).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    except (OverflowError, OSError, ValueError):
        return f"{when:.0f}s since the epoch"


def printable(text: str) -> str:
    """Return text without what could move a terminal's cursor, or is not valid Unicode."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)

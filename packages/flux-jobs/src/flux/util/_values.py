"""Values in tables: how they are converted, formatted and compared."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import total_ordering
from string import Formatter
from typing import Any

from flux.util._durations import fsd

__all__ = ["AltField", "DisplayValue", "UtilDatetime", "UtilFormatter", "empty_outputs"]


class UtilDatetime(datetime):
    """A point in time whose format may go on after two colons with a width, as text has one.

    Example:
        >>> f"{UtilDatetime(2021, 6, 10):%b%d::>8}"
        '   Jun10'

    The beginning of 1970 stands for none and is formatted as nothing, or as a hyphen if the width
    ends with an ``h``.
    """

    def __format__(self, fmt: str) -> str:
        pattern, _, spec = fmt.partition("::")
        unset = self == datetime.fromtimestamp(0)
        text = "" if unset else self.strftime(pattern or "%Y-%m-%dT%H:%M:%S")
        if spec.endswith("h"):
            text, spec = text or "-", spec[:-1]
        return format(text, spec)


def empty_outputs() -> tuple[str, ...]:
    """Return the texts that fields without a value are formatted as."""
    epoch = datetime.fromtimestamp(0).strftime("%Y-%m-%dT%H:%M:%S")
    return ("", "0s", "0.0", "0:00:00", "1970-01-01T00:00:00", epoch)


def _datetime(value: Any) -> UtilDatetime:
    return UtilDatetime.fromtimestamp(value)


def _iso(value: Any) -> str:
    return datetime.fromtimestamp(value).strftime("%Y-%m-%dT%H:%M:%S") if value else ""


def _hours(value: Any) -> str:
    # What has begun is not shown as nothing.
    return str(timedelta(seconds=1 if 0 < value < 1 else round(value)))


def _percent(value: Any) -> str:
    percent = value * 100
    return f"{percent:.2f}%" if 0 < percent < 1 else f"{percent:.3g}%"


class UtilFormatter(Formatter):
    """`str.format` with more conversions and formats.

    Conversions: ``!d`` and ``!D``, seconds since 1970 as `UtilDatetime` and in ISO 8601; ``!F``,
    seconds as RFC 23 has them; ``!H``, seconds as hours, minutes and seconds; ``!P``, a part of
    one as a percentage.  A format that ends with ``h`` shows a hyphen where there is no value, one
    that ends with ``+`` shows where text has been cut off.
    """

    _CONVERSIONS = {"d": _datetime, "D": _iso, "F": fsd, "H": _hours, "P": _percent}  # noqa: RUF012

    def convert_field(self, value: Any, conv: Any) -> Any:
        """Convert a value."""
        convert = self._CONVERSIONS.get(conv)
        if convert is None:
            return super().convert_field(value, conv)
        try:
            return convert(value)
        except (TypeError, ValueError):
            if str(value):
                raise
            return _datetime(0) if conv == "d" else ""

    def format_field(self, value: Any, spec: str) -> str:
        """Format a value."""
        cut = spec.endswith("+")
        spec = spec[:-1] if cut else spec
        # Of a UtilDatetime the format is its own.
        if spec.endswith("h") and not isinstance(value, UtilDatetime):
            text = str(value)
            value, spec = "-" if text in empty_outputs() else text, spec[:-1] + "s"
        result: str = super().format_field(value, spec)
        if cut and len(result) < len(str(value)):
            return result[:-1] + "+"
        return result


class AltField:
    """A field with a form in ASCII: ``{field}`` and ``{field.ascii}``.

    Args:
        default: The text.
        ascii: The text in ASCII.
    """

    def __init__(self, default: str, ascii: str) -> None:  # noqa: A002 - the name of the field
        self.default = default
        self.ascii = ascii

    def __str__(self) -> str:
        return self.default

    def __format__(self, fmt: str) -> str:
        return format(self.default, fmt)


@total_ordering
class DisplayValue:
    """A value as rows are sorted by it: no value, then numbers, also in text, then other text.

    Args:
        value: The value; None, an empty text and a hyphen are none.
    """

    EMPTY = 0
    NUMERIC = 1
    STRING = 2

    __slots__ = ("_sort_value", "_type_order", "value")

    _sort_value: Any

    def __init__(self, value: Any) -> None:
        self.value = value
        text = "" if value is None else str(value)
        if text in ("", "-"):
            self._type_order, self._sort_value = self.EMPTY, 0
            return
        try:
            # Of a bool the text is no number.
            number = float(value if isinstance(value, (int, float)) else text)
        except ValueError:
            self._type_order, self._sort_value = self.STRING, text
        else:
            self._type_order, self._sort_value = self.NUMERIC, number

    def _key(self) -> tuple[int, Any]:
        return self._type_order, self._sort_value

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, DisplayValue) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __lt__(self, other: DisplayValue) -> bool:
        return self._key() < other._key()

    def __repr__(self) -> str:
        return f"DisplayValue({self.value!r})"

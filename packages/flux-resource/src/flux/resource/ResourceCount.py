"""How many of a resource a jobspec asks for: a number, several, a range (RFC 45)."""  # noqa: N999

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from flux.idset import IDset

__all__ = ["ResourceCount"]

_RANGE = re.compile(
    r"(?P<min>[0-9]{1,18})(?:\+|-(?P<max>[0-9]{1,18}))"
    r"(?::(?P<operand>[0-9]{1,18}))?(?::(?P<operator>.))?"
)

_STEPS = {
    "+": lambda value, operand: value + operand,
    "*": lambda value, operand: value * operand,
    "^": lambda value, operand: value**operand,
}


class ResourceCount:
    """The numbers of a resource that will do.

    Args:
        mn: The least.
        mx: The greatest; None for no limit.
        values: All of them, where not every number between will do.

    Attributes:
        min: The least.
        max: The greatest, or None.
    """

    __slots__ = ("_values", "max", "min")

    def __init__(self, mn: int, mx: int | None, values: IDset | None = None) -> None:
        self.min = mn
        self.max = mx
        self._values = values

    def __repr__(self) -> str:
        values = "" if self._values is None else f", values={self._values!r}"
        return f"ResourceCount({self.min}, {self.max}{values})"

    @classmethod
    def from_count_spec(cls, v: Any, default: int = 1) -> ResourceCount:
        """Return what the count of a resource in a jobspec means.

        Args:
            v: A number; an object with ``min``, ``max``, ``operand`` and ``operator``; or text: an
                idset, or a range such as ``2-16:2:*`` or ``4+``. None for the default.
            default: The number where there is none.

        Raises:
            ValueError: It means nothing; the message says why.
        """
        if v is None:
            return cls(default, default)
        if isinstance(v, int) and not isinstance(v, bool):
            if v < 1:
                raise ValueError(f"a count must be 1 or more, not {v}")
            return cls(v, v)
        if isinstance(v, str):
            text = v[1:-1] if v.startswith("[") and v.endswith("]") else v
            match = _RANGE.fullmatch(text)
            if match is None:
                return cls._of(text, v)
            return cls._from_range(
                v,
                int(match["min"]),
                int(match["max"]) if match["max"] else None,
                int(match["operand"] or 1),
                match["operator"] or "+",
            )
        if isinstance(v, Mapping):
            least, most, operand = v.get("min", 1), v.get("max"), v.get("operand", 1)
            for key, number in (("min", least), ("max", most), ("operand", operand)):
                unlimited = key == "max" and number is None
                if not unlimited and (isinstance(number, bool) or not isinstance(number, int)):
                    raise ValueError(f"the {key} of a count must be a number: {number!r}")
            return cls._from_range(v, least, most, operand, v.get("operator", "+"))
        raise ValueError(f"a count must be a number, a range or an idset, not {v!r}")

    @classmethod
    def _of(cls, text: str, v: Any) -> ResourceCount:
        values = IDset(text)
        if not values or 0 in values:
            raise ValueError(f"a count must be 1 or more, not {v!r}")
        # What is listed stays a list, even without gaps.
        return cls(values.first(), values.last(), values if "," in text else None)

    @classmethod
    def _from_range(
        cls, v: Any, least: int, most: int | None, operand: int, operator: Any
    ) -> ResourceCount:
        if least < 1:
            raise ValueError(f"the min of a count must be 1 or more: {v!r}")
        if most is not None and most < least:
            raise ValueError(f"the max of a count must not be less than its min: {v!r}")
        if operator not in _STEPS:
            raise ValueError(f"the operator of a count must be '+', '*' or '^': {v!r}")
        if operand < (1 if operator == "+" else 2) or (operator == "^" and least == 1):
            raise ValueError(f"a count that does not grow: {v!r}")
        if operator == "+" and operand == 1:
            return cls(least, most)
        if most is None:
            raise ValueError(f"a count without max grows by one alone: {v!r}")
        values = []
        value = least
        while value <= most:
            values.append(value)
            value = _STEPS[operator](value, operand)
        return cls(least, most, IDset(values))

    def valid_counts(self, available: int) -> Iterator[int]:
        """Yield the numbers that will do, of those that are available, the greatest first."""
        most = available if self.max is None else min(available, self.max)
        if self._values is None:
            yield from range(most, self.min - 1, -1)
        else:
            yield from reversed([value for value in self._values if value <= most])

    def scaled(self, factor: int) -> ResourceCount:
        """Return what is a number of times as much."""
        if factor == 1:
            return self
        values = self._values
        return ResourceCount(
            self.min * factor,
            None if self.max is None else self.max * factor,
            None if values is None else IDset(value * factor for value in values),
        )

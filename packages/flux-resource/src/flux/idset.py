"""Sets of ids: ranks, cores, numbers of nodes (RFC 22)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from numbers import Integral
from operator import lt
from typing import Any, Final, SupportsIndex, Union

import flux._ours  # noqa: F401

__all__ = [
    "IDSET_FLAG_BRACKETS",
    "IDSET_FLAG_RANGE",
    "IDSET_INVALID_ID",
    "IDset",
    "IDsetIterator",
    "decode",
]

#: Write more than one id between brackets.
IDSET_FLAG_BRACKETS: Final = 2
#: Write ids that follow each other as a range.
IDSET_FLAG_RANGE: Final = 4
#: What `IDset.first`, `IDset.last` and `IDset.next` return if there is none.
IDSET_INVALID_ID: Final = 0xFFFFFFFE

#: No id may be greater: a set is an integer with a bit for each id, and so takes at most 8 MiB.
MAX_ID: Final = (1 << 26) - 1

#: What the methods take for a set.
IDs = Union["IDset", str, int, Iterable[Union[int, str]]]

_PART = re.compile(r"(0|[1-9][0-9]*)(?:-(0|[1-9][0-9]*))?")

#: With fewer ranges than this, setting the bits of one after the other is the faster way.
_FEW = 64


class IDset:
    """A set of non-negative integers.

    Args:
        arg: The ids: an idset in text, such as ``0-3,7``, one id, several, or another set.
        flags: How the set is written: a sum of `IDSET_FLAG_RANGE` and `IDSET_FLAG_BRACKETS`.
        handle: For calls that pass one to flux-core's bindings; None is all that there is here.

    Raises:
        ValueError: The text is not an idset (the message says where), or an id is negative or
            greater than 67108863.
        TypeError: It is none of these.

    Source: RFC 22
    """

    __slots__ = ("_bits", "_flags")
    #: It changes, and compares by what is in it.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, arg: IDs = "", flags: int = IDSET_FLAG_RANGE, handle: None = None) -> None:
        if handle is not None:
            raise TypeError("IDset: handle must be None: there are no C objects here")
        self._bits = _bits(arg)
        self._flags = flags

    def __str__(self) -> str:
        return self.encode()

    def __repr__(self) -> str:
        return f"IDset('{self.encode(IDSET_FLAG_RANGE)}')"

    def __reduce__(self) -> tuple[Any, ...]:
        return IDset, (self.encode(IDSET_FLAG_RANGE), self._flags)

    def __len__(self) -> int:
        return bin(self._bits).count("1")

    def __iter__(self) -> Iterator[int]:
        for low, high in _ranges(self._bits):
            yield from range(low, high + 1)

    def __contains__(self, i: object) -> bool:
        return self.test(i)

    def __getitem__(self, i: SupportsIndex) -> bool:
        return self.test(i)

    def __setitem__(self, i: SupportsIndex, value: object) -> None:
        if not isinstance(value, int) or value not in (0, 1):
            kind = type(value).__name__
            raise TypeError(f"IDset: an id is set to True, False, 1 or 0, not {value!r} ({kind})")
        if value:
            self.set(i)
        else:
            self.clear(i)

    def __eq__(self, idset: object) -> bool:
        if not isinstance(idset, IDset):
            raise TypeError(f"an IDset compares with an IDset, not {type(idset).__name__}")
        return self._bits == idset._bits

    def __add__(self, arg: IDs) -> IDset:
        return self.union(arg)

    __or__ = __add__

    def __sub__(self, arg: IDs) -> IDset:
        return self.difference(arg)

    def __and__(self, arg: IDs) -> IDset:
        return self.intersect(arg)

    def encode(self, flags: int | None = None) -> str:
        """Return the set as text.

        Args:
            flags: A sum of `IDSET_FLAG_RANGE` and `IDSET_FLAG_BRACKETS`; the set's own if None.

        Raises:
            ValueError: There are other flags than these.
        """
        flags = self._flags if flags is None else flags
        if flags & ~(IDSET_FLAG_RANGE | IDSET_FLAG_BRACKETS):
            raise ValueError(f"IDset: flags must be IDSET_FLAG_RANGE, IDSET_FLAG_BRACKETS: {flags}")
        if flags & IDSET_FLAG_RANGE:
            text = ",".join(
                str(low) if low == high else f"{low}-{high}" for low, high in _ranges(self._bits)
            )
        else:
            text = ",".join(map(str, self))
        return f"[{text}]" if flags & IDSET_FLAG_BRACKETS and not text.isdigit() and text else text

    def set_flags(self, flags: int) -> None:
        """Say how the set is written from now on; see `encode`."""
        self._flags = flags

    def count(self) -> int:
        """Return the number of ids."""
        return len(self)

    def test(self, i: object) -> bool:
        """Return whether an id is in the set.

        Raises:
            TypeError: It is not an integer.
            ValueError: It is negative.
        """
        return bool(self._bits >> _check("test", i) & 1)

    def first(self) -> int:
        """Return the least id, or `IDSET_INVALID_ID` if there is none."""
        return (self._bits & -self._bits).bit_length() - 1 if self._bits else IDSET_INVALID_ID

    def last(self) -> int:
        """Return the greatest id, or `IDSET_INVALID_ID` if there is none."""
        return self._bits.bit_length() - 1 if self._bits else IDSET_INVALID_ID

    def next(self, i: int) -> int:
        """Return the least id greater than one, or `IDSET_INVALID_ID` if there is none."""
        after = _check("next", i) + 1
        rest = self._bits >> after
        return (rest & -rest).bit_length() - 1 + after if rest else IDSET_INVALID_ID

    def set(self, start: SupportsIndex, end: SupportsIndex | None = None) -> IDset:
        """Add an id, or all from one to another.

        Args:
            start: The id, or the first of them.
            end: The last of them.

        Returns:
            The set itself, as do `clear`, `add` and `subtract`.

        Raises:
            TypeError: One is not an integer.
            ValueError: One is negative or too great, or the last comes before the first.
        """
        self._bits |= _span("set", start, end)
        return self

    def clear(self, start: SupportsIndex, end: SupportsIndex | None = None) -> IDset:
        """Remove an id, or all from one to another, whether they are there or not; see `set`."""
        self._bits &= ~_span("clear", start, end)
        return self

    def add(self, arg: IDs) -> IDset:
        """Add ids, which are given as to the constructor."""
        self._bits |= _bits(arg)
        return self

    def subtract(self, arg: IDs) -> IDset:
        """Remove ids, which are given as to the constructor."""
        self._bits &= ~_bits(arg)
        return self

    def copy(self) -> IDset:
        """Return another set with the same ids."""
        return _of(self._bits)

    __copy__ = copy

    def expand(self) -> list[int]:
        """Return the ids as a list."""
        return list(self)

    def equal(self, idset: IDset) -> bool:
        """Return whether another set has the same ids; TypeError if it is no `IDset`."""
        return self == idset

    def union(self, *args: IDs) -> IDset:
        """Return a new set of what is in this one or in any other, each as to the constructor."""
        bits = self._bits
        for arg in args:
            bits |= _bits(arg)
        return _of(bits)

    def intersect(self, *args: IDs) -> IDset:
        """Return a new set of what is in this one and in each other."""
        bits = self._bits
        for arg in args:
            bits &= _bits(arg)
        return _of(bits)

    def difference(self, *args: IDs) -> IDset:
        """Return a new set of what is in this one and in no other."""
        bits = self._bits
        for arg in args:
            bits &= ~_bits(arg)
        return _of(bits)


class IDsetIterator:
    """Iterates over the ids of a set, in order."""

    def __init__(self, idset: IDset) -> None:
        self._ids = iter(idset)

    def __iter__(self) -> IDsetIterator:
        return self

    def __next__(self) -> int:
        return next(self._ids)


def decode(string: IDs) -> IDset:
    """Return the set that a text describes, such as ``0-3,7`` or ``[0-3,7]``; see `IDset`."""
    return IDset(string)


def _of(bits: int) -> IDset:
    ids = IDset.__new__(IDset)
    ids._bits = bits
    ids._flags = IDSET_FLAG_RANGE
    return ids


def _check(name: str, i: object) -> int:
    if not isinstance(i, Integral):
        raise TypeError(f"IDset.{name} takes an integer, not {type(i).__name__}")
    number = int(i)
    if number < 0:
        raise ValueError(f"IDset.{name}: an id cannot be negative: {number}")
    return number


def _check_size(number: int) -> int:
    if number > MAX_ID:
        raise ValueError(f"IDset: {number} is greater than any id may be ({MAX_ID})")
    return number


def _span(name: str, start: object, end: object) -> int:
    low = _check_size(_check(name, start))
    high = low if end is None else _check_size(_check(name, end))
    if high < low:
        raise ValueError(f"IDset.{name}: the range ends before it begins: {low} > {high}")
    return (1 << high + 1) - (1 << low)


def _bits(arg: IDs) -> int:
    """Return the integer that has a bit for each id."""
    if isinstance(arg, IDset):
        return arg._bits
    if isinstance(arg, str):
        return _from_ranges(_parse(arg))
    if isinstance(arg, bool) or not isinstance(arg, (Integral, Iterable)):
        raise TypeError(f"IDset takes text, an integer or several, not {type(arg).__name__}")
    if isinstance(arg, Integral):
        return _span("add", arg, None)
    ranges: list[tuple[int, int]] = []
    for item in arg:
        if isinstance(item, str):
            ranges += _parse(item)
        elif isinstance(item, bool):
            raise TypeError("IDset takes text or integers, not bool")
        else:
            number = _check_size(_check("add", item))
            ranges.append((number, number))
    return _from_ranges(ranges)


def _parse(text: str) -> list[tuple[int, int]]:
    """Return the ranges of an idset in text, in increasing order."""
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if "-" not in inner:
        # Without ranges, all of it is read at once, which is several times as fast.
        with suppress(ValueError):
            ids = list(map(int, inner.split(",")))
            canonical = inner == ",".join(map(str, ids))
            if canonical and ids[-1] <= MAX_ID and all(map(lt, ids, ids[1:])):
                return list(zip(ids, ids))
    position = (len(text) - len(inner)) // 2
    last = -1
    ranges = []
    for part in inner.split(","):
        match = _PART.fullmatch(part)
        if match is not None:
            # Only so many digits are read: Python refuses numbers with thousands of them.
            low, high = (int(end[:20]) for end in match.group(1, 2 if match[2] else 1))
            reason = ""
            if high < low:
                reason = f"the range {part} ends before it begins"
            elif low <= last:
                reason = f"{low} does not come after {last}"
            elif high > MAX_ID:
                reason = f"no id may be greater than {MAX_ID}"
            last = high
            ranges.append((low, high))
        else:
            # As flux-core does, which makes nothing of a comma too many.
            reason = f"{part!r} is not an id or a range" if part else ""
        if reason:
            raise ValueError(f"not an idset: {text!r:.80}, at {position}: {reason}")
        position += len(part) + 1
    return ranges


def _from_ranges(ranges: list[tuple[int, int]]) -> int:
    if len(ranges) < _FEW:
        bits = 0
        for low, high in ranges:
            bits |= (1 << high + 1) - (1 << low)
        return bits
    # A digit per id, which Python then reads as one number, in a time linear in its length.
    digits = bytearray(b"0") * (max(high for _, high in ranges) + 1)
    for low, high in ranges:
        if low == high:
            digits[low] = 49
        else:
            digits[low : high + 1] = b"1" * (high + 1 - low)
    digits.reverse()
    return int(digits, 2)


def _ranges(bits: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last id of each range."""
    digits = bin(bits)[:1:-1]
    low = digits.find("1")
    while low >= 0:
        end = digits.find("0", low)
        if end < 0:
            end = len(digits)
        yield low, end - 1
        low = digits.find("1", end)

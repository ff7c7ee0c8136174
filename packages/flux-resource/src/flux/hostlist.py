"""Lists of hosts: ``fluke[0-15,20],login`` and what can be done with them (RFC 29)."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from numbers import Integral
from typing import Any, Final, Union, overload

import flux._ours  # noqa: F401

__all__ = ["Hostlist", "HostlistIterator", "decode"]

#: What the methods take for hosts.
Hosts = Union["Hostlist", str, Iterable[str]]

#: How many hosts one range may be of.
MAX_RANGE: Final = 1 << 20

#: Longer numbers are not counted with; a host with one is a name like another.
_DIGITS: Final = 19

_PART = re.compile(r"[^\[\], \t]*(?:\[([^\[\]]*)\][^\[\], \t]*)?")
_RANGE = re.compile(r"([0-9]{1,19})(?:-([0-9]{1,19}))?")


class Hostlist:
    """A list of hosts, in order, any of them as often as it was put in.

    Args:
        arg: The hosts: in text, several texts, or another list.
        handle: For calls that pass one to flux-core's bindings; None is all that there is here.

    Raises:
        ValueError: A text is not a list of hosts; the message says where.
        TypeError: It is none of these.

    Source: RFC 29
    """

    __slots__ = ("_hosts",)
    #: It changes, and compares by what is in it.
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, arg: Hosts = "", handle: None = None) -> None:
        if handle is not None:
            raise TypeError("Hostlist: handle must be None: there are no C objects here")
        self._hosts = _expand(arg)

    @classmethod
    def of_names(cls, names: Iterable[str]) -> Hostlist:
        """Return a list of hosts with these names, whatever characters are in them."""
        hostlist = cls.__new__(cls)
        hostlist._hosts = list(names)
        return hostlist

    def __str__(self) -> str:
        return self.encode()

    def __repr__(self) -> str:
        return f"Hostlist('{self.encode()}')"

    def __reduce__(self) -> tuple[Any, ...]:
        return Hostlist, (self.encode(),)

    def __len__(self) -> int:
        return len(self._hosts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hosts)

    def __contains__(self, name: object) -> bool:
        return name in self._hosts

    def __eq__(self, other: object) -> bool:
        return self._hosts == other._hosts if isinstance(other, Hostlist) else NotImplemented

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice | Iterable[int]) -> Hostlist: ...

    def __getitem__(self, index: int | slice | Iterable[int]) -> str | Hostlist:
        """Return the host at an index, or a list of those at several, or in a slice.

        Raises:
            IndexError: There is no host at an index.
            TypeError: It is nothing of that.
        """
        if isinstance(index, Integral):
            return self._at(index)
        if isinstance(index, slice):
            return Hostlist.of_names(self._hosts[index])
        if isinstance(index, Iterable):
            return Hostlist.of_names([self._at(one) for one in index])
        raise TypeError(f"a Hostlist's index is an integer, a slice or several, not {index!r}")

    def _at(self, index: object) -> str:
        if not isinstance(index, Integral):
            raise TypeError(f"a Hostlist's index is an integer, not {index!r}")
        try:
            return self._hosts[int(index)]
        except IndexError:
            count = len(self._hosts)
            raise IndexError(f"no host at {index}: the Hostlist has {count}") from None

    def append(self, *args: Hosts) -> int:
        """Put hosts at the end, given as to the constructor.

        Returns:
            How many.
        """
        added = [host for arg in args for host in _expand(arg)]
        self._hosts += added
        return len(added)

    def copy(self) -> Hostlist:
        """Return another list of the same hosts."""
        return Hostlist.of_names(self._hosts.copy())

    __copy__ = copy

    def count(self) -> int:
        """Return the number of hosts."""
        return len(self._hosts)

    def delete(self, hosts: Hosts) -> int:
        """Remove the first of each of some hosts.

        Returns:
            How many were there.
        """
        before = len(self._hosts)
        going = dict.fromkeys(doomed := _expand(hosts), 0)
        for host in doomed:
            going[host] += 1
        kept = []
        for host in self._hosts:
            if going.get(host):
                going[host] -= 1
            else:
                kept.append(host)
        self._hosts = kept
        return before - len(kept)

    def encode(self) -> str:
        """Return the list as text, with numbers that follow each other as ranges."""
        return _encode(self._hosts)

    def expand(self) -> list[str]:
        """Return the hosts as a list."""
        return self._hosts.copy()

    def find(self, host: str) -> int:
        """Return the index of the first such host.

        Raises:
            FileNotFoundError: There is none.
            TypeError: It is not text.
        """
        if not isinstance(host, str):
            raise TypeError(f"a host is text, not {type(host).__name__}")
        try:
            return self._hosts.index(host)
        except ValueError:
            raise _not_there([host]) from None

    def index(self, hosts: Hosts, ignore_nomatch: bool = False) -> list[int]:
        """Return the indices of the first of each of some hosts.

        Args:
            hosts: As to the constructor.
            ignore_nomatch: Leave out those that are not there.

        Raises:
            FileNotFoundError: Some are not there.
        """
        wanted = _expand(hosts)
        # Backwards, so that what stays is the first index of a host.
        where = dict(zip(reversed(self._hosts), range(len(self._hosts) - 1, -1, -1)))
        missing = [host for host in wanted if host not in where]
        if missing and not ignore_nomatch:
            raise _not_there(missing)
        return [where[host] for host in wanted if host in where]

    def sort(self) -> Hostlist:
        """Sort the hosts by name and number, in place; return the list itself."""
        self._hosts.sort(key=_key)
        return self

    def uniq(self) -> Hostlist:
        """Sort the hosts and keep one of each, in place; return the list itself."""
        self._hosts = sorted(set(self._hosts), key=_key)
        return self


class HostlistIterator:
    """Iterates over the hosts of a list."""

    def __init__(self, hostlist: Hostlist) -> None:
        self._hosts = iter(hostlist)

    def __iter__(self) -> HostlistIterator:
        return self

    def __next__(self) -> str:
        return next(self._hosts)


def decode(arg: Hosts) -> Hostlist:
    """Return the list that a text, or several, describe; see `Hostlist`."""
    return Hostlist(arg)


def _not_there(hosts: list[str]) -> FileNotFoundError:
    names = _encode(hosts)
    what = "host" if len(hosts) == 1 else "hosts"
    return FileNotFoundError(errno.ENOENT, f"{what} '{names}' not found", names)


def _expand(arg: Hosts) -> list[str]:
    if isinstance(arg, Hostlist):
        return arg._hosts.copy()
    if isinstance(arg, str):
        return _parse(arg)
    if not isinstance(arg, Iterable):
        raise TypeError(f"Hostlist takes text or several, not {type(arg).__name__}")
    hosts = []
    for text in arg:
        if not isinstance(text, str):
            raise TypeError(f"Hostlist takes text or several, not {type(text).__name__}")
        hosts += _parse(text)
    return hosts


def _parse(text: str) -> list[str]:
    """Return the hosts that a text describes."""
    if "[" not in text and "]" not in text and "\0" not in text:
        return [host for host in re.split("[, \t]", text) if host]
    hosts: list[str] = []
    position = 0
    while True:
        match = _PART.match(text, position)
        assert match is not None  # It matches nothing as well.
        end = match.end()
        if "\0" in match[0]:
            raise _invalid(text, position + match[0].index("\0"), "a NUL is no part of a name")
        if match[1] is not None:
            before, after = text[position : match.start(1) - 1], text[match.end(1) + 1 : end]
            hosts += _numbered(text, match.start(1), before, match[1], after)
        elif match[0]:
            hosts.append(match[0])
        if end == len(text):
            return hosts
        if text[end] not in ", \t":
            what = "a ']' without '['" if text[end] == "]" else "a second '[' or one without ']'"
            raise _invalid(text, end, what)
        position = end + 1


def _numbered(text: str, position: int, before: str, ranges: str, after: str) -> Iterator[str]:
    """Yield the hosts of ``before[ranges]after``."""
    for part in ranges.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise _invalid(text, position, f"{part!r} is not a number or a range")
        width = len(match[1])
        low, high = int(match[1]), int(match[2] or match[1])
        if high < low:
            raise _invalid(text, position, f"the range {part} ends before it begins")
        if high - low >= MAX_RANGE:
            raise _invalid(text, position, f"a range may be of {MAX_RANGE} hosts, not more")
        for number in range(low, high + 1):
            yield f"{before}{number:0{width}}{after}"
        position += len(part) + 1


def _invalid(text: str, position: int, reason: str) -> ValueError:
    return ValueError(f"not a list of hosts: {text!r:.80}, at {position}: {reason}")


def _split(host: str) -> tuple[str, str]:
    """Return a host's name up to the number at its end, and that number, or nothing."""
    name = host.rstrip("0123456789")
    digits = host[len(name) :]
    # Digits of other scripts and very long numbers are parts of names.
    return (name, digits) if len(digits) <= _DIGITS else (host, "")


def _key(host: str) -> tuple[str, int, int]:
    name, digits = _split(host)
    return name, int(digits) if digits else -1, len(digits)


def _encode(hosts: list[str]) -> str:
    """Return hosts as text: runs of one name, and in these, runs of numbers."""
    parts: list[str] = []
    ranges: list[str] = []
    current: str | None = None
    first = last = expected = ""

    def end_range() -> None:
        ranges.append(first if first == last else f"{first}-{last}")

    def end_name() -> None:
        if current is not None:
            end_range()
            text = ",".join(ranges)
            several = len(ranges) > 1 or first != last
            parts.append(f"{current}[{text}]" if several else current + text)
            ranges.clear()

    for host in hosts:
        name, digits = _split(host)
        if not digits:
            end_name()
            current = None
            parts.append(host)
            continue
        if name != current:
            end_name()
            current, first = name, digits
        elif digits != expected:
            end_range()
            first = digits
        last = digits
        expected = str(int(digits) + 1).zfill(len(first))
    end_name()
    return ",".join(parts)

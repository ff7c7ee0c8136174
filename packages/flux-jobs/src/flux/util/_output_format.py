"""Tables of objects, by format strings as ``flux jobs -o`` takes them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from string import Formatter
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from flux.util._values import DisplayValue, UtilFormatter, empty_outputs

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Deduplicator", "OutputFormat"]

#: What the text before a field may end with: drop the column if it is empty, widen it, or both.
_SENTINELS = ("?+:", "?:", "+:")
_SORT = re.compile(r"sort:([^{\s]+)( ?)")


class _Part(NamedTuple):
    """Text, and the field after it, if any."""

    text: str
    field: str
    spec: str
    conv: str

    def __str__(self) -> str:
        text = self.text.replace("{", "{{").replace("}", "}}")
        if not self.field:
            return text
        conv = f"!{self.conv}" if self.conv else ""
        spec = f":{self.spec}" if self.spec else ""
        return f"{text}{{{self.field}{conv}{spec}}}"

    @property
    def sentinel(self) -> str:
        return next((mark for mark in _SENTINELS if self.text.endswith(mark)), "")

    def plain(self) -> _Part:
        text = self.text
        for mark in _SENTINELS:
            text = text.replace(mark, "")
        return self._replace(text=text)


class _FormatSpec:
    """The format of one field, in its parts.

    Args:
        spec: The format; that of a date is what follows two colons.
    """

    _PATTERN = re.compile(
        r"((?P<fill>.)?(?P<align>[<>=^]))?(?P<sign>[-+ ])?(?P<pos_zero>z)?(?P<alt>#)?"
        r"(?P<zero_pad>0)?(?P<width_str>\d+)?(?P<grouping>[_,])?"
        r"((?P<decimal>\.)(?P<precision_str>\d+))?"
        r"(?P<type>[bcdeEfFgGnosxX%])?(?P<hyphen>h)?(?P<truncate>\+)?",
        re.DOTALL,
    )
    components = tuple(_PATTERN.groupindex)

    align: str
    width_str: str
    precision_str: str
    type: str

    def __init__(self, spec: str) -> None:
        match = self._PATTERN.fullmatch(spec.partition("::")[2] if "::" in spec else spec)
        for name in self.components:
            setattr(self, name, (match[name] if match else "") or "")

    @property
    def width(self) -> int:
        """The least width; 0 for none."""
        return int(self.width_str or 0)

    @width.setter
    def width(self, value: int) -> None:
        self.width_str = str(value)
        # The precision of text is what it is cut to.
        if self.type in ("", "s") and 0 < self.precision < value:
            self.precision = value

    @property
    def precision(self) -> int:
        """The precision; 0 for none."""
        return int(self.precision_str or 0)

    @precision.setter
    def precision(self, value: int) -> None:
        self.precision_str = str(value)

    def __str__(self) -> str:
        return "".join(getattr(self, name) for name in self.components)


class _HeaderFormatter(UtilFormatter):
    """Finds headings by the whole name of a field, dots and all."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        """Return the heading of a field."""
        if field_name in kwargs:
            return kwargs[field_name], field_name
        return super().get_field(field_name, args, kwargs)


class OutputFormat:
    """A table of objects.

    Args:
        fmt: A format string whose fields are attributes.  Before a field, ``?:`` drops the column
            where no object has a value, ``+:`` makes it as wide as its widest value, and ``?+:``
            does both.  At the beginning, ``sort:KEY,-KEY`` sorts the rows.
        headings: The fields there are, and what stands above them.
        prepend: What is put before each field, for `str.format` with the object as its argument.
        nullify_expansion_sentinel: Take ``+:`` and the width of its field out.

    Raises:
        ValueError: The format is malformed, or names a field that there is not.

    Attributes:
        sort_keys: Pairs of a field and whether it is sorted by in reverse.
    """

    FormatSpec = _FormatSpec
    HeaderFormatter = _HeaderFormatter
    formatter: Callable[[], Formatter] = UtilFormatter
    headings: Mapping[str, str] = {}
    prepend = ""

    def __init__(
        self,
        fmt: str,
        headings: Mapping[str, str] | None = None,
        prepend: str | None = "0.",
        nullify_expansion_sentinel: bool = False,
    ) -> None:
        if headings is not None:
            self.headings = headings
        if prepend is not None:
            self.prepend = prepend
        self.sort_keys: list[tuple[str, bool]] = []
        self._space = " "
        match = _SORT.match(fmt)
        if match:
            self._space = match[2]
            fmt = fmt[match.end() :]
            self.set_sort_keys(match[1])
        self.fmt_orig = fmt
        self._parts = [_Part(*(each or "" for each in part)) for part in Formatter().parse(fmt)]
        if nullify_expansion_sentinel:
            self._parts = [_without_expansion(part) for part in self._parts]
        self._fields = [part.field for part in self._parts if part.field]
        for field in self._fields:
            if (field.removeprefix("0.")) not in self.headings:
                raise ValueError(f"Unknown format field: {field}")
        self.fmt = self.get_format_prepended(self.prepend, include_sort_prefix=False)

    @property
    def fields(self) -> list[str]:
        """The fields that are shown or sorted by."""
        return list({*self._fields, *(key for key, _ in self.sort_keys)})

    def _sort_prefix(self) -> str:
        keys = ",".join(f"-{key}" if reverse else key for key, reverse in self.sort_keys)
        return f"sort:{keys}{self._space}" if keys else ""

    def get_format(self, orig: bool = False, include_sort_prefix: bool = True) -> str:
        """Return the format string.

        Args:
            orig: As it was given, without what is put before each field.
            include_sort_prefix: With the keys to sort by.
        """
        prefix = self._sort_prefix() if include_sort_prefix else ""
        return prefix + (self.fmt_orig if orig else self.fmt)

    def get_format_prepended(
        self,
        prepend: str,
        except_fields: Iterable[str] | None = None,
        include_sort_prefix: bool = True,
        nullify_expansion_sentinel: bool = False,
    ) -> str:
        """Return the format string with something put before each field.

        Args:
            prepend: What to put there.
            except_fields: Fields to leave out.
            include_sort_prefix: With the keys to sort by.
            nullify_expansion_sentinel: Without ``+:`` and the width of its field.
        """
        without = set(except_fields or ())
        result = [self._sort_prefix() if include_sort_prefix else ""]
        for part in self._parts:
            if part.field in without:
                # Text that says something stays.
                if part.text.strip() not in ("", *_SENTINELS):
                    result.append(str(part._replace(field="")))
                continue
            if part.field and not part.field.startswith(prepend):
                part = part._replace(field=prepend + part.field)
            if nullify_expansion_sentinel:
                part = _without_expansion(part)
            result.append(str(part))
        return "".join(result)

    def copy(
        self, except_fields: Iterable[str] | None = None, nullify_expansion: bool = False
    ) -> Self:
        """Return a format like this one.

        Args:
            except_fields: Fields to leave out.
            nullify_expansion: Without ``+:`` and the width of its field.
        """
        fmt = self.get_format_prepended(
            "", except_fields, nullify_expansion_sentinel=nullify_expansion
        )
        return type(self)(fmt, headings=self.headings, prepend=self.prepend)

    def header_format(self) -> str:
        """Return the format string of the heading: of each field where it is and how wide."""
        specs = [self.FormatSpec(part.spec) for part in self._parts]
        return "".join(
            str(part._replace(spec=f"{spec.align}{spec.width or ''}", conv=""))
            for part, spec in zip(self._parts, specs)
        )

    def header(self, width: int = -1) -> str:
        """Return the heading.

        Args:
            width: Where to cut it off; 0: at the width of the terminal; less: nowhere.
        """
        text = self.HeaderFormatter().format(self.header_format(), **self.headings)
        return _cut(text, _columns(width))

    def format(self, obj: Any) -> str:
        """Return the row of an object.

        Raises:
            KeyError: It has no such field.
        """
        try:
            return self.formatter().format(self.get_format(include_sort_prefix=False), obj)
        except KeyError as exc:
            raise KeyError(f"Invalid format field {exc} for {type(obj)}") from None

    def filter(self, items: Iterable[Any], no_header: bool = False) -> str:
        """Return the format string for some objects, without empty columns and with widths.

        Args:
            items: The objects.
            no_header: Have the headings not count for the widths.
        """
        marked = {number: part for number, part in enumerate(self._parts) if part.sentinel}
        if not marked:
            return self.get_format(orig=True)
        formatter = self.formatter()
        empty = empty_outputs()
        widths = dict.fromkeys(marked, 0)
        formats = {
            number: str(_Part("", f"0.{part.field}", "", part.conv))
            for number, part in marked.items()
        }
        for item in items:
            for number, fmt in formats.items():
                text = formatter.format(fmt, item)
                if text not in empty and len(text) > widths[number]:
                    widths[number] = len(text)
        result = []
        for number, part in enumerate(self._parts):
            if part.sentinel.startswith("?") and not widths[number]:
                continue
            if "+" in part.sentinel:
                spec = self.FormatSpec(part.spec)
                heading = 0 if no_header else len(self.headings.get(part.field, ""))
                spec.width = max(widths[number], spec.width, heading)
                part = part._replace(spec=str(spec))
            result.append(str(part.plain()))
        return self._sort_prefix() + "".join(result)

    def set_sort_keys(self, sort_keys: str) -> None:
        """Sort by other keys.

        Args:
            sort_keys: Fields, with commas between them, and with ``-`` before those to sort by in
                reverse.

        Raises:
            ValueError: There is no such field.
        """
        self.sort_keys = []
        for key in filter(None, map(str.strip, sort_keys.split(","))):
            name = key.removeprefix("-")
            if name not in self.headings:
                raise ValueError(f"Invalid sort key: {name}")
            self.sort_keys.append((name, name != key))

    def sort_items(self, items: list[Any]) -> list[Any]:
        """Sort a list in place.

        Returns:
            The list.
        """
        for key, reverse in reversed(self.sort_keys):
            value = attrgetter(key)
            items.sort(key=lambda item: DisplayValue(value(item)), reverse=reverse)
        return items

    def print_items(
        self,
        items: list[Any],
        no_header: bool = False,
        width: int = -1,
        pre: Callable[[Any], object] | None = None,
        post: Callable[[Any], object] | None = None,
    ) -> None:
        """Write the table to standard output.

        Args:
            items: The objects, which are sorted in place.
            no_header: Without the heading.
            width: Where to cut rows off; 0: at the width of the terminal; less: nowhere.
            pre: What to call before each row, with its object.
            post: What to call after it.
        """
        table = type(self)(
            self.filter(items, no_header), headings=self.headings, prepend=self.prepend
        )
        columns = _columns(width)
        if not no_header:
            _write_line(table.header(columns or -1))
        for item in self.sort_items(items):
            line = table.format(item)
            if not line.strip():
                continue
            if pre is not None:
                pre(item)
            _write_line(_cut(line, columns))
            if post is not None:
                post(item)


def _without_expansion(part: _Part) -> _Part:
    return part._replace(text="", spec="") if "+" in part.sentinel else part


def _columns(width: int) -> int:
    """Return where to cut lines off; 0 for nowhere."""
    if width == 0:
        try:
            return os.get_terminal_size().columns
        except OSError:
            return 0
    return max(width, 0)


def _cut(line: str, columns: int) -> str:
    return line[: columns - 1] + "+" if 0 < columns < len(line) else line


def _write_line(line: str) -> None:
    try:
        sys.stdout.write(f"{line}\n")
    except UnicodeEncodeError:
        sys.stdout.write(line.encode("ascii", "backslashreplace").decode() + "\n")


class Deduplicator:
    """A list of objects in which those that look the same are one.

    Args:
        formatter: How they look.
        except_fields: Fields without which they are compared.
        combine: What to call with the object in the list and another that looks the same.

    Attributes:
        items: The list.
    """

    def __init__(
        self,
        formatter: OutputFormat,
        except_fields: Iterable[str] | None = None,
        combine: Callable[[Any, Any], object] | None = None,
    ) -> None:
        self.formatter = formatter.copy(except_fields=except_fields, nullify_expansion=True)
        self.combine = combine
        self.hash: dict[str, Any] = {}
        self.items: list[Any] = []

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)

    def append(self, item: Any) -> None:
        """Add an object, or combine it with one that looks the same."""
        key = self.formatter.format(item)
        if key not in self.hash:
            self.hash[key] = item
            self.items.append(item)
        elif self.combine is not None:
            self.combine(self.hash[key], item)

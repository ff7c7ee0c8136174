"""Reading the shape of a job: its resources in short (RFC 46)."""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

__all__ = ["ShapeParser", "ShapeSyntaxError"]

_TYPE = re.compile(r"[^={}\[\]/;\s\"']+")
_COUNT = re.compile(r"[0-9,+:*^-]+")
_KEY = re.compile(r"[^:,{}+\-\s\"'][^:,{}]*")
_STRING = re.compile(r"[^,{}\[\]\"']+")
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_NUMBER = r"[1-9][0-9]*"
#: RFC 45
_RANGE = re.compile(
    rf"(?P<min>{_NUMBER})(?:-(?P<max>{_NUMBER})|\+)"
    rf"(?::(?P<operand>{_NUMBER})(?::(?P<operator>[+*^]))?)?"
)
#: RFC 22
_IDSET = re.compile(rf"{_NUMBER}(-{_NUMBER})?(,{_NUMBER}(-{_NUMBER})?)+")
_CONSTANTS = {"true": True, "false": False, "null": None}


class ShapeSyntaxError(Exception):
    """A shape is malformed; the text tells the position."""


class ShapeParser:
    """Reads shapes.

    Example:
        >>> ShapeParser().parse("slot=2/core=4")
        [{'type': 'slot', 'count': 2, 'label': 'task', 'with': [{'type': 'core', 'count': 4}]}]

    Attributes:
        default_slot_label: The label of a slot without one.
        range_as_dict: Return ranges as RFC 14 has them, and not as RFC 45 does.
    """

    def __init__(self) -> None:
        self.default_slot_label = "task"
        self.range_as_dict = False

    def parse(self, query: str) -> list[dict[str, Any]]:
        """Return the ``resources`` of a jobspec.

        Args:
            query: The shape.

        Raises:
            ShapeSyntaxError: It is malformed.
        """
        return _Reader(query, self.default_slot_label, self.range_as_dict).read()


class _Reader:
    """One shape, and how far it has been read."""

    def __init__(self, text: str, label: str, range_as_dict: bool) -> None:
        self.text = text
        self.label = label
        self.range_as_dict = range_as_dict
        self.position = 0
        self.slots = 0
        self.unlabelled = False

    def read(self) -> list[dict[str, Any]]:
        result = self._list()
        if self._next():
            self._fail("Unexpected text")
        if self.unlabelled and self.slots > 1:
            raise ShapeSyntaxError("Multiple slots require labels")
        return result

    def _fail(self, text: str, position: int | None = None) -> NoReturn:
        position = self.position if position is None else position
        found = f"'{self.text[position]}'" if position < len(self.text) else "the end"
        raise ShapeSyntaxError(f"{text} at position {position} of '{self.text}', at {found}")

    def _next(self) -> str:
        """Return the next character that is no space, if there is one."""
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1
        return self.text[self.position : self.position + 1]

    def _skip(self, character: str) -> bool:
        """Read a character, if it is the next."""
        if self._next() != character:
            return False
        self.position += 1
        return True

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        self._next()
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match

    def _quoted(self) -> str | None:
        if self._next() not in ("'", '"'):
            return None
        match = self._match(_QUOTED)
        if match is None:
            self._fail("Unclosed quote")
        return match[1] if match[1] is not None else match[2]

    def _list(self) -> list[dict[str, Any]]:
        begin = self.position
        if not self._skip("["):
            return [self._vertex()]
        result = [self._vertex()]
        while self._skip(";"):
            result.append(self._vertex())
        if not self._skip("]"):
            self._fail("Unclosed bracket", begin)
        return result

    def _vertex(self) -> dict[str, Any]:
        kind = self._quoted()
        is_slot = False
        if kind is None:
            match = self._match(_TYPE)
            if match is None:
                self._fail("A type of resource is missing")
            kind = match[0]
            is_slot = kind.lower() == "slot"
        vertex: dict[str, Any] = {"type": "slot" if is_slot else kind, "count": 1}
        if self._skip("="):
            vertex["count"] = self._count()
        if is_slot:
            self.slots += 1
            vertex["label"] = self.label
            if self._next() != "{":
                self.unlabelled = True
        if self._next() == "{":
            vertex.update(self._dict(is_slot))
        if self._skip("/"):
            vertex["with"] = self._list()
        elif is_slot:
            self._fail("A slot has resources in it, after a slash, which are missing")
        return vertex

    def _count(self) -> Any:
        begin = self.position
        brackets = self._skip("[")
        match = self._match(_COUNT)
        text = match[0] if match else ""
        if brackets and not self._skip("]"):
            self._fail("Unclosed bracket", begin)
        if re.fullmatch(_NUMBER, text):
            return int(text)
        ranged = _RANGE.fullmatch(text)
        if ranged is None:
            if not _IDSET.fullmatch(text):
                self._fail("A count must be a positive integer, a range or an idset", begin)
            return text
        if not self.range_as_dict:
            return text
        fields = ranged.groupdict()
        if fields["max"] is None and fields["operand"] is None:
            return {"min": int(fields["min"])}
        return {
            "min": int(fields["min"]),
            "max": int(fields["max"]) if fields["max"] else math.inf,
            "operand": int(fields["operand"] or 1),
            "operator": fields["operator"] or "+",
        }

    def _dict(self, is_slot: bool = False) -> dict[str, Any]:
        begin = self.position
        self._skip("{")
        result: dict[str, Any] = {}
        if is_slot:
            result["label"] = self._key()
        elif self._next() != "}":
            self._item(result)
        while self._skip(","):
            self._item(result)
        if not self._skip("}"):
            self._fail("Unclosed brace", begin)
        return result

    def _key(self) -> str:
        quoted = self._quoted()
        if quoted is not None:
            return quoted
        match = self._match(_KEY)
        if match is None:
            self._fail("A key is missing")
        return match[0].strip()

    def _item(self, result: dict[str, Any]) -> None:
        sign = self._next()
        if sign in ("+", "-"):
            self.position += 1
        key = self._key()
        key = "exclusive" if key == "x" else key
        if sign not in ("+", "-") and self._skip(":"):
            result[key] = self._value()
        else:
            result[key] = sign != "-"

    def _value(self) -> Any:
        begin = self._next()
        if begin == "{":
            return self._dict()
        if begin == "[":
            return self._array()
        quoted = self._quoted()
        if quoted is not None:
            return quoted
        match = self._match(_STRING)
        if match is None:
            self._fail("A value is missing")
        text = match[0].strip()
        if text.lower() in _CONSTANTS:
            return _CONSTANTS[text.lower()]
        try:
            number = json.loads(text)
        except ValueError:
            return text
        return number if isinstance(number, (int, float)) else text

    def _array(self) -> Any:
        try:
            # Quotes of either kind, as elsewhere; none of them changes a position.
            text = self.text.replace("'", '"')
            value, self.position = json.JSONDecoder().raw_decode(text, self.position)
        except ValueError as exc:
            self._fail(f"A list must be one of JSON ({exc})")
        return value

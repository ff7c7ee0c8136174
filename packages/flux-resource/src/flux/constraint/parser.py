"""Reads the short form of a constraint, such as ``-foo (bar or host:fluke[0-3])`` (RFC 35)."""

from __future__ import annotations

import re
from typing import Any, ClassVar, NamedTuple

import flux._ours  # noqa: F401

__all__ = ["ConstraintLexer", "ConstraintParser", "ConstraintSyntaxError"]

#: How deep parentheses may be nested.
MAX_DEPTH = 64

_TOKEN = re.compile(
    r"""
    (?P<LPAREN>\() | (?P<RPAREN>\)) | (?P<AND>&&?) | (?P<OR>\|\|?) | (?P<NEGATE>-)
  | '(?P<single>[^']*)' | "(?P<double>[^"]*)" | (?P<open>['"])
  | (?P<WORD>[^\s()&|'"]+)
    """,
    re.VERBOSE,
)
_WORDS = {"and": "AND", "or": "OR", "not": "NOT"}
_OPERATOR = re.compile(r"[\w.+@-]*")


class ConstraintSyntaxError(Exception):
    """A constraint cannot be read; the message says why, and where."""


class _Token(NamedTuple):
    type: str
    value: str
    position: int


class ConstraintLexer:
    """Cuts a constraint into tokens.

    Args:
        kw_args: Taken, and without effect: flux-core's lexer hands them to the one it is made with.
    """

    #: The types of tokens.
    tokens: ClassVar = ("NOT", "AND", "OR", "NEGATE", "LPAREN", "RPAREN", "TOKEN", "QUOTE")

    def __init__(self, **kw_args: Any) -> None:
        self.input("")

    def input(self, data: str) -> None:
        """Begin with another text."""
        self._data = data
        self._position = 0

    def token(self) -> _Token | None:
        """Return the next token, or None after the last.

        Raises:
            ConstraintSyntaxError: A quote is not closed.
        """
        data = self._data
        while self._position < len(data) and data[self._position].isspace():
            self._position += 1
        position = self._position
        if position == len(data):
            return None
        match = _TOKEN.match(data, position)
        assert match is not None  # All characters that are no space begin something.
        self._position = match.end()
        kind, text = str(match.lastgroup), match[0]
        if kind == "open":
            raise ConstraintSyntaxError(f"Unclosed quote {text} at position {position}")
        if kind in ("single", "double"):
            return _Token("QUOTE", match[kind], position)
        if kind == "WORD":
            # `not-a` is `not` and `-a`; `not` is a word of its own otherwise.
            if text.startswith("not-"):
                self._position = position + 3
                text = "not"
            return _Token(_WORDS.get(text, "TOKEN"), text, position)
        return _Token(kind, text, position)


class ConstraintParser:
    """Reads constraints; what operators there are is said by a subclass.

    Conditions are ``value`` or ``operator:value``, with the value between quotes if need be. Side
    by side, or with ``and``, ``&`` or ``&&`` between them, all must be true; with ``or``, ``|`` or
    ``||``, one. ``not`` inverts what follows, and ``-`` one condition. ``and`` binds tighter than
    ``or``; conditions side by side are taken from left to right.

    Args:
        lexer: What cuts the text into tokens; a `ConstraintLexer` if None.
        optimize, debug, write_tables, kw_args: Taken, and without effect: there are no tables here.

    Attributes:
        operator_map: What operators become; None is for a value without one, which is an error if
            that is missing.
        split_values: By operator, at what its value is divided into several.
        combined_terms: Operators of which two side by side become one with the values of both.

    Source: RFC 31, RFC 35
    """

    operator_map: ClassVar[dict[str | None, str]] = {}
    split_values: ClassVar[dict[str, str]] = {}
    combined_terms: ClassVar[set[str]] = set()

    def __init__(
        self,
        lexer: ConstraintLexer | None = None,
        optimize: bool = True,
        debug: bool = False,
        write_tables: bool = False,
        **kw_args: Any,
    ) -> None:
        self.lexer = lexer or ConstraintLexer()

    def parse(self, query: str, **kw_args: Any) -> dict[str, list[Any]]:
        """Return the constraint as an object.

        Args:
            query: The text.
            kw_args: Taken, and without effect.

        Raises:
            ConstraintSyntaxError: It cannot be read.
        """
        return _Reader(self, query).read()

    @staticmethod
    def invalid_operator(op: str) -> bool:
        """Return whether there can be no such operator; a subclass may say so of more of them."""
        return _OPERATOR.fullmatch(op) is None

    def combine_like_terms(
        self, p1: dict[str, list[Any]], p2: dict[str, list[Any]]
    ) -> dict[str, list[Any]]:
        """Return what is true if both of two are, as one condition if they can be combined."""
        terms = list(p1.get("and", [p1]))
        for term in p2.get("and", [p2]):
            ((last, values),) = terms[-1].items()
            if last in term and last in self.combined_terms:
                terms[-1] = {last: [*values, *term[last]]}
            else:
                terms.append(term)
        return terms[0] if len(terms) == 1 else {"and": terms}

    def condition(self, text: str) -> dict[str, list[Any]]:
        """Return the condition that ``value`` or ``operator:value`` is.

        Raises:
            ConstraintSyntaxError: There is no value, no operator where one is required, or no such.
        """
        name, colon, value = text.partition(":")
        if not colon:
            if None not in self.operator_map:
                raise ConstraintSyntaxError(f'Missing required operator in "{text}"')
            operator, value = self.operator_map[None], text
        else:
            if not value:
                raise ConstraintSyntaxError(f"Missing argument to token '{text}'")
            if self.invalid_operator(name):
                raise ConstraintSyntaxError(f"Invalid operator '{name}' in '{text}'")
            operator = self.operator_map.get(name, name)
        separator = self.split_values.get(operator)
        return {operator: value.split(separator) if separator else [value]}


class _Reader:
    """Reads one text, by recursive descent."""

    def __init__(self, parser: ConstraintParser, query: str) -> None:
        self.parser = parser
        self.query = query
        parser.lexer.input(query)
        self.tokens: list[_Token] = []
        while True:
            token = parser.lexer.token()
            if token is None:
                break
            self.tokens.append(token)
        self.tokens.reverse()

    def read(self) -> dict[str, list[Any]]:
        result = self.expression(0)
        if self.tokens:
            position = self.tokens[-1].position
            raise ConstraintSyntaxError(f"Mismatched parentheses starting at position {position}")
        return result

    def following(self) -> str | None:
        return self.tokens[-1].type if self.tokens else None

    def expression(self, depth: int) -> dict[str, list[Any]]:
        result = self.conjunction(depth)
        while self.following() not in (None, "RPAREN"):
            if self.following() == "OR":
                self.tokens.pop()
                right = self.conjunction(depth)
                result = {"or": [*result.get("or", [result]), right]}
            else:
                result = self.parser.combine_like_terms(result, self.conjunction(depth))
        return result

    def conjunction(self, depth: int) -> dict[str, list[Any]]:
        result = self.term(depth)
        while self.following() == "AND":
            self.tokens.pop()
            result = self.parser.combine_like_terms(result, self.term(depth))
        return result

    def term(self, depth: int) -> dict[str, list[Any]]:
        if not self.tokens:
            raise ConstraintSyntaxError(f"Unexpected end of input in '{self.query}'")
        if depth > MAX_DEPTH:
            raise ConstraintSyntaxError(f"Nested more than {MAX_DEPTH} deep")
        kind, value, position = self.tokens.pop()
        if kind == "NOT":
            return {"not": [self.term(depth + 1)]}
        if kind == "NEGATE" and self.following() in ("TOKEN", "QUOTE"):
            return {"not": [self.term(depth)]}
        if kind == "LPAREN":
            result = self.expression(depth + 1)
            if not self.tokens:
                raise ConstraintSyntaxError(f"Unclosed parenthesis in position {position}")
            self.tokens.pop()
            return result
        if kind == "QUOTE" and value:
            return self.parser.condition(value)
        if kind == "TOKEN":
            if value.endswith(":") and self.following() == "QUOTE":
                value += self.tokens.pop().value
            return self.parser.condition(value)
        raise ConstraintSyntaxError(f"Invalid token '{value}' at position {position}")

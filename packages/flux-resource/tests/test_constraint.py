"""The short form of constraints."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flux.constraint.parser import ConstraintParser, ConstraintSyntaxError


class Plain(ConstraintParser):
    operator_map: ClassVar = {None: "t", "h": "host"}


class Rich(ConstraintParser):
    operator_map: ClassVar = {None: "t"}
    split_values: ClassVar = {"t": ","}
    combined_terms: ClassVar = {"t"}


A, B, C = {"t": ["a"]}, {"t": ["b"]}, {"t": ["c"]}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("a", A),
        ("h:x", {"host": ["x"]}),
        ("other:11:00", {"other": ["11:00"]}),
        ("h:'x y' ", {"host": ["x y"]}),
        ('"and"', {"t": ["and"]}),
        ("a b and c", {"and": [A, B, C]}),
        ("a|b || c or a", {"or": [A, B, C, A]}),
        ("a|b&c", {"or": [A, {"and": [B, C]}]}),
        ("a&b|c", {"or": [{"and": [A, B]}, C]}),
        ("a|b c", {"and": [{"or": [A, B]}, C]}),
        ("a&(b|-c)", {"and": [A, {"or": [B, {"not": [C]}]}]}),
        ("not (a b)", {"not": [{"and": [A, B]}]}),
        ("not a not b", {"and": [{"not": [A]}, {"not": [B]}]}),
        ("not-a", {"not": [{"not": [A]}]}),
        ("a-b", {"t": ["a-b"]}),
    ],
)
def test_what_a_constraint_means(text: str, result: Any) -> None:
    assert Plain().parse(text) == result


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x,y", {"t": ["x", "y"]}),
        ("x y", {"t": ["x", "y"]}),
        ("x (y,z)", {"t": ["x", "y", "z"]}),
        ("x|y", {"or": [{"t": ["x"]}, {"t": ["y"]}]}),
        ("x h:q y", {"and": [{"t": ["x"]}, {"h": ["q"]}, {"t": ["y"]}]}),
        ("-x y z", {"and": [{"not": [{"t": ["x"]}]}, {"t": ["y", "z"]}]}),
    ],
)
def test_values_can_be_split_and_conditions_combined(text: str, result: Any) -> None:
    assert Rich().parse(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Unexpected end of input"),
        ("a|", "Unexpected end of input"),
        ("h:' ", "Unclosed quote ' at position 2"),
        ("(a", "Unclosed parenthesis in position 0"),
        ("(a))", "Mismatched parentheses starting at position 3"),
        ("b -(a)", "Invalid token '-' at position 2"),
        ("a or and", "Invalid token 'and' at position 5"),
        ("4g,host:foo", "Invalid operator '4g,host'"),
        ("foo and h:", "Missing argument to token 'h:'"),
        ("(" * 1000 + "a" + ")" * 1000, "Nested more than"),
        ("not " * 1000 + "a", "Nested more than"),
    ],
)
def test_what_cannot_be_read_says_why_and_where(text: str, message: str) -> None:
    with pytest.raises(
        ConstraintSyntaxError, match=message.replace("(", r"\(").replace(")", r"\)")
    ):
        Plain().parse(text)


def test_without_a_default_an_operator_is_required() -> None:
    assert ConstraintParser().parse("h:x") == {"h": ["x"]}
    with pytest.raises(ConstraintSyntaxError, match='Missing required operator in "foo"'):
        ConstraintParser().parse("foo")


@given(st.lists(st.sampled_from(["a", "h:b", "(", ")", "-", "not ", " and ", "|", "'", ":", " "])))
def test_any_text_is_a_constraint_or_the_one_error(parts: list[str]) -> None:
    try:
        result = Plain().parse("".join(parts))
    except ConstraintSyntaxError:
        return
    assert len(result) == 1

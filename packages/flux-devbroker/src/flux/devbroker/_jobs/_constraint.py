"""Constraints of a list of jobs (RFC 31, RFC 43)."""

from __future__ import annotations

import re
from typing import Any, Callable

from flux.devbroker._jobs import _states
from flux.hostlist import Hostlist
from flux.idset import IDset

Test = Callable[[dict[str, Any]], bool]

#: How deep constraints may be nested.
MAX_DEPTH = 32

_COMPARISON = re.compile(r"(<=|>=|<|>)(.*)", re.DOTALL)
_TIMES = (
    *("t_submit", "t_depend", "t_run", "t_cleanup", "t_inactive"),
    *("t_priority", "t_sched"),
)


class ConstraintError(ValueError):
    """A constraint is not valid."""


def compile_constraint(constraint: Any, depth: int = 0) -> Test:
    """Return a predicate for jobs' records.

    Raises:
        ConstraintError: The constraint is not valid.
    """
    if not isinstance(constraint, dict):
        raise ConstraintError("constraint must be JSON object")
    if depth > MAX_DEPTH:
        raise ConstraintError("constraints are nested too deeply")
    if len(constraint) > 1:
        raise ConstraintError("constraint must only contain 1 operation")
    for operator, values in constraint.items():
        if not isinstance(values, list):
            raise ConstraintError(f"operator {operator} values not an array")
        return _operation(operator, values, depth)
    return lambda record: True


def _operation(operator: str, values: list[Any], depth: int) -> Test:
    if operator in ("and", "or", "not"):
        tests = [compile_constraint(value, depth + 1) for value in values]
        if operator == "or":
            return lambda record: any(test(record) for test in tests) or not tests
        if operator == "not":
            return lambda record: not all(test(record) for test in tests)
        return lambda record: all(test(record) for test in tests)
    if operator == "userid":
        users = _all(operator, values, int)
        return lambda record: record["userid"] in users or -1 in users
    if operator in ("name", "queue", "project", "bank"):
        names = _all(operator, values, str)
        return lambda record: record.get(operator) in names
    if operator == "states":
        states = _mask(operator, values, _states.STATE_NAMES)
        return lambda record: bool(record["state"] & states)
    if operator == "results":
        results = _mask(operator, values, _states.RESULT_NAMES)
        return lambda record: bool(record.get("result", 0) & results)
    if operator == "ranks":
        # There is no rank but 0.
        ours = 0 in IDset().union(*map(_rank_set, _all(operator, values, str)))
        return lambda record: "ranks" in record and ours
    if operator == "hostlist":
        try:
            hosts = Hostlist(_all("host", values, str))
        except ValueError:
            raise ConstraintError("host value not in valid Hostlist format") from None
        return lambda record: record.get("nodelist") in hosts
    if operator in _TIMES:
        comparisons = [_comparison(operator, value) for value in values]
        return lambda record: any(test(record) for test in comparisons)
    raise ConstraintError(f"unknown constraint operator: {operator}")


def _all(operator: str, values: list[Any], kind: type) -> list[Any]:
    for value in values:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConstraintError(f"{operator} value must be {_KINDS[kind]}")
    return values


_KINDS = {int: "an integer", str: "a string"}


def _mask(operator: str, values: list[Any], names: dict[str, int]) -> int:
    mask = 0
    for value in values:
        if isinstance(value, str):
            number = names.get(value.lower())
            if number is None:
                raise ConstraintError(f"invalid {operator} value '{value}' specified")
            mask |= number
        elif isinstance(value, int):
            mask |= value
        else:
            raise ConstraintError(f"{operator} value must be an integer or string")
    return mask


def _rank_set(value: str) -> IDset:
    try:
        return IDset(value)
    except ValueError:
        raise ConstraintError(f"ranks value '{value}': error parsing range '{value}'") from None


def _comparison(operator: str, value: Any) -> Test:
    match = _COMPARISON.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ConstraintError(f"{operator} value must be a comparison: {value}")
    try:
        limit = float(match[2])
    except ValueError:
        raise ConstraintError(f"{operator} value must be a comparison: {value}") from None
    sign = match[1]

    def test(record: dict[str, Any]) -> bool:
        when = record.get(operator)
        if when is None:
            return False
        if sign[0] == "<":
            return bool(when < limit or (sign == "<=" and when == limit))
        return bool(when > limit or (sign == ">=" and when == limit))

    return test

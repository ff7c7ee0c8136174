"""Which ranks a constraint on resources matches (RFC 31)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flux.hostlist import Hostlist
from flux.idset import IDset

if TYPE_CHECKING:
    from flux.resource.Rv1Set import Rv1Set

__all__ = ["matching"]

#: How deep constraints may be nested.
MAX_DEPTH = 64


def matching(rset: Rv1Set, constraint: Any, depth: int = 0) -> IDset:
    """Return the ranks of a set that a constraint matches.

    Args:
        rset: The set.
        constraint: An object, or JSON of one.
        depth: How many constraints this one is inside of.

    Raises:
        ValueError: It is no constraint; the message says why.
    """
    if isinstance(constraint, str):
        constraint = json.loads(constraint)
    if not isinstance(constraint, dict) or len(constraint) != 1:
        raise ValueError(f"a constraint is an object with one operator, not {constraint!r}")
    if depth > MAX_DEPTH:
        raise ValueError(f"a constraint is nested more than {MAX_DEPTH} deep")
    ((operator, values),) = constraint.items()
    ranks = rset.ranks()
    if operator in ("and", "or", "not"):
        if not isinstance(values, list) or (operator == "not" and not values):
            kind = "a non-empty list" if operator == "not" else "a list"
            raise ValueError(f"the operand of '{operator}' must be {kind}, not {values!r}")
        found = [matching(rset, value, depth + 1) for value in values]
        if operator == "or":
            return IDset().union(*found)
        return ranks - ranks.intersect(*found) if operator == "not" else ranks.intersect(*found)
    if operator == "properties":
        for name in _texts(operator, values):
            if name.startswith("^"):
                ranks = ranks - rset.ranks_of(name[1:])
            else:
                ranks = ranks & rset.ranks_of(name)
        return ranks
    if operator == "hostlist":
        names = set(Hostlist(_texts(operator, values)))
        return IDset(rank for rank, host in rset.hosts() if host in names)
    if operator == "ranks":
        return ranks & IDset().union(*_texts(operator, values))
    raise ValueError(f"unknown constraint operator: {operator!r}")


def _texts(operator: str, values: Any) -> list[str]:
    """Return the operand of an operator as a list of strings; one string will do for one."""
    if isinstance(values, str):
        return [values]
    if not isinstance(values, list):
        raise ValueError(f"the operand of '{operator}' must be a list, not {values!r}")
    for value in values:
        if not isinstance(value, str):
            raise ValueError(f"a value of '{operator}' must be a string, not {value!r}")
    return values

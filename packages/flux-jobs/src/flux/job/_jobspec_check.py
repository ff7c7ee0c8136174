"""What RFC 14 (any jobspec) and RFC 25 (version 1) ask for, checked key by key.

Each error begins with the path of what is wrong, such as ``resources[0].with[1].count``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Number
from typing import Any

__all__ = ["TOP_LEVEL_KEYS", "check", "check_counts", "check_keys", "check_v1"]

TOP_LEVEL_KEYS = {"resources", "tasks", "attributes", "version"}

#: Resources of which there is at least one where they are named at all.
_NEVER_NONE = ("node", "slot", "core")
_NONE: list[Any] = []
_OPERATORS = ("+", "*", "^")
_LOGICAL = ("and", "or", "not")
_NOT_IN_PROPERTIES = frozenset("&'\"`|()")


def _mapping(value: Any, path: str) -> Mapping[str, Any]:
    # To ask an abstract class takes twenty times as long, and this is asked for each job.
    if isinstance(value, (dict, Mapping)):
        return value
    raise TypeError(f"{path} must be a mapping, not {value!r}")


def _sequence(value: Any, path: str) -> Sequence[Any]:
    if isinstance(value, list) or (
        isinstance(value, Sequence) and not isinstance(value, (str, bytes))
    ):
        return value
    raise TypeError(f"{path} must be a list, not {value!r}")


def _string(value: Any, path: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{path} must be a string, not {value!r}")
    return value


def _integer(value: Any, path: str, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{path} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{path} must be at least {least}, not {value}")
    return value


def check_keys(
    given: Mapping[str, Any],
    required: Sequence[str],
    path: str,
    optional: Sequence[str] | None = (),
) -> None:
    """Check that a mapping has the keys that it should have.

    Args:
        given: The mapping.
        required: The keys that must be in it.
        path: Where it is in the jobspec; empty for the jobspec itself.
        optional: What else may be in it; None for anything.

    Raises:
        ValueError: A key is missing, or is none of them.
    """
    place = f" in {path}" if path else ""
    for key in required:
        if key not in given:
            raise ValueError(f"Missing key ({key}){place}")
    if optional is not None:
        for key in given:
            if key not in required and key not in optional:
                raise ValueError(f"Extraneous key ({key}){place}")


def check(resources: Any, tasks: Any, attributes: Any, version: Any) -> None:
    """Check the parts of a jobspec (RFC 14).

    Raises:
        TypeError: Something has the wrong type.
        ValueError: Something is missing, too much or out of range.
    """
    _sequence(resources, "resources")
    _sequence(tasks, "tasks")
    _mapping(attributes, "attributes")
    _integer(version, "version", 1)
    for number, resource in enumerate(resources):
        _check_resource(resource, f"resources[{number}]")
    for number, task in enumerate(tasks):
        _check_task(task, f"tasks[{number}]")
    check_keys(attributes, (), "attributes", ("system", "user"))
    if "system" in attributes:
        _check_system(_mapping(attributes["system"], "attributes.system"), "attributes.system")


def _check_resource(resource: Any, path: str) -> None:
    check_keys(_mapping(resource, path), ("type", "count"), path, None)
    kind = _string(resource["type"], f"{path}.type")
    count = resource["count"]
    if isinstance(count, int):
        _integer(count, f"{path}.count", 1 if kind in _NEVER_NONE else 0)
    elif isinstance(count, str):
        _check_count_string(count, f"{path}.count")
    elif isinstance(count, Mapping):
        _check_range(count, f"{path}.count")
    else:
        raise TypeError(f"{path}.count must be an integer or a range, not {count!r}")
    for key in ("id", "unit", "label"):
        if key in resource:
            _string(resource[key], f"{path}.{key}")
    if resource.get("exclusive", False) not in (True, False):
        raise TypeError(f"{path}.exclusive must be a boolean, not {resource['exclusive']!r}")
    if kind == "slot" and "label" not in resource:
        raise ValueError(f"{path}.label is missing: slots have one")
    for number, child in enumerate(_sequence(resource.get("with", _NONE), f"{path}.with")):
        _check_resource(child, f"{path}.with[{number}]")


def _check_range(count: Mapping[str, Any], path: str) -> None:
    check_keys(count, ("min",), path, ("max", "operand", "operator"))
    for key in ("min", "max", "operand"):
        if key in count:
            _integer(count[key], f"{path}.{key}", 1)
    if count.get("max", count["min"]) < count["min"]:
        raise ValueError(f"{path}.max must be at least {path}.min, {count['min']}")
    if ("operator" in count) != ("operand" in count):
        raise ValueError(f"{path}: operator and operand only come together")
    if "operator" in count:
        operator = _string(count["operator"], f"{path}.operator")
        if operator not in _OPERATORS:
            raise ValueError(f"{path}.operator must be one of +, * and ^, not {operator!r}")
        if operator != "+":
            _integer(count["operand"], f"{path}.operand", 2)
        if operator == "^":
            _integer(count["min"], f"{path}.min", 2)


def _check_count_string(count: str, path: str) -> None:
    """Check a range in one string, such as ``4-16:2:*`` or ``3+``, or an idset (RFC 22)."""
    bounds, *steps = count.split(":")
    try:
        least, dash, most = bounds.partition("-")
        fields: dict[str, Any] = {"min": int(least if dash else least.rstrip("+"))}
        if dash:
            fields["max"] = int(most)
        if steps:
            fields["operand"] = int(steps[0])
            fields["operator"] = "".join(steps[1:2]) or "+"
    except ValueError:
        fields = {}
    if fields and len(steps) < 3 and (dash or bounds.endswith("+")):
        _check_range(fields, path)
        return
    from flux import idset

    try:
        idset.decode(count)
    except ValueError as exc:
        raise ValueError(f"{path} must be an idset or a range, not {count!r}: {exc}") from None


def _check_task(task: Any, path: str) -> None:
    check_keys(_mapping(task, path), ("command", "slot", "count"), path, None)
    count = _mapping(task["count"], f"{path}.count")
    if len(count) != 1 or not count.keys() & {"per_slot", "per_resource", "total"}:
        raise ValueError(
            f"{path}.count must have one key, per_slot, per_resource or total, not {dict(count)!r}"
        )
    for key in ("per_slot", "total"):
        if key in count:
            _integer(count[key], f"{path}.count.{key}", 1)
    _string(task["slot"], f"{path}.slot")
    _mapping(task.get("attributes", {}), f"{path}.attributes")
    command = _sequence(task["command"], f"{path}.command")
    if not command:
        raise TypeError(f"{path}.command must not be empty")
    for number, argument in enumerate(command):
        if not isinstance(argument, str):
            _string(argument, f"{path}.command[{number}]")


def _check_system(system: Mapping[str, Any], path: str) -> None:
    for number, entry in enumerate(
        _sequence(system.get("dependencies", _NONE), f"{path}.dependencies")
    ):
        place = f"{path}.dependencies[{number}]"
        check_keys(_mapping(entry, place), ("scheme", "value"), place, None)
        _string(entry["scheme"], f"{place}.scheme")
        _string(entry["value"], f"{place}.value")
    if "constraints" in system:
        _check_constraint(system["constraints"], f"{path}.constraints")


def _check_constraint(constraint: Any, path: str) -> None:
    """Check a constraint (RFC 31)."""
    for operator, values in _mapping(constraint, path).items():
        _string(operator, f"{path}: the operator {operator!r}")
        place = f"{path}.{operator}"
        _sequence(values, place)
        for number, value in enumerate(values):
            if operator in _LOGICAL:
                _check_constraint(value, f"{place}[{number}]")
            elif operator == "properties":
                wrong = _NOT_IN_PROPERTIES.intersection(_string(value, f"{place}[{number}]"))
                if wrong:
                    raise TypeError(f"{place}[{number}]: {min(wrong)!r} must not be in {value!r}")
            elif operator in ("hostlist", "ranks"):
                _check_members(value, operator, f"{place}[{number}]")
        if operator not in (*_LOGICAL, "properties", "hostlist", "ranks"):
            raise TypeError(f"{place}: there is no constraint operator {operator!r}")


def _check_members(value: Any, operator: str, path: str) -> None:
    from flux import hostlist, idset

    decode = hostlist.decode if operator == "hostlist" else idset.decode
    try:
        decode(_string(value, path))
    except (ValueError, OSError) as exc:
        raise ValueError(f"{path}: {exc}") from None


def check_v1(tasks: Sequence[Any], resources: Sequence[Any], attributes: Mapping[str, Any]) -> None:
    """Check what version 1 asks for beyond that (RFC 25).

    Raises:
        ValueError: Something is missing or of the wrong type.
    """
    if "system" not in attributes:
        raise ValueError("attributes.system is a required key")
    system = attributes["system"]
    if "duration" not in system:
        raise ValueError("attributes.system.duration is a required key")
    if not isinstance(system["duration"], (int, float, Number)):
        raise ValueError(
            f"attributes.system.duration must be a number of seconds, not {system['duration']!r}"
        )
    for number, task in enumerate(tasks):
        if not task["count"].keys() & {"per_slot", "total"}:
            raise ValueError(f"tasks[{number}].count must have per_slot or total in version 1")
    check_counts(resources, "resources")


def check_counts(resources: Sequence[Any], path: str) -> None:
    """Check that every count is an integer, which version 1 asks for.

    Raises:
        ValueError: One is not.
    """
    for number, resource in enumerate(resources):
        place = f"{path}[{number}]"
        count = resource["count"]
        if not isinstance(count, int):
            raise ValueError(
                f"{place}.count: resource count must be an integer for type {resource['type']!r} "
                f"(got {type(count).__name__!r})"
            )
        check_counts(resource.get("with", ()), f"{place}.with")

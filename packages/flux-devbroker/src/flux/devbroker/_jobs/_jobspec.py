"""Validation of jobspecs, version 1 (RFC 25) within the canonical form (RFC 14).

The texts are those of flux-core's validator: users know them.
"""

from __future__ import annotations

from typing import Any

_TOP_LEVEL = ("resources", "tasks", "version", "attributes")
_COUNTED = ("node", "slot", "core")
_TASK_COUNTS = ("per_slot", "total")
_LOGICAL = ("and", "or", "not")


class JobspecError(ValueError):
    """A jobspec is not valid; the text is for the one who submitted it."""


def validate(spec: Any) -> None:
    """Check a jobspec.

    Args:
        spec: It, decoded from JSON.

    Raises:
        JobspecError: It is not valid.
    """
    if not isinstance(spec, dict):
        raise JobspecError("jobspec must be a mapping")
    for key in ("version", *_TOP_LEVEL):
        if key not in spec:
            raise JobspecError(f"Missing key ({key})")
    for key in spec:
        if key not in _TOP_LEVEL:
            raise JobspecError(f"Extraneous key ({key})")
    if _not_int(spec["version"]) or spec["version"] != 1:
        raise JobspecError("version must be 1")
    for key in ("resources", "tasks"):
        if not isinstance(spec[key], list):
            raise JobspecError(f"{key} must be a sequence")
    if not isinstance(spec["attributes"], dict):
        raise JobspecError("attributes must be a mapping")
    _resources(spec["resources"])
    for task in spec["tasks"]:
        _task(task)
    _attributes(spec["attributes"])


def _not_int(value: Any) -> bool:
    return not isinstance(value, int) or isinstance(value, bool)


def _resources(resources: list[Any]) -> None:
    # Without recursion: how deep they are nested is the sender's choice.
    todo = list(reversed(resources))
    while todo:
        resource = todo.pop()
        if not isinstance(resource, dict):
            raise JobspecError("resource must be a mapping")
        kind = resource.get("type")
        if "type" not in resource:
            raise JobspecError("type is a required key for resources")
        if not isinstance(kind, str):
            raise JobspecError("type must be a string")
        _resource_count(resource, kind)
        for key in ("id", "unit", "label"):
            if key in resource and not isinstance(resource[key], str):
                raise JobspecError(f"{key} must be a string")
        if not isinstance(resource.get("exclusive", False), bool):
            raise JobspecError("exclusive must be a boolean")
        if kind == "slot" and "label" not in resource:
            raise JobspecError("slots must have labels")
        children = resource.get("with", [])
        if not isinstance(children, list):
            raise JobspecError("with must be a sequence")
        todo.extend(reversed(children))


def _resource_count(resource: dict[str, Any], kind: str) -> None:
    if "count" not in resource:
        raise JobspecError("count is a required key for resources")
    count = resource["count"]
    if _not_int(count):
        if isinstance(count, (dict, str)):
            name = type(count).__name__
            raise JobspecError(
                f"resource count must be an integer for type '{kind}' (got '{name}')"
            )
        raise JobspecError("count must be an int or mapping")
    if kind in _COUNTED and count < 1:
        raise JobspecError("node, slot, or core count must be > 0")
    if count < 0:
        raise JobspecError("count must be >= 0")


def _task(task: Any) -> None:
    if not isinstance(task, dict):
        raise JobspecError("task must be a mapping")
    for key in ("command", "slot", "count"):
        if key not in task:
            raise JobspecError(f"Missing key ({key})")
    count = task["count"]
    if not isinstance(count, dict):
        raise JobspecError("count must be a mapping")
    if len(count) != 1:
        raise JobspecError("count must have exactly one key set")
    if not any(key in count for key in _TASK_COUNTS):
        raise JobspecError("count per_slot or total must be set")
    for key, value in count.items():
        if _not_int(value):
            raise JobspecError(f"count {key} must be an int")
        if value <= 0:
            raise JobspecError(f"count {key} must be > 0")
    if not isinstance(task["slot"], str):
        raise JobspecError("slot must be a string")
    if not isinstance(task.get("attributes", {}), dict):
        raise JobspecError("attributes must be a mapping")
    command = task["command"]
    if isinstance(command, (list, str)) and not command:
        raise JobspecError("command array cannot have length of zero")
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise JobspecError("command must be a list of strings")


def _attributes(attributes: dict[str, Any]) -> None:
    for key in attributes:
        if key not in ("system", "user"):
            raise JobspecError(f"Extraneous key ({key})")
    if "system" not in attributes:
        raise JobspecError("attributes.system is a required key")
    system = attributes["system"]
    if not isinstance(system, dict):
        raise JobspecError("attributes.system must be a mapping")
    dependencies = system.get("dependencies", [])
    if not isinstance(dependencies, list):
        raise JobspecError("attributes.system.dependencies must be a list")
    for dependency in dependencies:
        _dependency(dependency)
    _constraints(system.get("constraints", {}))
    if "duration" not in system:
        raise JobspecError("attributes.system.duration is a required key")
    duration = system["duration"]
    if not isinstance(duration, (int, float)) or isinstance(duration, bool):
        raise JobspecError("attributes.system.duration must be a number")
    environment = system.get("environment", {})
    if not isinstance(environment, dict):
        raise JobspecError("attributes.system.environment must be a mapping")
    if not isinstance(system.get("cwd", ""), str):
        raise JobspecError("attributes.system.cwd must be a string")


def _dependency(dependency: Any) -> None:
    if not isinstance(dependency, dict):
        raise JobspecError("dependency must be a mapping")
    for key in ("scheme", "value"):
        if key not in dependency:
            raise JobspecError(f"Missing key ({key})")
        if not isinstance(dependency[key], str):
            raise JobspecError(f"dependency {key} must be a string")


def _constraints(constraints: Any) -> None:
    todo = [constraints]
    while todo:
        constraint = todo.pop()
        if not isinstance(constraint, dict):
            raise JobspecError("constraints must be a mapping")
        for operator, values in constraint.items():
            if not isinstance(values, list):
                raise JobspecError(f"argument to constraint {operator} must be a sequence")
            if operator in _LOGICAL:
                todo.extend(values)
            elif operator not in ("properties", "hostlist", "ranks"):
                raise JobspecError(f"unknown constraint operator '{operator}'")

"""Nested dicts, addressed by dotted paths."""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

__all__ = ["del_treedict", "dict_merge", "get_treedict", "json_or_text", "set_treedict"]


def json_or_text(text: str) -> Any:
    """Return the value that a setting has: what it is in JSON, or else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def get_treedict(in_dict: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """Return what is at a dotted path.

    Args:
        in_dict: The outermost dict.
        key: The path, such as ``system.shell.options``.
        default: What to return where nothing is there.

    Raises:
        TypeError: Something on the way is no dict.
    """
    node: Any = in_dict
    *way, last = key.split(".")
    for part in way:
        if part not in node:
            return default
        node = node[part]
    if not isinstance(node, Mapping):
        raise TypeError(f"{'.'.join(way)} is {node!r}, in which there is no {last!r}")
    return node.get(last, default)


def set_treedict(in_dict: MutableMapping[str, Any], key: str, val: Any) -> None:
    """Set what is at a dotted path, and make the dicts on the way that are missing.

    Args:
        in_dict: The outermost dict.
        key: The path.
        val: The value.

    Raises:
        TypeError: Something on the way is no dict.
    """
    node = in_dict
    *way, last = key.split(".")
    for depth, part in enumerate(way):
        node = node.setdefault(part, {})
        if not isinstance(node, MutableMapping):
            raise TypeError(f"{'.'.join(way[: depth + 1])} is {node!r}, not a mapping")
    node[last] = val


def del_treedict(in_dict: MutableMapping[str, Any], key: str, remove_empty: bool = False) -> None:
    """Delete what is at a dotted path.

    Args:
        in_dict: The outermost dict.
        key: The path.
        remove_empty: Delete the dicts on the way, too, that this leaves empty.

    Raises:
        KeyError: Nothing is there.
    """
    nodes: list[MutableMapping[str, Any]] = [in_dict]
    way = key.split(".")
    for part in way[:-1]:
        nodes.append(nodes[-1][part])
    del nodes[-1][way[-1]]
    if remove_empty:
        for parent, part, node in zip(nodes[-2::-1], way[-2::-1], nodes[:0:-1]):
            if node:
                break
            del parent[part]


def dict_merge(src: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a nested dict into another: where both have a value, the new one counts.

    Args:
        src: The dict that changes.
        new: What to put into it.

    Returns:
        The first dict.
    """
    for key, value in new.items():
        old = src.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            dict_merge(old, value)
        else:
            src[key] = value
    return src

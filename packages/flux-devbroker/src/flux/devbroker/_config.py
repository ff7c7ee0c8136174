"""The configuration: reading its files, and the one section that the broker itself obeys."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

#: The keys of section ``access``, with the type of each.
_ACCESS_KEYS: dict[str, type] = {
    "allow-guest-user": bool,
    "allow-root-owner": bool,
    "private-mode": bool,
    "roles": dict,
}


class Access(NamedTuple):
    """Who, besides the owner, may connect: section ``access``."""

    allow_guest_user: bool = False
    allow_root_owner: bool = False


def access(config: dict[str, Any]) -> Access:
    """Return the section ``access`` of a configuration.

    Raises:
        ValueError: It is malformed.
    """
    section = config.get("access", {})
    where = "error parsing [access] configuration"
    if not isinstance(section, dict):
        raise ValueError(f"{where}: expected a table, not {section!r}")
    for key, kind in _ACCESS_KEYS.items():
        if key in section and not isinstance(section[key], kind):
            raise ValueError(f"{where}: {key}: expected {kind.__name__}, not {section[key]!r}")
    unknown = [key for key in section if key not in _ACCESS_KEYS]
    if unknown:
        names = ", ".join(unknown)
        raise ValueError(f"{where}: {len(unknown)} object item(s) left unpacked: {names}")
    return Access(section.get("allow-guest-user", False), section.get("allow-root-owner", False))


def read(path: str) -> dict[str, Any]:
    """Read a configuration file, TOML or JSON, or all TOML files of a directory.

    Raises:
        ValueError: It cannot be read.
    """
    top = Path(path)
    files = sorted(top.glob("*.toml")) if top.is_dir() else [top]
    config: dict[str, Any] = {}
    for file in files:
        try:
            text = file.read_text("utf-8")
            values = json.loads(text) if file.suffix == ".json" else parse_toml(text)
        except OSError as exc:
            raise ValueError(f"{file}: {os.strerror(exc.errno or 0)}") from None
        except ValueError as exc:
            raise ValueError(f"{file}: {exc}") from None
        if not isinstance(values, dict):
            raise ValueError(f"{file}: expected an object at the top")
        merge(config, values)
    return config


def merge(config: dict[str, Any], update: dict[str, Any]) -> None:
    """Put what one configuration says into another."""
    for key, value in update.items():
        old = config.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            merge(old, value)
        else:
            config[key] = value


def parse_toml(text: str) -> dict[str, Any]:
    """Parse a TOML document.

    Raises:
        ValueError: It is malformed.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)

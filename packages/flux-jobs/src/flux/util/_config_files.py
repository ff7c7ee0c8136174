"""Files of configuration: where they are, and reading them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, Union

__all__ = ["load", "loads_toml", "xdg_searchpath"]


def xdg_searchpath(subdir: str = "") -> list[Path]:
    """Return the directories for configuration, those that count first before others.

    Args:
        subdir: A directory in each of them.
    """
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    system = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [Path(place, "flux", subdir) for place in (home, *system.split(":"))]


def loads_toml(text: str) -> dict[str, Any]:
    """Parse TOML.

    Raises:
        ValueError: It is none.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def load(path: Union[str, os.PathLike[str]], kind: str) -> Any:  # noqa: UP007
    """Read a file.

    Args:
        path: Where it is.
        kind: What it is: ``.toml``, ``.json`` or ``.yaml``.

    Raises:
        OSError: It cannot be read.
        ValueError: It cannot be parsed; the text names the file.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        if kind == ".toml":
            return loads_toml(text)
        if kind == ".json":
            return json.loads(text)
        import yaml

        try:
            return yaml.safe_load(text)
        except yaml.YAMLError as exc:
            raise ValueError(str(exc)) from None
    except ValueError as exc:
        raise ValueError(f"{path}: {exc}") from None

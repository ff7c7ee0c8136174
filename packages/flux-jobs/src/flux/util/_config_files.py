"""Files of configuration: where they are, and reading them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Callable, Union

__all__ = ["HANDLERS", "load", "loads_toml", "xdg_searchpath"]


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


def _toml(file: IO[bytes]) -> Any:
    return loads_toml(file.read().decode())


def _yaml(file: IO[bytes]) -> Any:
    import yaml

    try:
        return yaml.safe_load(file)
    except yaml.YAMLError as exc:
        raise ValueError(str(exc)) from None


#: What reads a file, by what its name ends with.
HANDLERS: Mapping[str, Callable[[IO[bytes]], Any]] = {
    ".toml": _toml,
    ".json": json.load,
    ".yaml": _yaml,
}


def load(path: Union[str, os.PathLike[str]], handler: Callable[[IO[bytes]], Any]) -> Any:  # noqa: UP007
    """Read a file.

    Args:
        path: Where it is.
        handler: What parses it, such as one of `HANDLERS`.

    Raises:
        OSError: It cannot be read.
        ValueError: It cannot be parsed; the text names the file.
    """
    with open(path, "rb") as file:
        try:
            return handler(file)
        except ValueError as exc:
            raise ValueError(f"{path}: {exc}") from None

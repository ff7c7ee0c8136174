"""Importing plugins: modules of a package that several distributions add to, and single files."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Union

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["import_path", "import_plugins", "import_plugins_pkg"]


def import_path(file_path: Union[str, os.PathLike[str]]) -> ModuleType:  # noqa: UP007
    """Import a file as a module that is not entered into `sys.modules`.

    Args:
        file_path: The file.

    Raises:
        ImportError: It is not there, or no Python file.
    """
    path = Path(file_path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file", path=str(path))
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except FileNotFoundError as exc:
        raise ImportError(f"cannot import {path}: {exc.strerror}", path=str(path)) from None
    return module


def import_plugins_pkg(ns_pkg: ModuleType) -> dict[str, ModuleType]:
    """Import all modules of a package.

    Args:
        ns_pkg: The package.

    Returns:
        The modules by their names in it.

    Raises:
        ImportError: One cannot be imported; the text names it.
    """
    plugins = {}
    for _, name, _ in pkgutil.iter_modules(ns_pkg.__path__):
        try:
            plugins[name] = importlib.import_module(f"{ns_pkg.__name__}.{name}")
        except ImportError as exc:  # noqa: PERF203
            raise ImportError(f"failed to import {name} plugin: {exc}") from exc
    return plugins


def import_plugins(pkg_name: str, pluginpath: Iterable[str] | None = None) -> dict[str, ModuleType]:
    """Import all modules of a package by its name.

    Args:
        pkg_name: The name of the package, of which there may be parts in several directories.
        pluginpath: Directories to look for more parts in, before all others.

    Returns:
        The modules by their names in it; none if there is no such package.

    Raises:
        ImportError: As `import_plugins_pkg`.
    """
    added = list(pluginpath or ())
    sys.path[1:1] = added
    try:
        try:
            package = importlib.import_module(pkg_name)
        except ModuleNotFoundError as exc:
            if exc.name is None or not f"{pkg_name}.".startswith(f"{exc.name}."):
                raise
            return {}
        return import_plugins_pkg(package)
    finally:
        for path in added:
            sys.path.remove(path)

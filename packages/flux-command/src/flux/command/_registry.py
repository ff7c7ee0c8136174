"""Finding commands: our own, those that other distributions bring, and executables on PATH.

An entry point of the group ``flux.commands`` bears a command's name and names a module. That has a
constant ``HELP``, a line for the list of commands ("" keeps it out), and a function ``setup`` that
declares the arguments to a `flux.command.Parser` and returns what is to be called with them.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import shutil
from collections.abc import Iterator
from types import ModuleType

from flux.command import _commands
from flux.command._common import CommandError

#: The group of entry points.
GROUP = "flux.commands"

#: What the name of an executable on PATH begins with that is a command.
PREFIX = "flux-"

_OWN = "flux-command"


def find(name: str) -> ModuleType | None:
    """Return the module of a command; None if no distribution has one of this name.

    Raises:
        CommandError: It cannot be imported.
    """
    # Ours first: to read what is installed takes longer than most commands do.
    if not name.startswith("_") and importlib.util.find_spec(f"{_commands.__name__}.{name}"):
        return importlib.import_module(f"{_commands.__name__}.{name}")
    for distribution, other, module in _entries():
        if other == name:
            return _load(distribution, name, module)
    return None


def executable(name: str) -> str | None:
    """Return the path of an executable ``flux-NAME`` on PATH, if there is one."""
    return None if os.sep in name else shutil.which(PREFIX + name)


def listing() -> dict[str, dict[str, str]]:
    """Return what each command is for, by its name, by distribution, ours first."""
    found: dict[str, dict[str, str]] = {_OWN: {}}
    for name in _own():
        found[_OWN][name] = importlib.import_module(f"{_commands.__name__}.{name}").HELP
    for distribution, name, module in sorted(_entries()):
        try:
            text = _load(distribution, name, module).HELP
        except CommandError as exc:
            # One that is broken must not hide the others.
            text = str(exc)
        found.setdefault(distribution, {})[name] = text
    return found


def nearest(name: str) -> list[str]:
    """Return the commands whose names are most like one that there is not."""
    names = {*_own(), *(entry[1] for entry in _entries()), *_executables()}
    return difflib.get_close_matches(name, sorted(names))


def _own() -> list[str]:
    # A file in that directory is a command of its name.
    modules = pkgutil.iter_modules(_commands.__path__)
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def _entries() -> Iterator[tuple[str, str, str]]:
    """Yield distribution, name and module of the commands that other distributions bring."""
    # Imported here, as our own commands do without it.
    from importlib.metadata import distributions

    for distribution in distributions():
        for entry in distribution.entry_points:
            if entry.group == GROUP:
                yield distribution.metadata["Name"], entry.name, entry.value


def _load(distribution: str, name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as exc:
        raise CommandError(f"'{name}' of {distribution} cannot be loaded: {exc}") from exc


def _executables() -> Iterator[str]:
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        try:
            names = os.listdir(directory or os.curdir)
        except OSError:
            continue
        for name in names:
            if name.startswith(PREFIX) and os.access(os.path.join(directory, name), os.X_OK):
                yield name[len(PREFIX) :]

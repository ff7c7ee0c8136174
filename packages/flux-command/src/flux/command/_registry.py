"""Finding commands: those of this distribution, and those that others bring by entry points.

An entry point of the group ``flux.commands`` bears the command's name and names a module. That
has a constant ``HELP``, one line for the list of commands ("" keeps it out), and a function
``setup`` that declares the arguments to a `flux.command.Parser` and returns what is to be called
with them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions
from typing import Any

GROUP = "flux.commands"


def entries() -> Iterator[tuple[str, EntryPoint]]:
    """Yield the entry points of all commands, with the names of their distributions."""
    for distribution in distributions():
        for entry in distribution.entry_points:
            if entry.group == GROUP:
                yield distribution.metadata["Name"], entry


def find(name: str) -> Any:
    """Return the module of a command that a distribution brings; None if none does."""
    for _distribution, entry in entries():
        if entry.name == name:
            return importlib.import_module(entry.value)
    return None

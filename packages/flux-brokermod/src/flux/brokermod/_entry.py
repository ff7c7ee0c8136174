"""From a file to the function that runs it."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Callable

from flux.brokermod._module import BrokerModule

if TYPE_CHECKING:
    from flux import Flux

EntryPoint = Callable[..., Any]


def resolve_entry_point(mod: ModuleType) -> EntryPoint:
    """Find what to call to run a Python broker module.

    Args:
        mod: The imported module.

    Returns:
        Its ``mod_main`` if there is one; otherwise a function that makes an instance of the only
        `BrokerModule` subclass among its global names, and runs it.

    Raises:
        ValueError: There is neither, or there is more than one subclass and no ``mod_main``.
    """
    mod_main: EntryPoint | None = getattr(mod, "mod_main", None)
    if mod_main is not None:
        return mod_main
    found: list[type[BrokerModule]] = []
    for value in vars(mod).values():
        if (
            isinstance(value, type)
            and issubclass(value, BrokerModule)
            and value is not BrokerModule
            and value not in found
        ):
            found.append(value)
    if not found:
        raise ValueError("no mod_main() or BrokerModule subclass found")
    if len(found) > 1:
        names = ", ".join(cls.__name__ for cls in found)
        raise ValueError(f"multiple BrokerModule subclasses found ({names}); define mod_main()")
    (cls,) = found

    def run(h: Flux, *args: str) -> None:
        cls(h, *args).run()

    return run


def import_file(path: str) -> ModuleType:
    """Import a Python file by its path.

    Raises:
        OSError: The file cannot be read.
        Exception: What the file raised, SyntaxError included.
    """
    name = os.path.basename(path).partition(".")[0]
    if name in sys.modules or not name:
        # A module file may well be called json.py; that must not become what others import.
        name = f"flux_module_{name}"
    spec = importlib.util.spec_from_file_location(
        name, path, loader=importlib.machinery.SourceFileLoader(name, path)
    )
    assert spec is not None
    assert spec.loader is not None
    mod = importlib.util.module_from_spec(spec)
    # Dataclasses, pickle and type hints look their module up there.
    sys.modules[name] = mod
    try:
        spec.loader.exec_module(mod)
    except BaseException:
        del sys.modules[name]
        raise
    return mod

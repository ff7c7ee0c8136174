"""Makes ``_flux._libflux``, the compiled form of libflux.cdef, when a wheel is built.

What cffi makes is a Python module that needs no compiler and is the same on every machine, so the
wheel stays pure Python.  It is not in the sdist, which has what it takes to make it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cffi import FFI
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MODULE = "src/_flux/_libflux.py"


def generate(declarations: Path, module: Path) -> None:
    """Compile C declarations to a Python module.

    Args:
        declarations: What `cffi.FFI.cdef` takes.
        module: The file to write; it is left alone if it would not change.
    """
    ffi = FFI()
    ffi.cdef(declarations.read_text("utf-8"))
    # None for the source: declarations alone, to be used with a library that is found later.
    ffi.set_source("_flux._libflux", None)
    ffi.emit_python_code(str(module))


class LibfluxBuildHook(BuildHookInterface[Any]):
    """Runs `generate` for wheels and editable installs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the module in the source tree and have it packed, although git ignores it."""
        root = Path(self.root)
        generate(root / "libflux.cdef", root / MODULE)
        build_data["artifacts"].append(MODULE)

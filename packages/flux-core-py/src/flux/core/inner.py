"""Direct access to libflux-core, for code that calls C functions by name.

Importing this module needs no library; using ``lib``, or a function through ``raw``, does.
"""

from __future__ import annotations

from typing import Any

from _flux._core import ffi, lib
from flux import constants
from flux.wrapper import Wrapper

__all__ = ["Core", "ffi", "lib", "raw"]


class Core(Wrapper):
    """The functions and constants of libflux-core by name, without their ``flux_`` prefix."""

    def __getattr__(self, name: str) -> Any:
        for known in (name, f"FLUX_{name}"):
            if known in constants.__all__:
                return getattr(constants, known)
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(lib, name)


raw = Core()

"""Direct access to libflux-core, for code that calls C functions by name.

Importing this module needs no library; using ``lib``, or a function through ``raw``, does.
"""

from __future__ import annotations

import sys
from typing import Any

from _flux._core import ffi, lib
from flux import constants
from flux.wrapper import FunctionWrapper, Wrapper

__all__ = ["Core", "ffi", "lib", "raw"]


class Core(Wrapper):
    """The functions and constants of libflux-core by name, also without their ``flux_`` prefix."""

    def __init__(self) -> None:
        super().__init__(ffi, lib, prefixes=["flux_", "FLUX_"])

    def check_wrap(self, fun: Any, name: str) -> FunctionWrapper:
        """Return what calls a function."""
        return _CoreFunction(fun, name, self.ffi.typeof(fun), self.ffi)

    def __getattr__(self, name: str) -> Any:
        for known in (name, f"FLUX_{name}"):
            if known in constants.__all__:
                return getattr(constants, known)
        return super().__getattr__(name)


class _CoreFunction(FunctionWrapper):
    """A function that may read from any handle: it gets no handle, but perhaps a future of one."""

    def __call__(self, caller: Wrapper, *args_in: Any) -> Any:
        cobjects = sys.modules.get("flux._cobjects")
        if cobjects is not None:
            cobjects.share_all()
        return super().__call__(caller, *args_in)


raw = Core()

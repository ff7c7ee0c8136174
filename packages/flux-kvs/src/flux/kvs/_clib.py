"""The KVS functions of a real libflux-core by name, for code that calls C functions.

Nothing else here needs that library.  There are as many as `_flux._core` has declarations of.
"""

from __future__ import annotations

from typing import Any

from _flux._core import ffi, lib
from flux.core.inner import Core
from flux.wrapper import Wrapper

__all__ = ["RAW", "KVSWrapper", "ffi"]


class KVSWrapper(Core):
    """C functions of the KVS, with or without their prefix; see `flux.wrapper.Wrapper`."""

    def __init__(self, ffi: Any, lib: Any, **kwargs: Any) -> None:
        Wrapper.__init__(self, ffi, lib, **kwargs)


RAW = KVSWrapper(ffi, lib, prefixes=["flux_kvs", "flux_kvs_"])

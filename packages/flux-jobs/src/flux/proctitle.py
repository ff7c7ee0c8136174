"""The name that ps(1) and top(1) show for this process."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["set_proctitle"]

_PR_SET_NAME = 15


def set_proctitle(name: str) -> None:
    """Set the name of this process, where the system is Linux and can do that.

    Args:
        name: The name, of which Linux keeps 15 bytes.
    """
    if platform.system() != "Linux":
        return
    try:
        libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
        libc.prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    except Exception:  # noqa: S110, BLE001, RUF100 - a name is not worth an error
        pass

"""The MPIR flag by which a parallel debugger says that it is there.

In a process with libflux-core in it, debuggers write to a variable of that library; here the flag
is kept by this module, for programs that pass it on.
"""

from __future__ import annotations

import flux._ours  # noqa: F401 - refuses another flux

__all__ = ["get_mpir_being_debugged", "set_mpir_being_debugged"]

_being_debugged = 0


def get_mpir_being_debugged() -> int:
    """Return 1 if a debugger said that it is there, and 0 otherwise."""
    return _being_debugged


def set_mpir_being_debugged(value: int) -> int:
    """Set the flag.

    Args:
        value: 1, a debugger is there; 0, none is.

    Returns:
        The value.
    """
    global _being_debugged  # noqa: PLW0603 - there is one debugger to a process
    _being_debugged = int(value)
    return _being_debugged

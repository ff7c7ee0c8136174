"""What a broker tells a module about itself, kept beside the handle it told it on.

Whoever makes a handle for a module (the loader, ``attach``, a broker that runs services of its
own) gives it a `ModuleState`; `BrokerModule` and the standard handlers find it by the handle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from flux import Flux

#: Values of ``status`` in a ``module.status`` request.
RUNNING, FINALIZING, EXITED = 1, 2, 3


class ModuleState:
    """One module's identity and debug bits.

    Args:
        name: The module's name, which is also its service.
        uuid: Its identity in message routes.

    Attributes:
        name: As given.
        uuid: As given.
        debug_flags: Bits that ``flux module debug`` sets.
    """

    __slots__ = ("debug_flags", "name", "uuid")

    def __init__(self, name: str, uuid: str = "") -> None:
        self.name = name
        self.uuid = uuid
        self.debug_flags = 0

    def debug_test(self, flag: int, clear: bool) -> bool:
        """Return True if a bit is set, and on request clear it."""
        found = bool(self.debug_flags & flag)
        if found and clear:
            self.debug_flags &= ~flag
        return found


_states: WeakKeyDictionary[Flux, ModuleState] = WeakKeyDictionary()


def set_state(handle: Flux, state: ModuleState) -> None:
    """Make a handle that of a module."""
    _states[handle] = state


def get_state(handle: Flux) -> ModuleState | None:
    """Return the module that a handle belongs to, or None."""
    return _states.get(handle)

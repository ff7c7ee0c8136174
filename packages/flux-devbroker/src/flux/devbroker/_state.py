"""The states of a broker's life, in order."""

from __future__ import annotations

import time
from typing import Callable

#: Names of the states; their numbers are what ``state-machine.monitor`` tells.
STATES = (
    "load-builtins",
    "join",
    "config-sync",
    "init",
    "quorum",
    "run",
    "cleanup",
    "shutdown",
    "finalize",
    "goodbye",
    "unload-builtins",
    "exit",
)
INIT = STATES.index("init")
QUORUM = STATES.index("quorum")
RUN = STATES.index("run")
CLEANUP = STATES.index("cleanup")
FINALIZE = STATES.index("finalize")
GOODBYE = STATES.index("goodbye")
EXIT = STATES.index("exit")

# What is said of leaving each state, where nothing went wrong.
_EVENTS = (
    "builtins-success",
    "parent-none",
    "sync-none",
    "rc1-none",
    "quorum-full",
    "rc2-none",
    "cleanup-none",
    "children-none",
    "rc3-none",
    "goodbye",
    "builtins-done",
)


class StateMachine:
    """Where in its life a broker is.

    Args:
        log: Called with a line for each change.

    Attributes:
        number: The state.
        listeners: Called with the number of each state that is entered.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self.number = 0
        self.listeners: list[Callable[[int], None]] = []
        self._log = log
        self._since = time.monotonic()

    def duration(self) -> float:
        """Return for how many seconds the broker has been in its state."""
        return time.monotonic() - self._since

    def advance(self, number: int, event: str | None = None) -> None:
        """Go on, state by state, to one that is not behind.

        Args:
            number: The state to go to.
            event: Why the present one is left, if not for the usual reason.
        """
        while self.number < number:
            old = self.number
            text = event or _EVENTS[old]
            event = None
            took = format_duration(self.duration())
            self.number += 1
            self._since = time.monotonic()
            self._log(f"{text}: {STATES[old]}->{STATES[self.number]} {took}")
            for listener in self.listeners:
                listener(self.number)


def format_duration(seconds: float) -> str:
    """Return a duration as Flux writes it (RFC 23), in the unit that suits it."""
    if seconds < 1e-3 * 100:
        return f"{seconds * 1e3:.6g}ms"
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.6g}{unit}"
    return f"{seconds:.6g}s"

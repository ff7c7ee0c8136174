"""Sweeps: do something at one instruction of ours after the other, and look what is left.

A scenario is run once for each bytecode instruction that this project's code executes in it; at
that instruction an exception is raised, a call comes in, or another thread tries.  Afterwards the
scenario says what must be true all the same.
"""

from __future__ import annotations

import os
import sys
from types import CodeType, FrameType
from typing import Any, Callable

#: Where the code is at whose instructions something happens: all parts of `flux`.
OURS = f"{os.sep}flux{os.sep}"


class Interrupted(BaseException):
    """What a sweep raises; as little like anything that is handled as can be."""


class Position:
    """Runs a call, and does something at its n-th instruction.

    Args:
        number: Which, from 0.
        act: What to do there.
        entered: A function that must have been entered before instructions count, or None.

    Attributes:
        reached: Whether there is such an instruction.
        where: The place, for messages.
    """

    def __init__(self, number: int, act: Callable[[], Any]) -> None:
        self.left = number
        self.act = act
        self.reached = False
        self.where = "not reached"
        self._codes: dict[CodeType, bool] = {}

    def run(self, call: Callable[[], Any]) -> Any:
        """Make the call, in this thread."""
        previous = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return call()
        finally:
            sys.settrace(previous)

    def _trace(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self.reached:
            return None
        code = frame.f_code
        ours = self._codes.get(code)
        if ours is None:
            name = code.co_filename
            ours = self._codes[code] = OURS in name and f"{os.sep}tests{os.sep}" not in name
        if not ours:
            return None
        if event == "call":
            if _in_finalizer(frame):
                return None
            frame.f_trace_lines = False
            frame.f_trace_opcodes = True
            return self._trace
        if event == "opcode":
            if self.left:
                self.left -= 1
            else:
                self.reached = True
                place = f"{os.path.basename(code.co_filename)}:{frame.f_lineno}"
                self.where = f"{place} {code.co_name}+{frame.f_lasti}"
                sys.settrace(None)
                self.act()
        return self._trace


def _in_finalizer(frame: FrameType) -> bool:
    """Return True where Python prints exceptions, instead of raising them."""
    caller: FrameType | None = frame
    while caller is not None:
        code = caller.f_code
        if code.co_name == "__del__" or code.co_filename.endswith("weakref.py"):
            return True
        caller = caller.f_back
    return False

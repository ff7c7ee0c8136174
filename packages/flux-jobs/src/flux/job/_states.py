"""States and results of jobs (RFC 21): their numbers, names and pictures."""

from __future__ import annotations

import sys
from typing import Union

__all__ = [
    "ACTIVE",
    "CANCELED",
    "FAILED",
    "INACTIVE",
    "PENDING",
    "RESULTS",
    "RUN",
    "RUNNING",
    "STATES",
    "resulttoemoji",
    "resulttostr",
    "statetoemoji",
    "statetostr",
    "statustoemoji",
    "statustostr",
]

RUN = 16
INACTIVE = 64
#: Several states at once: those that wait for resources, that have some, and all these.
PENDING = 2 | 4 | 8
RUNNING = RUN | 32
ACTIVE = PENDING | RUNNING

FAILED = 2
CANCELED = 4

#: States by name, those that stand for several among them.
STATES = {
    "depend": 2,
    "priority": 4,
    "sched": 8,
    "run": RUN,
    "cleanup": 32,
    "inactive": INACTIVE,
    "pending": PENDING,
    "running": RUNNING,
    "active": ACTIVE,
}
RESULTS = {"completed": 1, "failed": FAILED, "canceled": CANCELED, "timeout": 8}

_SHORT = {"pending": "PD", "running": "RU", "completed": "CD", "canceled": "CA", "timeout": "TO"}


def _names(numbers: dict[str, int]) -> dict[int, tuple[str, str]]:
    return {n: (name.upper(), _SHORT.get(name, name[0].upper())) for name, n in numbers.items()}


_STATE_NAMES = _names({"new": 1, **STATES})
_RESULT_NAMES = _names(RESULTS)

#: wrapped gift, stop sign, traffic light, calendar, runner, wastebasket, skull
_STATE_EMOJI = dict(
    zip(
        (1, 2, 4, 8, 16, 32, 64),
        "\U0001f381\U0001f6d1\U0001f6a6\U0001f4c5\U0001f3c3\U0001f5d1\U0001f480",
    )
)
#: grinning face, pile of poo, collision, hourglass, each with what stands for it in ASCII
_RESULT_EMOJI = {
    1: ("\U0001f600", ":-)"),
    2: ("\U0001f4a9", ":'-("),
    4: ("\U0001f4a5", "%-|"),
    8: ("\u231b", "(-_-)"),
    # A space as wide as they are.
    "": ("\u3000", ""),
}

_Result = Union[int, str]


def _name(number: _Result, names: dict[int, tuple[str, str]], fmt: str) -> str:
    long, short = names.get(int(number), ("(unknown)", "?"))
    text = short if fmt in ("S", "s") else long
    return text.lower() if fmt in ("s", "l") else text


def _shown(emoji: str, otherwise: str) -> str:
    try:
        emoji.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return otherwise
    return emoji


def statetostr(stateid: int, fmt: str = "L") -> str:
    """Return the name of a state.

    Args:
        stateid: The state.
        fmt: ``L`` or ``l``, the name, in capitals or not; ``S`` or ``s``, what is short for it.
    """
    return _name(stateid, _STATE_NAMES, fmt)


def resulttostr(resultid: _Result, fmt: str = "L") -> str:
    """Return the name of a result.

    Args:
        resultid: The result; empty where there is none.
        fmt: As for `statetostr`.
    """
    return "" if resultid == "" else _name(resultid, _RESULT_NAMES, fmt)


def statustostr(stateid: int, resultid: _Result, fmt: str = "L") -> str:
    """Return the name of the state of a job that is not over, or else of its result."""
    return statetostr(stateid, fmt) if stateid & ACTIVE else resulttostr(resultid, fmt)


def statetoemoji(stateid: int) -> str:
    """Return a picture of a state, or its letter where standard output has none."""
    short = statetostr(stateid, "S")
    return _shown(_STATE_EMOJI.get(stateid, "?"), short)


def resulttoemoji(resultid: _Result) -> str:
    """Return a picture of a result, or one in ASCII where standard output has no other."""
    return _shown(*_RESULT_EMOJI.get(resultid, ("?", "?")))


def statustoemoji(stateid: int, resultid: _Result) -> str:
    """Return a picture of the state of a job that is not over, or else of its result."""
    return statetoemoji(stateid) if stateid & ACTIVE else resulttoemoji(resultid)

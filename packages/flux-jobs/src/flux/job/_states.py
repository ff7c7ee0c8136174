"""States and results of jobs (RFC 21): their numbers, names and pictures."""

from __future__ import annotations

import sys
from typing import Union

from flux.constants import (
    FLUX_JOB_RESULT_CANCELED,
    FLUX_JOB_RESULT_COMPLETED,
    FLUX_JOB_RESULT_FAILED,
    FLUX_JOB_RESULT_TIMEOUT,
    FLUX_JOB_STATE_ACTIVE,
    FLUX_JOB_STATE_CLEANUP,
    FLUX_JOB_STATE_DEPEND,
    FLUX_JOB_STATE_INACTIVE,
    FLUX_JOB_STATE_NEW,
    FLUX_JOB_STATE_PENDING,
    FLUX_JOB_STATE_PRIORITY,
    FLUX_JOB_STATE_RUN,
    FLUX_JOB_STATE_RUNNING,
    FLUX_JOB_STATE_SCHED,
)

__all__ = [
    "RESULTS",
    "STATES",
    "resulttoemoji",
    "resulttostr",
    "statetoemoji",
    "statetostr",
    "statustoemoji",
    "statustostr",
]

#: States by name, those that stand for several among them.
STATES = {
    "depend": FLUX_JOB_STATE_DEPEND,
    "priority": FLUX_JOB_STATE_PRIORITY,
    "sched": FLUX_JOB_STATE_SCHED,
    "run": FLUX_JOB_STATE_RUN,
    "cleanup": FLUX_JOB_STATE_CLEANUP,
    "inactive": FLUX_JOB_STATE_INACTIVE,
    "pending": FLUX_JOB_STATE_PENDING,
    "running": FLUX_JOB_STATE_RUNNING,
    "active": FLUX_JOB_STATE_ACTIVE,
}
RESULTS = {
    "completed": FLUX_JOB_RESULT_COMPLETED,
    "failed": FLUX_JOB_RESULT_FAILED,
    "canceled": FLUX_JOB_RESULT_CANCELED,
    "timeout": FLUX_JOB_RESULT_TIMEOUT,
}

_SHORT = {"pending": "PD", "running": "RU", "completed": "CD", "canceled": "CA", "timeout": "TO"}


def _names(numbers: dict[str, int]) -> dict[int, tuple[str, str]]:
    return {n: (name.upper(), _SHORT.get(name, name[0].upper())) for name, n in numbers.items()}


_STATE_NAMES = _names({"new": FLUX_JOB_STATE_NEW, **STATES})
_RESULT_NAMES = _names(RESULTS)

#: wrapped gift, stop sign, traffic light, calendar, runner, wastebasket, skull
_STATE_EMOJI = {
    FLUX_JOB_STATE_NEW: "\U0001f381",
    FLUX_JOB_STATE_DEPEND: "\U0001f6d1",
    FLUX_JOB_STATE_PRIORITY: "\U0001f6a6",
    FLUX_JOB_STATE_SCHED: "\U0001f4c5",
    FLUX_JOB_STATE_RUN: "\U0001f3c3",
    FLUX_JOB_STATE_CLEANUP: "\U0001f5d1",
    FLUX_JOB_STATE_INACTIVE: "\U0001f480",
}
#: grinning face, pile of poo, collision, hourglass, each with what stands for it in ASCII
_RESULT_EMOJI = {
    FLUX_JOB_RESULT_COMPLETED: ("\U0001f600", ":-)"),
    FLUX_JOB_RESULT_FAILED: ("\U0001f4a9", ":'-("),
    FLUX_JOB_RESULT_CANCELED: ("\U0001f4a5", "%-|"),
    FLUX_JOB_RESULT_TIMEOUT: ("\u231b", "(-_-)"),
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
    return (
        statetostr(stateid, fmt) if stateid & FLUX_JOB_STATE_ACTIVE else resulttostr(resultid, fmt)
    )


def statetoemoji(stateid: int) -> str:
    """Return a picture of a state, or its letter where standard output has none."""
    short = statetostr(stateid, "S")
    return _shown(_STATE_EMOJI.get(stateid, "?"), short)


def resulttoemoji(resultid: _Result) -> str:
    """Return a picture of a result, or one in ASCII where standard output has no other."""
    return _shown(*_RESULT_EMOJI.get(resultid, ("?", "?")))


def statustoemoji(stateid: int, resultid: _Result) -> str:
    """Return a picture of the state of a job that is not over, or else of its result."""
    return statetoemoji(stateid) if stateid & FLUX_JOB_STATE_ACTIVE else resulttoemoji(resultid)

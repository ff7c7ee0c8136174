"""Job ids (RFC 19): made here, and written in the forms that the services need."""

from __future__ import annotations

import time

from flux.job import id_encode

_SEQUENCE_BITS = 10
_TIMESTAMP_SHIFT = 24
_MAX_SEQUENCE = (1 << _SEQUENCE_BITS) - 1


class Generator:
    """Makes ids: milliseconds since the instance began, and a number within the millisecond.

    The broker's rank, 0 here, would stand between the two.
    """

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._last = -1
        self._sequence = 0

    def timestamp(self) -> int:
        """Return milliseconds since the instance's first start."""
        return int((time.monotonic() - self._origin) * 1000)

    def continue_after(self, jobid: int) -> None:
        """Make ids only greater than one that is known."""
        reached = (jobid >> _TIMESTAMP_SHIFT) + 1
        behind = reached - self.timestamp()
        if behind > 0:
            self._origin -= behind / 1000

    def new(self) -> int:
        """Return an id greater than all before."""
        now = max(self.timestamp(), self._last)
        if now == self._last:
            self._sequence += 1
            if self._sequence > _MAX_SEQUENCE:
                # Borrowed from the millisecond to come, rather than waiting for it.
                now += 1
                self._sequence = 0
        else:
            self._sequence = 0
        self._last = now
        return now << _TIMESTAMP_SHIFT | self._sequence


def dothex(jobid: int) -> str:
    """Return an id as four groups of hexadecimal digits."""
    text = f"{jobid:016x}"
    return f"{text[:4]}.{text[4:8]}.{text[8:12]}.{text[12:]}"


def f58(jobid: int) -> str:
    """Return a job id in base 58 as the broker's locale has it, with ``ƒ`` or ``f``."""
    return id_encode(jobid, "f58")


def f58plain(jobid: int) -> str:
    """Return an id in base58 with an ASCII prefix."""
    return id_encode(jobid, "f58plain")


def signed(jobid: int) -> int:
    """Return an id as the signed number that JSON carries."""
    return jobid - (1 << 64) if jobid >> 63 else jobid

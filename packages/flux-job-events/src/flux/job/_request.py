"""Arguments that requests about jobs have in common."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from flux.job._jobid import JobID

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = ["check_handle", "from_wire", "to_text", "to_wire"]

_SIGN = 1 << 63
_RANGE = 1 << 64


def to_wire(jobid: int | str) -> int:
    """Return a job id as it stands in a payload: brokers read and write signed integers.

    Args:
        jobid: The id, as a number or in any encoding.

    Raises:
        ValueError: It is not a job id.
    """
    value = int(JobID(jobid))
    return value - _RANGE if value >= _SIGN else value


def from_wire(value: Any) -> JobID:
    """Return the job id from a payload.

    Raises:
        OSError: EPROTO, the value is not an integer of 64 bits.
    """
    if value.__class__ is not int or not -_SIGN <= value < _RANGE:
        raise OSError(errno.EPROTO, f"a response holds {value!r} for a job id")
    return JobID(value + _RANGE if value < 0 else value)


def to_text(value: Any, name: str) -> Any:
    """Return text for a payload, which brokers read up to its first NUL.

    Args:
        value: The text.
        name: The name of the argument, for the message.

    Raises:
        ValueError: There is a NUL in it.
    """
    if isinstance(value, str) and "\0" in value:
        raise ValueError(f"{name} must not contain NUL: {value!r}")
    return value


def check_handle(flux_handle: Any) -> Flux:
    """Return the handle.

    Raises:
        OSError: EINVAL, it is not a handle.
    """
    if not hasattr(flux_handle, "rpc"):
        raise OSError(
            errno.EINVAL, f"{os.strerror(errno.EINVAL)}: {flux_handle!r} is not a Flux handle"
        )
    handle: Flux = flux_handle
    return handle

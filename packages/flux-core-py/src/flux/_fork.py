"""Forks: in a child, what was inherited is of no use, and does nothing to the parent's side.

The conversation with a broker is the parent's.  In a child its handles are lost, with an error
that says so; their descriptors are closed, and nothing is sent or ended, whatever is called,
dropped or finalized.  The child opens handles of its own.
"""

from __future__ import annotations

import errno
import os
import weakref
from typing import Any, Callable

#: What is to be made inert in a child, and how; see `inert_after_fork`.
_inherited: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()


def inert_after_fork(thing: Any, disown: Callable[[Any], None]) -> None:
    """Have ``disown(thing)`` called in each forked child in which the thing still exists.

    It must not refer to the thing, nor do anything that the parent or its peers would notice.
    """
    _inherited[thing] = disown


def lost_by_fork(what: str) -> OSError:
    """Return the error for using something that was inherited."""
    return OSError(
        errno.EBADF,
        f"{what} belongs to the process that this one was forked from: open one here",
    )


def _in_child() -> None:
    for thing, disown in tuple(_inherited.items()):
        disown(thing)


os.register_at_fork(after_in_child=_in_child)

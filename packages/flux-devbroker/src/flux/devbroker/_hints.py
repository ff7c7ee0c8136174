"""What to change where the system refuses something: the end of the line that says so."""

from __future__ import annotations

import errno
import os

_HINTS = {
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "the whole system has too many open files",
    errno.EAGAIN: "allow more processes (ulimit -u) or memory (ulimit -v)",
    errno.ENOMEM: "allow more memory (ulimit -v)",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.ENOSPC: "make room there, or choose another place",
    errno.EDQUOT: "make room there, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that can be written to",
    errno.EPERM: "choose a place that can be written to",
    errno.ENOENT: "make the directory above it, or choose another place",
    errno.ENOTDIR: "choose another place",
    errno.EEXIST: "choose another place",
    errno.ENAMETOOLONG: "choose a place with a shorter path",
}


def hint(exc: OSError, text: str | None = None) -> str:
    """Return what went wrong, and what to change if that is known.

    Args:
        exc: What went wrong.
        text: How to say it; as the system does if None.
    """
    text = text or exc.strerror or str(exc)
    advice = _HINTS.get(exc.errno or 0)
    return f"{text}; {advice}" if advice and ";" not in text else text


def explained(exc: OSError, what: str) -> OSError:
    """Return an error that says more than that of the system.

    Args:
        exc: The error of the system.
        what: What could not be done.
    """
    why = exc.strerror or str(exc)
    if exc.errno and why == os.strerror(exc.errno):
        return OSError(exc.errno, hint(exc, f"{what}: {why}"))
    return exc

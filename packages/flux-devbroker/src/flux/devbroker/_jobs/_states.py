"""States, results and flags of jobs (RFC 21)."""

from __future__ import annotations

import signal

NEW, DEPEND, PRIORITY, SCHED, RUN, CLEANUP, INACTIVE = (1 << i for i in range(7))
PENDING = DEPEND | PRIORITY | SCHED
RUNNING = RUN | CLEANUP
ACTIVE = PENDING | RUNNING

#: States and their groups by the names that a list's constraint may use.
STATE_NAMES = {
    "new": NEW,
    "depend": DEPEND,
    "priority": PRIORITY,
    "sched": SCHED,
    "run": RUN,
    "cleanup": CLEANUP,
    "inactive": INACTIVE,
    "pending": PENDING,
    "running": RUNNING,
    "active": ACTIVE,
}

COMPLETED, FAILED, CANCELED, TIMEOUT = 1, 2, 4, 8
RESULT_NAMES = {"completed": COMPLETED, "failed": FAILED, "canceled": CANCELED, "timeout": TIMEOUT}

FLAG_DEBUG, FLAG_WAITABLE, FLAG_NOVALIDATE = 2, 4, 8

URGENCY_MIN, URGENCY_DEFAULT, URGENCY_MAX = 0, 16, 31
#: Priority of a job with the greatest urgency.
PRIORITY_MAX = (1 << 32) - 1

#: Least and greatest severity of an exception; 0 is fatal.
SEVERITIES = range(8)


def priority_of(urgency: int) -> int:
    """Return the priority that follows from an urgency; 0 is held."""
    return PRIORITY_MAX if urgency == URGENCY_MAX else urgency


def shell_status(status: int) -> int:
    """Return the wait status of a shell whose child had one: a signal becomes an exit code."""
    signum = status & 0x7F
    return (128 + signum) << 8 if signum else status & 0xFF00


def status_text(status: int) -> str:
    """Return what to say of a job that ended with a wait status; nothing for success."""
    signum = status & 0x7F
    code = status >> 8
    if not signum and code > 128:
        signum = code - 128
    if signum:
        try:
            text = signal.strsignal(signum)
        except ValueError:
            text = None
        return f"task(s) {text or f'Unknown signal {signum}'}"
    return f"task(s) exited with exit code {code}" if code else ""

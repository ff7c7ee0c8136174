"""What a process takes over from the one that starts it, carried to one that another forked.

Not carried, as a fork has its own or it was settled when the parent was started: who the process
is (see `identity`), its session, its descriptors.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

_LIMITS = {name: getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")}

#: Never ignored by what is started here: Python ignores the first two itself, where it starts
#: others it doesn't, and without the third nobody learns how a child ended.
_NOT_CARRIED = {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD}

#: Beginnings of the variables that an interpreter looks at only when it starts.
_AT_START = ("PYTHON", "LC_", "LANG", "LD_")


def identity() -> Hashable:
    """Return what cannot be given to a process later on.  Another value needs another parent."""
    variables = tuple(sorted(item for item in os.environ.items() if item[0].startswith(_AT_START)))
    who = os.getresuid(), os.getresgid(), tuple(os.getgroups())
    return os.getpid(), who, sys.executable, variables


def capture() -> dict[str, Any]:
    """Return what a child of this thread would take over, as JSON; the directory goes apart."""
    return {
        "environ": dict(os.environ),
        "umask": _umask(),
        "mask": [int(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "ignored": [
            int(signum)
            for signum in signal.valid_signals() - _NOT_CARRIED
            if signal.getsignal(signum) is signal.SIG_IGN
        ],
        "limits": {name: resource.getrlimit(which) for name, which in _LIMITS.items()},
        "affinity": sorted(os.sched_getaffinity(0)),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
    }


def apply(given: dict[str, Any]) -> None:
    """Make what was captured in another process that of this one."""
    os.environ.clear()
    os.environ.update(given["environ"])
    time.tzset()
    os.umask(given["umask"])
    for name, limit in given["limits"].items():
        if resource.getrlimit(_LIMITS[name]) != tuple(limit):
            resource.setrlimit(_LIMITS[name], tuple(limit))
    os.sched_setaffinity(0, given["affinity"])
    if given["nice"] != os.getpriority(os.PRIO_PROCESS, 0):
        # Refused where somebody else has made the one that asked more urgent than it was.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, given["nice"])
    for signum in given["ignored"]:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, given["mask"])


def forget_signals() -> None:
    """Have signals do what they do in a new process whose parent ignores and blocks none."""
    for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if signum in (signal.SIGPIPE, signal.SIGXFSZ):
            continue
        with contextlib.suppress(OSError):  # Some are the C library's own.
            signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _umask() -> int:
    # To ask the system call is to change it, for all threads.
    for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    old = os.umask(0o077)
    os.umask(old)
    return old

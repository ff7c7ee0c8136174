"""Finding processes that outlived the tests that started them, directly or not."""

from __future__ import annotations

import os
import select
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.fluxcore import SESSION_VARIABLE


class Process(NamedTuple):
    """A process, as a complaint names it."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"{self.pid} ({self.command})"


def mark() -> str:
    """Mark this process's future children, and theirs, and return the mark."""
    value = uuid.uuid4().hex
    os.environ[SESSION_VARIABLE] = value
    return value


def find(value: str) -> list[Process]:
    """Return the processes that bear a mark, none on a system without /proc."""
    wanted = f"{SESSION_VARIABLE}={value}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        # It may be gone before it is looked at, or be another user's.
        with suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                command = b" ".join(words).decode("utf-8", "replace")
                if command and int(entry.name) != os.getpid():
                    found.append(Process(int(entry.name), command))
    return found


def wait_gone(value: str, limit: float) -> list[Process]:
    """Wait until no process bears a mark, and return those that still do after the limit.

    Args:
        value: The mark.
        limit: Seconds to wait for each.
    """
    while True:
        left = find(value)
        if not left or not all(_wait_end(process.pid, limit) for process in left):
            return left


def _wait_end(pid: int, limit: float) -> bool:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        return bool(poll.poll(limit * 1000))
    finally:
        os.close(fd)

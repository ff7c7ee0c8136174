"""Fails each test that leaves something behind: an open file, a thread or a child process.

What a fixture of a wider scope holds is older than the test and doesn't count. Garbage is collected
before the check, so that a forgotten socket's ResourceWarning, or an exception in a `__del__`, is
reported (by pytest, as an error) for the test that made it rather than for some later one.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

FAILED = pytest.StashKey[bool]()


def pytest_collection_finish() -> None:
    """Take everything imported so far out of the garbage collector's sight.

    Collecting after a test then walks only what the tests made: well under a millisecond, not 20.
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note that a test failed."""
    if call.excinfo is not None:
        item.stash[FAILED] = True


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compare what is open and running before and after a test."""
    threads = set(threading.enumerate())
    before = open_files() | child_processes()
    yield
    # The traceback of a failed test keeps alive what its frames hold: that is no second failure.
    if request.node.stash.get(FAILED, False):
        return
    new_threads = set(threading.enumerate()) - threads
    for thread in new_threads:
        # One that was told to stop, and that nothing can join, may need a moment to be gone.
        thread.join(timeout=0.5)
    left = [repr(thread) for thread in new_threads if thread.is_alive()]
    gc.collect()
    left += sorted((open_files() | child_processes()) - before)
    if left:
        pytest.fail(f"left behind: {', '.join(left)}", pytrace=False)


def open_files() -> set[str]:
    """Return the open file descriptors, none on a system that doesn't list them in /proc."""
    found: set[str] = set()
    # A name that is gone is the descriptor that listed the directory.
    with contextlib.suppress(FileNotFoundError):
        for fd in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.add(f"file {fd} ({os.readlink(f'/proc/self/fd/{fd}')})")
    return found


def child_processes() -> set[str]:
    """Return the children, exited and unreaped ones included, on a system with /proc."""
    found: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        for task in os.listdir("/proc/self/task"):
            # A thread may end meanwhile; another one inherits its children.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                children = Path(f"/proc/self/task/{task}/children").read_text("ascii")
                found.update(f"process {pid}" for pid in children.split())
    return found

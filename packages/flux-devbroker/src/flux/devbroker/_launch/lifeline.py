"""The end of a broker whose starter is gone, and the size of the file that only that one reads.

The broker's own reactor notices the end of its line, and shuts down in order.  Where it is busy,
stuck, or waits for jobs that will not end, a thread of its own sees to it that it ends all the
same: it waits for nothing else, and no signal is delivered to it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import stat
import sys
import threading
import time

#: Seconds that a broker has to end in order when its starter is gone.
PATIENCE = 0.7

#: Bytes that the file for standard error may have; of a larger one the beginning and the end stay.
MAX_STDERR = 4 << 20

#: Seconds between looks at that file.
INTERVAL = 1.0


def die_with(line: int, rundir: str | None) -> None:
    """End this process before long when the other end of a socket is closed.

    Half closed it is by a starter that waits for an orderly end.

    Args:
        line: The socket.
        rundir: A directory to remove then; None for none.
    """
    threading.Thread(target=_watch, args=(line, rundir), daemon=True).start()


def _watch(line: int, rundir: str | None) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    poll = select.poll()
    # For nothing but what is always told: that it is closed at both ends.
    poll.register(line, 0)
    while not poll.poll():
        pass
    time.sleep(PATIENCE)
    if rundir is not None:
        shutil.rmtree(rundir, ignore_errors=True)
    # What ends with the broker notices by itself: modules, and what holds on to tasks of jobs.
    os._exit(1)


def bound_stderr() -> None:
    """Take the middle out of a file for standard error that has become too large."""
    info = os.fstat(2)
    if not stat.S_ISREG(info.st_mode) or info.st_size <= MAX_STDERR:
        return
    sys.stderr.flush()
    kept = MAX_STDERR // 4
    end = os.pread(2, kept, info.st_size - kept)
    text = f"\n[{info.st_size - 2 * kept} bytes were left out here]\n"
    os.ftruncate(2, kept)
    # All that write to it have this position in common.
    os.lseek(2, kept, os.SEEK_SET)
    os.write(2, text.encode() + end)

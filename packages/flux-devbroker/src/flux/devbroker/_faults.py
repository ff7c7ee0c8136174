"""What becomes of exceptions that nobody expected: told once, then counted; nothing spins on one.

An exception in the broker's own code is a bug, of which the rest of the broker is to know nothing:
it goes on, and a request whose handler raised has been answered with the error.  What would raise
again at once, as a descriptor stays ready, is stopped, and with it what it served.
"""

from __future__ import annotations

import syslog
import time
import traceback
from typing import Any, Callable
from weakref import WeakKeyDictionary

from flux.core.reactor import Reactor
from flux.core.watchers import Watcher

#: Failures of one watcher within `WINDOW` seconds that are too many.
MAX_FAILURES = 10
WINDOW = 1.0

#: Kinds of exceptions that are counted apart; all further ones are taken for one more kind.
MAX_KINDS = 64

#: Characters of a traceback that are logged.
MAX_TEXT = 16384

_REPORTED = "_flux_reported"

#: What a watcher has for its ``args`` in the broker: called with a text if the watcher had to be
#: stopped, and to end what it served.  Without it the broker cannot go on.
GiveUp = Callable[[str], Any]


class Faults:
    """Tells of exceptions, and counts them.

    Args:
        say: Logs a text with a severity.
        fatal: Called with a text when the broker cannot go on.

    Attributes:
        counts: How many exceptions of each kind there were: their type, and where they were raised.
    """

    def __init__(self, say: Callable[[int, str], Any], fatal: Callable[[str], Any]) -> None:
        self.counts: dict[str, int] = {}
        self._say = say
        self._fatal = fatal
        self._failures: WeakKeyDictionary[Watcher, tuple[int, float]] = WeakKeyDictionary()

    def report(self, exc: BaseException, where: str = "callback") -> None:
        """Log an exception with its traceback the first time, and 10, 100, ... of its kind."""
        if _REPORTED in exc.__dict__:
            # Further in, and it passes on its way out.
            return
        exc.__dict__[_REPORTED] = True
        kind = _kind(exc)
        if kind not in self.counts and len(self.counts) >= MAX_KINDS:
            kind = "others"
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        if count == 1:
            text = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
            if len(text) > MAX_TEXT:
                text = f"{text[: MAX_TEXT // 2]}\n[...]\n{text[-MAX_TEXT // 2 :]}"
            self._say(syslog.LOG_ERR, f"unexpected exception in {where}\n{text}")
        elif str(count).rstrip("0") == "1":
            self._say(syslog.LOG_ERR, f"unexpected exception for the {count}th time: {kind}")

    def watcher_failed(self, watcher: Watcher, exc: Exception) -> None:
        """Report what a watcher raised, and stop a watcher that does so too often."""
        self.report(exc, type(watcher).__name__)
        now = time.monotonic()
        count, since = self._failures.get(watcher, (0, now))
        if now - since > WINDOW:
            count, since = 0, now
        self._failures[watcher] = (count + 1, since)
        if count + 1 >= MAX_FAILURES:
            watcher.stop()
            text = f"{type(watcher).__name__} failed {count + 1} times: {_kind(exc)}"
            (watcher.args or self._fatal)(text)


class BrokerReactor(Reactor):
    """The broker's reactor, which an exception in a callback does not stop.

    Args:
        faults: Where exceptions go.
    """

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def fail(self, exc: BaseException) -> None:
        """Take an exception of a timer, a continuation or a message handler."""
        self._faults.report(exc)

    def watcher_failed(self, watcher: Watcher, exc: Exception) -> None:
        """Take what the callback of a watcher has raised."""
        self._faults.watcher_failed(watcher, exc)


def _kind(exc: BaseException) -> str:
    where = ""
    for frame, lineno in traceback.walk_tb(exc.__traceback__):
        where = f" at {frame.f_code.co_filename}:{lineno}"
    return f"{type(exc).__name__}{where}"

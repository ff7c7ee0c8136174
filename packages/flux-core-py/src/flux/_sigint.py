"""Ctrl-C during a blocking wait.

Python's own handler raises KeyboardInterrupt between any two instructions, also between reading
bytes from a socket and keeping them, after which a connection is of no use.  While an
`Interruptible` is entered, SIGINT raises KeyboardInterrupt only where nothing can be lost: in
its `poll`, or on leaving it.  The process's handler is afterwards what it was before.
"""

from __future__ import annotations

from signal import SIGINT, default_int_handler
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Callable, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

# The functions of the signal module convert to enums at 1.5 µs a call; those below them do not.
try:
    from _signal import getsignal, signal  # type: ignore[import-not-found]
except ImportError:  # an interpreter that is built differently
    from signal import getsignal, signal

_SIGINT = int(SIGINT)

T = TypeVar("T")

#: Longest single poll in milliseconds.  A signal that arrives in the instant between the last
#: check of the interpreter and the system call does not end the call; it is seen this late.
_SLICE = 1000


#: How to take over a SIGINT that a reactor run has noted, to raise KeyboardInterrupt for it after
#: the callback that is running; one for each run under way.
noted: list[Callable[[], bool]] = []


def take_noted() -> bool:
    """Return whether a reactor run has noted a SIGINT; the caller now has to raise for it."""
    # All of them: it is one Ctrl-C, however many runs have noted it.
    taken = [take() for take in noted]
    return any(taken)


class Interruptible:
    """A context in which blocking waits end with KeyboardInterrupt on SIGINT.

    Outside the main thread, which alone receives signals, it does nothing.
    """

    __slots__ = ("_previous", "_seen", "_waiting")

    def __init__(self) -> None:
        self._previous: Any = None
        self._waiting = False
        self._seen = False

    def __enter__(self) -> Self:
        # None stands for a handler that was not installed from Python and cannot be put back.
        if getsignal(_SIGINT) is not None:
            try:
                self._previous = signal(_SIGINT, self._on_sigint)
            except ValueError:  # not the main thread
                return self
            if noted:
                # A wait within a callback may never end if it leaves this to those around it.
                self._seen = take_noted()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._previous is not None:
            signal(_SIGINT, self._previous)
            if self._seen and exc_type is None:
                raise KeyboardInterrupt

    def _on_sigint(self, signum: int, frame: FrameType | None) -> None:
        self._seen = True
        if self._waiting:
            self._waiting = False
            raise KeyboardInterrupt

    def poll(self, poll: Callable[[float], Any], timeout: float) -> Any:
        """Call ``poll`` with at most ``timeout`` milliseconds; negative means no limit."""
        self._waiting = True
        # Only now: a signal from here on raises by itself.
        if self._seen:
            self._waiting = False
            raise KeyboardInterrupt
        try:
            return poll(timeout if 0 <= timeout < _SLICE else _SLICE)
        finally:
            self._waiting = False


_seen = False


def uninterrupted(call: Callable[[], T]) -> T:
    """Call a function that does not wait, and that Ctrl-C must not leave half done.

    Only Python's own handler is replaced meanwhile: a program's is there to deal with SIGINT in its
    own way, after which what was interrupted goes on.

    Raises:
        KeyboardInterrupt: SIGINT was received; raised after the call.
    """
    global _seen  # noqa: PLW0603 - signals are the process's as well
    if getsignal(_SIGINT) is not default_int_handler:
        return call()
    try:
        signal(_SIGINT, _note)
    except ValueError:  # not the main thread
        return call()
    try:
        return call()
    finally:
        signal(_SIGINT, default_int_handler)
        if _seen:
            _seen = False
            raise KeyboardInterrupt


def _note(signum: int, frame: FrameType | None) -> None:
    global _seen  # noqa: PLW0603
    _seen = True

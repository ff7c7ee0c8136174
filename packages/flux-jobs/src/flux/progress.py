"""A status line, or a progress bar, at the bottom of a terminal that knows the codes of a VT100."""

from __future__ import annotations

import atexit
import shutil
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Callable, ClassVar

import flux._ours  # noqa: F401 - refuses another flux

if TYPE_CHECKING:
    import os

    from typing_extensions import Self

__all__ = ["Bottombar", "ElapsedTime", "ProgressBar"]

# Control functions of the terminal (ECMA-48, and DEC's private ones).
_SAVE, _RESTORE = "\0337", "\0338"
_ALL_LINES = "\033[r"
_ERASE_LINE = "\033[2K"
_PLAIN = "\033[0m"
_NO_WRAP, _WRAP = "\033[?7l", "\033[?7h"
_DOWN, _UP = "\033D", "\033M"


class ElapsedTime(float):
    """A time in seconds."""

    @property
    def dt(self) -> timedelta:
        """The time, to the second, as a `datetime.timedelta`."""
        return timedelta(seconds=round(self))


class Bottombar:
    """A line that stays at the bottom while other output scrolls above it.

    Example:
        >>> bar = Bottombar(lambda bar, width: f"{bar.count} done".rjust(width), count=0).start()
        >>> bar.update(count=1)
        >>> bar.stop()

    Args:
        formatter: Called with the bar and the width of the terminal; returns the line.  Without
            one the line is the values by name.
        kwargs: Values, which are attributes of the bar.

    Attributes:
        size: The terminal's size as of the last drawing; None before the first.
    """

    def __init__(
        self,
        formatter: Callable[[Any, int], str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.size: os.terminal_size | None = None
        self.formatter = formatter or _by_name
        self.kwargs = kwargs
        self._running = False
        self._t0: float | None = None

    @property
    def elapsed(self) -> ElapsedTime:
        """Seconds since the start; 0 before it."""
        return ElapsedTime(0 if self._t0 is None else time.time() - self._t0)

    def __getattr__(self, attr: str) -> Any:
        try:
            return self.__dict__["kwargs"][attr]
        except KeyError:
            raise AttributeError(f"the bar has no {attr!r}") from None

    def __str__(self) -> str:
        size = self.size or shutil.get_terminal_size()
        return self.formatter(self, size.columns)

    def start(self) -> Self:
        """Begin to draw it.

        Returns:
            The bar.
        """
        if not self._running:
            self._running = True
            if self._t0 is None:
                self._t0 = time.time()
            atexit.register(self._restore)
        self.redraw()
        return self

    def stop(self) -> None:
        """Leave the line as it is now among the output, and the terminal as it was before."""
        if self._running:
            self._running = False
            atexit.unregister(self._restore)
            self._restore()

    def update(self, **kwargs: Any) -> None:
        """Change values, and draw the line anew if it has been started."""
        self.kwargs.update(kwargs)
        if self._running:
            self.redraw()

    def redraw(self) -> None:
        """Draw the line anew."""
        size = shutil.get_terminal_size()
        text = ""
        if size != self.size:
            self.size = size
            # Move up what is on the last line, and let the others alone scroll.
            text += f"{_SAVE}{_ALL_LINES}{_RESTORE}{_DOWN}{_UP}"
            text += f"{_SAVE}\033[1;{size.lines - 1}r{_RESTORE}"
        line = f"\033[{size.lines};1H{_ERASE_LINE}{_NO_WRAP}{_PLAIN}{self}{_WRAP}"
        sys.stdout.write(f"{text}{_SAVE}{line}{_RESTORE}")
        sys.stdout.flush()

    def _restore(self) -> None:
        size = self.size or shutil.get_terminal_size()
        last = f"\033[{size.lines};1H{_ERASE_LINE}{_ALL_LINES}"
        sys.stdout.write(f"{_SAVE}{last}{_RESTORE}{self}\n")
        sys.stdout.flush()
        # Should it be started again, it is to claim the last line again.
        self.size = None


def _by_name(bar: Bottombar, _width: int) -> str:
    return " ".join(f"{name}={value}" for name, value in bar.kwargs.items())


class ProgressBar(Bottombar):
    """A bar that shows how much of something is done.

    Args:
        total: How much there is.
        style: A key of `bar_style`.
        before: What stands before the bar: a format string, for ``total``, ``count``, ``percent``,
            ``elapsed`` and the other values.
        after: What stands after it, likewise.
        autostop: Stop when all is done.
        kwargs: Other values.

    Attributes:
        count: How much is done.

    Raises:
        KeyError: There is no such style.
    """

    #: Characters by style, from an empty cell to a full one.
    bar_style: ClassVar[dict[str, str]] = {
        "line": "─━",
        "bar": "─█",
        "dots": "⣀⣄⣤⣦⣶⣷⣿",
        "steps": " ▁▂▃▄▅▆▇█",
        "vertbars": " ▏▎▍▌▋▊▉█",
    }

    def __init__(
        self,
        total: int = 100,
        style: str = "vertbars",
        before: str = "",
        after: str = " {percent:5.1f}%",
        autostop: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(_format_bar, **kwargs)
        self.total = total
        self.count = 0
        self.before = before
        self.after = after
        self.style = self.bar_style[style]
        self.autostop = autostop

    def update(self, advance: int = 1, **kwargs: Any) -> None:
        """Note progress, and draw the bar anew if it has been started.

        Args:
            advance: How much more is done.
            kwargs: Values to change.
        """
        self.count += advance
        super().update(**kwargs)
        if self.autostop and self.count == self.total:
            self.stop()


def _format_bar(bar: ProgressBar, width: int) -> str:
    fraction = bar.count / bar.total if bar.total else 0.0
    values = {
        **bar.kwargs,
        "total": bar.total,
        "count": bar.count,
        "elapsed": bar.elapsed,
        "percent": 100 * fraction,
    }
    before, after = bar.before.format(**values), bar.after.format(**values)
    # Two for the ends of the bar.
    cells = max(0, width - len(before) - len(after) - 2)
    style = bar.style
    # A cell has as many steps as there are characters after the empty one.
    steps = round(cells * min(fraction, 1.0) * (len(style) - 1))
    whole, part = divmod(steps, len(style) - 1)
    filled = style[-1] * whole + (style[part] if part else "")
    return f"{before}│{filled:{style[0]}<{cells}}│{after}"

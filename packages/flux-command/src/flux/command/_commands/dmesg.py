"""``flux dmesg``: printing the broker's log."""

from __future__ import annotations

import argparse
import errno
import re
from datetime import datetime, timezone
from typing import Callable, NamedTuple

from flux.command._common import (
    CommandError,
    Parser,
    add_color_option,
    connect,
    emit,
    use_color,
)
from flux.constants import FLUX_RPC_STREAMING

HELP = "print or clear the broker's log"

# RFC 5424 with the rank for a host name; the severity stands where the RFC has the facility.
_LINE = re.compile(
    r"<(\d{1,3})>1 (\S+) \s*(\d*)\S* (\S+) \S+ \S+ (?:-|\[.*?\])(?: (.*))?", re.DOTALL
)
_TIMESTAMP = "%Y-%m-%dT%H:%M:%S.%fZ"
_SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

_RESET, _BOLD, _GREEN, _YELLOW = "\033[0m", "\033[1m", "\033[32m", "\033[33m"
_RED, _BLUE = "\033[31m", "\033[34m"
#: Colors of the message by severity.
_TEXT_COLORS = {
    "emerg": _BOLD + _RED,
    "alert": _BOLD + _RED,
    "crit": _BOLD + _RED,
    "err": _RED,
    "warning": _BOLD,
    "debug": _BLUE,
}


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Print or clear the broker's log."
    add = parser.add_argument
    add("-C", "--clear", action="store_true", help="clear the log, and print nothing")
    add("-c", "--read-clear", action="store_true", help="clear the log after printing it")
    add("-f", "--follow", action="store_true", help="go on with new lines as they come")
    add("-n", "--new", action="store_true", help="print new lines only, as they come")
    add("-H", "--human", action="store_true", help="print times relative to the first line")
    add("-d", "--delta", action="store_true", help="with --human, relative to the line before")
    add_color_option(parser)
    return command


def command(args: argparse.Namespace) -> int:
    """Print or clear the log."""
    handle = connect()
    if not args.clear:
        color = use_color(args.color)
        printer = Printer(args.human, args.delta, color)
        request = {"follow": args.follow or args.new, "nobacklog": args.new}
        rpc = handle.rpc("log.dmesg", request, flags=FLUX_RPC_STREAMING)
        try:
            while True:
                emit(printer.line(rpc.get_str() or ""))
                rpc.reset()
        except OSError as exc:
            # The end of a log that is not followed.
            if exc.errno != errno.ENODATA:
                raise CommandError(f"log.dmesg: {exc.strerror}") from None
    if args.clear or args.read_clear:
        handle.rpc("log.clear").get()
    return 0


class Entry(NamedTuple):
    """One line of the log, taken apart."""

    severity: str
    timestamp: str
    rank: int
    appname: str
    text: str


def parse_line(text: str) -> Entry | None:
    """Take a log line apart; None if it is not one."""
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    severity = _SEVERITIES[(int(match[1]) >> 3) & 7]
    return Entry(severity, match[2], int(match[3] or "0"), match[4], match[5] or "")


class Printer:
    """Makes lines for people to read.

    Args:
        human: Whether times are to be relative.
        delta: Relative to the line before.
        color: Whether to color them.
    """

    def __init__(self, human: bool, delta: bool, color: bool) -> None:
        self._human = human
        self._delta = delta
        self._color = color
        self._reference: datetime | None = None

    def line(self, text: str) -> str:
        """Return a line of the log as it is to be printed."""
        entry = parse_line(text)
        if entry is None:
            return text
        stamp, stamp_color = self._stamp(entry)
        name = f"{entry.appname}.{entry.severity}[{entry.rank}]"
        if not self._color:
            return f"{stamp} {name}: {entry.text}"
        color = _TEXT_COLORS.get(entry.severity, "")
        return f"{stamp_color}{stamp}{_RESET} {_YELLOW}{name}{_RESET}: {color}{entry.text}{_RESET}"

    def _stamp(self, entry: Entry) -> tuple[str, str]:
        if not self._human:
            return entry.timestamp, _GREEN
        try:
            when = datetime.strptime(entry.timestamp, _TIMESTAMP).replace(tzinfo=timezone.utc)
        except ValueError:
            return entry.timestamp, _GREEN
        reference = self._reference
        elapsed = None if reference is None else (when - reference).total_seconds()
        if elapsed is None or not 0 <= elapsed < 60:
            self._reference = when
            return when.astimezone().strftime("[%b%d %H:%M]"), _BOLD + _GREEN
        if self._delta:
            self._reference = when
        return f"[{f'+{elapsed:.6f}':>11}]", _GREEN

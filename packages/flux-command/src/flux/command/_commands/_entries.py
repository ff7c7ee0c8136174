"""Entries of eventlogs as Flux's commands read and print them (RFC 18).

The commands of flux-core are written in C, and its Python class `flux.eventlog.EventLogFormatter`
prints otherwise in many details; scripts that read the output of commands see the difference.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from orjson import loads

from flux.command._common import add_color_option, use_color
from flux.eventlog import EventLogFormatter, entry_fault

Entry = dict[str, Any]

_RESET = "\033[0m"
_ESCAPES = {code: f"\\u{code:04X}" for code in range(0x20)} | str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
)


def decode(text: str) -> list[Entry]:
    """Read a whole eventlog; what follows the last newline is still being written.

    Raises:
        ValueError: A line is not an entry, or there is text but not one whole line.
    """
    *lines, rest = text.split("\n")
    if rest and not lines:
        raise ValueError("an eventlog has a newline after each entry")
    entries = [loads(line) for line in lines]
    for number, entry in enumerate(entries, 1):
        fault = entry_fault(entry)
        if fault is not None:
            raise ValueError(f"line {number}: {fault}")
    return entries


def encode(value: Any) -> str:
    """Return compact JSON with numbers and strings spelt as flux-core does."""
    if isinstance(value, dict):
        return f"{{{','.join(f'{encode(key)}:{encode(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(encode, value))}]"
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    if isinstance(value, float):
        return _real(value)
    return json.dumps(value)


def _real(value: float) -> str:
    """Return 17 digits, with a fraction or an exponent that tells it from an integer."""
    digits, _e, exponent = f"{value:.17g}".partition("e")
    if exponent:
        return f"{digits}e{int(exponent)}"
    return digits if "." in digits else f"{digits}.0"


def add_format_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options from which `formatter` makes a formatter."""
    add = parser.add_argument
    add("-f", "--format", default="text", type=str.lower, choices=("text", "json"))
    times = ("raw", "iso", "offset", "human", "reltime")
    add("-T", "--time-format", default="raw", type=str.lower, choices=times)
    add("-H", "--human", action="store_true", help="print text with times for people to read")
    add_color_option(parser)


def formatter(args: argparse.Namespace) -> EntryFormatter:
    """Make a formatter as the options say."""
    stamp = "human" if args.human else args.time_format
    return EntryFormatter(not args.human and args.format == "json", stamp, use_color(args.color))


class EntryFormatter:
    """Prints the entries of one eventlog, one after the other.

    Args:
        as_json: Print them as JSON, whatever the other arguments are.
        stamp: How to print times: ``raw``, ``iso``, ``offset`` from the first entry, or ``human``
            (also ``reltime``): a heading in each new minute, and seconds since then.
        color: Whether to color it.
    """

    def __init__(self, as_json: bool, stamp: str, color: bool) -> None:
        self._json = as_json
        self._stamp = stamp
        self._colors = EventLogFormatter.eventlog_colors if color else {}
        self._first: float | None = None
        self._minute: tuple[int, ...] = ()
        self._heading = 0.0

    def skip(self, entry: Entry) -> None:
        """Note an entry that is not printed: it may be the first, from which offsets count."""
        if self._first is None:
            self._first = entry["timestamp"]

    def line(self, entry: Entry) -> str:
        """Return an entry's line, without newline.

        Raises:
            ValueError: It is to have an ISO time, and that is beyond the calendar.
        """
        self.skip(entry)
        if self._json:
            return encode(entry)
        name = entry["name"]
        words = [
            self._time(entry["timestamp"]),
            self._colored("exception" if name == "exception" else "name", name),
        ]
        for key, value in entry.get("context", {}).items():
            kind = "number" if type(value) in (int, float) else "value"
            words.append(f"{self._colored('key', key)}={self._colored(kind, encode(value))}")
        return " ".join(words)

    def _colored(self, kind: str, text: str) -> str:
        return f"{self._colors[kind]}{text}{_RESET}" if self._colors else text

    def _time(self, timestamp: float) -> str:
        if self._stamp == "raw":
            text = f"{timestamp:f}"
        elif self._stamp == "offset":
            assert self._first is not None
            text = f"{timestamp - self._first:f}"
        elif self._stamp == "iso":
            text = _iso(timestamp)
        else:
            try:
                local = time.localtime(timestamp)
            except (OverflowError, OSError):
                # Beyond the calendar.
                return self._colored("time", f"[{timestamp:+11.6f}]")
            if local[:5] != self._minute:
                self._minute, self._heading = local[:5], timestamp
                return self._colored("timebreak", time.strftime("[%b%d %H:%M]", local))
            text = f"[{timestamp - self._heading:+11.6f}]"
        return self._colored("time", text)


def _iso(timestamp: float) -> str:
    try:
        local = time.localtime(timestamp)
    except (OverflowError, OSError) as exc:
        raise ValueError(f"localtime({timestamp:f}): {exc}") from None
    # Cut, not rounded.
    micros = int(timestamp % 1 * 1e6)
    zone = time.strftime("%z", local)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{micros:06d}{zone}"

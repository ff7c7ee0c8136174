"""``flux journal``: the events of all jobs."""

from __future__ import annotations

import argparse
from typing import Any, Callable

from flux.command._commands._journal_stream import follow
from flux.command._common import Parser, connect, emit
from flux.command._timeline.journal import record
from flux.command._timeline.scale import printable
from flux.eventlog import EventLogFormatter

HELP = "print the events of all jobs"

_ID_WIDTH = 12


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Print the events of all jobs from the job manager's journal."
    add = parser.add_argument
    add("--json", action="store_true", help="one JSON object a line, to record the journal")
    add(
        "--full",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="begin with the jobs that are over; without them it is followed",
    )
    add("-T", "--time-format", default="human", choices=("raw", "iso", "offset", "human"))
    add("-L", "--color", default="auto", choices=("auto", "always", "never"))
    end = parser.add_mutually_exclusive_group()
    end.add_argument("-n", "--count", type=_count, metavar="COUNT", help="exit after COUNT events")
    end.add_argument("-f", "--follow", action="store_true", help="go on with events as they happen")
    return command


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def command(args: argparse.Namespace) -> int:
    """Print the journal."""
    formatter = EventLogFormatter("text", args.time_format, args.color)
    forever = args.follow or args.count is not None or not args.full
    left = args.count
    for event in follow(connect(), "flux-journal", args.full, forever):
        if event is None:
            continue
        if args.json:
            emit(record(event.jobid, event, event.jobspec, event.R))
        else:
            text = formatter.format(_printable(event))
            emit(f"{event.jobid.f58:<{_ID_WIDTH}} {text}")
        if left is not None:
            left -= 1
            if not left:
                break
    return 0


def _printable(value: Any) -> Any:
    """Return a value with what could move the cursor taken out of its strings."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value

"""``flux job timeline``: what became of jobs over time."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from flux.command._commands import _jobspec
from flux.command._commands._journal_stream import follow
from flux.command._common import CommandError, connect, emit, say, use_color
from flux.command._timeline import JournalReader, Timeline

_PROG = "flux-job"

#: Seconds between two pictures while it is followed.
_REFRESH = 0.2

#: Lines on a terminal that are not for jobs: title, axis, legend, and the cursor's.
_OTHER_LINES = 5

_UP, _CLEAR = "\033[{}A", "\033[J"

_STDIO = "-"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--html", metavar="FILE", help="write a page of HTML; '-' for standard output")
    add("--json", action="store_true", help="print JSON")
    add(
        "--from",
        dest="source",
        metavar="FILE",
        action="append",
        help="read what 'flux journal --json' printed; '-' for standard input",
    )
    add(
        "-f",
        "--follow",
        action="store_true",
        help="go on until Ctrl-C, or the end of the jobs that are named",
    )
    add("-w", "--width", type=int, metavar="N", help="columns; by default those of the terminal")
    add("-L", "--color", default="auto", choices=("auto", "always", "never"))
    add("ids", nargs="*", metavar="ID", help="jobs to show; by default all")


def run(args: argparse.Namespace) -> int:
    """Show the timeline."""
    if args.source and args.follow:
        raise CommandError("--follow is for the live journal, not for --from")
    reader = JournalReader(_jobspec.parse_id(text) for text in args.ids)
    now = None
    if args.source:
        for name in args.source:
            _read(reader, name)
    else:
        _watch(reader, args)
        now = time.time()
    for fault in reader.faults:
        say(_PROG, f"ignored: {fault}")
    _write(reader.timeline(now), args)
    return 0


# -- input


def _read(reader: JournalReader, name: str) -> None:
    if name == _STDIO:
        reader.read(sys.stdin, "stdin")
        return
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            reader.read(file, name)
    except OSError as exc:
        raise CommandError(f"{name}: {exc.strerror}") from None


def _watch(reader: JournalReader, args: argparse.Namespace) -> None:
    """Read the live journal, and show it on a terminal as it is followed."""
    live = args.follow and sys.stdout.isatty() and not args.json and args.html != _STDIO
    screen = _Screen(args) if live else None
    try:
        for event in follow(connect(), _PROG, True, args.follow, _REFRESH if live else -1.0):
            if event is not None:
                reader.add(event.jobid, event, event.jobspec, event.R)
            # Only with an event can there be an end.
            if args.follow and event is not None and reader.over():
                break
            if screen is not None:
                screen.show(reader, event is None)
    except KeyboardInterrupt:
        # How following it ends, for people.
        if not args.follow:
            raise
    if screen is not None:
        screen.clear()


class _Screen:
    """The picture on the terminal, which is drawn again and again."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._lines = 0
        self._drawn = 0.0

    def show(self, reader: JournalReader, idle: bool) -> None:
        """Draw, unless that was done just now and there may be more to come."""
        now = time.monotonic()
        if not idle and now - self._drawn < _REFRESH:
            return
        rows = max(1, shutil.get_terminal_size().lines - _OTHER_LINES)
        lines = _draw(reader.timeline(time.time()), self._args, rows)
        self.clear()
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        self._lines, self._drawn = len(lines), now

    def clear(self) -> None:
        """Take the picture off the terminal."""
        if self._lines:
            sys.stdout.write(_UP.format(self._lines) + _CLEAR)
            self._lines = 0


# -- output


def _draw(timeline: Timeline, args: argparse.Namespace, rows: int = 0) -> list[str]:
    from flux.command._timeline import text

    color = use_color(args.color)
    return text.render(timeline, args.width or shutil.get_terminal_size().columns, color, rows)


def _write(timeline: Timeline, args: argparse.Namespace) -> None:
    if args.html is not None:
        from flux.command._timeline import html

        page = html.render(timeline)
        if args.html == _STDIO:
            sys.stdout.flush()
            sys.stdout.buffer.write(page.encode())
            return
        try:
            Path(args.html).write_text(page, encoding="utf-8")
        except OSError as exc:
            raise CommandError(f"{args.html}: {exc.strerror}") from None
    if args.json:
        emit(json.dumps(timeline.to_json()))
    elif args.html is None:
        emit("\n".join(_draw(timeline, args)))

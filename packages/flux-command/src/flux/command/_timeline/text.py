"""The timeline on a terminal."""

from __future__ import annotations

import unicodedata

from flux.command._timeline.model import INACTIVE, PENDING, STATES, Job, Timeline
from flux.command._timeline.scale import clock, duration, printable, ticks

#: What stands for the states, in the order of `STATES`.
_CHARACTERS = dict(zip(STATES, "ndpsRc"))

_EXCEPTION = "!"

#: Escape sequences (ECMA-48): black on the color of a state.
_COLORS = dict(zip(STATES, ("\033[30;47m", "\033[30;45m", "\033[30;46m", "\033[30;43m")))
_COLORS["RUN"] = "\033[30;42m"
_COLORS["CLEANUP"] = "\033[97;44m"
_ALARM = "\033[1;97;41m"
_DIM, _BOLD, _RED, _GREEN, _RESET = "\033[2m", "\033[1m", "\033[31m", "\033[32m", "\033[0m"

_MIN_BAR = 12
_MAX_NAME = 14
_NO_TIME = "-"


def render(timeline: Timeline, width: int = 80, color: bool = False, rows: int = 0) -> list[str]:
    """Draw a timeline.

    Args:
        timeline: The timeline.
        width: Columns of the terminal.
        color: Whether to use colors.
        rows: How many jobs to show, the last ones; 0 for all.

    Returns:
        The lines.
    """
    if not timeline.jobs:
        return ["no jobs"]
    paint = _Paint(color)
    jobs = timeline.jobs[-rows:] if rows else timeline.jobs
    columns = [_columns(job, timeline.end) for job in jobs]
    heads = ("JOBID", "NAME", "WAIT", "RUN", "RESULT")
    widths = [
        max(_width(one) for one in (head, *(row[number] for row in columns)))
        for number, head in enumerate(heads)
    ]
    room = width - sum(widths) - len(widths) - 2
    if room < _MIN_BAR:
        # Names are the least of it where there is hardly any room.
        widths[1] = max(4, widths[1] - (_MIN_BAR - room))
        room = width - sum(widths) - len(widths) - 2
    bar = max(_MIN_BAR, room)

    def line(row: tuple[str, ...], picture: str, code: str) -> str:
        left = f"{_fit(row[0], widths[0])} {_fit(row[1], widths[1])}"
        right = f"{row[2]:>{widths[2]}} {row[3]:>{widths[3]}} {paint(code, row[4])}"
        return f"{left} {picture} {right}".rstrip()

    title = f"{len(timeline.jobs)} job{'s' * (len(timeline.jobs) != 1)}, "
    title += f"{duration(timeline.end - timeline.begin)} from {clock(timeline.begin)}"
    if len(jobs) < len(timeline.jobs):
        title += f", the last {len(jobs)}"
    lines = [paint(_BOLD, title), line(heads, f" {paint(_DIM, _axis(timeline, bar))} ", _DIM)]
    for job, row in zip(jobs, columns):
        picture = f"{paint(_DIM, '|')}{_bar(job, timeline, bar, paint)}{paint(_DIM, '|')}"
        lines.append(line(row, picture, {"COMPLETED": _GREEN}.get(job.result, _result_code(job))))
    return [*lines, *_legend(timeline, paint, width)]


class _Paint:
    """Colors text, or does not."""

    def __init__(self, color: bool) -> None:
        self._color = color

    def __call__(self, code: str, text: str) -> str:
        return f"{code}{text}{_RESET}" if self._color and code and text else text


def _columns(job: Job, end: float) -> tuple[str, ...]:
    wait = duration(job.spent(PENDING, end))
    run = duration(job.spent(("RUN",), end)) if job.passed("RUN") else _NO_TIME
    name = _fit(printable(job.name), _MAX_NAME).rstrip()
    return str(job.jobid.f58), name, wait, run, printable(job.outcome)


def _result_code(job: Job) -> str:
    return _RED if job.state == INACTIVE else ""


def _axis(timeline: Timeline, bar: int) -> str:
    line = ""
    for when, label in ticks(timeline.span, max(1, bar // 12)):
        column = int(when / timeline.span * (bar - 1) + 0.5)
        text = f"|{label}"
        if column >= len(line) + bool(line) and column + len(text) <= bar:
            line = f"{line:<{column}}{text}"
    return f"{line:<{bar}}"


def _bar(job: Job, timeline: Timeline, bar: int, paint: _Paint) -> str:
    cells = _cells(job, timeline, bar)
    alarms = {min(bar - 1, int(timeline.fraction(one.when) * bar)) for one in job.exceptions}
    text, last, run = "", "", ""
    for column, state in enumerate((*cells, None)):
        code = "" if state is None else _COLORS.get(state, "")
        sign = " " if not state else _CHARACTERS[state]
        if column in alarms:
            code, sign = _ALARM, _EXCEPTION
        # One sequence for cells that look the same.
        if state is None or code != last:
            text, run, last = text + paint(last, run), "", code
        run += sign
    return text


def _cells(job: Job, timeline: Timeline, bar: int) -> list[str]:
    """Return for each column the state that the job was in for most of it, or an empty string."""
    shares: list[dict[str, float]] = [{} for _ in range(bar)]
    for one in job.intervals:
        begin, end = timeline.fraction(one.begin) * bar, timeline.fraction(one.end) * bar
        first, last = min(bar - 1, int(begin)), min(bar - 1, int(end))
        for column in range(first, last + 1):
            share = min(end, column + 1.0) - max(begin, float(column))
            if share > 0 or first == last:
                shares[column][one.state] = shares[column].get(one.state, 0.0) + share
    return [max(share, key=lambda state: share[state]) if share else "" for share in shares]


def _legend(timeline: Timeline, paint: _Paint, width: int) -> list[str]:
    seen = [state for state in STATES if any(job.passed(state) for job in timeline.jobs)]
    items = []
    for state in seen:
        total = duration(sum(job.spent((state,), timeline.end) for job in timeline.jobs))
        sign = _CHARACTERS[state]
        items.append((f"{sign} {state} {total}", f"{paint(_COLORS[state], sign)} {state} {total}"))
    if any(job.exceptions for job in timeline.jobs):
        items.append((f"{_EXCEPTION} exception", f"{paint(_ALARM, _EXCEPTION)} exception"))
    lines, used = [""], 0
    for plain, painted in items:
        if used and used + 3 + len(plain) > width:
            lines.append("")
            used = 0
        lines[-1] += f"{'   ' if used else ''}{painted}"
        used += len(plain) + (3 if used else 0)
    return lines


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(_columns_of(one) for one in text)


def _columns_of(one: str) -> int:
    if unicodedata.combining(one):
        return 0
    return 2 if unicodedata.east_asian_width(one) in "WF" else 1


def _fit(text: str, width: int) -> str:
    """Cut or pad text to a number of columns."""
    if _width(text) > width:
        used, kept = 0, ""
        for one in text:
            used += _columns_of(one)
            if used > width - 1:
                break
            kept += one
        text = f"{kept}~"
    return text + " " * (width - _width(text))

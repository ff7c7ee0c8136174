"""The timeline as a page of HTML, which needs nothing but itself."""

from __future__ import annotations

import base64
import hashlib
from html import escape as _escape

from flux.command._timeline._page import SCRIPT, STYLE
from flux.command._timeline.model import (
    INACTIVE,
    PENDING,
    STATES,
    Exceptional,
    Interval,
    Job,
    Timeline,
)
from flux.command._timeline.scale import clock, duration, printable, ticks

_TICKS = 8

#: Fraction of the chart's width that a label of the axis takes, about.
_LABEL = 0.06

#: Characters of a command that a page shows of it; what is longer is not for reading.
_MAX_COMMAND = 500


def render(timeline: Timeline, title: str = "Flux jobs") -> str:
    """Draw a timeline.

    Args:
        timeline: The timeline.
        title: The page's title.
    """
    count = len(timeline.jobs)
    length = duration(timeline.end - timeline.begin)
    when = f" from {clock(timeline.begin)}, {length}" if count else ""
    summary = f"{count} job{'s' * (count != 1)}{when}"
    # Whatever the journal says, nothing but these two can run or be loaded.
    policy = (
        f"default-src 'none'; style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    body = _table(timeline) if count else '<p class="none">There are no jobs in this journal.</p>'
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{_text(title)}</h1>
<p>{_text(summary)}{_results(timeline)}</p>
</header>
<main>
{body}
</main>
<div id="hair" hidden></div>
<div id="tip" role="tooltip" hidden></div>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    """Return text for anywhere in the page, also in an attribute."""
    # Line breaks are ours.
    return "\n".join(_escape(printable(line), quote=True) for line in text.split("\n"))


def _percent(fraction: float) -> str:
    return f"{fraction * 100:.4f}".rstrip("0").rstrip(".") + "%"


def _results(timeline: Timeline) -> str:
    counts: dict[str, int] = {}
    for job in timeline.jobs:
        text = (job.result or job.state).lower()
        counts[text] = counts.get(text, 0) + 1
    return "".join(
        f' <span class="pill {_class(text)}">{number} {_text(text)}</span>'
        for text, number in counts.items()
    )


def _class(result: str) -> str:
    result = result.lower()
    if result == "completed":
        return "good"
    return "" if result.upper() in (*STATES, INACTIVE) else "bad"


def _table(timeline: Timeline) -> str:
    rows = "\n".join(_row(job, timeline) for job in timeline.jobs)
    return f"""{_legend(timeline)}
<table>
<thead><tr>
<th scope="col">Job</th>
<th scope="col" class="chart">{_axis(timeline)}</th>
<th scope="col" class="number">Wait</th>
<th scope="col" class="number">Run</th>
<th scope="col">Result</th>
</tr></thead>
<tbody data-span="{timeline.span!r}">
{rows}
</tbody>
</table>"""


def _legend(timeline: Timeline) -> str:
    items = []
    for state in STATES:
        if any(job.passed(state) for job in timeline.jobs):
            total = duration(sum(job.spent((state,), timeline.end) for job in timeline.jobs))
            items.append(
                f'<li><svg class="key" aria-hidden="true"><rect class="{state}" '
                f'width="100%" height="100%" rx="2"/></svg>{state} <small>{total}</small></li>'
            )
    if any(job.exceptions for job in timeline.jobs):
        items.append(
            '<li><svg class="key" aria-hidden="true" viewBox="-8 -8 16 16">'
            '<path class="alarm" d="M0-6 6 0 0 6-6 0z"/></svg>exception</li>'
        )
    return f'<ul class="legend" aria-label="Legend">{"".join(items)}</ul>'


def _axis(timeline: Timeline) -> str:
    labels = []
    for when, label in ticks(timeline.span, _TICKS):
        at = when / timeline.span
        anchor = "start" if at < _LABEL / 2 else "end" if at > 1 - _LABEL / 2 else "middle"
        x = _percent(at)
        labels.append(f'<text x="{x}" y="13" text-anchor="{anchor}">{label}</text>')
        labels.append(f'<line x1="{x}" x2="{x}" y1="18" y2="24"/>')
    text = _text(f"Time since {clock(timeline.begin)}, up to {duration(timeline.span)}")
    return f'<svg class="axis" role="img" aria-label="{text}">{"".join(labels)}</svg>'


def _row(job: Job, timeline: Timeline) -> str:
    command = " ".join(job.command)
    if len(command) > _MAX_COMMAND:
        command = command[:_MAX_COMMAND] + "…"
    name = job.name or "?"
    run = duration(job.spent(("RUN",), timeline.end)) if job.passed("RUN") else "-"
    hint = f"{command}\non {job.nodes}" if job.nodes else command
    return f"""<tr>
<th scope="row" title="{_text(hint)}"><code>{_text(str(job.jobid.f58))}</code> \
<span>{_text(name)}</span></th>
<td class="chart">{_picture(job, timeline, name)}</td>
<td class="number">{duration(job.spent(PENDING, timeline.end))}</td>
<td class="number">{run}</td>
<td><span class="pill {_class(job.result or job.state)}">{_text(job.outcome.lower())}</span></td>
</tr>"""


def _picture(job: Job, timeline: Timeline, name: str) -> str:
    parts = []
    for when, _label in ticks(timeline.span, _TICKS):
        x = _percent(when / timeline.span)
        parts.append(f'<line x1="{x}" x2="{x}" y1="0" y2="100%"/>')
    parts += [_segment(one, timeline) for one in job.intervals]
    parts += [_alarm(one, timeline) for one in job.exceptions]
    said = [f"{job.jobid.f58} {name}: {job.outcome}"]
    said += [
        f"{state} {duration(job.spent((state,), timeline.end))}"
        for state in STATES
        if job.passed(state)
    ]
    said += [str(one) for one in job.exceptions]
    label = _text("\n".join(said))
    return f'<svg class="bar" role="img" tabindex="0" aria-label="{label}">{"".join(parts)}</svg>'


def _segment(one: Interval, timeline: Timeline) -> str:
    begin, end = timeline.fraction(one.begin), timeline.fraction(one.end)
    until = timeline.end if one.end is None else one.end
    text = f"{one.state} {duration(until - one.begin)}{'' if one.end is not None else ' so far'}"
    text += f"\nfrom +{duration(one.begin - timeline.begin)}"
    if one.end is not None:
        text += f" to +{duration(one.end - timeline.begin)}"
    kind = one.state if one.end is not None else f"{one.state} open"
    return (
        f'<rect class="{kind}" x="{_percent(begin)}" y="5" width="{_percent(end - begin)}" '
        f'height="16"><title>{_text(text)}</title></rect>'
    )


def _alarm(one: Exceptional, timeline: Timeline) -> str:
    text = f"{one}\nat +{duration(one.when - timeline.begin)}"
    kind = "alarm" if one.severity == 0 else "alarm mild"
    return (
        f'<svg class="mark" x="{_percent(timeline.fraction(one.when))}" y="13">'
        f'<path class="{kind}" d="M0-6 6 0 0 6-6 0z"><title>{_text(text)}</title></path></svg>'
    )

"""Put the results of the integration tests into docs/compatibility.md.

usage: compatibility.py [RESULTS]

RESULTS is a directory of files as ``pytest --results=FILE`` writes them; default: results.  What is
between the markers of the page is replaced by tables made of them; the rest is written by hand.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAGE = Path("docs/compatibility.md")
BEGIN = "<!-- results: begin -->"
END = "<!-- results: end -->"

CELL_HEAD = ("broker", "ranks", "connector", "Python", "passed", "failed", "not applicable", "run")
COMMAND_HEAD = ("on the development broker", "", "")

_WORDS = {"works": "yes", "fails": "no"}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return [
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    ]


def cell_row(record: dict[str, Any]) -> tuple[str, ...]:
    """Return the row of a run of the scenarios."""
    cell, groups = record["cell"], record["groups"].values()
    connector = cell["connector"]
    if cell["library"]:
        connector += f" ({cell['library']})"
    apart: dict[str, int] = {}
    for group in groups:
        for reason, count in group["not_applicable"].items():
            apart[reason] = apart.get(reason, 0) + count
    return (
        f"{cell['broker']} {cell['version']}",
        str(cell["ranks"]),
        connector,
        cell["python"],
        str(sum(group["passed"] for group in groups)),
        str(sum(group["failed"] for group in groups)),
        ", ".join(f"{count}: {reason}" for reason, count in sorted(apart.items())),
        f"{cell['ours']}, {cell['date']}",
    )


def render(records: list[dict[str, Any]]) -> str:
    """Return what goes between the markers."""
    cells = sorted(cell_row(record) for record in records if not record["commands"])
    lines = ["## Scenarios by cell", "", *table(CELL_HEAD, cells)]
    for record in records:
        if not record["commands"]:
            continue
        cell = record["cell"]
        lines += ["", "## Programs of flux-core on the development broker", ""]
        lines += [f"flux-core {cell['official']} on {cell['broker']} {cell['version']}.", ""]
        rows = [(f"{c['command']}", _WORDS[c["outcome"]], c["note"]) for c in record["commands"]]
        lines += table(("program", "works", "notes"), rows)
    return "\n".join(lines)


def insert(page: str, text: str) -> str:
    """Return a page with a text between its markers.

    Raises:
        ValueError: The page has no markers, or more than one of each.
    """
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError(f"{PAGE} must have one {BEGIN} and one {END}")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def main(directory: Path) -> None:
    """Update the page."""
    records = [json.loads(path.read_text("utf-8")) for path in sorted(directory.glob("*.json"))]
    if not records:
        sys.exit(f"compatibility: no results in {directory}; `nox -s integration` makes them")
    try:
        PAGE.write_text(insert(PAGE.read_text("utf-8"), render(records)), "utf-8")
    except ValueError as exc:
        sys.exit(f"compatibility: {exc}")


if __name__ == "__main__":
    main(Path(*sys.argv[1:2] or ["results"]))

"""Put the results of the integration tests into docs/compatibility.md.

usage: compatibility.py [RESULTS]

RESULTS is a directory of files as ``pytest --results=FILE`` writes them; default: results.  What is
between the markers of the page is replaced by tables made of them; the rest is written by hand.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

PAGE = Path("docs/compatibility.md")
BEGIN = "<!-- results: begin -->"
END = "<!-- results: end -->"

CELL_HEAD = ("broker", "ranks", "connector", "Python", "passed", "failed", "not applicable", "ours")
PROGRAM_HEAD = ("program of flux-core", "works", "notes")

#: What a row may say of a program: what its test shows, if that holds.
WORKS = {"works": "yes", "fails": "no", "unknown": "its test fails"}

Record = dict[str, Any]
Row = tuple[str, ...]


def table(head: Row, rows: Iterable[Row]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return [
        f"| {' | '.join(text.replace('|', chr(92) + '|') for text in line)} |" for line in lines
    ]


def cell_rows(records: Iterable[Record]) -> list[Row]:
    """Return the rows of the runs of the scenarios; one for all Pythons that fared alike."""
    pythons: dict[Row, list[str]] = {}
    for record in records:
        cell, groups = record["cell"], record["groups"].values()
        apart: Counter[str] = Counter()
        for group in groups:
            apart.update(group["not_applicable"])
        library = f" ({cell['library']})" if cell["library"] else ""
        row = (
            f"{cell['broker']} {cell['version']}",
            str(cell["ranks"]),
            f"{cell['connector']}{library}",
            str(sum(group["passed"] for group in groups)),
            str(sum(group["failed"] for group in groups)),
            ", ".join(f"{count}: {reason}" for reason, count in sorted(apart.items())),
            f"{cell['ours']} of {cell['date']}",
        )
        pythons.setdefault(row, []).append(cell["python"])
    return [
        (*row[:3], ", ".join(sorted(found, key=version_key)), *row[3:])
        for row, found in sorted(pythons.items())
    ]


def version_key(version: str) -> list[int]:
    """Return what to sort a Python's version by."""
    return [int(part) for part in version.split(".")]


def render(records: Sequence[Record]) -> str:
    """Return what goes between the markers."""
    lines = table(CELL_HEAD, cell_rows(record for record in records if not record["commands"]))
    for record in records:
        if record["commands"]:
            cell = record["cell"]
            text = (
                f"Programs of flux-core {cell['official']} on {cell['broker']} {cell['version']}:"
            )
            lines += ["", text, "", *table(PROGRAM_HEAD, map(program_row, record["commands"]))]
    return "\n".join(lines)


def program_row(command: Record) -> Row:
    """Return the row of a program."""
    name = command["command"]
    shown = f"`{name}`" if name.startswith("flux ") else name
    return shown, WORKS[command["outcome"]], command["note"]


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

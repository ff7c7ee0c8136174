"""The page that is made of results."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "compatibility.py"


def record(python: str, passed: int = 3, **more: Any) -> dict[str, Any]:
    """Return what a run leaves."""
    cell = {
        "broker": "flux-core",
        "version": "0.99.0",
        "connector": "native",
        "ranks": 4,
        "library": None,
        "python": python,
        "ours": "1.2.3",
        "date": "2030-01-02",
    }
    groups = {
        "rpc": {"passed": passed, "failed": 0, "not_applicable": {}},
        "ranks": {"passed": 1, "failed": 1, "not_applicable": {"too small": 2}},
    }
    return {"cell": {**cell, **more}, "groups": groups, "commands": []}


def run(directory: Path, *records: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run the tool where there are these results."""
    results = directory / "results"
    results.mkdir()
    for number, item in enumerate(records):
        (results / f"{number}.json").write_text(json.dumps(item))
    return subprocess.run(
        [sys.executable, str(TOOL)], cwd=directory, check=False, capture_output=True, text=True
    )


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A page with something written by hand around the tables."""
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "compatibility.md"
    begin, end = "<!-- results: begin -->", "<!-- results: end -->"
    page.write_text(f"# Before\n\n{begin}\nold\n{end}\n\nAfter.\n")
    return page


def test_pythons_that_fare_alike_share_a_row(page: Path, tmp_path: Path) -> None:
    assert run(tmp_path, record("3.10.1"), record("3.9.2"), record("3.11.0", 2)).returncode == 0
    text = page.read_text()
    assert text.startswith("# Before\n\n<!-- results: begin -->\n\n| broker |")
    assert text.endswith("|\n\n<!-- results: end -->\n\nAfter.\n")
    row = "| flux-core 0.99.0 | 4 | native | 3.9.2, 3.10.1 | 4 | 1 | 2: too small | 1.2.3 of 2030"
    assert row in text
    assert "| 3.11.0 | 3 | 1 |" in text
    assert "old" not in text


def test_what_programs_can_do(page: Path, tmp_path: Path) -> None:
    official = record("3.11.0", official="0.98.0")
    official["commands"] = [
        {"command": "flux one", "outcome": "works", "note": ""},
        {"command": "flux two", "outcome": "fails", "note": "with a | in it"},
        {"command": "flux three", "outcome": "unknown", "note": ""},
    ]
    assert run(tmp_path, official).returncode == 0
    text = page.read_text()
    assert "| `flux one` | yes |" in text
    assert "| `flux two` | no | with a \\| in it |" in text
    assert "| `flux three` | its test fails |" in text


def test_without_results_the_page_is_left_alone(page: Path, tmp_path: Path) -> None:
    before = page.read_text()
    done = run(tmp_path)
    assert done.returncode == 1
    assert "nox -s integration" in done.stderr
    assert page.read_text() == before


def test_a_page_without_markers(page: Path, tmp_path: Path) -> None:
    page.write_text("# All by hand\n")
    done = run(tmp_path, record("3.11.0"))
    assert done.returncode == 1
    assert "must have one <!-- results: begin -->" in done.stderr


def test_the_page_has_the_form_that_the_tool_makes() -> None:
    spec = importlib.util.spec_from_file_location("compatibility_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = (ROOT / tool.PAGE).read_text("utf-8")
    _, _, made = page.partition(tool.BEGIN)
    tables = made.partition(tool.END)[0].splitlines()
    for head in (tool.CELL_HEAD, tool.PROGRAM_HEAD):
        assert f"| {' | '.join(head)} |" in tables

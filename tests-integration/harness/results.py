"""Collects how a run went, by group of scenarios, and writes it to a file for others to read.

The file is JSON: ``cell`` says what ran on what, ``groups`` maps the name of a group to how many
of its scenarios ``passed`` and ``failed``, and ``not_applicable`` to how many by reason.
``commands`` has what the tests say of flux-core's commands, see the mark ``command``.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Callable

import pytest

#: What a test with the mark ``command`` may say.
WORKS = "works"
FAILS = "fails"

#: What a test that fails has shown of its program.
UNKNOWN = "unknown"


class Group:
    """The scenarios of one file."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.not_applicable: Counter[str] = Counter()


class Results:
    """A pytest plugin.

    Args:
        path: The file to write; None for none.

    Attributes:
        cell: What the file is to say of the cell; to be filled in before the end of the session.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._groups: dict[str, Group] = {}
        self._commands: list[dict[str, Any]] = []
        self.cell: dict[str, Any] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        """Count a test."""
        report: pytest.TestReport = yield
        group = self._groups.setdefault(item.path.stem.removeprefix("test_"), Group())
        if report.failed:
            # At most once, as a test that fails may fail to clean up as well.
            if not item.stash.get(_COUNTED, False):
                group.failed += 1
                self._note_commands(item, holds=False)
            item.stash[_COUNTED] = True
        elif report.skipped:
            group.not_applicable[_reason(report)] += 1
        elif report.when == "teardown" and not item.stash.get(_COUNTED, False):
            if item.stash.get(_CALLED, False):
                group.passed += 1
                self._note_commands(item, holds=True)
        elif report.when == "call":
            item.stash[_CALLED] = True
        return report

    def _note_commands(self, item: pytest.Item, holds: bool) -> None:
        for mark in item.iter_markers("command"):
            name, outcome, note = mark.args
            shown = outcome if holds else UNKNOWN
            self._commands.append({"command": name, "outcome": shown, "note": note})

    def pytest_sessionfinish(self) -> None:
        """Write the file, unless nothing has run."""
        if self._path is None or not self._groups:
            return
        record = {
            "cell": self.cell,
            "groups": {name: vars(group) for name, group in sorted(self._groups.items())},
            "commands": self._commands,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(record, indent=2) + "\n", "utf-8")


#: Where a session keeps its results, and what to call at its end.
RESULTS = pytest.StashKey[Results]()
CLOSERS = pytest.StashKey[list[Callable[[], None]]]()

_COUNTED = pytest.StashKey[bool]()
_CALLED = pytest.StashKey[bool]()


def _reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return reason.removeprefix("Skipped: ")

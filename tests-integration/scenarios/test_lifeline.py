"""That nothing is left of an instance when the program that started it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from harness import leftovers
from harness.cell import LIMIT, Cell, not_applicable
from harness.fluxcore import SESSION_VARIABLE

PROGRAM = """
import sys
from harness.cell import Cell

cell = Cell(sys.argv[1], ranks=int(sys.argv[2]), prefix=sys.argv[3])
print("ready", flush=True)
sys.stdin.read()
raise RuntimeError("told to fail")
"""


@pytest.fixture
def tests(cell: Cell, tmp_path: Path) -> list[str]:
    """The words of a program that starts a cell as the tests do, and does not end it."""
    if cell.broker == "URI":
        not_applicable("would end an instance that is not the tests' own")
    prefix = str(Path(cell.instance.flux).parents[1])
    return [sys.executable, "-c", PROGRAM, cell.broker, str(cell.size), prefix]


@pytest.mark.parametrize("end", ["killed", "failed"])
def test_nothing_is_left_of_an_instance(tests: list[str], end: str) -> None:
    mark = uuid.uuid4().hex
    path = os.pathsep.join(sys.path)
    env = {**os.environ, SESSION_VARIABLE: mark, "PYTHONPATH": path}
    pipe = subprocess.PIPE
    with subprocess.Popen(tests, env=env, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(leftovers.find(mark)) > 1
        if end == "killed":
            process.kill()
        process.communicate(timeout=LIMIT)
    assert process.returncode
    assert leftovers.wait_gone(mark, LIMIT) == []

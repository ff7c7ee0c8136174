"""Finding what outlived a session."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

from harness import leftovers
from harness.fluxcore import SESSION_VARIABLE

#: A program that starts another one and is gone.
PROGRAM = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", "print('here', flush=True); input()"])
"""


def test_a_process_is_known_by_its_ancestor() -> None:
    mark = uuid.uuid4().hex
    assert leftovers.find(mark) == []
    env = {**os.environ, SESSION_VARIABLE: mark}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=env, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.wait()
        (left,) = leftovers.wait_gone(mark, 0.0)
        assert left.pid != process.pid
        assert "input()" in str(left)
    # With that its standard input has ended.
    assert leftovers.wait_gone(mark, 10.0) == []

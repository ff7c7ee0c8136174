"""The guide for authors of modules: each console block is run, and prints what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flux.devbroker import Broker

GUIDE = Path(__file__).parents[3] / "docs" / "modules.md"

FILE = re.compile(r"<!-- file: (\S+) -->\n```python\n(.*?)```", re.DOTALL)
CONSOLE = re.compile(r"```console\n(.*?)```", re.DOTALL)

#: What differs from run to run.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}(![0-9a-f]{8})+"), "ROUTE"),
    (re.compile(r"\d+\.\d+ ?m?s"), "DURATION"),
)


def steps():
    """Return the commands of all blocks, and what each is to print."""
    for block in CONSOLE.findall(GUIDE.read_text("utf-8")):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            yield command, output


def masked(text):
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


@pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not part of the distribution")
def test_the_guide_is_true(tmp_path):
    for name, text in FILE.findall(GUIDE.read_text("utf-8")):
        (tmp_path / name).write_text(text)
    # As installed: the plugin is found by itself, and `flux` is this package's.
    with Broker() as broker:
        env = broker.environ
        env["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in sys.path if path)
        env["PYTEST_ADDOPTS"] = "-p no:cacheprovider"
        python = f'python() {{ "{sys.executable}" "$@"; }}\n'
        count = 0
        for command, output in steps():
            command = command.replace("0.5 python", f"0.5 {sys.executable}")
            # Modules write to the broker's standard error; here, as on a terminal, all is one.
            before = len(broker.stderr)
            result = subprocess.run(
                ["bash", "-c", python + command],
                cwd=tmp_path,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=60,
            )
            said = [line for line in broker.stderr[before:].splitlines(True) if "[0]:" not in line]
            assert masked("".join(said) + result.stdout) == masked(output), command
            count += 1
        assert count > 15

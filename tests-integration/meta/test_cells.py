"""How a session that cannot do what it was asked for says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]


def run_tests(*options: str, part: str = "scenarios") -> subprocess.CompletedProcess[str]:
    """Run the integration tests where there is no flux-core."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("FLUX_")}
    env["PATH"] = os.path.dirname(sys.executable)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(HERE / part)]
    return subprocess.run(
        [*command, *options], env=env, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--broker=flux-core",), "cell flux-core x native cannot run: flux-core is missing"),
        (("--broker=flux-core", "--flux-prefix=/none"), "there is no command /none/bin/flux"),
        (("--broker=local:///none",), "cell local:///none x native cannot run"),
        (("--ranks=2",), "--ranks=2 is for --broker=flux-core"),
        (("--connector=carrier-pigeon",), "invalid choice: 'carrier-pigeon'"),
    ],
)
def test_a_cell_that_cannot_run_fails_with_one_message(
    options: tuple[str, ...], complaint: str
) -> None:
    done = run_tests(*options)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert complaint in done.stderr
    assert "passed" not in done.stdout
    assert "failed" not in done.stdout


def test_official_programs_that_are_not_there() -> None:
    done = run_tests(part="official")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "flux-core is missing" in done.stderr


def test_the_header_names_the_cell(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = run_tests("-k", "knows_where_it_is", f"--results={results}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broker: devbroker 0." in done.stdout
    assert "connector: native; library: none loaded" in done.stdout
    assert results.exists()

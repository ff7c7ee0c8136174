"""Run the tests of each distribution on its wheel, installed with its extras and little else.

usage: run_tests.py DIST THIRD_PARTY
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import tomlkit
from environment import ROOT, Environment, expect, read_wheels

#: The siblings that a distribution's tests need beside those that its wheel and extras bring.
BESIDE: dict[str, tuple[str, ...]] = {
    "flux-brokermod": ("flux-devbroker",),
    "flux-command": ("flux-devbroker",),
    "flux-core-py": (),
    "flux-devbroker": (),
    "flux-job-events": (),
    "flux-journal": (),
    "flux-jobs": ("flux-devbroker",),
    "flux-kvs": ("flux-devbroker",),
    "flux-resource": ("flux-devbroker",),
}


def main(dist: Path, third_party: Path) -> None:
    """Run all tests, and exit with an error if any fail."""
    groups = tomlkit.parse((ROOT / "pyproject.toml").read_text("utf-8")).unwrap()
    groups = groups["dependency-groups"]
    tools = [*groups["backend"], *(tool for tool in groups["test"] if isinstance(tool, str))]
    wheels = {wheel.name: wheel for wheel in read_wheels(dist)}
    expect(wheels.keys() == BESIDE.keys(), "BESIDE names other distributions than packages/")
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for name, wheel in wheels.items():
            print(f"--- {name}", flush=True)
            environment = Environment(Path(scratch, name), dist, third_party)
            siblings = [str(wheels[sibling].path) for sibling in BESIDE[name]]
            environment.install(wheel.with_extras, *siblings, *tools)
            if not environment.pytest(wheel.package / "tests"):
                failed.append(name)
    expect(not failed, f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

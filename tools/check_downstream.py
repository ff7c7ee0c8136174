"""Check what projects get that depend on the distributions, with the samples among the examples.

usage: check_downstream.py DIST THIRD_PARTY

Each sample is built, installed from its wheel, and tested. Then there is a next version, and pins
that mix the two must be refused, with words that tell why.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bump import Tree
from environment import ROOT, Environment, Wheel, expect, read_wheels

SAMPLES = ROOT / "examples" / "downstream"

LIST_INSTALLED = """
import importlib.metadata
print(*(found.metadata["Name"] for found in importlib.metadata.distributions()))
"""


def build(source: Path, destination: Path) -> Path:
    """Build a wheel and return its path."""
    destination.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--wheel"]
    subprocess.run(
        [*command, f"--outdir={destination}", str(source)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (wheel,) = destination.glob(f"{source.name.replace('-', '_')}-*.whl")
    return wheel


def check_sample(source: Path, siblings: set[str], scratch: Path, *sources: Path) -> None:
    """Check that a sample's wheel brings the parts that it pins, and that its tests pass."""
    wheel = build(source, scratch / "samples")
    environment = Environment(scratch / source.name, *sources)
    environment.install(str(wheel))
    installed = siblings & set(environment.run(LIST_INSTALLED).split())
    environment.run(f"import {source.name}")

    environment.install(f"{wheel}[test]")
    # A copy, so that it is the installed modules that the tests import.
    tests = scratch / f"{source.name}-tests"
    tests.mkdir()
    for path in source.glob("test_*.py"):
        shutil.copy(path, tests)
    expect(environment.pytest(tests, "-W", "error"), f"the tests of {source.name} fail")
    print(f"{source.name} has {', '.join(sorted(installed))}")


def check_mixes(wheels: list[Wheel], scratch: Path, *sources: Path) -> None:
    """Check that no two distributions of different versions can be installed together."""
    version = wheels[0].version
    shutil.copytree(ROOT / "packages", scratch / "packages")
    tree = Tree(scratch)
    # Whatever comes next, this is later.
    later = f"{int(version.partition('.')[0]) + 1}.0"
    tree.set_version(later)
    for package in tree.packages:
        build(package, scratch / "later")
    environment = Environment(scratch / "mix", scratch / "later", *sources)
    for one, other in itertools.combinations(wheels, 2):
        pins = f"{one.name}=={later}", f"{other.name}=={version}"
        refusal = environment.try_install("--dry-run", *pins)
        expect(refusal is not None, f"pip takes {' with '.join(pins)}")
        assert refusal is not None
        explained = "conflicting dependencies" in refusal and all(pin in refusal for pin in pins)
        expect(explained, f"pip refuses {' with '.join(pins)} without saying why:\n{refusal}")
    print(refusal)


def main(dist: Path, third_party: Path) -> None:
    """Check all samples."""
    wheels = read_wheels(dist)
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        siblings = {wheel.name for wheel in wheels}
        for toml in sorted(SAMPLES.glob("*/pyproject.toml")):
            check_sample(toml.parent, siblings, scratch, dist, third_party)
        check_mixes(wheels, scratch, dist, third_party)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

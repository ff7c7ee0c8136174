"""Check what projects get that depend on the distributions, with the samples among the examples.

usage: check_downstream.py DIST THIRD_PARTY

Each sample is built, installed from its wheel, and tested. Then there is a next version, and pins
that mix the two must be refused, with words that tell why.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from pathlib import Path

from bump import Tree
from environment import ROOT, Environment, Wheel, build, expect, fail, read_wheels

SAMPLES = ROOT / "examples" / "downstream"

#: What a sample gets of the distributions.
PARTS = {
    "jobtally": {"flux-core-py", "flux-job-events", "flux-journal"},
    "jobalarm": {
        "flux-brokermod",
        "flux-command",
        "flux-core-py",
        "flux-devbroker",
        "flux-job-events",
        "flux-jobs",
        "flux-journal",
        "flux-kvs",
        "flux-resource",
    },
}

LIST_INSTALLED = """
import importlib.metadata
print(*(found.metadata["Name"] for found in importlib.metadata.distributions()))
"""


def check_sample(source: Path, siblings: set[str], scratch: Path, *sources: Path) -> None:
    """Check that a sample's wheel brings the parts that it pins, and that its tests pass."""
    build(source, scratch / "samples", "--wheel")
    (wheel,) = scratch.glob(f"samples/{source.name}-*.whl")
    environment = Environment(scratch / source.name, *sources)
    environment.install(str(wheel))
    installed = siblings & set(environment.run(LIST_INSTALLED).split())
    parts = PARTS[source.name]
    expect(installed == parts, f"{source.name} gets {sorted(installed)}, not {sorted(parts)}")
    environment.run(f"import {source.name}")

    environment.install(f"{wheel}[test]")
    # A copy, so that it is the installed modules that the tests import.
    tests = scratch / f"{source.name}-tests"
    tests.mkdir()
    for path in source.glob("test_*.py"):
        shutil.copy(path, tests)
    expect(environment.pytest(tests, "-W", "error"), f"the tests of {source.name} fail")


def check_mixes(wheels: list[Wheel], scratch: Path, *sources: Path) -> None:
    """Check that no two distributions of different versions can be installed together."""
    version = wheels[0].version
    shutil.copytree(ROOT / "packages", scratch / "packages")
    tree = Tree(scratch)
    # Whatever comes next, this is later.
    later = f"{int(version.partition('.')[0]) + 1}.0"
    tree.set_version(later)
    for package in tree.packages:
        build(package, scratch / "later", "--wheel")
    environment = Environment(scratch / "mix", scratch / "later", *sources)
    for one, other in itertools.permutations(wheels, 2):
        pins = f"{one.name}=={later}", f"{other.name}=={version}"
        refusal = environment.try_install("--dry-run", *pins)
        if refusal is None:
            fail(f"pip takes {' with '.join(pins)}")
        _, _, reason = refusal.partition("The conflict is caused by:\n")
        named = all(pin.replace("==", " ") in reason.replace("==", " ") for pin in pins)
        expect(named, f"pip refuses {' with '.join(pins)} without saying why:\n{refusal}")


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

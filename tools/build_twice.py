"""Build every distribution into a directory, twice, and compare.

usage: build_twice.py DIST

The second time it is built from a copy that somebody else might have: in another directory, with
other times and permissions of files. Both times must give the same bytes.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from environment import ROOT, build, expect


def build_all(root: Path, dist: Path, umask: int) -> None:
    """Build all distributions of a copy of the project."""
    old = os.umask(umask)
    for toml in sorted(root.glob("packages/*/pyproject.toml")):
        build(toml.parent, dist)
    os.umask(old)


def copy(root: Path) -> None:
    """Make the other copy."""
    shutil.copytree(ROOT / "packages", root / "packages")
    # Tells what is no source.
    shutil.copy(ROOT / ".gitignore", root)
    for path in root.rglob("*"):
        path.chmod(path.stat().st_mode & ~0o077)
        os.utime(path, (1_000_000_000, 1_000_000_000))


def main(dist: Path) -> None:
    """Build and compare."""
    build_all(ROOT, dist, 0o022)
    with tempfile.TemporaryDirectory() as scratch:
        root, again = Path(scratch, "elsewhere"), Path(scratch, "dist")
        copy(root)
        build_all(root, again, 0o077)
        first, second = ({path.name: path for path in each.iterdir()} for each in (dist, again))
        expect(first.keys() == second.keys(), f"built {[*first]}, then {[*second]}")
        for name, path in first.items():
            same = path.read_bytes() == second[name].read_bytes()
            expect(same, f"{name} is not reproducible; diffoscope tells what differs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

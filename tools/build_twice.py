"""Build every distribution into a directory, twice, and compare.

usage: build_twice.py DIST

The second time it is built from a copy that somebody else might have: in another directory, with
other times and permissions of files. Both times must give the same bytes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from environment import ROOT, expect


def build(root: Path, dist: Path, umask: int) -> None:
    """Build the sdist of each distribution, and the wheel from it."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={dist}"]
    for toml in sorted(root.glob("packages/*/pyproject.toml")):
        old = os.umask(umask)
        result = subprocess.run(
            [*command, str(toml.parent)], capture_output=True, text=True, check=False
        )
        os.umask(old)
        expect(not result.returncode, f"{toml.parent}:\n{result.stdout}{result.stderr}")


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
    build(ROOT, dist, 0o022)
    with tempfile.TemporaryDirectory() as scratch:
        root, again = Path(scratch, "elsewhere"), Path(scratch, "dist")
        copy(root)
        build(root, again, 0o077)
        first, second = ({path.name: path for path in each.iterdir()} for each in (dist, again))
        expect(first.keys() == second.keys(), f"built {[*first]}, then {[*second]}")
        for name, path in first.items():
            same = path.read_bytes() == second[name].read_bytes()
            expect(same, f"{name} is not reproducible; diffoscope tells what differs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

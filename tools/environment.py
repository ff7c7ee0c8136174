"""What the checks of built distributions share: wheels, and environments to install them in."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path
from typing import NoReturn

from packaging.metadata import Metadata

ROOT = Path(__file__).resolve().parents[1]


class Wheel:
    """A built wheel, and the directory it was made from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        distribution, version = path.name.split("-")[:2]
        info = f"{distribution}-{version}.dist-info/"
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
            self.metadata = Metadata.from_email(archive.read(info + "METADATA"))
            self.licence = archive.read(info + "licenses/LICENSE")
            self.entry_points = ConfigParser()
            if info + "entry_points.txt" in names:
                self.entry_points.read_string(archive.read(info + "entry_points.txt").decode())
        self.name = self.metadata.name
        self.version = str(self.metadata.version)
        self.package = ROOT / "packages" / self.name
        self.requirements = self.metadata.requires_dist or []
        self.files = {name for name in names if not name.startswith(info)}
        self.modules = sorted(
            file[: -len(".py")].replace("/", ".").replace(".__init__", "")
            for file in self.files
            if file.endswith(".py")
        )

    @property
    def with_extras(self) -> str:
        """What to install to get the wheel and all that its extras need."""
        extras = ",".join(self.metadata.provides_extra or [])
        return f"{self.path}[{extras}]" if extras else str(self.path)


class Environment:
    """An empty virtual environment, without even pip.

    Args:
        path: Where to make it.
        find_links: The directories of wheels to install from; there is no other source.
    """

    def __init__(self, path: Path, *find_links: Path) -> None:
        venv.create(path, symlinks=True)
        self.bin = path / "bin"
        self._sources = ["--no-index", *(f"--find-links={path}" for path in find_links)]
        # Nothing of this repository but what is installed, and of no other installation either.
        self._variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        self._variables["PATH"] = f"{self.bin}{os.pathsep}{os.environ['PATH']}"

    def try_install(self, *arguments: str) -> str | None:
        """Install, and return None, or what pip has to say against it."""
        command = [sys.executable, "-m", "pip", "--isolated", f"--python={self.bin / 'python'}"]
        command += ["install", "--no-build-isolation", *self._sources, *arguments]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.stderr + result.stdout if result.returncode else None

    def install(self, *arguments: str) -> None:
        """Install, or exit with what pip says."""
        refusal = self.try_install(*arguments)
        if refusal is not None:
            fail(f"pip install {' '.join(arguments)}:\n{refusal}")

    def run(self, code: str, *arguments: str) -> str:
        """Run Python code, warnings being errors, and return its output."""
        command = [str(self.bin / "python"), "-I", "-W", "error", "-c", code, *arguments]
        return subprocess.check_output(command, text=True)

    def pytest(self, directory: Path, *arguments: str) -> bool:
        """Run the tests of a directory, and tell whether they passed."""
        command = [str(self.bin / "pytest"), "-q", *arguments, str(directory)]
        return not subprocess.run(command, env=self._variables, check=False).returncode


def fail(complaint: str) -> NoReturn:
    """Exit with a complaint."""
    sys.exit(f"{Path(sys.argv[0]).stem}: {complaint}")


def expect(holds: bool, complaint: str) -> None:
    """Exit with a complaint unless something holds."""
    if not holds:
        fail(complaint)


def build(source: Path, destination: Path, *options: str) -> None:
    """Build a distribution's sdist, and the wheel from it; with ``--wheel`` just the wheel."""
    command = [sys.executable, "-m", "build", "--no-isolation", f"--outdir={destination}"]
    result = subprocess.run(
        [*command, *options, str(source)], capture_output=True, text=True, check=False
    )
    expect(not result.returncode, f"building {source}:\n{result.stdout}{result.stderr}")


def read_wheels(dist: Path) -> list[Wheel]:
    """Return the wheels in a directory: one of each distribution under packages/."""
    wheels = [Wheel(path) for path in sorted(dist.glob("*.whl"))]
    found = [wheel.name for wheel in wheels]
    packages = sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
    expect(found == packages, f"{dist} holds {found}, packages/ {packages}")
    return wheels

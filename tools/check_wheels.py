"""Check built wheels as their users meet them, each in an environment of its own.

usage: check_wheels.py DIST

DIST holds a wheel of every distribution under packages/. A wheel must hold its part of `flux`,
typed, and nothing else. Installed alone it must bring what it declares, and all of its modules must
import. Wheels and editable installs must work together.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
import venv
import zipfile
from configparser import ConfigParser
from pathlib import Path

from packaging.metadata import Metadata
from packaging.utils import canonicalize_name

CORE = "flux-core-py"

# What builds the distributions, for editable installs.
BACKEND = ("hatchling", "cffi")

# Modules that need more than their distribution does: an extra, or the program that loads them.
OPTIONAL_IMPORTS = {
    "_flux._libflux": "_cffi_backend",
    "flux.devbroker.pytest_plugin": "pytest",
    "flux.job.journal": "flux.abc",
}

# What a wheel has besides its source tree, made when it is built; git ignores it there.
GENERATED = {CORE: {"_flux/_libflux.py"}}

IMPORT_MODULES = """
import importlib, json, sys
optional = json.loads(sys.argv[1])
for module in sys.argv[2:]:
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name != optional.get(module):
            raise
"""

LIST_INSTALLED = """
import importlib.metadata
for distribution in importlib.metadata.distributions():
    print(distribution.metadata["Name"])
"""


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
        self.package = Path("packages", self.name)
        self.requirements = self.metadata.requires_dist or []
        self.files = {name for name in names if not name.startswith(info)}
        self.modules = sorted(
            file[: -len(".py")].replace("/", ".").replace(".__init__", "")
            for file in self.files
            if file.endswith(".py")
        )


class Environment:
    """An empty virtual environment, without even pip."""

    def __init__(self, path: Path, *find_links: Path) -> None:
        venv.create(path, symlinks=True)
        self.bin = path / "bin"
        self.find_links = [f"--find-links={directory}" for directory in find_links]

    def install(self, *arguments: str) -> None:
        """Install from the directories of wheels given, and from nowhere else."""
        options = ["--no-index", *self.find_links, "--no-build-isolation"]
        pip(f"--python={self.bin / 'python'}", "install", *options, *arguments)

    def run(self, code: str, *arguments: str) -> str:
        """Run Python code, warnings being errors, and return its output."""
        command = [str(self.bin / "python"), "-I", "-W", "error", "-c", code, *arguments]
        return subprocess.check_output(command, text=True)

    def import_modules(self, *modules: str) -> None:
        """Import modules; one that lacks what is optional to it must say so."""
        self.run(IMPORT_MODULES, json.dumps(OPTIONAL_IMPORTS), *modules)


def pip(*arguments: str) -> None:
    """Run the pip of the environment that this program runs in."""
    subprocess.run([sys.executable, "-m", "pip", "--quiet", *arguments], check=True)


def expect(holds: bool, complaint: str) -> None:
    """Exit with a complaint unless something holds."""
    if not holds:
        sys.exit(f"check_wheels: {complaint}")


def check_contents(wheel: Wheel, siblings: dict[str, Wheel]) -> None:
    """Check that a wheel is its source tree and the licence, typed, with its siblings pinned."""
    root = wheel.package / "src"
    tree = GENERATED.get(wheel.name, set()) | {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expect(wheel.files == tree, f"{wheel.path}, {root} differ in {sorted(wheel.files ^ tree)}")
    expect(any(file.endswith("/py.typed") for file in tree), f"no py.typed in {wheel.path}")
    owns_flux = "flux/__init__.py" in tree
    expect(owns_flux == (wheel.name == CORE), f"only {CORE} may own flux/__init__.py")

    licence = wheel.metadata.license_expression
    expect(licence == "MIT", f"the licence of {wheel.path} is {licence}")
    expect(wheel.licence == Path("LICENSE").read_bytes(), f"{wheel.path} has another LICENSE")

    for requirement in wheel.requirements:
        pinned = str(requirement.specifier) == f"=={wheel.metadata.version}"
        expect(pinned or requirement.name not in siblings, f"{wheel.name} must pin {requirement}")


def check_disjoint(wheels: list[Wheel]) -> None:
    """Check that no two wheels hold the same file."""
    for one, other in itertools.combinations(wheels, 2):
        shared = one.files & other.files
        expect(not shared, f"{one.name} and {other.name} both hold {sorted(shared)}")


def declared(wheel: Wheel, siblings: dict[str, Wheel]) -> set[str]:
    """Return the names of what comes with a wheel by its own word and that of its siblings."""
    names = {wheel.name}
    for requirement in wheel.requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            sibling = siblings.get(requirement.name)
            names |= declared(sibling, siblings) if sibling else {requirement.name}
    return names


def check_alone(wheel: Wheel, siblings: dict[str, Wheel], environment: Environment) -> None:
    """Check a wheel in an environment where nothing else was asked for."""
    environment.install(str(wheel.path))
    installed = {canonicalize_name(name) for name in environment.run(LIST_INSTALLED).split()}
    surprise = installed ^ declared(wheel, siblings)
    expect(not surprise, f"{wheel.name} declares {surprise}, or brings it, but not both")

    environment.import_modules("flux", *wheel.modules)
    for group in wheel.entry_points.sections():
        for name, target in wheel.entry_points[group].items():
            module, _, function = target.partition(":")
            expect(module in wheel.modules, f"{wheel.name} lacks the module of {name} = {target}")
            if group == "console_scripts":
                expect((environment.bin / name).exists(), f"{wheel.name} installed no {name}")
                environment.run(f"import {module} as module; module.{function}")


def check_together(wheels: list[Wheel], editable: set[str], environment: Environment) -> None:
    """Check all distributions in one environment, those named as editable installs."""
    environment.install(*BACKEND)
    requests = []
    for wheel in wheels:
        directory = f"--editable={wheel.package}"
        requests.append(directory if wheel.name in editable else str(wheel.path))
    environment.install(*requests)
    environment.import_modules(*(module for wheel in wheels for module in wheel.modules))


def main(dist: Path) -> None:
    """Check the wheels in a directory."""
    wheels = [Wheel(path) for path in sorted(dist.glob("*.whl"))]
    siblings = {wheel.name: wheel for wheel in wheels}
    packages = {path.parent.name for path in Path("packages").glob("*/pyproject.toml")}
    expect(siblings.keys() == packages, f"{dist} holds {[*siblings]}, packages/ {sorted(packages)}")
    for wheel in wheels:
        check_contents(wheel, siblings)
    check_disjoint(wheels)

    with tempfile.TemporaryDirectory() as scratch:
        third_party = Path(scratch, "third-party")
        needed = {name for wheel in wheels for name in declared(wheel, siblings)} - packages
        pip("download", f"--dest={third_party}", *BACKEND, *needed)

        for wheel in wheels:
            environment = Environment(Path(scratch, wheel.name), dist, third_party)
            check_alone(wheel, siblings, environment)
        for number, editable in enumerate((packages, {CORE}, packages - {CORE})):
            environment = Environment(Path(scratch, f"mixed-{number}"), dist, third_party)
            check_together(wheels, editable, environment)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

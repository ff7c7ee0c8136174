"""Check built wheels as their users meet them, in environments of their own.

usage: check_wheels.py DIST THIRD_PARTY

DIST holds a wheel of every distribution under packages/, THIRD_PARTY those that they need. A wheel
must hold its part of `flux`, typed, and nothing else. Installed alone it must bring what it
declares, and all of its modules must import, as they must beside any other. Wheels and editable
installs must work together.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import tomlkit
from environment import ROOT, Environment, Wheel, expect, read_wheels
from packaging.utils import canonicalize_name

CORE = "flux-core-py"

# Modules that need more than their distribution does: an extra, or the program that loads them.
OPTIONAL_IMPORTS = {
    "_flux._libflux": "_cffi_backend",
    "_flux_devbroker.pytest_plugin": "pytest",
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


def import_modules(environment: Environment, *modules: str) -> None:
    """Import modules; one that lacks what is optional to it must say so."""
    environment.run(IMPORT_MODULES, json.dumps(OPTIONAL_IMPORTS), *modules)


def pyproject(wheel: Wheel) -> dict[str, Any]:
    """Return what a distribution's pyproject.toml says."""
    return tomlkit.parse((wheel.package / "pyproject.toml").read_text("utf-8")).unwrap()


def check_contents(wheel: Wheel, siblings: dict[str, Wheel]) -> None:
    """Check that a wheel is its source tree and the licence, typed, with its siblings pinned."""
    root = wheel.package / "src"
    tree = GENERATED.get(wheel.name, set()) | {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    lacks, surplus = tree - wheel.files, wheel.files - tree
    expect(not lacks, f"{wheel.path} lacks {sorted(lacks)}")
    expect(not surplus, f"{wheel.path} holds what is not in {root}: {sorted(surplus)}")
    expect(any(file.endswith("/py.typed") for file in tree), f"no py.typed in {wheel.path}")
    owns_flux = "flux/__init__.py" in tree
    expect(owns_flux == (wheel.name == CORE), f"only {CORE} may own flux/__init__.py")

    licence = wheel.metadata.license_expression
    expect(licence == "MIT", f"the licence of {wheel.path} is {licence}")
    expect(wheel.licence == (ROOT / "LICENSE").read_bytes(), f"{wheel.path} has another LICENSE")

    for requirement in wheel.requirements:
        pinned = str(requirement.specifier) == f"=={wheel.version}"
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

    import_modules(environment, "flux", *wheel.modules)
    for group in wheel.entry_points.sections():
        for name, target in wheel.entry_points[group].items():
            module, _, function = target.partition(":")
            expect(module in wheel.modules, f"{wheel.name} lacks the module of {name} = {target}")
            if group == "console_scripts":
                expect((environment.bin / name).exists(), f"{wheel.name} installed no {name}")
                environment.run(f"import {module} as module; module.{function}")


def check_together(wheels: list[Wheel], editable: set[str], environment: Environment) -> None:
    """Check all distributions in one environment, those named as editable installs."""
    backends = {need for wheel in wheels for need in pyproject(wheel)["build-system"]["requires"]}
    environment.install(*backends)
    requests = []
    for wheel in wheels:
        directory = f"--editable={wheel.package}"
        requests.append(directory if wheel.name in editable else str(wheel.path))
    environment.install(*requests)
    import_modules(environment, *(module for wheel in wheels for module in wheel.modules))


def check_pairs(wheels: list[Wheel], scratch: Path, *sources: Path) -> None:
    """Check each two wheels in an environment without the others, as far as they need no others."""
    for one, other in itertools.combinations(wheels, 2):
        environment = Environment(scratch / f"{one.name}+{other.name}", *sources)
        environment.install(str(one.path), str(other.path))
        import_modules(environment, *one.modules, *other.modules)


def main(dist: Path, third_party: Path) -> None:
    """Check the wheels in a directory."""
    wheels = read_wheels(dist)
    siblings = {wheel.name: wheel for wheel in wheels}
    for wheel in wheels:
        check_contents(wheel, siblings)
    check_disjoint(wheels)

    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        for wheel in wheels:
            check_alone(wheel, siblings, Environment(scratch / wheel.name, dist, third_party))
        check_pairs(wheels, scratch, dist, third_party)
        for number, editable in enumerate((set(siblings), {CORE}, siblings.keys() - {CORE})):
            environment = Environment(scratch / f"mixed-{number}", dist, third_party)
            check_together(wheels, editable, environment)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

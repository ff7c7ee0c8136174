"""Every distribution under packages/ has what each must have, and none is forgotten elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from bump import Tree

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = sorted(
    path for path in ROOT.glob("packages/*") if path.is_dir() and path.name != "__pycache__"
)
CORE = ROOT / "packages" / "flux-core-py"

PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]

#: What a distribution's classifiers are, besides its own.
CLASSIFIERS = {
    "Development Status :: 3 - Alpha",
    "Intended Audience :: Developers",
    "Operating System :: POSIX",
    "Programming Language :: Python :: 3 :: Only",
    *(f"Programming Language :: Python :: {version}" for version in PYTHONS),
    "Topic :: System :: Distributed Computing",
    "Typing :: Typed",
}
OWN_CLASSIFIERS = {
    "flux-command": {"Environment :: Console"},
    "flux-devbroker": {"Framework :: Pytest"},
}


def toml(path: Path) -> dict[str, Any]:
    """Parse a file."""
    return tomlkit.parse(path.read_text("utf-8")).unwrap()


@pytest.fixture(params=PACKAGES, ids=lambda path: str(path.name))
def package(request: pytest.FixtureRequest) -> Path:
    """Return the directory of each distribution, in turn."""
    path: Path = request.param
    return path


@pytest.fixture
def pyproject(package: Path) -> dict[str, Any]:
    return toml(package / "pyproject.toml")


@pytest.fixture
def project(pyproject: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = pyproject["project"]
    return found


def test_the_versions_and_pins_are_such_as_can_be_bumped() -> None:
    assert [*Tree(ROOT).packages] == PACKAGES


def test_it_is_built_by_hatchling_into_portions_of_flux(
    package: Path, pyproject: dict[str, Any]
) -> None:
    core = toml(CORE / "pyproject.toml")["build-system"]["requires"]
    assert pyproject["build-system"]["build-backend"] == "hatchling.build"
    (hatchling,) = (need for need in core if "hatchling" in need)
    assert hatchling in pyproject["build-system"]["requires"]
    portions = {str(path.relative_to(package)) for path in package.glob("src/*") if path.is_dir()}
    assert set(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == portions


def test_it_is_called_as_its_directory(package: Path, project: dict[str, Any]) -> None:
    assert project["name"] == package.name


def test_it_pins_what_all_build_on(package: Path, project: dict[str, Any]) -> None:
    needs = [need.partition("==")[0] for need in project["dependencies"]]
    assert (CORE.name in needs) == (package != CORE)


def test_it_has_the_licence(package: Path, project: dict[str, Any]) -> None:
    assert project["license"] == "MIT"
    assert project["license-files"] == ["LICENSE"]
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_it_has_a_readme_that_says_how_to_install_it(
    package: Path, project: dict[str, Any]
) -> None:
    readme = (package / project["readme"]).read_text("utf-8")
    assert readme.startswith(f"# {package.name}\n")
    assert f"pip install {package.name}\n" in readme


def test_its_classifiers_are_those_of_all(package: Path, project: dict[str, Any]) -> None:
    classifiers = project["classifiers"]
    assert set(classifiers) == CLASSIFIERS | OWN_CLASSIFIERS.get(package.name, set())
    assert len(set(classifiers)) == len(classifiers)
    assert project["requires-python"] == f">={PYTHONS[0]}"


def test_each_of_its_portions_is_typed(package: Path) -> None:
    portions = [path.parent for path in package.glob("src/**/__init__.py")]
    outermost = [path for path in portions if path.parent not in portions]
    assert outermost
    assert [path for path in outermost if not (path / "py.typed").exists()] == []


def test_it_has_tests_and_a_changelog(package: Path) -> None:
    assert [*package.glob("tests/test_*.py")]
    assert package.name in (package / "changes" / "README.md").read_text("utf-8")
    assert "<!-- towncrier release notes start -->" in (package / "CHANGELOG.md").read_text("utf-8")


def test_the_readme_lists_all() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    missing = [p.name for p in PACKAGES if f"| [`{p.name}`](packages/{p.name}) |" not in readme]
    assert missing == []


def test_mypy_sees_all() -> None:
    paths = toml(ROOT / "pyproject.toml")["tool"]["mypy"]["mypy_path"]
    assert [p.name for p in PACKAGES if not any(f"/{p.name}/src" in path for path in paths)] == []


def test_the_tests_run_on_the_pythons_of_the_classifiers() -> None:
    command = [sys.executable, "-m", "nox", f"--noxfile={ROOT / 'noxfile.py'}", "--list", "--json"]
    sessions = json.loads(subprocess.check_output(command))
    assert [each["python"] for each in sessions if each["name"] == "tests"] == PYTHONS
    # pyenv looks there.
    assert (ROOT / ".python-version").read_text().split() == PYTHONS[::-1]

"""The development tasks. `nox --list` shows them; `nox` runs all that a change must pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typecheck", "tests", "build"]

PACKAGES = sorted(path.parent for path in Path("packages").glob("*/pyproject.toml"))
PROJECTS = {package: nox.project.load_toml(package / "pyproject.toml") for package in PACKAGES}
PYTHONS = nox.project.python_versions(PROJECTS[PACKAGES[0]])


def install_tools(session: nox.Session, group: str) -> None:
    """Install a dependency group of the root pyproject.toml."""
    session.install(*nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), group))


def install_packages(session: nox.Session, *options: str) -> None:
    """Install every distribution with all its extras.

    Building them with the session's own hatchling spares an environment for each of them.
    """
    requirements = []
    for package, pyproject in PROJECTS.items():
        extras = ",".join(pyproject["project"].get("optional-dependencies", {}))
        requirements += [*options, f"./{package}[{extras}]" if extras else f"./{package}"]
    session.install("--no-build-isolation", *requirements)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    install_tools(session, "test")
    install_packages(session, "--editable")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting; `ruff check --fix` and `ruff format` mend most of it."""
    install_tools(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


# On the oldest Python, so that using anything newer is an error.
@nox.session(python=PYTHONS[0])
def typecheck(session: nox.Session) -> None:
    """Check the types of everything, tests included, with mypy --strict."""
    install_tools(session, "typecheck")
    install_packages(session, "--editable")
    session.run("mypy")
    # Apart, as packages may have test modules of the same name. A test may leave out its own types.
    untyped = ("--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls")
    for path in sorted(Path("packages").glob("*/tests")):
        session.run("mypy", *untyped, str(path))


@nox.session
def build(session: nox.Session) -> None:
    """Build each sdist and wheel into dist/, and check that each wheel works alone."""
    install_tools(session, "build")
    shutil.rmtree("dist", ignore_errors=True)
    build = ("python", "-m", "build", "--no-isolation", "--outdir=dist")
    for package in PACKAGES:
        session.run(*build, str(package), silent=True)
    session.run("python", "tools/check_wheels.py", "dist")


@nox.session
def demo(session: nox.Session) -> None:
    """Install every distribution and run examples/demo.py."""
    install_tools(session, "backend")
    install_packages(session)
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure CPU per operation; arguments after `--` go to benchmarks/compare.py."""
    install_tools(session, "backend")
    install_packages(session)
    session.run("python", "benchmarks/compare.py", *session.posargs)

"""The development tasks. `nox --list` shows them; `nox` runs all that a change must pass."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import nox
import nox.command

sys.path.insert(0, "tests-integration")
from harness.fluxcore import UnavailableError, find_flux

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["lint", "typecheck", "tests", "tools", "build", "minimums"]

PACKAGES = sorted(path.parent for path in Path("packages").glob("*/pyproject.toml"))
PROJECTS = {package: nox.project.load_toml(package / "pyproject.toml") for package in PACKAGES}
PYTHONS = nox.project.python_versions(PROJECTS[PACKAGES[0]])


#: The cells of the integration tests: brokers and connectors.
CELLS = [
    nox.param("devbroker", "native", id="broker='devbroker'"),
    nox.param("devbroker", "libflux", id="broker='devbroker', connector='libflux'"),
    nox.param("flux-core", "native", id="broker='flux-core'"),
    nox.param("flux-core", "libflux", id="broker='flux-core', connector='libflux'"),
]

#: The tests of a session share its machine among this many processes.
WORKERS = ("-n", "auto")

NATIVE_CELL = ("devbroker", "native")

#: The cells that were asked for.  One environment for each Python serves them all.
wanted: list[tuple[str, str]] = []

#: Where runs of the integration tests leave their results.
RESULTS = Path("results")


def group(name: str) -> list[str]:
    """Return the requirements in a dependency group of the root pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name))


def install_tools(session: nox.Session, name: str) -> None:
    """Install a dependency group of the root pyproject.toml."""
    session.install(*group(name))


def with_extras(package: Path, path: str) -> str:
    """Return the requirement for a distribution at a path, with all its extras."""
    extras = ",".join(PROJECTS[package]["project"].get("optional-dependencies", {}))
    return f"{path}[{extras}]" if extras else path


def install_packages(session: nox.Session, *options: str) -> None:
    """Install every distribution with all its extras.

    Building them with the session's own hatchling spares an environment for each of them.
    """
    requirements = []
    for package in PACKAGES:
        requirements += [*options, with_extras(package, f"./{package}")]
    session.install("--no-build-isolation", *requirements)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after `--` go to pytest."""
    install_tools(session, "test")
    install_packages(session, "--editable")
    session.run("pytest", *WORKERS, *session.posargs)


@nox.session(default=False)
def sweep(session: nox.Session) -> None:
    """Interfere at every instruction, not at a sample of them; prints how many there were."""
    install_tools(session, "test")
    install_packages(session, "--editable")
    paths = [str(path) for path in Path("packages").glob("*/tests/test_every_instruction.py")]
    env = {"FLUX_SWEEP": "0"}
    session.run("pytest", *WORKERS, "-rP", *(session.posargs or paths), env=env)


def look_for_flux(session: nox.Session, name: str) -> None:
    """Where there is no flux-core, skip a session that needs it; asked for by name, it fails.

    Args:
        session: The session.
        name: What a name on the command line begins with, if it is for this session alone.
    """
    try:
        find_flux()
    except UnavailableError as exc:
        if any(word.startswith(name) for word in sys.argv[1:]):
            session.error(str(exc))
        session.skip(f"left out: {exc}")


@nox.session(tags=["integration"], venv_backend="none")
@nox.parametrize(("broker", "connector"), CELLS)
def integration(session: nox.Session, broker: str, connector: str) -> None:
    """Have `scenarios` run a cell with each Python; arguments after `--` go to pytest.

    Without a cell those that can run here are run, and the others are named.
    """
    # The library alone may also be where only the connector finds it.
    if broker == "flux-core" or (
        connector == "libflux" and not os.environ.get("FLUX_LIBFLUX_CORE")
    ):
        look_for_flux(session, "integration(")
    wanted.append((broker, connector))
    for python in PYTHONS:
        session.notify(f"scenarios-{python}")


@nox.session(python=PYTHONS, default=False)
def scenarios(session: nox.Session) -> None:
    """Run the integration tests of the cells that `integration` was asked for, or of the first."""
    install_tools(session, "test")
    install_packages(session, "--editable")
    failed = []
    for broker, connector in wanted or [NATIVE_CELL]:
        for ranks in (1, 4) if broker == "flux-core" else (1,):
            results = RESULTS / f"{broker}-{ranks}-{connector}-{session.python}.json"
            cell = (f"--broker={broker}", f"--connector={connector}", f"--ranks={ranks}")
            command = ("pytest", "tests-integration/scenarios", f"--results={results}", *cell)
            try:
                session.run(*command, *session.posargs)
            except nox.command.CommandFailed:
                # The other cells are of interest all the same.
                failed.append(" ".join(cell))
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session(tags=["integration"])
def official(session: nox.Session) -> None:
    """Run programs of flux-core on the development broker; arguments after `--` go to pytest."""
    look_for_flux(session, "official")
    install_tools(session, "test")
    install_packages(session, "--editable")
    results = f"--results={RESULTS / 'official.json'}"
    session.run("pytest", "tests-integration/official", results, *session.posargs)


@nox.session(venv_backend="none")
def compatibility(session: nox.Session) -> None:
    """Put the results of the last integration tests into docs/compatibility.md."""
    session.run(sys.executable, "tools/compatibility.py", str(RESULTS))


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
    # Apart, as there are several conftest.py, and packages may have test modules of the same name.
    session.run("mypy", *map(str, sorted(Path("packages").glob("*.py"))))
    # A test may leave out its own types.
    untyped = ("--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls")
    for path in sorted(Path("packages").glob("*/tests")):
        session.run("mypy", *untyped, str(path))


@nox.session
def tools(session: nox.Session) -> None:
    """Test the tools, and that all distributions have what each must have."""
    install_tools(session, "tools")
    session.run("pytest", *(session.posargs or ["tools"]), env={"PYTHONPATH": "tools"})


@nox.session
def build(session: nox.Session) -> None:
    """Build each sdist and wheel into dist/, and check and test them as their users meet them."""
    install_tools(session, "build")
    dist, third_party = Path("dist"), session.cache_dir / "third-party"
    for directory in (dist, third_party):
        shutil.rmtree(directory, ignore_errors=True)
    session.run("python", "tools/build_twice.py", str(dist))
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))

    # What all of them need is downloaded once; their environments are then made from it.
    wheels = []
    for package in PACKAGES:
        (wheel,) = dist.glob(f"{package.name.replace('-', '_')}-*.whl")
        wheels.append(with_extras(package, str(wheel)))
    pip = ("python", "-m", "pip", "download", "--quiet", f"--dest={third_party}")
    session.run(*pip, *group("test"), *wheels)
    for path in dist.glob("*.whl"):
        (third_party / path.name).unlink()
    for tool in ("check_wheels", "run_tests", "check_downstream"):
        session.run("python", f"tools/{tool}.py", str(dist), str(third_party))


@nox.session(python=PYTHONS[0])
def minimums(session: nox.Session) -> None:
    """Run the tests on the oldest Python with the oldest of everything that is declared."""
    session.install("uv")
    uv = ("uv", "pip", "install", "--resolution=lowest-direct")
    session.run_install(*uv, *group("backend"))
    # The backend may have brought newer ones of what is still to come.
    options = ("--upgrade", "--no-build-isolation")
    packages = [with_extras(package, f"./{package}") for package in PACKAGES]
    session.run_install(*uv, *options, *group("test"), *packages)
    session.run("pytest", *WORKERS, *session.posargs)


@nox.session
def bump(session: nox.Session) -> None:
    """Set a new version, given after `--`; see docs/releasing.md."""
    install_tools(session, "bump")
    session.run("python", "tools/bump.py", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """Install every distribution and run examples/demo.py."""
    install_tools(session, "backend")
    install_packages(session)
    session.run("python", "examples/demo.py", *session.posargs)


@nox.session(python="3.12", default=False)
def fuzz(session: nox.Session) -> None:
    """Fuzz what meets others' input, for so many seconds (`-- SECONDS`); see endurance/."""
    install_tools(session, "test")
    # Where there is a wheel of it: Linux, x86_64.  Otherwise hypothesis does it, less well.
    if sys.platform == "linux" and platform.machine() == "x86_64":
        session.install("atheris>=2.3")
    install_packages(session, "--editable")
    session.run("python", "endurance/fuzz.py", *session.posargs)


@nox.session(python="3.12", default=False)
def soak(session: nox.Session) -> None:
    """Load and kill brokers, for so many seconds (`-- SECONDS`); see endurance/."""
    install_tools(session, "backend")
    install_packages(session, "--editable")
    session.run("python", "endurance/soak.py", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure CPU per operation; arguments after `--` go to benchmarks/compare.py."""
    install_tools(session, "backend")
    install_packages(session)
    session.run("python", "benchmarks/compare.py", *session.posargs)

"""Finding flux-core.  Needs nothing but the standard library: noxfile.py uses it as well."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

#: Environment variable that names the prefix of the flux-core to use.
PREFIX_VARIABLE = "FLUX_PREFIX"

#: Words of which a ``flux`` command of ours has one near its beginning.
_OURS = (b"_flux_command", b"flux.command", b"flux.devbroker")

_HEAD = 4096


class UnavailableError(Exception):
    """Something that was asked for is not here; the text says what, and what to do."""


def find_flux(prefix: str | None = None) -> str:
    """Return the path of flux-core's ``flux`` command.

    Args:
        prefix: Where flux-core is installed; None for what the environment variable FLUX_PREFIX
            says, or without that the first ``flux`` on PATH that is not the development broker's.

    Raises:
        UnavailableError: There is none.
    """
    prefix = prefix or os.environ.get(PREFIX_VARIABLE)
    if prefix:
        command = os.path.join(os.path.expanduser(prefix), "bin", "flux")
        if not os.access(command, os.X_OK):
            raise UnavailableError(f"flux-core is missing: there is no command {command}")
        return os.path.abspath(command)
    for directory in os.environ.get("PATH", os.defpath).split(os.pathsep):
        command = os.path.join(directory or os.curdir, "flux")
        if os.path.isfile(command) and os.access(command, os.X_OK) and not _is_ours(command):
            return os.path.abspath(command)
    raise UnavailableError(
        "flux-core is missing: there is no flux command of it on PATH; "
        f"name its prefix with --flux-prefix=DIR or the environment variable {PREFIX_VARIABLE}"
    )


def _is_ours(command: str) -> bool:
    with open(command, "rb") as file:
        head = file.read(_HEAD)
    return any(words in head for words in _OURS)


def official_environ(flux: str, uri: str | None = None) -> dict[str, str]:
    """Return an environment in which flux-core's programs find each other and not this project.

    Args:
        flux: Path of its ``flux`` command.
        uri: The broker to use, if any.
    """
    env = dict(os.environ)
    env.pop("PYTHONPATH", None)
    for name in [name for name in env if name.startswith("FLUX_")]:
        if name != PREFIX_VARIABLE and name != SESSION_VARIABLE:
            del env[name]
    env["PATH"] = os.pathsep.join((os.path.dirname(flux), env.get("PATH", os.defpath)))
    if uri is not None:
        env["FLUX_URI"] = uri
    return env


#: Environment variable by which a session of the tests knows the processes that came of it.
SESSION_VARIABLE = "FLUX_INTEGRATION_SESSION"


def official_python(flux: str) -> tuple[str, str]:
    """Return the Python that flux-core's commands run with, and the directory of its bindings.

    Args:
        flux: Path of its ``flux`` command.

    Raises:
        UnavailableError: It has none.
    """
    program = (
        "import sys, flux, os; print(sys.executable); print(os.path.dirname(flux.__path__[0]))"
    )
    done = subprocess.run(
        [flux, "python", "-c", program],
        env=official_environ(flux),
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 2 or not Path(lines[0]).exists():
        raise UnavailableError(
            f"the Python bindings of flux-core are missing: {done.stderr.strip()}"
        )
    return lines[0], lines[1]

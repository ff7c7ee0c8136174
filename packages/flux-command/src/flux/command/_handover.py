"""Making way for a real ``flux`` command."""

from __future__ import annotations

import os

#: Words in a ``flux`` command by which ours is known: the console script, and that of a broker.
_OURS = (b"_flux_command", b"flux.command", b"flux.devbroker")

#: Bytes of an executable that are searched for our name.  A script that pip makes is shorter.
_HEAD = 4096

#: Variable that tells who handed over, to notice that it was to ourselves by a detour.
_MARK = "_FLUX_COMMAND_HANDOVER"


def hand_over(argv: list[str]) -> None:
    """Run another ``flux`` on PATH in place of this process, if there is one.

    Args:
        argv: The command line.
    """
    mark = os.environ.pop(_MARK, "")
    if mark in (str(os.getpid()), str(os.getppid())):
        # What we took for a real one is a wrapper that leads back here.
        return
    real = find_real(os.environ.get("PATH", os.defpath), argv[0])
    if real is not None:
        os.execve(real, [real, *argv[1:]], {**os.environ, _MARK: str(os.getpid())})


def find_real(path: str, own: str) -> str | None:
    """Return the first ``flux`` on a search path that is not this package's.

    Args:
        path: Directories, as in PATH.
        own: The path of the running script.
    """
    for directory in path.split(os.pathsep):
        candidate = os.path.join(directory or os.curdir, "flux")
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):
            try:
                if not os.path.samefile(candidate, own) and not _is_ours(candidate):
                    return candidate
            except OSError:
                continue
    return None


def _is_ours(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    return any(words in head for words in _OURS)

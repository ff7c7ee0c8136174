"""From the words of a ``module.load`` request to what is to be run."""

from __future__ import annotations

import errno
import glob
import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from _flux import boot
from flux.devbroker._unpack import RequestError

#: Loaders by the form of a file's name, in the order in which files are searched for.
LOADERS = {".so*": "module-exec", ".py": "module-python-exec"}

#: The loader for Python modules, which is part of this project.
PYTHON_LOADER = LOADERS[".py"]


class Target(NamedTuple):
    """A module to be loaded.

    Attributes:
        name: Its name.
        path: Its file.
        loader: The word for the program that runs it.
    """

    name: str
    path: str
    loader: str


def resolve(
    target: str, name: str | None, loader: str | None, separate: bool, env: Mapping[str, str]
) -> Target:
    """Find a module's file, name and loader.

    Args:
        target: A path, if there is a slash in it; else the name of a file in the search path.
        name: A name that was asked for.
        loader: A loader that was asked for.
        separate: Whether a process was asked for where the original would do without.
        env: The environment, with ``FLUX_MODULE_PATH``.

    Raises:
        RequestError: ENOENT, there is no such module, or no loader for it; EINVAL, a loader for
            a module without a path; ENOTSUP, this broker is no place for it.
    """
    if "/" in target:
        found = Target(
            os.path.basename(target).partition(".")[0] if name is None else name,
            target,
            _loader_for(target) if loader is None else loader,
        )
    else:
        if loader is not None:
            raise RequestError(errno.EINVAL, "module loader may only be specified with module path")
        path, loader = _search(target, env)
        found = Target(target if name is None else name, path, loader)
    if found.loader != PYTHON_LOADER and not separate and found.loader in LOADERS.values():
        text = "the development broker runs no shared objects within its own process; use --exec"
        raise RequestError(errno.ENOTSUP, text)
    return found


def _loader_for(path: str) -> str:
    if ".so" in os.path.basename(path):
        return LOADERS[".so*"]
    if path.endswith(".py"):
        return PYTHON_LOADER
    raise RequestError(errno.ENOENT, "could not determine loader from path suffix")


def _search(target: str, env: Mapping[str, str]) -> tuple[str, str]:
    directories = _directories(env, "FLUX_MODULE_PATH_PREPEND", "FLUX_MODULE_PATH")
    for suffix, loader in LOADERS.items():
        for directory in directories:
            files = sorted(
                glob.glob(os.path.join(glob.escape(directory), glob.escape(target) + suffix))
            )
            if files:
                return os.path.realpath(files[0]), loader
    raise RequestError(errno.ENOENT, "module not found in search path")


def _directories(env: Mapping[str, str], *names: str) -> list[str]:
    return [part for name in names for part in env.get(name, "").split(os.pathsep) if part]


def command(target: Target, env: Mapping[str, str]) -> list[str] | None:
    """Return the words that run a module, or None if there is no such loader.

    Loaders are found as flux(1) finds its commands: a word with a slash is a program, any other
    is ``flux-WORD.py`` or ``flux-WORD`` in the directories where commands are.
    """
    word = target.loader
    if "/" in word:
        return [word, target.path]
    found = _find(word, _directories(env, "FLUX_EXEC_PATH_PREPEND"))
    if found is None:
        if word == PYTHON_LOADER:
            return boot.command("flux.brokermod", target.path)
        found = _find(word, _directories(env, "FLUX_EXEC_PATH", "PATH"))
    return None if found is None else [*found, target.path]


def _find(word: str, directories: list[str]) -> list[str] | None:
    for directory in directories:
        path = os.path.join(directory, f"flux-{word}")
        if _is_program(f"{path}.py"):
            return [sys.executable, f"{path}.py"]
        if _is_program(path):
            return [path]
    return None


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)

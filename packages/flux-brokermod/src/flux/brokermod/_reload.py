"""Runs the attached module in a child process, and runs it anew whenever its file changes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from _flux import boot
from flux.brokermod._loader import LoadError

#: Seconds that the module may take to end before it is killed.
STOP_TIMEOUT = 10


def run(path: str, args: Sequence[str], name: str | None) -> int:
    """Attach a module, and attach it anew after each change of its file, until SIGINT.

    Returns:
        The exit status for the program.

    Raises:
        LoadError: The package watchfiles is not installed.
    """
    try:
        watchfiles: Any = import_module("watchfiles")
    except ImportError:
        raise LoadError(
            "--reload needs the package watchfiles: pip install 'flux-brokermod[reload]'"
        ) from None
    import shlex

    command = boot.command("flux.brokermod")
    if name is not None:
        command += ["--name", name]
    command += ["--", path, *args]

    def announce(changes: set[Any]) -> None:
        sys.stderr.write(f"flux-brokermod: {path} changed, reloading\n")

    # It ends the child with SIGINT, on which the module is unloaded as after Ctrl-C.
    watchfiles.run_process(
        path,
        target=shlex.join(command),
        target_type="command",
        callback=announce,
        watch_filter=None,
        sigint_timeout=STOP_TIMEOUT,
    )
    return 0

"""Runs a module file in the foreground, as an ordinary client that registers a service.

To the module it looks as if a broker had loaded it, but its output, a debugger's prompt and
Ctrl-C are on this terminal.
"""

from __future__ import annotations

import errno
import os
import signal
import traceback
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flux.brokermod._entry import EntryPoint
from flux.brokermod._errors import ModuleError
from flux.brokermod._loader import (
    LoadError,
    Welcome,
    find_entry,
    prepare,
    refuse_unread,
    report,
)
from flux.core.handle import Flux

if TYPE_CHECKING:
    from flux.core.watchers import SignalWatcher

#: Attributes that each module has at hand without asking.
_ATTRS = ("rank", "size")


def default_name(path: str) -> str:
    """Return the name that a broker gives to a module: the file's, up to the first dot."""
    return os.path.basename(path).partition(".")[0]


def attach(path: str, args: Sequence[str] = (), name: str | None = None) -> int:
    """Run a module file on the broker that the environment's FLUX_URI names.

    It runs until it stops itself, SIGINT or SIGTERM is received, or the instance owner sends a
    ``shutdown`` request to it.

    Args:
        path: The module's file.
        args: The module's arguments.
        name: The module's name; that of the file if None.

    Returns:
        The exit status for the program: 0, or 1 if the module ended with an error.

    Raises:
        LoadError: There is nothing to run, or no broker that would take the module.
    """
    name = default_name(path) if name is None else name
    entry = find_entry(path)
    try:
        handle = Flux()
    except OSError as exc:
        raise LoadError(exc.strerror or str(exc)) from None
    with handle:
        _register(handle, name)
        try:
            attrs = {key: handle.attr_get(key) for key in _ATTRS}
            words = tuple(" ".join(args).split())
            prepare(handle, Welcome(name, str(uuid.uuid4()), words, attrs, handle.conf_get()))
            return _run(entry, handle, words, path)
        finally:
            _unregister(handle, name)


def _register(handle: Flux, name: str) -> None:
    try:
        handle.service_register(name).get()
    except OSError as exc:
        if exc.errno == errno.EEXIST:
            raise LoadError(f"there is a service named {name} already; use --name") from None
        if exc.errno == errno.EINVAL:
            raise LoadError(f"{name!r} is not a valid module name") from None
        if exc.errno == errno.EPERM:
            raise LoadError(
                f"the instance belongs to another user: choose a --name beginning {os.getuid()}-"
            ) from None
        raise LoadError(f"cannot register service {name}: {exc.strerror}") from None


def _unregister(handle: Flux, name: str) -> None:
    """Give the name up, and answer those who asked before it was gone."""
    try:
        handle.service_unregister(name).get()
        refuse_unread(handle)
    except OSError:
        # Either the connection is lost, and the name with it, or the module gave it up itself.
        pass


def _run(entry: EntryPoint, handle: Flux, args: tuple[str, ...], path: str) -> int:
    terminate = handle.signal_watcher_create(signal.SIGTERM, _terminate).unref().start()
    try:
        entry(handle, *args)
    except KeyboardInterrupt:
        # The way to unload a module that runs in the foreground.
        pass
    except Exception as exc:
        report(exc, path)
        if isinstance(exc, OSError) and not isinstance(exc, ModuleError):
            # A loader leaves it to the broker to name the error; here there is only this program.
            traceback.print_exception(type(exc), exc, exc.__traceback__)
        return 1
    finally:
        terminate.stop()
    return 0


def _terminate(handle: Flux, _watcher: SignalWatcher, _signum: int, _args: Any) -> None:
    handle.reactor_stop()

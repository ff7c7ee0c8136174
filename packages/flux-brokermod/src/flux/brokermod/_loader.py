"""Runs a module file as a broker module: the loader's side of the protocol.

A broker starts ``LOADER PATH`` with a connected socket in ``FLUX_MODULE_URI``.  It greets the
module with its name, arguments, configuration and attributes; the module reports when it runs,
when it is about to end (from then on the broker sends nothing more) and with what result it ended.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from flux.brokermod._entry import EntryPoint, import_file, resolve_entry_point
from flux.brokermod._errors import ModuleError, errnum_of
from flux.brokermod._standard import StandardHandlers
from flux.brokermod._state import EXITED, FINALIZING, RUNNING, ModuleState, set_state
from flux.constants import FLUX_MSGTYPE_REQUEST, FLUX_O_NONBLOCK, FLUX_RPC_NORESPONSE
from flux.core.handle import Flux

if TYPE_CHECKING:
    from flux.core.watchers import PrepareWatcher

#: Seconds that a broker may take to acknowledge that the module is about to end.
FINALIZE_TIMEOUT = 10.0

#: Longest name of a process that Linux keeps, in bytes.
_MAX_COMM = 15


class LoadError(Exception):
    """The module cannot be run; the text is for the user."""


class Welcome(NamedTuple):
    """A broker's greeting to a module."""

    name: str
    uuid: str
    args: tuple[str, ...]
    attrs: dict[str, str]
    conf: dict[str, Any]


def load(path: str, uri: str) -> None:
    """Run a module file until it ends, and report how it ended to the broker.

    Args:
        path: The module's file.
        uri: The connection to the broker.

    Raises:
        LoadError: There is nothing to run, or the broker does not follow the protocol.
    """
    # Programs that the module starts are no modules.
    os.environ.pop("FLUX_MODULE_URI", None)
    try:
        handle = Flux(uri)
        os.set_inheritable(handle._session.connector.fileno(), False)
        handle._session.count_messages()
        welcome = receive_welcome(handle)
        prepare(handle, welcome)
    except OSError as exc:
        raise LoadError(exc.strerror or str(exc)) from None
    entry = find_entry(path)
    errnum = run_entry(entry, handle, welcome.args, path)
    try:
        finalize(handle, errnum)
    except OSError as exc:
        raise LoadError(f"cannot report the end of {welcome.name}: {exc.strerror}") from None


def receive_welcome(handle: Flux) -> Welcome:
    """Wait for the broker's greeting.

    Raises:
        OSError: The connection is lost.
        LoadError: What came is no greeting.
    """
    msg = handle.recv(FLUX_MSGTYPE_REQUEST)
    assert msg is not None
    try:
        payload = msg.payload
        args, attrs, conf = payload["args"], payload["attrs"], payload["conf"]
        name, uuid = payload["name"], payload["uuid"]
        if not (isinstance(name, str) and isinstance(uuid, str) and isinstance(conf, dict)):
            raise TypeError("wrong type")
        return Welcome(
            name,
            uuid,
            # A module sees arguments as in flux-core: joined, then split at white space.
            tuple(" ".join(arg for arg in args if isinstance(arg, str)).split()),
            {key: value for key, value in attrs.items() if isinstance(value, str)},
            conf,
        )
    except (OSError, TypeError, KeyError, AttributeError) as exc:
        raise LoadError(f"the broker's welcome message is malformed: {exc}") from None


def prepare(handle: Flux, welcome: Welcome) -> None:
    """Make a handle that of the welcomed module.

    Raises:
        OSError: The connection is lost, or the broker refuses the subscription.
    """
    state = ModuleState(welcome.name, welcome.uuid)
    set_state(handle, state)
    handle.log_set_appname(welcome.name)
    handle._session.attrs.update(welcome.attrs)
    handle._cached_config = welcome.conf
    set_process_name(welcome.name)
    handle.event_subscribe(f"{welcome.name}.stats-clear")
    StandardHandlers(handle, state)
    handle.prepare_watcher_create(_report_running).start()


def _report_running(handle: Flux, watcher: PrepareWatcher, _revents: int, _args: Any) -> None:
    """Report, on entering the event loop for the first time, that the module runs."""
    handle.rpc("module.status", {"status": RUNNING}, flags=FLUX_RPC_NORESPONSE)
    watcher.stop()


def set_process_name(name: str) -> None:
    """Show the module's name in the list of processes, where the system has a place for it."""
    try:
        with open("/proc/self/comm", "wb", buffering=0) as comm:
            comm.write(name.encode()[:_MAX_COMM])
    except OSError:
        pass


def find_entry(path: str) -> EntryPoint:
    """Import a module file and find what to call in it.

    Raises:
        LoadError: The file cannot be imported, or has no single entry point.
    """
    try:
        return resolve_entry_point(import_file(path))
    except ValueError as exc:
        if exc.__traceback__ is not None and _raised_within(exc, path):
            raise LoadError(_import_failure(exc, path)) from None
        raise LoadError(f"{path}: {exc}") from None
    except Exception as exc:
        raise LoadError(_import_failure(exc, path)) from None


def _raised_within(exc: BaseException, path: str) -> bool:
    return any(frame.filename == path for frame in traceback.extract_tb(exc.__traceback__))


def _import_failure(exc: Exception, path: str) -> str:
    """Return what to tell the author of a file that cannot be imported."""
    frames = traceback.extract_tb(exc.__traceback__)
    while frames and frames[0].filename != path:
        # Everything before is the loader and the import system.
        del frames[0]
    if not frames and isinstance(exc, OSError):
        return f"{path}: {exc.strerror or exc}"
    lines = traceback.format_exception_only(type(exc), exc)
    if frames:
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames), *lines]
    return f"{path}: cannot be imported\n{''.join(lines)}".rstrip("\n")


def run_entry(entry: EntryPoint, handle: Flux, args: tuple[str, ...], path: str) -> int:
    """Call a module's entry point and return the errno that says how it ended, 0 for well."""
    try:
        entry(handle, *args)
    except Exception as exc:
        report(exc, path)
        return errnum_of(_origin(exc))
    return 0


def _origin(exc: BaseException) -> BaseException:
    """Return what a module raised before `BrokerModule.run` made it an OSError."""
    return exc.__cause__ if isinstance(exc, ModuleError) and exc.__cause__ is not None else exc


def report(exc: Exception, path: str) -> None:
    """Say on standard error what ended a module.

    A ValueError is about the module's arguments and needs its message only.  An OSError says
    itself what is wrong and reaches the caller by its errno.
    """
    origin = _origin(exc)
    if isinstance(origin, OSError):
        return
    if isinstance(origin, ValueError):
        sys.stderr.write(f"{os.path.basename(path)}: {origin}\n")
    else:
        traceback.print_exception(type(origin), origin, origin.__traceback__)


def finalize(handle: Flux, errnum: int) -> None:
    """End the conversation with the broker.

    Raises:
        OSError: The broker does not answer, or the connection is lost.
    """
    handle.rpc("module.status", {"status": FINALIZING}).wait_for(FINALIZE_TIMEOUT).get()
    refuse_unread(handle)
    handle.rpc("module.status", {"status": EXITED, "errnum": errnum}, flags=FLUX_RPC_NORESPONSE)


def refuse_unread(handle: Flux) -> None:
    """Answer the requests that came too late to be handled."""
    while True:
        msg = handle.recv(FLUX_MSGTYPE_REQUEST, flags=FLUX_O_NONBLOCK)
        if msg is None:
            return
        handle.respond_error(msg, errno.ENOSYS)

"""``flux job eventlog`` and ``flux job wait-event``."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Iterator

from flux.command._commands import _jobspec
from flux.command._commands._entries import (
    Entry,
    EntryFormatter,
    add_format_options,
    decode,
    encode,
    formatter,
)
from flux.command._common import CommandError, connect, emit, say
from flux.constants import FLUX_RPC_STREAMING
from flux.core.handle import Flux

_WAITCREATE = 1

#: Short names of eventlogs.
_PATHS = {
    "exec": "guest.exec.eventlog",
    "output": "guest.output",
    "input": "guest.input",
}


def declare_eventlog(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``eventlog``."""
    _add_log(parser)
    parser.add_argument("-F", "--follow", action="store_true", help="go on until it ends")
    parser.add_argument("id", metavar="ID")


def declare_wait_event(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``wait-event``."""
    _add_log(parser)
    add = parser.add_argument
    add("-t", "--timeout", type=_seconds, default=-1.0, metavar="S", help="30s, 2m, ...")
    add("-m", "--match-context", metavar="KEY=VAL", help="only one with this in its context")
    add("-c", "--count", type=int, default=1, metavar="N", help="the Nth such event")
    add("-q", "--quiet", action="store_true", help="print nothing")
    add("-v", "--verbose", action="store_true", help="print all events before it")
    add("-W", "--waitcreate", action="store_true", help="wait for the log, too")
    add("id", metavar="ID")
    add("event", metavar="EVENT")


def _add_log(parser: argparse.ArgumentParser) -> None:
    add_format_options(parser)
    parser.add_argument("-p", "--path", default="eventlog", help="eventlog, exec, output, input")


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return _jobspec.duration(text)


def eventlog(args: argparse.Namespace) -> int:
    """Print an eventlog."""
    lines = formatter(args)
    handle = connect()
    for entry in _watch(handle, args, _WAITCREATE) if args.follow else _stored(handle, args):
        _print(lines, entry)
    return 0


def wait_event(args: argparse.Namespace) -> int:
    """Wait for an event, and print it."""
    lines = formatter(args)
    left = args.count
    if left <= 0:
        raise CommandError("count must be > 0")
    key, equals, value = (args.match_context or "=").partition("=")
    if not equals:
        raise CommandError("must specify a context test as key=value")
    for entry in _watch(connect(), args, _WAITCREATE if args.waitcreate else 0):
        if entry["name"] == args.event and (not key or _has(entry, key, value)):
            left -= 1
        if not args.quiet and (args.verbose or not left):
            _print(lines, entry)
        lines.skip(entry)
        if not left:
            return 0
    raise CommandError(f"event '{args.event}' never received")


def _has(entry: Entry, key: str, value: str) -> bool:
    context = entry.get("context", {})
    return key in context and value in (context[key], encode(context[key]))


def _print(lines: EntryFormatter, entry: Entry) -> None:
    try:
        emit(lines.line(entry))
    except ValueError as exc:
        say("flux-job", f"failed to print eventlog entry: {exc}")


def _not_found(args: argparse.Namespace, path: str) -> CommandError:
    if path == "eventlog":
        return CommandError(f"job {args.id} not found")
    return CommandError(f"eventlog path {path} not found")


def _stored(handle: Flux, args: argparse.Namespace) -> list[Entry]:
    """Return the entries that there are now."""
    path = _PATHS.get(args.path, args.path)
    request = {"id": int(_jobspec.parse_id(args.id)), "keys": [path], "flags": 0}
    try:
        text = handle.rpc("job-info.lookup", request).get()[path]
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            raise _not_found(args, path) from None
        raise CommandError(f"flux_job_eventlog_lookup_get: {os.strerror(exc.errno or 0)}") from None
    try:
        return decode(text)
    except ValueError:
        raise CommandError("eventlog_decode: Invalid argument") from None


def _watch(handle: Flux, args: argparse.Namespace, flags: int) -> Iterator[Entry]:
    """Yield entries as they come."""
    path = _PATHS.get(args.path, args.path)
    request = {"id": int(_jobspec.parse_id(args.id)), "path": path, "flags": flags}
    rpc = handle.rpc("job-info.eventlog-watch", request, flags=FLUX_RPC_STREAMING)
    timeout = getattr(args, "timeout", -1.0)
    while True:
        try:
            if timeout >= 0:
                rpc.wait_for(timeout)
            text = rpc.get()["event"]
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                return
            if exc.errno == errno.ETIMEDOUT:
                raise CommandError(f"wait-event timeout on event '{args.event}'") from None
            if exc.errno == errno.ENOENT:
                raise _not_found(args, path) from None
            raise CommandError(exc.strerror or str(exc)) from None
        try:
            (entry,) = decode(text)
        except ValueError:
            raise CommandError("eventlog_entry_decode: Invalid argument") from None
        rpc.reset()
        yield entry

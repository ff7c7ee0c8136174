"""``flux kvs eventlog``."""

from __future__ import annotations

import argparse
import errno
import json
import time
from collections.abc import Iterator

from flux.command._commands._entries import Entry, EntryFormatter, decode
from flux.command._commands._kvs_client import Kvs, add_namespace, checked
from flux.command._common import (
    CommandError,
    Parser,
    add_color_option,
    emit,
    use_color,
)
from flux.constants import (
    FLUX_KVS_STREAM,
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_APPEND,
)


def setup(parser: Parser) -> None:
    """Declare the arguments."""
    parser.description = "Append to eventlogs, and print them."
    commands = parser.add_subparsers(dest="eventlog", required=True, metavar="COMMAND")
    append = commands.add_parser("append", help="append to an eventlog")
    add_namespace(append)
    append.add_argument("-t", "--timestamp", type=float, metavar="SECONDS", help="when it was")
    append.add_argument("key")
    append.add_argument("name")
    append.add_argument("context", nargs="*", help="JSON object")
    get = commands.add_parser("get", help="print an eventlog")
    _reading(get)
    get.add_argument("-w", "--watch", action="store_true", help="go on with events to come")
    get.add_argument("-S", "--stream", action="store_true", help="get it piece by piece")
    get.add_argument("-c", "--count", type=int, default=0, help="end after so many events")
    get.add_argument("key")
    wait = commands.add_parser("wait-event", help="wait for an event")
    _reading(wait)
    wait.add_argument("-t", "--timeout", type=float, metavar="SECONDS", help="how long to wait")
    wait.add_argument("-q", "--quiet", action="store_true", help="print nothing")
    wait.add_argument("-v", "--verbose", action="store_true", help="print the events before, too")
    wait.add_argument("key")
    wait.add_argument("name")


def _reading(parser: argparse.ArgumentParser) -> None:
    add_namespace(parser)
    add = parser.add_argument
    add("-W", "--waitcreate", action="store_true", help="wait for the key to be there")
    add("-u", "--unformatted", action="store_true", help="print the events as they are stored")
    add("-H", "--human", action="store_true", help="print times for people to read")
    add_color_option(parser)


def eventlog(args: argparse.Namespace, kvs: Kvs) -> int:
    """Run one of the commands."""
    return {"append": _append, "get": _get, "wait-event": _wait_event}[args.eventlog](args, kvs)


def _append(args: argparse.Namespace, kvs: Kvs) -> int:
    event = {"timestamp": args.timestamp or time.time(), "name": args.name}
    if args.context:
        try:
            event["context"] = json.loads(" ".join(args.context))
        except ValueError:
            event["context"] = None
        if not isinstance(event["context"], dict):
            raise CommandError("eventlog_entry_create: Invalid argument")
    line = json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
    txn = kvs.txn()
    checked(args.key, lambda: txn.append(args.key, line.encode("utf-8", "surrogateescape")))
    kvs.commit(txn)
    return 0


def _formatter(args: argparse.Namespace) -> EntryFormatter:
    stamp = "human" if args.human else "raw"
    return EntryFormatter(args.unformatted, stamp, use_color(args.color))


def _events(kvs: Kvs, key: str, flags: int, timeout: float = -1.0) -> Iterator[Entry]:
    """Return the events of an eventlog, up to its end if it is watched.

    Raises:
        OSError: It cannot be looked up, or the time ran out.
    """
    deadline = time.monotonic() + timeout
    lookup = kvs.look_up(key, flags)
    while True:
        if timeout >= 0:
            lookup.wait_for(max(deadline - time.monotonic(), 0.0))
        try:
            text = lookup.get_raw().decode("utf-8", "replace")
        except OSError as exc:
            if exc.errno == errno.ENODATA:
                return
            raise
        try:
            yield from decode(text)
        except ValueError:
            raise CommandError("cannot decode improperly formatted eventlog") from None
        if not flags & (FLUX_KVS_WATCH | FLUX_KVS_STREAM):
            return
        lookup.reset()


def _get(args: argparse.Namespace, kvs: Kvs) -> int:
    flags = (
        (FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND if args.watch else 0)
        | (FLUX_KVS_WAITCREATE if args.waitcreate else 0)
        | (FLUX_KVS_STREAM if args.stream else 0)
    )
    formatter = _formatter(args)
    try:
        for number, event in enumerate(_events(kvs, args.key, flags), 1):
            emit(formatter.line(event))
            if args.watch and number == args.count:
                break
    except OSError as exc:
        raise CommandError(f"flux_kvs_lookup_get: {exc.strerror}") from None
    return 0


def _wait_event(args: argparse.Namespace, kvs: Kvs) -> int:
    flags = FLUX_KVS_WATCH | FLUX_KVS_WATCH_APPEND | (FLUX_KVS_WAITCREATE if args.waitcreate else 0)
    formatter = _formatter(args)
    timeout = -1.0 if args.timeout is None else args.timeout
    try:
        for event in _events(kvs, args.key, flags, timeout):
            found = event["name"] == args.name
            line = formatter.line(event)
            if args.verbose or (found and not args.quiet):
                emit(line)
            if found:
                return 0
    except OSError as exc:
        if exc.errno == errno.ENOENT:
            raise CommandError(f"eventlog path {args.key} not found") from None
        if exc.errno == errno.ETIMEDOUT:
            raise CommandError(f"wait-event timeout on event '{args.name}'") from None
        raise CommandError(f"flux_kvs_lookup_get: {exc.strerror}") from None
    raise CommandError(f"event '{args.name}' never received")

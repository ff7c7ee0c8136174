"""``flux kvs``: values, directories and namespaces of the KVS."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from functools import partial
from typing import Any, Callable

from flux.command._commands import _kvs_eventlog, _kvs_names, _kvs_show
from flux.command._commands._kvs_client import (
    Kvs,
    add_namespace,
    add_result,
    checked,
    emit_json,
    emit_result,
)
from flux.command._common import CommandError, Parser, emit
from flux.constants import (
    FLUX_KVS_NO_MERGE,
    FLUX_KVS_STREAM,
    FLUX_KVS_SYNC,
    FLUX_KVS_TREEOBJ,
    FLUX_KVS_WAITCREATE,
    FLUX_KVS_WATCH,
    FLUX_KVS_WATCH_APPEND,
    FLUX_KVS_WATCH_FULL,
    FLUX_KVS_WATCH_UNIQ,
)
from flux.kvs import KVSLookupFuture, KVSTxn

HELP = "read and change the key-value store"

Command = Callable[[argparse.Namespace, Kvs], int]


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Read and change the key-value store."
    commands = parser.add_subparsers(dest="kvs", required=True, metavar="COMMAND")
    for name, (declare, _command, text) in _COMMANDS.items():
        declare(commands.add_parser(name, help=text))
    return run


def run(args: argparse.Namespace) -> int:
    """Run one of the commands."""
    try:
        at = json.loads(args.at) if getattr(args, "at", None) else None
    except ValueError:
        raise CommandError("Invalid argument") from None
    return _COMMANDS[args.kvs][1](args, Kvs(getattr(args, "namespace", None), at))


# -- get and put


def _setup_get(parser: Parser) -> None:
    add_namespace(parser)
    add = parser.add_argument
    add("-r", "--raw", action="store_true", help="print the value as it is")
    add("-t", "--treeobj", action="store_true", help="print the tree object")
    add("-a", "--at", metavar="TREEOBJ", help="look it up in a former root")
    add("-l", "--label", action="store_true", help="print key= before the value")
    add("-W", "--waitcreate", action="store_true", help="wait for the key to be there")
    add("-w", "--watch", action="store_true", help="print the value again when it is written")
    add("-u", "--uniq", action="store_true", help="with --watch: only if it has changed")
    add("-A", "--append", action="store_true", help="with --watch: only what is appended")
    add("-f", "--full", action="store_true", help="with --watch: however it has changed")
    add("-S", "--stream", action="store_true", help="get it piece by piece")
    add("-c", "--count", type=int, default=0, help="with --watch: end after so many")
    add("keys", nargs="+", metavar="key")


def _get(args: argparse.Namespace, kvs: Kvs) -> int:
    flags = FLUX_KVS_TREEOBJ if args.treeobj else 0
    flags |= FLUX_KVS_WAITCREATE if args.waitcreate else 0
    flags |= FLUX_KVS_STREAM if args.stream else 0
    if args.watch:
        flags |= FLUX_KVS_WATCH
        flags |= FLUX_KVS_WATCH_UNIQ if args.uniq else 0
        flags |= FLUX_KVS_WATCH_APPEND if args.append else 0
        flags |= FLUX_KVS_WATCH_FULL if args.full else 0
    if args.watch and len(args.keys) > 1:
        raise CommandError("get: --watch takes one key")
    for key in args.keys:
        lookup = kvs.look_up(key, flags)
        count = 0
        while True:
            try:
                _emit_value(args, key, lookup)
            except OSError as exc:
                if exc.errno == errno.ENODATA and args.stream | args.watch:
                    break
                raise CommandError(f"{key}: {exc.strerror}") from None
            count += 1
            if not args.stream | args.watch or count == args.count:
                break
            lookup.reset()
        if args.stream and count and not args.raw | args.treeobj:
            emit("")
    return 0


def _emit_value(args: argparse.Namespace, key: str, lookup: KVSLookupFuture) -> None:
    obj = lookup.get_treeobj() if args.treeobj else lookup.get_raw()
    if args.label:
        sys.stdout.write(f"{key}=")
    if not isinstance(obj, bytes):
        emit_json(obj)
        return
    sys.stdout.flush()
    end = b"" if args.raw or args.stream else b"\n"
    sys.stdout.buffer.write(obj + end)
    sys.stdout.buffer.flush()


def _setup_put(parser: Parser) -> None:
    add_result(parser)
    add = parser.add_argument
    add("-r", "--raw", action="store_true", help="take - for a value from standard input")
    add("-t", "--treeobj", action="store_true", help="the value is a tree object")
    add("-n", "--no-merge", action="store_true", help="make a root of its own of it")
    add("-A", "--append", action="store_true", help="append to the key")
    add("-S", "--sync", action="store_true", help="wait until it is on the disk")
    add("values", nargs="+", metavar="key=value")


def _put(args: argparse.Namespace, kvs: Kvs) -> int:
    txn = kvs.txn()
    for text in args.values:
        key, equals, value = text.partition("=")
        if not equals:
            raise CommandError("put: you must specify a value as key=value")
        data = value.encode("utf-8", "surrogateescape")
        if args.raw | args.treeobj and value == "-":
            data = sys.stdin.buffer.read()
        try:
            obj = json.loads(data) if args.treeobj else None
        except ValueError:
            raise CommandError(f"{key}: Invalid argument") from None
        checked(key, partial(_stage, args, txn, key, data, obj))
    flags = FLUX_KVS_NO_MERGE if args.no_merge else 0
    flags |= FLUX_KVS_SYNC if args.sync else 0
    return emit_result(args, kvs.commit(txn, flags))


def _stage(args: argparse.Namespace, txn: KVSTxn, key: str, data: bytes, obj: Any) -> None:
    if args.treeobj:
        txn.put_treeobj(key, obj)
    elif args.append:
        txn.append(key, data)
    else:
        txn.put(key, data)


#: How to declare its arguments, what it does, and what for, by command.
_COMMANDS: dict[str, tuple[Callable[[Parser], None], Command, str]] = {
    "get": (_setup_get, _get, "print the value of keys"),
    "put": (_setup_put, _put, "store values"),
    "dir": (_kvs_show.setup_dir, _kvs_show.show_dir, "display all keys under a directory"),
    "ls": (_kvs_show.setup_ls, _kvs_show.list_keys, "list directories"),
    "eventlog": (_kvs_eventlog.setup, _kvs_eventlog.eventlog, "append to eventlogs, print them"),
    **_kvs_names.COMMANDS,
}

"""``flux kvs dir`` and ``ls``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import Any

from flux.command._commands._kvs_client import Kvs, add_namespace, checked
from flux.command._common import CommandError, Parser, emit
from flux.constants import FLUX_KVS_READDIR, FLUX_KVS_TREEOBJ
from flux.kvs.treeobj import DIRECTORIES

#: Columns between the names that ``ls`` lists.
_GAP = 4


def setup_dir(parser: Parser) -> None:
    """Declare the arguments of ``dir``."""
    parser.description = "Display the keys under a directory, with their values."
    add_namespace(parser)
    add = parser.add_argument
    add("-R", "--recursive", action="store_true", help="with the directories below")
    add("-d", "--directory", action="store_true", help="without the values")
    add("-w", "--width", type=int, metavar="COLS", help="width of a line; 0 for no limit")
    add("-a", "--at", metavar="TREEOBJ", help="look it up in a former root")
    add("key", nargs="?", default=".")


def setup_ls(parser: Parser) -> None:
    """Declare the arguments of ``ls``."""
    parser.description = "List directories."
    add_namespace(parser)
    add = parser.add_argument
    add("-R", "--recursive", action="store_true", help="with the directories below")
    add("-d", "--directory", action="store_true", help="directories themselves")
    add("-F", "--classify", action="store_true", help="mark directories with . and links with @")
    add("-w", "--width", type=int, metavar="COLS", help="width of a line; 0 for no limit")
    add("-1", dest="single", action="store_true", help="one name a line")
    add("keys", nargs="*", metavar="key")


def _width(args: argparse.Namespace) -> int:
    if args.width is not None:
        return int(args.width)
    if sys.stdout.isatty():
        return shutil.get_terminal_size().columns
    columns = os.environ.get("COLUMNS", "")
    return int(columns) if columns.isdecimal() else 80


def _join(key: str, name: str) -> str:
    return name if key == "." else f"{key}.{name}"


# -- dir


def show_dir(args: argparse.Namespace, kvs: Kvs) -> int:
    """Print a directory's keys and values."""
    _dump(kvs, args.key.rstrip(".") or ".", args, _width(args))
    return 0


def _dump(kvs: Kvs, key: str, args: argparse.Namespace, width: int) -> None:
    entries = kvs.lookup(key, FLUX_KVS_READDIR)["data"]
    if not entries and key != args.key:
        emit(f"{key}.")
    for name in sorted(entries):
        obj, path = entries[name], _join(key, name)
        if obj["type"] == "symlink":
            emit(f"{path} -> {link_text(obj)}")
        elif obj["type"] not in DIRECTORIES:
            if args.directory:
                emit(path)
            else:
                data = checked(path, kvs.look_up(path).get_raw)
                emit(_shortened(f"{path} = {data.decode('utf-8', 'replace')}", width))
        elif args.recursive:
            _dump(kvs, path, args, width)
        else:
            emit(f"{path}.")


def _shortened(line: str, width: int) -> str:
    if not width:
        return line
    width = max(width - 3, 1)
    shown = line[:width]
    more = len(line) > width
    shown, newline, rest = shown.partition("\n")
    # A newline at the end hides nothing.
    return f"{shown}..." if more or (newline and rest) else shown


def link_text(obj: Any) -> str:
    """Return where a link leads, for people to read."""
    namespace, target = obj["data"].get("namespace"), obj["data"]["target"]
    return target if namespace is None else f"{namespace}::{target}"


# -- ls


def list_keys(args: argparse.Namespace, kvs: Kvs) -> int:
    """List directories, and the keys that are none."""
    width = 1 if args.single else _width(args)
    code = 0
    directories, others = [], []
    for key in args.keys or ["."]:
        name = key.rstrip(".") or "."
        try:
            kind = kvs.lookup(name, FLUX_KVS_TREEOBJ)["type"]
            if kind not in DIRECTORIES and name != key:
                raise CommandError(f"{name}: Not a directory")
        except CommandError as exc:
            sys.stderr.write(f"{exc}\n")
            code = 1
            continue
        if kind == "symlink" and not args.classify and not args.directory:
            kind = _followed(kvs, name)
        if kind in DIRECTORIES and not args.directory:
            directories.append(name)
        else:
            others.append(name + _mark(kind, args))
    if others:
        _columns(sorted(others), width)
    label = bool(others) or args.recursive or len(directories) > 1
    first = not others
    for name in sorted(directories):
        _list(kvs, name, args, width, label, first)
        first = False
    return code


def _followed(kvs: Kvs, key: str) -> str:
    try:
        kvs.lookup(key, FLUX_KVS_READDIR)
    except CommandError:
        return "symlink"
    return "dir"


def _mark(kind: str, args: argparse.Namespace) -> str:
    if not args.classify:
        return ""
    return "." if kind in DIRECTORIES else "@" if kind == "symlink" else ""


def _list(
    kvs: Kvs, key: str, args: argparse.Namespace, width: int, label: bool, first: bool
) -> None:
    entries = kvs.lookup(key, FLUX_KVS_READDIR)["data"]
    if label:
        emit(f"{key}:" if first else f"\n{key}:")
    names = sorted(entries)
    size = max(map(len, names), default=0)
    _columns([name + _mark(entries[name]["type"], args) for name in names], width, size)
    if args.recursive:
        for name in names:
            if entries[name]["type"] in DIRECTORIES:
                _list(kvs, _join(key, name), args, width, label, False)


def _columns(names: list[str], width: int, size: int | None = None) -> None:
    """Print names in columns.

    Args:
        names: The names.
        width: Width of a line; 0 for no limit.
        size: Length of the longest name, which marks do not count to.
    """
    column = (max(map(len, names), default=0) if size is None else size) + _GAP
    count = max(width // column, 1) if width else len(names)
    for i in range(0, len(names), max(count, 1)):
        row = names[i : i + count]
        emit("".join(name.ljust(column) for name in row[:-1]) + row[-1])

"""``flux getattr``, ``setattr`` and ``lsattr``."""

from __future__ import annotations

import argparse
import errno
from typing import Callable

from flux.command._common import CommandError, Parser, connect, emit


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    if parser.prog == "flux-lsattr":
        parser.description = "List broker attributes."
        parser.add_argument("-v", "--values", action="store_true", help="list values as well")
        return list_attributes
    parser.add_argument("name")
    if parser.prog == "flux-getattr":
        parser.description = "Print the value of a broker attribute."
        return get_attribute
    parser.description = "Set a broker attribute."
    parser.add_argument("value")
    parser.add_argument(
        "-f", "--force", action="store_true", help="also one that is not to be set at run time"
    )
    return set_attribute


def get_attribute(args: argparse.Namespace) -> int:
    """Print an attribute's value."""
    try:
        emit(connect().attr_get(args.name))
    except OSError as exc:
        raise CommandError(f"{args.name}: {exc.strerror}") from None
    return 0


def set_attribute(args: argparse.Namespace) -> int:
    """Set an attribute."""
    request = {"name": args.name, "value": args.value, "force": args.force}
    try:
        connect().rpc("attr.set", request).get()
    except OSError as exc:
        raise CommandError(f"{args.name}: {exc.strerror}") from None
    return 0


def list_attributes(args: argparse.Namespace) -> int:
    """Print the names of all attributes, on request with their values."""
    handle = connect()
    for name in sorted(handle.rpc("attr.list").get()["names"]):
        if not args.values:
            emit(name)
            continue
        try:
            value = handle.attr_get(name)
        except OSError as exc:
            if exc.errno != errno.ENOENT:
                raise
            value = "-"
        emit(f"{name:<40}{value}")
    return 0

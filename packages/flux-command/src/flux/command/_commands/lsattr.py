"""``flux lsattr``: the names of all broker attributes."""

from __future__ import annotations

import argparse
import errno
from typing import Callable

from flux.command._common import Parser, connect, emit

HELP = "list broker attributes"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "List broker attributes."
    parser.add_argument("-v", "--values", action="store_true", help="list values as well")
    return command


def command(args: argparse.Namespace) -> int:
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

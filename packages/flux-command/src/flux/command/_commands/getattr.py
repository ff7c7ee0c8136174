"""``flux getattr``: the value of a broker attribute."""

from __future__ import annotations

import argparse
from typing import Callable

from flux.command._common import CommandError, Parser, connect, emit

HELP = "get a broker attribute"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Print the value of a broker attribute."
    parser.add_argument("name")
    return command


def command(args: argparse.Namespace) -> int:
    """Print an attribute's value."""
    try:
        emit(connect().attr_get(args.name))
    except OSError as exc:
        raise CommandError(f"{args.name}: {exc.strerror}") from None
    return 0

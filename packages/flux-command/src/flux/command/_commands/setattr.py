"""``flux setattr``: a new value for a broker attribute."""

from __future__ import annotations

import argparse
from typing import Callable

from flux.command._common import CommandError, Parser, connect

HELP = "set a broker attribute"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Set a broker attribute."
    parser.add_argument("name")
    parser.add_argument("value")
    parser.add_argument(
        "-f", "--force", action="store_true", help="also one that is not to be set at run time"
    )
    return command


def command(args: argparse.Namespace) -> int:
    """Set an attribute."""
    request = {"name": args.name, "value": args.value, "force": args.force}
    try:
        connect().rpc("attr.set", request).get()
    except OSError as exc:
        raise CommandError(f"{args.name}: {exc.strerror}") from None
    return 0

"""``flux logger``: writing to the broker's log."""

from __future__ import annotations

import argparse
from typing import Callable

from flux.brokermod import BrokerLogger
from flux.command._common import CommandError, Parser, connect

HELP = "write to the broker's log"

LEVELS = BrokerLogger.LEVEL_NAMES


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Write a message to the broker's log."
    names = "|".join(LEVELS)
    parser.add_argument("-s", "--severity", default="notice", help=f"{names}; notice if not given")
    parser.add_argument("-n", "--appname", default="logger", help="who says it; default: logger")
    parser.add_argument("words", nargs="*", metavar="MESSAGE")
    return command


def command(args: argparse.Namespace) -> int:
    """Log a message."""
    if args.severity not in LEVELS:
        raise CommandError(f"invalid severity: Use {'|'.join(LEVELS)}")
    handle = connect()
    handle.log_set_appname(args.appname)
    handle.log(LEVELS[args.severity], " ".join(args.words))
    return 0

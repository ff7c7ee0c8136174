"""``flux version``: which versions meet here."""

from __future__ import annotations

import argparse
import os
from typing import Callable

from flux.command._common import Parser, emit
from flux.core.handle import Flux

HELP = "show versions"

#: The flux-core whose protocol and options the commands follow.
_PROTOCOL = "0.88.0"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments: none."""
    parser.description = "Print versions."
    return command


def command(args: argparse.Namespace) -> int:
    """Print versions."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("flux-command")
    except PackageNotFoundError:
        own = "not installed"
    rows = [("commands:", f"\t\t{own} (flux-command)"), ("protocol:", f"\t\t{_PROTOCOL}")]
    uri = os.environ.get("FLUX_URI")
    if uri:
        rows.append(("broker:  ", f"\t\t{Flux().attr_get('version')}"))
        rows.append(("FLUX_URI:", f"\t\t{uri}"))
    for name, value in rows:
        emit(f"{name}{value}")
    return 0

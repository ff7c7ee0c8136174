"""What the commands have in common."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from flux.core.handle import Flux


class CommandError(Exception):
    """A command cannot go on; the text is for its user."""


class Parser(argparse.ArgumentParser):
    """A parser whose complaints look like those of Flux's commands, with their exit code.

    Args:
        prog: The command's name, as it is to be shown.
        **kwargs: As for `argparse.ArgumentParser`.
    """

    def __init__(self, prog: str, **kwargs: Any) -> None:
        super().__init__(prog=prog, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line, and exit."""
        sys.stderr.write(f"{self.prog}: {message}\n{self.format_usage()}")
        sys.exit(1)


def say(prog: str, text: str) -> None:
    """Write a line about a command to standard error."""
    sys.stderr.write(f"{prog}: {text}\n")


def emit(text: str) -> None:
    """Write a line of a command's output."""
    sys.stdout.write(text + "\n")
    # At once, for whoever follows it.
    sys.stdout.flush()


def add_color_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--color``, whose value is for `use_color`."""
    parser.add_argument(
        "-L",
        "--color",
        nargs="?",
        const="always",
        default="auto",
        choices=("always", "never", "auto"),
        help="use colors; by default if the output is a terminal",
    )


def use_color(when: str) -> bool:
    """Say whether to color the output: ``always``, ``never``, or ``auto`` if on a terminal."""
    return when == "always" or (when == "auto" and sys.stdout.isatty())


def connect() -> Flux:
    """Connect to the broker that the environment names.

    Raises:
        CommandError: There is none.
    """
    try:
        return Flux()
    except OSError as exc:
        hint = "; 'flux start' starts a broker" if exc.errno == 2 else ""
        raise CommandError(f"{exc.strerror}{hint}") from None

"""``flux start``: a broker in this process, and a command under it."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import Callable

from flux.command._common import CommandError, Parser
from flux.devbroker._hints import hint
from flux.devbroker._options import Options, parse_config, serve
from flux.devbroker._program import Program

HELP = "start a development broker and run a command under it"

#: Options of flux-start(1) that have a meaning only with several brokers, and so none here.
_IGNORED = (
    "--test-exit-timeout",
    "--test-exit-mode",
    "--test-start-mode",
    "--test-pmi-clique",
)


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.usage = "flux start [OPTIONS] [--] [COMMAND ...]"
    parser.description = (
        "Start a development broker, run COMMAND with FLUX_URI set in its environment, and exit "
        "with its exit code.  A single word is a shell command; none is an interactive shell."
    )
    add = parser.add_argument
    add("-S", "--setattr", action="append", default=[], metavar="ATTR=VAL", help="set attribute")
    add(
        "-c",
        "--config-path",
        metavar="PATH",
        help="where to read the configuration from",
    )
    add("--conf", action="append", default=[], metavar="VALUE", help="update the configuration")
    add("-o", "--broker-opts", action="append", default=[], metavar="OPTS", help="as on a broker")
    add("-v", "--verbose", action="count", default=0, help="show what is run")
    add("-X", "--noexec", action="store_true", help="don't run anything")
    add("-s", "--test-size", type=int, default=1, metavar="N", help="number of brokers: 1")
    add("--rundir", "--test-rundir", metavar="DIR", help="directory for the socket")
    add("--statedir", metavar="DIR", help="directory to keep the KVS in, and to find it again")
    add("--test-rundir-cleanup", action="store_true", help="remove that directory at the end")
    add("--test-hosts", metavar="HOST", help="name of this host")
    for option in _IGNORED:
        add(option, help=argparse.SUPPRESS)
    add("words", nargs=argparse.REMAINDER, metavar="COMMAND", help=argparse.SUPPRESS)
    return command


def command(args: argparse.Namespace) -> int:
    """Run the broker, and the command under it."""
    if args.test_size != 1:
        raise CommandError(
            f"--test-size={args.test_size}: the development broker is one broker, so 1 is the "
            "only size"
        )
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    try:
        options = Options()
        _broker_options(options, args.broker_opts)
        if args.config_path is not None:
            options.config_path = args.config_path
        options.config += map(parse_config, args.conf)
        for text in args.setattr:
            options.set_attribute(text)
        if args.test_hosts is not None:
            options.attributes["hostname"] = args.test_hosts
        if args.rundir is not None:
            options.attributes["rundir"] = args.rundir
        if args.statedir is not None:
            options.attributes["statedir"] = args.statedir
        if args.test_rundir_cleanup:
            options.attributes["rundir-cleanup"] = "1"
        program = None
        if "broker.rc2_none" not in options.attributes:
            program = Program.initial(words)
        if args.verbose:
            shown = [f"-S{name}={value}" for name, value in options.attributes.items()]
            sys.stderr.write(f"flux-start: flux broker {shlex.join([*shown, *words])}\n")
        if args.noexec:
            return 0
        return serve(options, program)
    except OSError as exc:
        raise CommandError(hint(exc)) from None
    except ValueError as exc:
        raise CommandError(str(exc)) from None


def _broker_options(options: Options, texts: list[str]) -> None:
    """Take options for the broker itself, of which several stand in one word."""
    parser = Parser("flux-start")
    parser.add_argument("-S", "--setattr", action="append", default=[])
    parser.add_argument("-c", "--config-path")
    parser.add_argument("--conf", action="append", default=[])
    parser.add_argument("-v", "--verbose", action="count")
    for text in texts:
        args = parser.parse_args([word for word in text.split(",") if word])
        for attribute in args.setattr:
            options.set_attribute(attribute)
        if args.config_path is not None:
            options.config_path = args.config_path
        options.config += map(parse_config, args.conf)

"""``flux run``: a job, and its output."""

from __future__ import annotations

import argparse
import json
from typing import Callable

from flux.command._commands import _jobspec
from flux.command._commands._attach import Attach
from flux.command._common import Parser, connect, emit

HELP = "run a job and wait for it"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Run a job and wait for it."
    add = parser.add_argument
    add("-l", "--label-io", action="store_true", help="put the task's rank before each line")
    add("-v", "--verbose", action="store_true", help="print the job's id first")
    _jobspec.add_options(parser)
    return command


def command(args: argparse.Namespace) -> int:
    """Submit the job, and follow it."""
    spec = json.dumps(_jobspec.jobspec(args), ensure_ascii=False)
    if args.dry_run:
        emit(spec)
        return 0
    jobid = _jobspec.enqueue(connect(), args, spec)
    if args.verbose:
        emit(jobid.f58)
    # On a connection of its own, as the original does.
    return Attach(connect(), jobid, jobid.f58, label=args.label_io).run()

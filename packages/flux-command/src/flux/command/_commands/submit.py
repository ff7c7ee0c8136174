"""``flux submit``: enqueueing jobs."""

from __future__ import annotations

import argparse
import json
from typing import Callable

from flux.command._commands import _jobspec
from flux.command._commands._attach import Attach
from flux.command._common import Parser, connect, emit

HELP = "enqueue a job"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Enqueue a job."
    add = parser.add_argument
    add("--wait", action="store_true", help="wait for the job, and exit as it did")
    add("--quiet", action="store_true", help="do not print the job's id")
    add("--cc", type=int, default=1, metavar="N", help="submit N jobs")
    _jobspec.add_options(parser)
    return command


def command(args: argparse.Namespace) -> int:
    """Submit the jobs."""
    spec = json.dumps(_jobspec.jobspec(args), ensure_ascii=False)
    if args.dry_run:
        emit(spec)
        return 0
    handle = connect()
    ids = []
    for _ in range(args.cc):
        ids.append(_jobspec.enqueue(handle, args, spec))
        if not args.quiet:
            emit(ids[-1].f58)
    if not args.wait:
        return 0
    return max(Attach(connect(), jobid, str(jobid.f58), quiet=True).run() for jobid in ids)

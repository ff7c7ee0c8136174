"""``flux submit`` and ``flux run``."""

from __future__ import annotations

import argparse
import json
from typing import Callable

import flux.job
from flux.command._commands import _jobspec
from flux.command._commands._attach import Attach
from flux.command._common import CommandError, Parser, connect, emit
from flux.core.handle import Flux


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    run = parser.prog == "flux-run"
    parser.description = "Run a job and wait for it." if run else "Enqueue a job."
    add = parser.add_argument
    if run:
        add("-l", "--label-io", action="store_true", help="put the task's rank before each line")
        add("-v", "--verbose", action="store_true", help="print the job's id first")
    else:
        add("--wait", action="store_true", help="wait for the job, and exit as it did")
        add("--quiet", action="store_true", help="do not print the job's id")
        add("--cc", type=int, default=1, metavar="N", help="submit N jobs")
    _jobspec.add_options(parser)
    return _run if run else _submit


def _enqueue(handle: Flux, args: argparse.Namespace, spec: str) -> flux.job.JobID:
    mask = _jobspec.flags(args.flags)
    future = flux.job.submit_async(
        handle,
        spec,
        urgency=_jobspec.urgency(args.urgency),
        waitable=bool(mask & 4),
        debug=bool(mask & 2),
        novalidate=bool(mask & 8),
    )
    try:
        return future.get_id()
    except OSError as exc:
        raise CommandError(f"ERROR: {exc.strerror}") from None


def _submit(args: argparse.Namespace) -> int:
    spec = json.dumps(_jobspec.jobspec(args))
    if args.dry_run:
        emit(spec)
        return 0
    handle = connect()
    ids = []
    for _ in range(args.cc):
        ids.append(_enqueue(handle, args, spec))
        if not args.quiet:
            emit(ids[-1].f58)
    if not args.wait:
        return 0
    return max(Attach(connect(), jobid, str(jobid.f58), quiet=True).run() for jobid in ids)


def _run(args: argparse.Namespace) -> int:
    spec = json.dumps(_jobspec.jobspec(args))
    if args.dry_run:
        emit(spec)
        return 0
    jobid = _enqueue(connect(), args, spec)
    if args.verbose:
        emit(jobid.f58)
    # On a connection of its own, as the original does.
    return Attach(connect(), jobid, jobid.f58, label=args.label_io).run()

"""``flux cancel``: cancelling jobs."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any, Callable

import flux.job
from flux.command._commands._jobspec import parse_id
from flux.command._common import CommandError, Parser, connect

HELP = "cancel jobs"

_ACTIVE = 62


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Cancel jobs."
    add = parser.add_argument
    add("--all", action="store_true", help="cancel all of this user's jobs")
    add("-n", "--dry-run", action="store_true", help="with --all: only count them")
    add("-m", "--message", metavar="NOTE", help="why")
    add("ids", nargs="*", metavar="ID")
    return command


def command(args: argparse.Namespace) -> int:
    """Cancel jobs, and say of each what went wrong."""
    handle = connect()
    if args.all:
        if args.ids:
            raise CommandError("Do not specify a list of jobids with --all")
        request: dict[str, Any] = {
            "dry_run": args.dry_run,
            "userid": os.getuid(),
            "states": _ACTIVE,
            "severity": 0,
            "type": "cancel",
        }
        if args.message:
            request["note"] = args.message
        count = handle.rpc("job-manager.raiseall", request).get()["count"]
        verb = "Would cancel" if args.dry_run else "Canceled"
        text = f"{verb} {count} job{'s' * (count != 1)}" if count else "Matched 0 jobs"
        sys.stderr.write(f"flux-cancel: {text}\n")
        return 0
    if not args.ids:
        raise CommandError("No target jobs were specified")
    code = 0
    for text in args.ids:
        jobid = parse_id(text)
        try:
            flux.job.cancel(handle, jobid, args.message)
        except OSError as exc:
            sys.stderr.write(f"flux-cancel: ERROR: {jobid.f58}: {exc.strerror}\n")
            code = 1
    return code

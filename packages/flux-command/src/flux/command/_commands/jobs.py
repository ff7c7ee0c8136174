"""``flux jobs``: the list of jobs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from typing import Any, Callable

from flux.command._commands._jobspec import parse_id
from flux.command._common import (
    CommandError,
    Parser,
    add_color_option,
    connect,
    emit,
    say,
    use_color,
)
from flux.core.handle import Flux
from flux.job.info import JobInfo, JobInfoFormat, job_fields_to_attrs
from flux.job.list import JobList
from flux.job.stats import JobStats
from flux.util import UtilConfig, parse_datetime

HELP = "list jobs"

_PROG = "flux-jobs"
_BEGIN = "{id.f58:>12} ?:{queue:<8.8} +:{username:<8} {name:<10.10+}"
_END = "{contextual_time!F:>8h} {contextual_info}"

#: How jobs are colored: those that went well, did not, were canceled, and Flux instances.
_COLORS = {"COMPLETED": "\033[01;32m", "CANCELED": "\033[37m", "": "\033[01;34m"}
_FAILED = "\033[01;31m"
_PLAIN = "\033[0;0m"


class _Config(UtilConfig):
    """The formats with a name: these, and those of the files ``flux/flux-jobs.*``."""

    builtin_formats: Mapping[str, Any] = {
        "default": {
            "description": "What is shown without a format",
            "format": f"{_BEGIN} {{status_abbrev:>2.2}} {{ntasks:>6}} {{nnodes:>6h}} {_END}",
        },
        "cute": {
            "description": "The same, with pictures",
            "format": f"{_BEGIN} {{status_emoji:>5.5}} {{ntasks:>6}} {{nnodes:>6h}} {_END}",
        },
        "long": {
            "description": "With the time of submission and the time that is left",
            "format": (
                f"{_BEGIN} {{status:>9.9}} {{ntasks:>6}} {{nnodes:>6h}} "
                f"{{t_submit!d:%b%d %R::>12}} {{t_remaining!F:>12h}} {_END}"
            ),
        },
        "deps": {
            "description": "Urgency, priority and what jobs wait for",
            "format": (
                "{id.f58:>12} ?:{queue:<8.8} {name:<10.10+} {urgency:<3} {priority:<12} "
                "{state:<8.8} {dependencies}"
            ),
        },
        "endreason": {
            "description": "Why jobs are over",
            "format": (
                f"{_BEGIN} {{status_abbrev:>2.2}} {{t_inactive!d:%b%d %R::>12h}} "
                "{inactive_reason}"
            ),
        },
    }

    def __init__(self) -> None:
        super().__init__(_PROG, initial_dict={"formats": dict(self.builtin_formats)})

    def validate(self, path: str, conf: Any) -> None:
        """Check a file."""
        for key, value in conf.items():
            if key != "formats":
                raise ValueError(f"{path}: invalid key {key}")
            self.validate_formats(path, value)


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = "List jobs."
    add("-a", "--all-states", action="store_true", help="inactive ones, too")
    add("-A", "--all-users", action="store_true", help="those of all users")
    add("-u", "--user", metavar="USER", help="those of this user, or of 'all'")
    add("-c", "--count", type=int, default=1000, metavar="N", help="at most this many")
    add("-f", "--filter", metavar="LIST", help="states and results to list")
    add("--since", metavar="WHEN", help="those not over by then, such as -1h or 'yesterday'")
    add("--name", metavar="NAME", help="those of this name")
    add("-q", "--queue", metavar="LIST", help="those of these queues")
    add("-i", "--include", metavar="HOSTS|RANKS", help="everybody's that had some of these")
    add("-n", "--no-header", "--suppress-header", action="store_true")
    add(
        *("-o", "--format"),
        default="default",
        metavar="FORMAT",
        help="such as '{id.f58} {state}', or a name: 'help' lists them",
    )
    add("--sort", metavar="KEY,...", help="fields to sort by, with - before them in reverse")
    add("-w", "--width", type=int, nargs="?", const=0, default=-1, metavar="N")
    add("--json", action="store_true", help="print JSON")
    add_color_option(parser)
    add("--stats", action="store_true", help="print how many there are in each state first")
    add("--stats-only", action="store_true", help="print only that")
    add("ids", nargs="*", metavar="ID")
    return _jobs


def _jobs(args: argparse.Namespace) -> int:
    try:
        table = JobInfoFormat(_Config().load().get_format_string(args.format))
        if args.sort:
            table.set_sort_keys(args.sort)
    except (ValueError, OSError) as exc:
        raise CommandError(f"Error in user format: {exc}") from None
    handle = connect()
    if args.stats or args.stats_only:
        stats = JobStats(handle, args.queue.split(",") if args.queue else None).update_sync()
        emit(
            f"{stats.running} running, {stats.successful} completed, {stats.failed} failed, "
            f"{stats.pending} pending, {stats.inactive_purged} inactive purged"
        )
        if args.stats_only:
            # A loop can wait for it.
            return 0 if stats.active else 1
    try:
        jobs, errors = _listed(handle, args, table)
    except (ValueError, OSError) as exc:
        raise CommandError(getattr(exc, "strerror", None) or str(exc)) from None
    for text in errors:
        say(_PROG, text)
    if args.json:
        import json

        emit(json.dumps({"jobs": [job.to_dict() for job in jobs]}))
    else:
        color = use_color(args.color)
        table.print_items(
            jobs, args.no_header, args.width, _begin if color else None, _end if color else None
        )
        sys.stdout.flush()
    return 1 if errors and not jobs else 0


def _listed(
    handle: Flux, args: argparse.Namespace, table: JobInfoFormat
) -> tuple[list[JobInfo], list[str]]:
    since = 0.0
    if args.since:
        try:
            since = parse_datetime(args.since).timestamp()
        except ValueError:
            since = float(args.since)
        if since > time.time():
            raise ValueError(f"--since={args.since} appears to be in the future")
    everything = args.all_states or args.since
    found = JobList(
        handle,
        ["all"] if args.json else sorted({*job_fields_to_attrs(table.fields), "state", "result"}),
        [args.filter or ("pending,running,inactive" if everything else "pending,running")],
        [parse_id(text) for text in args.ids],
        "all" if args.all_users or (args.include and not args.user) else args.user,
        args.count,
        since,
        args.name,
        args.queue.split(",") if args.queue else None,
        _include(args.include) if args.include else None,
    )
    if any(field.startswith("instance.") for field in table.fields):
        return [job.get_instance_info() for job in found.jobs()], found.errors
    jobs = found.jobs()
    return jobs, found.errors


def _include(text: str) -> dict[str, list[str]]:
    from flux.hostlist import Hostlist
    from flux.idset import IDset

    for name, kind in (("ranks", IDset), ("hostlist", Hostlist)):
        try:
            return {name: [kind(text).encode()]}
        except ValueError:  # noqa: PERF203
            pass
    raise ValueError(f"-i/--include: invalid targets: {text}")


def _begin(job: JobInfo) -> None:
    result = job.result
    if result or job.uri:
        sys.stdout.write(_COLORS.get(result, _FAILED))


def _end(job: JobInfo) -> None:
    if job.result or job.uri:
        sys.stdout.write(_PLAIN)

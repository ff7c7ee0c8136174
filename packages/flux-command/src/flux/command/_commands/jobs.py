"""``flux jobs``: the list of jobs."""

from __future__ import annotations

import argparse
import errno
import os
import pwd
import re
import string
import time
from typing import Any, Callable

import flux.job
from flux.command._commands._jobspec import parse_id
from flux.command._common import CommandError, Parser, connect, emit
from flux.constants import FLUX_RPC_STREAMING
from flux.core.handle import Flux

HELP = "list jobs"

_STATES = {2: "DEPEND", 4: "PRIORITY", 8: "SCHED", 16: "RUN", 32: "CLEANUP", 64: "INACTIVE"}
_SHORT = {2: "D", 4: "P", 8: "S", 16: "R", 32: "C", 64: "I"}
_RESULTS = {1: "COMPLETED", 2: "FAILED", 4: "CANCELED", 8: "TIMEOUT"}
_SHORT_RESULTS = {1: "CD", 2: "F", 4: "CA", 8: "TO"}
_ACTIVE, _ANY = 62, 126

#: What jobs may be listed by.
_FILTERS = (*_STATES.values(), "PENDING", "RUNNING", "ACTIVE", *_RESULTS.values())

_ATTRS = ("all",)
_DEFAULT = (
    "{id.f58:>12} {username:<8} {name:<10} {status_abbrev:>2} {ntasks:>6} {nnodes:>6} "
    "{runtime:>8} {info}"
)
_HEADINGS = {
    "id": "JOBID",
    "id.f58": "JOBID",
    "username": "USER",
    "status_abbrev": "ST",
    "runtime": "TIME",
}


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    add = parser.add_argument
    parser.description = "List jobs."
    add("-a", "--all-states", action="store_true", help="inactive ones, too")
    add("-A", "--all-users", action="store_true", help="those of all users")
    add("-c", "--count", type=int, default=1000, metavar="N", help="at most this many")
    add("-f", "--filter", metavar="LIST", help="states and results to list")
    add("-n", "--no-header", action="store_true")
    add("-o", "--format", default=_DEFAULT, metavar="FORMAT", help="such as '{id.f58} {state}'")
    add("--json", action="store_true", help="print JSON")
    add("--stats", action="store_true", help="print how many there are in each state first")
    add("--stats-only", action="store_true", help="print only that")
    add("ids", nargs="*", metavar="ID")
    return _jobs


def _jobs(args: argparse.Namespace) -> int:
    handle = connect()
    if args.stats or args.stats_only:
        emit(_stats(handle))
        if args.stats_only:
            return 0
    jobs, code = (_by_id(handle, args.ids), 0) if args.ids else (_listed(handle, args), 0)
    if args.json:
        import json

        emit(json.dumps({"jobs": jobs}))
        return code
    try:
        if not args.no_header:
            emit(_Heading().format(args.format).rstrip())
        for job in jobs:
            emit(_Line().vformat(args.format, (), _fields(job)).rstrip())
    except (KeyError, ValueError, IndexError) as exc:
        raise CommandError(f"Error in user format: {exc.args[0]}") from None
    return code


def _stats(handle: Flux) -> str:
    stats = handle.rpc("job-list.job-stats", {}).get()
    states = stats["job_states"]
    pending = states["depend"] + states["priority"] + states["sched"]
    failed = stats["failed"] + stats["canceled"] + stats["timeout"]
    return (
        f"{states['run'] + states['cleanup']} running, {stats['successful']} completed, "
        f"{failed} failed, {pending} pending, {stats['inactive_purged']} inactive purged"
    )


def _by_id(handle: Flux, ids: list[str]) -> list[dict[str, Any]]:
    jobs = []
    for text in ids:
        request = {"id": int(parse_id(text)), "attrs": list(_ATTRS)}
        try:
            jobs.append(handle.rpc("job-list.list-id", request).get()["job"])
        except OSError as exc:
            why = "unknown job" if exc.errno == errno.ENOENT else exc.strerror
            raise CommandError(f"JobID {text} {why}") from None
    return jobs


def _listed(handle: Flux, args: argparse.Namespace) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = []
    if not args.all_users:
        tests.append({"userid": [os.getuid()]})
    if args.filter:
        names = [name.lower() for name in args.filter.split(",")]
        for name in names:
            if name.upper() not in _FILTERS:
                raise CommandError(f"Invalid filter specified: {name}")
        results = [name for name in names if name.upper() in _RESULTS.values()]
        states = [name for name in names if name not in results]
        either = [{"states": states}] if states else []
        if results:
            either.append({"results": results})
        tests.append({"or": either})
    else:
        tests.append({"states": [_ANY if args.all_states else _ACTIVE]})
    request = {
        "max_entries": args.count,
        "attrs": list(_ATTRS),
        "since": 0.0,
        "constraint": {"and": tests},
    }
    jobs: list[dict[str, Any]] = []
    try:
        for answer in handle.rpc("job-list.list", request, flags=FLUX_RPC_STREAMING):
            jobs += answer["jobs"]
    except OSError as exc:
        raise CommandError(exc.strerror or str(exc)) from None
    return jobs


class _Line(string.Formatter):
    """Formats a job: ``{id.f58:>12}``, with dots as part of names."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if field_name not in kwargs:
            raise KeyError(f"Unknown format field: {field_name}")
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec.endswith(("s", "d")) or not re.search(r"[eEfFgGxXob%]$", format_spec):
            value, format_spec = str(value), format_spec.rstrip("sd").rstrip("h")
        text: str = super().format_field(value, format_spec)
        return text


class _Heading(_Line):
    """Formats the heading that goes with a format."""

    def format(self, text: str, /, *args: Any, **kwargs: Any) -> str:
        return self.vformat(text, (), {})

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        return _HEADINGS.get(field_name, field_name.upper()), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return super().format_field(value, re.sub(r"(\.\d+)?[a-zA-Z%!]*$", "", format_spec))


def _fields(job: dict[str, Any]) -> dict[str, Any]:
    jobid = flux.job.JobID(job["id"])
    state = job["state"]
    result = job.get("result")
    fields: dict[str, Any] = dict.fromkeys(
        (
            *("urgency", "priority", "t_submit", "t_depend", "t_run", "t_cleanup", "t_inactive"),
            *("cwd", "queue", "project", "bank", "ranks", "nodelist", "success", "waitstatus"),
            *("expiration", "nnodes"),
        ),
        "-",
    )
    fields.update(job)
    fields["id"] = jobid
    for form in ("dec", "hex", "f58", "f58plain", "dothex", "kvs", "words", "emoji"):
        fields[f"id.{form}"] = jobid.encode(form)
    try:
        fields["username"] = pwd.getpwuid(job["userid"]).pw_name
    except KeyError:
        fields["username"] = job["userid"]
    fields["state"] = _STATES.get(state, "NEW")
    fields["state_single"] = _SHORT.get(state, "N")
    fields["result"] = _RESULTS.get(result or 0, "")
    fields["result_abbrev"] = _SHORT_RESULTS.get(result or 0, "")
    fields["status"] = fields["result"] or fields["state"]
    fields["status_abbrev"] = fields["result_abbrev"] or fields["state_single"]
    end = job.get("t_cleanup") or time.time()
    runtime = end - job["t_run"] if "t_run" in job else 0.0
    fields["runtime"] = _duration(runtime) if "t_run" in job else "-"
    fields["returncode"] = _returncode(job)
    for key in ("type", "severity", "note"):
        fields[f"exception.{key}"] = job.get(f"exception_{key}", "")
    fields["exception.occurred"] = job.get("exception_occurred", "")
    if job.get("dependencies"):
        fields["info"] = f"depends:{','.join(job['dependencies'])}"
    elif job.get("priority") == 0 and state == 8:
        fields["info"] = "held"
    else:
        fields["info"] = job.get("nodelist", "")
    return fields


def _returncode(job: dict[str, Any]) -> Any:
    status = job.get("waitstatus")
    if status is None:
        return "-128" if job.get("exception_occurred") else ""
    signum = status & 0x7F
    return -signum if signum else status >> 8


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("m", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.4g}{unit}"
    return f"{round(seconds, 3):.4g}s"

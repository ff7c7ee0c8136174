"""``flux job``: looking at one job, and acting on it."""

from __future__ import annotations

import argparse
import errno
import signal
import sys
from collections.abc import Iterable
from typing import Any, Callable

import flux.job
from flux.command._commands import _job_timeline, _jobspec
from flux.command._commands._attach import Attach
from flux.command._commands._job_eventlog import (
    declare_eventlog,
    declare_wait_event,
    eventlog,
    wait_event,
)
from flux.command._common import CommandError, Parser, connect, emit, say
from flux.core.handle import Flux
from flux.eventlog import EventLogEvent

HELP = "look at a job, or act on it"

_CURRENT = 2

Command = Callable[[argparse.Namespace], int]


def setup(parser: Parser) -> Command:
    """Declare the arguments."""
    parser.description = "Look at a job, or act on it."
    sub = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        one = sub.add_parser(name, help=text, description=text)
        one.set_defaults(run=command)
        return one

    one = add("id", _id, "Convert job ids.")
    one.add_argument("--to", default="dec", metavar="FORM", help="dec, hex, f58, dothex, kvs...")
    one.add_argument("ids", nargs="*", metavar="ID")

    declare_eventlog(add("eventlog", eventlog, "Print an eventlog."))
    declare_wait_event(add("wait-event", wait_event, "Wait for an event."))

    one = add("info", _info, "Print a record of a job: eventlog, jobspec, R, J, guest.output...")
    one.add_argument("-o", "--original", action="store_true", help="the jobspec as submitted")
    one.add_argument("-b", "--base", action="store_true", help="without later updates")
    one.add_argument("id", metavar="ID")
    one.add_argument("key", metavar="KEY")

    one = add("cancel", _cancel, "Cancel jobs.")
    one.add_argument("-m", "--message", metavar="NOTE")
    one.add_argument("ids", nargs="+", metavar="ID")

    one = add("raise", _raise, "Raise an exception on a job.")
    one.add_argument("-s", "--severity", type=int, default=0, metavar="N", help="0 ends it")
    one.add_argument("-t", "--type", default="cancel", metavar="TYPE")
    one.add_argument("-m", "--message", metavar="NOTE")
    one.add_argument("id", metavar="ID")
    one.add_argument("note", nargs="*", metavar="NOTE")

    one = add("kill", _kill, "Send a signal to jobs.")
    one.add_argument("-s", "--signal", default="SIGTERM", metavar="SIGNAL")
    one.add_argument("ids", nargs="+", metavar="ID")

    one = add("urgency", _urgency, "Change a job's urgency.")
    one.add_argument("-v", "--verbose", action="store_true", help="print the old one")
    one.add_argument("id", metavar="ID")
    one.add_argument("urgency", metavar="URGENCY")

    one = add("attach", _attach, "Follow a job's output.")
    option = one.add_argument
    option("-l", "--label-io", action="store_true", help="put the task's rank before each line")
    option("-E", "--show-events", action="store_true", help="print the job's events, too")
    option("-X", "--show-exec", action="store_true", help="print those of its execution, too")
    option("-v", "--verbose", action="count", default=0, help="taken, and without effect")
    option("-r", "--read-only", action="store_true", help="leave standard input alone")
    one.add_argument("id", metavar="ID")

    one = add("status", _status, "Wait for jobs, and exit as the worst of them did.")
    one.add_argument("-v", "--verbose", action="count", default=0)
    one.add_argument("ids", nargs="+", metavar="ID")

    one = add("wait", _wait, "Wait for waitable jobs.")
    one.add_argument("-a", "--all", action="store_true")
    one.add_argument("-v", "--verbose", action="store_true")
    one.add_argument("id", nargs="?", metavar="ID")

    one = add("last", _last, "Print the ids of the latest jobs.")
    one.add_argument("slice", nargs="?", default="[:1]", metavar="SLICE")

    _job_timeline.declare(add("timeline", _job_timeline.run, "Show the states of jobs over time."))
    return _dispatch


def _dispatch(args: argparse.Namespace) -> int:
    command: Command = args.run
    return command(args)


def _id(args: argparse.Namespace) -> int:
    ids = [_jobspec.parse_id(text) for text in args.ids or sys.stdin.read().split()]
    try:
        for jobid in ids:
            emit(str(jobid.encode(args.to)))
    except (OSError, ValueError):
        raise CommandError(f"Unknown to={args.to}") from None
    return 0


# -- records


def _lookup(handle: Flux, args: argparse.Namespace, key: str, flags: int) -> str:
    request = {"id": int(_jobspec.parse_id(args.id)), "keys": [key], "flags": flags}
    try:
        value: str = handle.rpc("job-info.lookup", request).get()[key]
    except OSError as exc:
        raise CommandError(exc.strerror or str(exc)) from None
    return value


def _info(args: argparse.Namespace) -> int:
    handle = connect()
    if args.key == "jobspec" and args.original:
        import base64

        emit(base64.b64decode(_lookup(handle, args, "J", 0).split(".")[1]).decode())
        return 0
    updated = args.key in ("R", "jobspec") and not args.base
    emit(_lookup(handle, args, args.key, _CURRENT if updated else 0).rstrip("\n"))
    return 0


# -- actions


def each(verb: str, ids: list[str], action: Callable[[flux.job.JobID], Any]) -> int:
    """Act on jobs, and say of each what went wrong.

    Args:
        verb: What is done, for messages.
        ids: The jobs.
        action: Does it.

    Returns:
        An exit code.
    """
    code = 0
    for text in ids:
        jobid = _jobspec.parse_id(text)
        try:
            action(jobid)
        except OSError as exc:
            sys.stderr.write(f"flux-job: {verb}{text}: {exc.strerror}\n")
            code = 1
    return code


def _cancel(args: argparse.Namespace) -> int:
    handle = connect()
    return each("cancel ", args.ids, lambda jobid: flux.job.cancel(handle, jobid, args.message))


def _raise(args: argparse.Namespace) -> int:
    handle = connect()
    note = " ".join(args.note) or args.message
    return each(
        "raise ",
        [args.id],
        lambda jobid: flux.job.job_raise(handle, jobid, args.type, args.severity, note),
    )


def _kill(args: argparse.Namespace) -> int:
    name = args.signal.upper()
    if name.isdigit():
        signum = int(name)
    else:
        try:
            signum = signal.Signals[name if name.startswith("SIG") else f"SIG{name}"]
        except KeyError:
            raise CommandError(f"kill: Invalid signal {args.signal}") from None
    handle = connect()
    return each("kill ", args.ids, lambda jobid: flux.job.kill(handle, jobid, int(signum)))


def _urgency(args: argparse.Namespace) -> int:
    handle = connect()
    urgency = _jobspec.urgency(args.urgency)

    def change(jobid: flux.job.JobID) -> None:
        request = {"id": int(jobid), "urgency": urgency}
        old = handle.rpc("job-manager.urgency", request).get()["old_urgency"]
        if args.verbose:
            sys.stderr.write(f"old job urgency: {old}\n")

    return each("", [args.id], change)


def _attach(args: argparse.Namespace) -> int:
    return Attach(
        connect(),
        _jobspec.parse_id(args.id),
        args.id,
        label=args.label_io,
        events=args.show_events,
        exec_events=args.show_exec,
        read_only=args.read_only,
    ).run()


def _status(args: argparse.Namespace) -> int:
    handle = connect()
    jobs = [(text, _jobspec.parse_id(text)) for text in args.ids]
    worst = 0
    for text, jobid in jobs:
        try:
            code = _exit_code(flux.job.event_watch(handle, jobid))
        except OSError as exc:
            why = "No such job" if exc.errno == errno.ENOENT else exc.strerror
            raise CommandError(f"{text}: {why}") from None
        if args.verbose:
            sys.stderr.write(f"flux-job: {text}: exited with exit code {code}\n")
        worst = max(worst, code)
    return worst


def _exit_code(events: Iterable[EventLogEvent]) -> int:
    """Follow a job to its end, and return the exit code that tells how it was."""
    status, fatal = 0, False
    for event in events:
        if event.name == "finish":
            status = event.context["status"]
        elif event.name == "exception" and event.context["severity"] == 0:
            fatal = True
    signum = status & 0x7F
    return (128 + signum if signum else status >> 8) or int(fatal)


def _wait(args: argparse.Namespace) -> int:
    handle = connect()
    code = 0
    while True:
        try:
            result = flux.job.wait(handle, _jobspec.parse_id(args.id) if args.id else -1)
        except OSError as exc:
            if args.all and exc.errno == errno.ECHILD:
                return code
            say("flux-job", exc.strerror or str(exc))
            # As scripts tell that there is no job left to wait for.
            return 2 if exc.errno == errno.ECHILD else 1
        if not args.id and not args.all:
            emit(str(result.jobid.f58))
        if not result.success or args.verbose:
            text = result.errstr
            sys.stderr.write(f"{result.jobid.f58}: {text or 'job completed successfully'}\n")
        code = code or int(not result.success)
        if not args.all:
            return code


def _last(args: argparse.Namespace) -> int:
    ids = connect().rpc("job-manager.history.get", {"slice": args.slice}).get()["jobs"]
    for jobid in ids:
        emit(flux.job.JobID(jobid).f58)
    if not ids:
        raise CommandError("job history is empty")
    return 0

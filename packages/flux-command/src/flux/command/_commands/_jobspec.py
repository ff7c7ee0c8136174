"""From the options of ``flux submit`` and ``flux run`` to a jobspec (RFC 25)."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import resource
import time
from typing import Any

from flux.command._common import CommandError, Parser, say
from flux.core.handle import Flux
from flux.job import JobID, submit_async

_UNITS = {"": 60.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_URGENCIES = {"hold": 0, "default": 16, "expedite": 31}
_FLAGS = {"debug": 2, "waitable": 4, "novalidate": 8}

#: Limits that a job takes over, by their name in the jobspec.
_LIMITS = ("cpu", "fsize", "data", "stack", "core", "nofile", "as", "rss", "nproc")


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("-n", "--ntasks", type=int, default=1, metavar="N", help="how many tasks")
    add("-c", "--cores-per-task", type=int, default=1, metavar="N", help="cores of each task")
    add("-N", "--nodes", type=int, metavar="N", help="nodes; there is one here")
    add("-x", "--exclusive", action="store_true", help="with --nodes: whole nodes")
    add("-t", "--time-limit", metavar="FSD", help="longest time: 2h, 30s, a number of minutes")
    add("--urgency", default="default", metavar="N", help="0 to 31; hold, default or expedite")
    add("--flags", default="", metavar="LIST", help="debug, waitable, novalidate")
    add("--job-name", metavar="NAME", help="what the job is called")
    add("-q", "--queue", metavar="NAME", help="where to submit it")
    add("--cwd", metavar="DIR", help="the tasks' working directory")
    add(
        "--env",
        action="append",
        default=[],
        metavar="RULE",
        help="NAME=VALUE sets a variable, -GLOB removes some, NAME takes one over again",
    )
    add("--input", metavar="FILE", help="what tasks read as standard input")
    add("--output", metavar="FILE", help="where standard output goes")
    add("--error", metavar="FILE", help="where standard error goes")
    add("-o", "--setopt", action="append", default=[], metavar="KEY[=VAL]", help="a shell option")
    add("--setattr", action="append", default=[], metavar="KEY=VAL", help="an attribute")
    add("--dependency", action="append", default=[], metavar="SCHEME:VALUE", help="a dependency")
    add("--begin-time", metavar="TIME", help="+FSD or seconds since the epoch")
    add("--dry-run", action="store_true", help="print the jobspec and submit nothing")
    add("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run")


def parse_id(text: str) -> JobID:
    """Return the id in a string.

    Raises:
        CommandError: There is none.
    """
    try:
        return JobID(text)
    except (OSError, ValueError):
        raise CommandError(f'error parsing jobid: "{text}"') from None


def duration(text: str) -> float:
    """Return seconds, given in Flux's notation; a bare number stands for minutes.

    Raises:
        CommandError: It is malformed.
    """
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h|d|)", text)
    if match is None:
        raise CommandError(f"invalid duration: {text}")
    return float(match[1]) * _UNITS[match[2]]


def urgency(text: str) -> int:
    """Return an urgency, given as a number or a name.

    Raises:
        CommandError: It is neither.
    """
    if text in _URGENCIES:
        return _URGENCIES[text]
    if not text.isdigit():
        raise CommandError(f"invalid urgency: {text}")
    return int(text)


def flags(text: str) -> int:
    """Return flags, given as a list of names.

    Raises:
        CommandError: One of them is unknown.
    """
    mask = 0
    for name in filter(None, text.split(",")):
        if name not in _FLAGS:
            raise CommandError(f"unknown flag: {name}")
        mask |= _FLAGS[name]
    return mask


def _directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise CommandError(
            "the current directory has been removed; change to another one, or use --cwd"
        ) from None


def jobspec(args: argparse.Namespace) -> dict[str, Any]:
    """Return the jobspec that the options ask for.

    Raises:
        CommandError: They make no sense.
    """
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        raise CommandError("job command and arguments are missing")
    system: dict[str, Any] = {
        "duration": duration(args.time_limit) if args.time_limit else 0,
        "environment": environment(args.env),
        "cwd": args.cwd or _directory(),
        "shell": {"options": {"rlimit": _limits(), **_files(args)}},
    }
    if args.job_name:
        system["job"] = {"name": args.job_name}
    if args.queue:
        system["queue"] = args.queue
    dependencies = [_dependency(text) for text in args.dependency]
    if args.begin_time:
        dependencies.append({"scheme": "begin-time", "value": _begin_time(args.begin_time)})
    if dependencies:
        system["dependencies"] = dependencies
    spec = {
        "resources": _resources(args),
        "tasks": [{"command": command, "slot": "task", "count": _count(args)}],
        "attributes": {"system": system},
        "version": 1,
    }
    for item in args.setopt:
        key, _, value = item.partition("=")
        _set(spec, f"attributes.system.shell.options.{key}", _value(value) if value else 1)
    for item in args.setattr:
        key, _, value = item.partition("=")
        if not key.startswith("attributes."):
            key = f"attributes.{key if key.startswith(('user.', 'system.')) else f'system.{key}'}"
        _set(spec, key, _value(value) if value else 1)
    return spec


def _count(args: argparse.Namespace) -> dict[str, int]:
    if args.nodes and args.ntasks % args.nodes:
        return {"total": args.ntasks}
    return {"per_slot": 1}


def _resources(args: argparse.Namespace) -> list[dict[str, Any]]:
    if args.ntasks < 1 or args.cores_per_task < 1 or (args.nodes is not None and args.nodes < 1):
        raise CommandError("counts of tasks, cores and nodes must be > 0")
    slots = args.ntasks if not args.nodes else -(-args.ntasks // args.nodes)
    slot = {
        "type": "slot",
        "count": slots,
        "with": [{"type": "core", "count": args.cores_per_task}],
        "label": "task",
    }
    if not args.nodes:
        if args.exclusive:
            raise CommandError("--exclusive can only be used with --nodes")
        return [slot]
    node: dict[str, Any] = {"type": "node", "count": args.nodes, "with": [slot]}
    if args.exclusive:
        node["exclusive"] = True
    return [node]


def _is_text(name: str, value: str) -> bool:
    """Return True if a variable is UTF-8, as a jobspec has to be; others are left out."""
    try:
        os.fsencode(f"{name}={value}").decode("utf-8")
    except UnicodeDecodeError:
        say(
            "flux",
            f"warning: variable {name!a} is not UTF-8, and left out of the job's environment",
        )
        return False
    return True


def environment(rules: list[str]) -> dict[str, str]:
    """Return the environment that is left of this one after some rules.

    Raises:
        CommandError: A rule asks for a variable that is not there.
    """
    env = {name: value for name, value in os.environ.items() if _is_text(name, value)}
    for rule in rules:
        if rule.startswith("-"):
            for name in fnmatch.filter(list(env), rule[1:]):
                del env[name]
            continue
        name, equals, value = rule.partition("=")
        if equals:
            env[name] = re.sub(r"\$\{?(\w+)\}?", lambda match: env.get(match[1], ""), value)
        else:
            for found in fnmatch.filter(list(os.environ), name):
                if _is_text(found, os.environ[found]):
                    env[found] = os.environ[found]
    return env


def enqueue(handle: Flux, args: argparse.Namespace, spec: str) -> JobID:
    """Submit a jobspec with the options that say how.

    Raises:
        CommandError: It is refused.
    """
    mask = flags(args.flags)
    future = submit_async(
        handle,
        spec,
        urgency=urgency(args.urgency),
        waitable=bool(mask & 4),
        debug=bool(mask & 2),
        novalidate=bool(mask & 8),
    )
    try:
        return future.get_id()
    except OSError as exc:
        raise CommandError(f"ERROR: {exc.strerror}") from None


def _limits() -> dict[str, int]:
    return {
        name: resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))[0]
        for name in _LIMITS
        if hasattr(resource, f"RLIMIT_{name.upper()}")
    }


def _files(args: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if args.input:
        options["input"] = {"stdin": {"type": "file", "path": args.input}}
    for name, path in (("stdout", args.output), ("stderr", args.error)):
        if path:
            options.setdefault("output", {})[name] = {"type": "file", "path": path}
    return options


def _dependency(text: str) -> dict[str, str]:
    scheme, colon, value = text.partition(":")
    if not colon:
        raise CommandError(f"{text}: a dependency is SCHEME:VALUE")
    return {"scheme": scheme, "value": value}


def _begin_time(text: str) -> str:
    if text.startswith("+"):
        return str(time.time() + duration(text[1:]))
    return text


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _set(spec: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    place = spec
    for name in parents:
        place = place.setdefault(name, {})
        if not isinstance(place, dict):
            raise CommandError(f"{key}: {name} is not an object")
    place[last] = value

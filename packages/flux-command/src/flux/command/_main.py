"""The ``flux`` command's own commands, one file each, imported when called."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any

from flux.command._common import CommandError, Parser, say

#: Commands by name: the file each is in, and what it is for.  Those without help are internal.
COMMANDS = {
    "version": ("version", "show versions"),
    "ping": ("ping", "measure round-trip times to a service"),
    "getattr": ("attr", "get a broker attribute"),
    "setattr": ("attr", "set a broker attribute"),
    "lsattr": ("attr", "list broker attributes"),
    "event": ("event", "publish events, or print them"),
    "dmesg": ("dmesg", "print or clear the broker's log"),
    "logger": ("logger", "write to the broker's log"),
    "kvs": ("kvs", "read and change the key-value store"),
    "submit": ("submit", "enqueue a job"),
    "run": ("submit", "run a job and wait for it"),
    "job": ("job", "look at a job, or act on it"),
    "jobs": ("jobs", "list jobs"),
    "journal": ("journal", "print the events of all jobs"),
    "cancel": ("jobs", "cancel jobs"),
    "module": ("module", "load, remove and look at broker modules"),
    "relay": ("relay", ""),
}


def run(argv: list[str]) -> int:
    """Run a command.

    Args:
        argv: Its name and its arguments.

    Returns:
        The exit code.
    """
    name = argv[0] if argv else ""
    if name in ("-V", "--version"):
        name = "version"
    if name in ("-h", "--help", "help"):
        _usage()
        return 0
    if not name:
        _usage()
        return 1
    module = _find(name)
    if module is None:
        kind = "option" if name.startswith("-") else "command"
        say("flux", f"'{name}' is not a {kind} of this flux.  See 'flux --help'")
        return 1
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What jobs write and are called is UTF-8, whatever the locale says.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    parser = Parser(f"flux-{name}")
    try:
        command = module.setup(parser)
        code: int = command(parser.parse_args(argv[1:]))
        sys.stdout.flush()
    except CommandError as exc:
        say(parser.prog, str(exc))
        return 1
    except BrokenPipeError:
        # Whoever read our output has seen enough.  Nothing more is to be written at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as exc:
        say(parser.prog, exc.strerror or str(exc))
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _find(name: str) -> Any:
    if name in COMMANDS:
        return importlib.import_module(f"flux.command._commands.{COMMANDS[name][0]}")
    from flux.command._registry import find

    return find(name)


def _usage() -> None:
    from flux.command._registry import entries

    lines = ["Usage: flux COMMAND [ARGS]", "", "Commands of flux-command:"]
    lines += [f"   {name:<10} {text}" for name, (_file, text) in COMMANDS.items() if text]
    others: dict[str, list[str]] = {}
    for distribution, entry in entries():
        text = importlib.import_module(entry.value).HELP
        if text:
            others.setdefault(distribution, []).append(f"   {entry.name:<10} {text}")
    for distribution, rows in sorted(others.items()):
        lines += ["", f"Commands of {distribution}:", *sorted(rows)]
    lines += ["", "See 'flux COMMAND --help' for more about a command."]
    sys.stdout.write("\n".join(lines) + "\n")

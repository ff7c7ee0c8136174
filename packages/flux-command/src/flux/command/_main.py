"""Running one of the commands."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from types import ModuleType
from typing import NoReturn

from flux.command import _registry
from flux.command._common import CommandError, Parser, say


def run(argv: list[str]) -> int:
    """Run a command; an executable ``flux-NAME`` on PATH replaces this process.

    Args:
        argv: Its name and its arguments.

    Returns:
        The exit code.
    """
    open_streams()
    name = argv[0] if argv else ""
    if name in ("-V", "--version"):
        name = "version"
    if name in ("", "-h", "--help", "help"):
        _usage()
        return 0 if name else 1
    try:
        module = _registry.find(name)
    except CommandError as exc:
        say("flux", str(exc))
        return 1
    if module is not None:
        return _call(module, Parser(f"flux-{name}"), argv[1:])
    path = _registry.executable(name)
    if path is not None:
        try:
            os.execv(path, [path, *argv[1:]])
        except OSError as exc:
            say("flux", f"{path}: {exc.strerror}")
            return 1
    kind = "option" if name.startswith("-") else "command"
    say("flux", f"'{name}' is not a {kind} of this flux.  See 'flux --help'")
    near = _registry.nearest(name)
    if near:
        say("flux", f"did you mean {' or '.join(near)}?")
    return 1


def leave(code: int) -> NoReturn:
    """Exit, also where PYTHONINSPECT would have the interpreter go on instead."""
    if sys.flags.inspect and os.environ.get("PYTHONINSPECT"):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def open_streams() -> None:
    """Open the null device in place of standard streams that are closed.

    Otherwise the next file or socket would take their numbers, and what is written to them.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            stream = open(fd, "w" if fd else "r", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _call(module: ModuleType, parser: Parser, args: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What jobs write and are called is UTF-8, whatever the locale says.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        command = module.setup(parser)
        try:
            arguments = parser.parse_args(args)
        except SystemExit as exc:
            return exc.code if isinstance(exc.code, int) else 1
        code: int = command(arguments)
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
    except MemoryError:
        say(parser.prog, "out of memory; allow more (ulimit -v)")
        return 1
    except KeyboardInterrupt:
        return 130
    return code


def _usage() -> None:
    lines = ["Usage: flux COMMAND [ARGS]"]
    for distribution, commands in _registry.listing().items():
        lines += ["", f"Commands of {distribution}:"]
        lines += [f"   {name:<10} {text}" for name, text in commands.items() if text]
    lines += [
        "",
        "Any other NAME runs the executable flux-NAME, if there is one on PATH.",
        "See 'flux COMMAND --help' for more about a command.",
    ]
    sys.stdout.write("\n".join(lines) + "\n")

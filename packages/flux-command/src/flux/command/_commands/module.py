"""``flux module``: loading, removing and looking at broker modules."""

from __future__ import annotations

import argparse
import errno
import json
import os
from typing import Any, Callable

from flux.command._commands import _module_trace
from flux.command._common import CommandError, Parser, connect, emit
from flux.constants import FLUX_MSGTYPE_EVENT
from flux.core.handle import Flux
from flux.message import Message

HELP = "load, remove and look at broker modules"

#: Seconds without a word from a module after which the list calls it idle.
MAX_IDLE = 99

#: Letters for the states of a module, by number.
STATES = "IRFX"

#: Characters of the services that the long list shows.
MAX_SERVICES = 8


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Load, remove and look at broker modules."
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    def declare(name: str, text: str, func: Callable[[argparse.Namespace], int]) -> Parser:
        # Its complaints come under the name of the whole command, as with the original.
        command = commands.add_parser(name, prog=parser.prog, help=text, description=text)
        command.usage = f"flux module {name} [OPTIONS]"
        command.set_defaults(func=func)
        return command

    command = declare("list", "List loaded modules", list_modules)
    command.add_argument("-l", "--long", action="store_true", help="show their files as well")

    for name in ("remove", "unload"):
        command = declare(name, "Unload module", remove)
        _declare_remove(command)
        command.add_argument("module", metavar="MODULE", help="its name or path")

    for name, load_func in (("load", load), ("reload", reload)):
        command = declare(name, f"{name.capitalize()} module", load_func)
        command.usage = f"flux module {name} [OPTIONS] MODULE [ARGS ...]"
        if name == "reload":
            _declare_remove(command)
        command.add_argument("--name", help="a name other than that of the file")
        command.add_argument("--exec", action="store_true", help="run it as a separate process")
        command.add_argument("--loader", metavar="PATH", help="the program that runs it")
        command.add_argument("module", metavar="MODULE", help="a file, or a name to search for")
        command.add_argument("args", metavar="ARGS", nargs=argparse.REMAINDER, help="its arguments")

    command = declare("stats", "Display stats on module", stats)
    add = command.add_argument
    add("-p", "--parse", metavar="OBJNAME", help="show one value, named with periods")
    add("-s", "--scale", type=float, default=1.0, metavar="N", help="multiply a number by N")
    add("-t", "--type", choices=("int", "double"), help="what to show a number as")
    add(
        "-R",
        "--rusage",
        nargs="?",
        const="",
        metavar="self|children|thread",
        help="show the use of resources",
    )
    add("-c", "--clear", action="store_true", help="begin to count anew")
    add("-C", "--clear-all", action="store_true", help="the same, on all ranks")
    add("module", metavar="MODULE")

    command = declare("debug", "Get/set module debug flags", debug)
    add = command.add_argument
    add("-C", "--clear", action="store_true", help="clear all flags")
    add("-S", "--set", type=_flags, metavar="MASK", help="set the flags to MASK")
    add("-s", "--setbit", type=_flags, metavar="BIT", help="set one")
    add("-c", "--clearbit", type=_flags, metavar="BIT", help="clear one")
    add("module", metavar="MODULE")

    _module_trace.declare(declare("trace", "Trace module messages", _module_trace.trace))
    return lambda args: int(args.func(args))


def _declare_remove(command: Parser) -> None:
    command.add_argument("-f", "--force", action="store_true", help="ignore that there is none")
    command.add_argument("--cancel", action="store_true", help="kill its process")


def _flags(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def list_modules(args: argparse.Namespace) -> int:
    """Print a table of all modules."""
    titles = f"{'Module':<25} {'Idle':>4}  S Sendq Recvq "
    emit(f"{titles}{'Service':<8} Path" if args.long else f"{titles}Service")
    for mod in connect().rpc("module.list").get()["mods"]:
        services = ",".join(name for name in mod["services"] if name != mod["name"])
        if args.long:
            if len(services) > MAX_SERVICES:
                services = services[: MAX_SERVICES - 1] + "+"
            services = f"{services:<8} {mod['path']}"
        idle = str(mod["idle"]) if mod["idle"] <= MAX_IDLE else "idle"
        state = STATES[mod["status"]] if mod["status"] < len(STATES) else "?"
        emit(
            f"{mod['name'][:25]:<25} {idle:>4}  {state} "
            f"{mod['sendqueue']:>5} {mod['recvqueue']:>5} {services}"
        )
    return 0


def load(args: argparse.Namespace) -> int:
    """Load a module, and wait until it runs."""
    _load(connect(), args)
    return 0


def remove(args: argparse.Namespace) -> int:
    """Remove a module, and wait until it is gone."""
    _remove(connect(), args, args.module)
    return 0


def reload(args: argparse.Namespace) -> int:
    """Remove a module and load it again."""
    handle = connect()
    # Of several modules of one file, that of the name that is asked for.
    _remove(handle, args, args.name or args.module)
    _load(handle, args)
    return 0


def _canonical(path: str) -> str:
    """Return a path that means the same to the broker, which may be in another directory."""
    if "/" not in path and not path.endswith(".so"):
        return path
    try:
        return os.path.realpath(path, strict=True)
    except TypeError:
        # Before Python 3.10 there is no `strict`.
        os.stat(path)
        return os.path.realpath(path)


def _path(path: str) -> str:
    try:
        return _canonical(path)
    except OSError as exc:
        text = f"could not canonicalize module path '{path}': {exc.strerror}"
        raise CommandError(text) from None


def _load(handle: Flux, args: argparse.Namespace) -> None:
    request = {"path": _path(args.module), "args": args.args, "exec": args.exec}
    for option in ("name", "loader"):
        value = getattr(args, option)
        if value is not None:
            request[option] = value
    try:
        handle.rpc("module.load", request).get()
    except OSError as exc:
        raise CommandError(f"load {args.module}: {exc.strerror}") from None


def _remove(handle: Flux, args: argparse.Namespace, name: str) -> None:
    try:
        handle.rpc("module.remove", {"name": _path(name), "cancel": args.cancel}).get()
    except OSError as exc:
        if not (args.force and exc.errno == errno.ENOENT):
            raise CommandError(f"remove {name}: {exc.strerror}") from None


def stats(args: argparse.Namespace) -> int:
    """Print what a module counts, or begin to count anew."""
    handle = connect()
    service = args.module
    if args.clear:
        _ask(handle, f"{service}.stats-clear")
    elif args.clear_all:
        event = Message(FLUX_MSGTYPE_EVENT)
        event.topic = f"{service}.stats-clear"
        handle.send(event)
    elif args.rusage is not None:
        request = {"who": args.rusage} if args.rusage else None
        _show(_ask(handle, f"{service}.rusage", request), args)
    else:
        _show(_ask(handle, f"{service}.stats-get"), args)
    return 0


def _ask(handle: Flux, topic: str, request: Any = None) -> Any:
    try:
        return handle.rpc(topic, request).get()
    except OSError as exc:
        raise CommandError(f"{topic}: {exc.strerror}") from None


def _show(value: Any, args: argparse.Namespace) -> None:
    for name in args.parse.split(".") if args.parse else ():
        if not isinstance(value, dict) or name not in value:
            raise CommandError(f"`{args.parse}' not found in response")
        value = value[name]
    number = value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
    if args.type == "int" or (args.type is None and isinstance(value, int)):
        emit(str(int(number * args.scale)))
    elif args.type == "double" or isinstance(value, float):
        emit(f"{number * args.scale:.6f}")
    else:
        emit(json.dumps(value, indent=1, ensure_ascii=False))


def debug(args: argparse.Namespace) -> int:
    """Change a module's debug flags, and print them."""
    op, flags = "setbit", 0
    if args.clear:
        op = "clr"
    elif args.set is not None:
        op, flags = "set", args.set
    elif args.clearbit is not None:
        op, flags = "clrbit", args.clearbit
    elif args.setbit is not None:
        flags = args.setbit
    response = _ask(connect(), f"{args.module}.debug", {"op": op, "flags": flags})
    emit(f"{response['flags']:#x}")
    return 0

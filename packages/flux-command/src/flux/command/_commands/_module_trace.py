"""``flux module trace``: showing the messages to and from modules as they pass."""

from __future__ import annotations

import argparse
import errno
import json
import signal
import sys
import time
from typing import Any

from flux.command._common import (
    CommandError,
    Parser,
    add_color_option,
    connect,
    emit,
    use_color,
)
from flux.constants import (
    FLUX_MSGTYPE_ANY,
    FLUX_MSGTYPE_CONTROL,
    FLUX_MSGTYPE_EVENT,
    FLUX_MSGTYPE_REQUEST,
    FLUX_MSGTYPE_RESPONSE,
    FLUX_RPC_STREAMING,
)

#: Types of messages by the names that options have for them.
TYPES = {
    "request": FLUX_MSGTYPE_REQUEST,
    "response": FLUX_MSGTYPE_RESPONSE,
    "event": FLUX_MSGTYPE_EVENT,
    "control": FLUX_MSGTYPE_CONTROL,
}
_MARKS = dict(zip(TYPES.values(), "><ec"))
_RESET, _TIME = "\033[0m", "\033[32m"
_FAILED = "\033[1m\033[31m"
_COLORS = {
    FLUX_MSGTYPE_REQUEST: "\033[1m\033[34m",
    FLUX_MSGTYPE_RESPONSE: "\033[36m",
    FLUX_MSGTYPE_EVENT: "\033[33m",
    FLUX_MSGTYPE_CONTROL: "\033[1m",
}


def declare(command: Parser) -> None:
    """Declare the arguments."""
    add = command.add_argument
    add("-f", "--full", action="store_true", help="show payloads that are JSON")
    add("-T", "--topic", default="*", metavar="GLOB", help="only messages with such a topic")
    add("-t", "--type", action="append", default=[], metavar="TYPE,...", help=", ".join(TYPES))
    add_color_option(command)
    add("names", metavar="MODULE", nargs="*", help="only to and from these")


def trace(args: argparse.Namespace) -> int:
    """Print messages until interrupted."""
    typemask = 0
    for word in ",".join(args.type).split(",") if args.type else ():
        if word not in TYPES:
            raise CommandError(f"valid types: {', '.join(TYPES)}")
        typemask |= TYPES[word]
    color = use_color(args.color)
    request = {
        "typemask": typemask or FLUX_MSGTYPE_ANY,
        "topic_glob": args.topic,
        "names": args.names,
        "full": args.full,
    }
    width = max(map(len, args.names), default=0)
    stream = connect().rpc("module.trace", request, flags=FLUX_RPC_STREAMING)
    signal.signal(signal.SIGTERM, lambda *_args: sys.exit(0))
    try:
        while True:
            emit(line(stream.get(), width, color))
            stream.reset()
    except KeyboardInterrupt:
        return 0
    except OSError as exc:
        raise CommandError(f"module.trace: {exc.strerror}") from None


def line(seen: dict[str, Any], width: int, color: bool) -> str:
    """Return what to print of a message.

    Args:
        seen: What the broker tells of it.
        width: How much room module names get.
        color: Whether to use colors.
    """
    kind, errnum = seen["type"], seen["errnum"]
    text = (
        f"{seen['name']:>{width}} {seen['prefix']} {_MARKS.get(kind, '?')} {seen['topic']} "
        f"[{seen['payload_size']}]"
    )
    if kind == FLUX_MSGTYPE_RESPONSE:
        text += f" {errno.errorcode.get(errnum, f'errno {errnum}') if errnum else 'success'}"
    if errnum:
        text += f"\n{seen['errstr']}" if seen["errstr"] else ""
    elif seen["payload"] is not None:
        text += f"\n{json.dumps(seen['payload'], indent=2, ensure_ascii=False)}"
    when = seen["timestamp"]
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(when)) + f".{int(when % 1 * 1e3):03}"
    if not color:
        return f"{stamp} {text}"
    return f"{_TIME}{stamp}{_RESET} {_FAILED if errnum else _COLORS.get(kind, '')}{text}{_RESET}"

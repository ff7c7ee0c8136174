"""``flux event``: publishing events, and printing those that are published."""

from __future__ import annotations

import argparse
import binascii
from typing import Callable

from flux.command._common import Parser, connect, emit
from flux.constants import FLUX_MSGFLAG_PRIVATE

HELP = "publish events, or print them"


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Publish an event, or print events as they are published."
    commands = parser.add_subparsers(dest="command", required=True, metavar="pub|sub")
    pub = commands.add_parser("pub", help="publish an event")
    pub.add_argument("-r", "--raw", action="store_true", help="the payload is not text")
    pub.add_argument(
        "-s", "--synchronous", action="store_true", help="wait for and print the sequence number"
    )
    pub.add_argument(
        "-l", "--loopback", action="store_true", help="wait until the event has come back"
    )
    pub.add_argument(
        "-p", "--private", action="store_true", help="only for this user and the owner"
    )
    pub.add_argument("topic")
    pub.add_argument("payload", nargs="*")
    pub.set_defaults(run=publish)
    sub = commands.add_parser("sub", help="print events")
    sub.add_argument("-c", "--count", type=int, default=0, metavar="N", help="exit after N events")
    sub.add_argument("topic", nargs="*", help="beginning of the topics; all events if none")
    sub.set_defaults(run=subscribe)
    return lambda args: args.run(args)


def publish(args: argparse.Namespace) -> int:
    """Publish an event."""
    handle = connect()
    event = handle.event_create(args.topic)
    if args.payload:
        text = " ".join(args.payload)
        # As JSON it is text, which ends in NUL.
        event.payload_bytes = text.encode("utf-8", "surrogateescape") + (b"" if args.raw else b"\0")
    event.private = args.private
    if args.loopback:
        handle.event_subscribe(args.topic)
    if args.synchronous:
        request = {
            "topic": event.topic,
            "flags": FLUX_MSGFLAG_PRIVATE if event.private else 0,
        }
        if event.data is not None:
            request["payload"] = binascii.b2a_base64(event.data, newline=False).decode()
        emit(f"seq={handle.rpc('event.publish', request, nodeid=0).get()['seq']}")
    else:
        handle.send(event)
    if args.loopback:
        while True:
            msg = handle.event_recv()
            if msg is not None and msg.topic == event.topic and msg.data == event.data:
                break
    return 0


def subscribe(args: argparse.Namespace) -> int:
    """Print events."""
    handle = connect()
    for topic in args.topic or [""]:
        handle.event_subscribe(topic)
    left = args.count
    while True:
        msg = handle.event_recv()
        if msg is None:
            continue
        text = (msg.data or b"").partition(b"\0")[0].decode("utf-8", "replace")
        emit(f"{msg.topic}\t{text}")
        left -= 1
        if left == 0:
            return 0

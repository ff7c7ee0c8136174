"""``flux relay``: what an ``ssh://`` URI runs on the broker's host.

Standard input and output become a connection to the broker's socket there.  The bytes are the
same on both sides, greeting included, so they are passed on as they are.
"""

from __future__ import annotations

import argparse
import os
import socket
import threading
from typing import Callable

from flux._connector import open_uri
from flux._uri import URI
from flux.command._common import CommandError, Parser

HELP = ""

#: Bytes to pass on at a time.
_SIZE = 1 << 16


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Relay messages between standard input and output and a local socket."
    parser.add_argument("path", help="the broker's socket")
    return command


def command(args: argparse.Namespace) -> int:
    """Connect, greet, and pass on what comes until either side ends."""
    try:
        connector = open_uri(URI("local", args.path))
    except OSError as exc:
        # Whoever reads this is on another host.
        raise CommandError(f"{socket.gethostname()}: {exc.strerror}") from None
    broker = socket.fromfd(connector.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
    connector.close()
    broker.setblocking(True)
    os.write(1, b"\0")
    # Two threads, so that neither direction waits for the other.  This one ends with the process.
    threading.Thread(target=_send, args=(broker,), daemon=True).start()
    _receive(broker)
    return 0


def _send(broker: socket.socket) -> None:
    try:
        while data := os.read(0, _SIZE):
            broker.sendall(data)
        broker.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # One of them is gone, and the other direction ends as well.


def _receive(broker: socket.socket) -> None:
    try:
        while data := broker.recv(_SIZE):
            view = memoryview(data)
            while view:
                view = view[os.write(1, view) :]
    except OSError:
        pass  # As above.

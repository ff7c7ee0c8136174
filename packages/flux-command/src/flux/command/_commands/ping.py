"""``flux ping``: measuring round trips to a service."""

from __future__ import annotations

import argparse
import os
import re
import time
from typing import Any, Callable

from flux.command._common import CommandError, Parser, connect, emit
from flux.constants import FLUX_NODEID_ANY, FLUX_NODEID_UPSTREAM
from flux.core.handle import Flux
from flux.rpc import RPC

HELP = "measure round-trip times to a service"

_SUFFIXES = {"": 1, "k": 1 << 10, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_NODEIDS = {"any": FLUX_NODEID_ANY, "upstream": FLUX_NODEID_UPSTREAM}


def setup(parser: Parser) -> Callable[[argparse.Namespace], int]:
    """Declare the arguments."""
    parser.description = "Send requests to the ping method of a service and time the responses."
    add = parser.add_argument
    add("-r", "--rank", help="where to find the service: a rank, a host, any or upstream")
    add("-p", "--pad", type=_size, default=0, metavar="N", help="send a string of N bytes along")
    add(
        "-i",
        "--interval",
        type=_seconds,
        default=1.0,
        metavar="S",
        help="seconds between requests",
    )
    add("-c", "--count", type=int, default=0, metavar="N", help="how many; no end if not given")
    add("-b", "--batch", action="store_true", help="send all, then look at the responses")
    add("-u", "--userid", action="store_true", help="print the credentials that were received")
    add("target", metavar="TARGET", help="a service, a rank, or RANK!SERVICE")
    return command


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d*)?)([kKMG]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size")
    return int(float(match[1]) * _SUFFIXES[match[2]])


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time")
    return float(match[1]) * {"ms": 1e-3, "m": 60.0}.get(match[2], 1.0)


def command(args: argparse.Namespace) -> int:
    """Send the requests."""
    if args.batch and not args.count:
        raise CommandError("--batch should only be used with --count")
    handle = connect()
    where, bang, service = args.target.rpartition("!")
    if bang and args.rank is not None:
        raise CommandError(f"both --rank and '{args.target}' name a rank")
    if not bang:
        where = args.rank
        if where is None and re.fullmatch(r"\d+", service):
            where, service = service, "broker"
    note = ""
    if where is None or where in _NODEIDS:
        nodeid = _NODEIDS[where or "any"]
    elif re.fullmatch(r"\d+", where):
        nodeid = int(where)
    elif where == handle.attr_get("hostlist"):
        # An instance of one broker has one host.
        nodeid, note = 0, " (rank 0)"
    else:
        raise CommandError(f"invalid nodeid/host: '{where}'")
    title = f"{'any' if where is None else where}!{service}"
    emit(f"flux-ping {title}{note}")
    pinger = _Pinger(handle, args, f"{service}.ping", nodeid)
    try:
        pinger.run()
    except OSError as exc:
        shown = f"{service}.ping" if where is None else f"{title}.ping"
        raise CommandError(f"{shown}: {os.strerror(exc.errno or 0)}") from None
    return 0


class _Pinger:
    """Sends requests at intervals, without waiting for the responses."""

    def __init__(self, handle: Flux, args: argparse.Namespace, topic: str, nodeid: int) -> None:
        self._handle = handle
        self._args = args
        self._topic = topic
        self._nodeid = nodeid
        self._sent = 0
        self._pad = "p" * args.pad
        self._batched: list[tuple[RPC, float]] = []
        self._timer = handle.timer_watcher_create(0.0, self._send, repeat=args.interval)

    def run(self) -> None:
        self._timer.start()
        self._handle.reactor_run()

    def _send(self, *_args: Any) -> None:
        args = self._args
        payload = {"seq": self._sent, "pad": self._pad}
        rpc = self._handle.rpc(self._topic, payload, self._nodeid)
        start = time.perf_counter()
        self._sent += 1
        done = self._sent == args.count
        if args.batch:
            self._batched.append((rpc, start))
        else:
            rpc.then(self._answered, start)
        if done:
            self._timer.stop()
            for batched, its_start in self._batched:
                batched.then(self._answered, its_start)
        elif not args.interval:
            self._timer.reset()

    def _answered(self, rpc: RPC, start: float) -> None:
        ms = (time.perf_counter() - start) * 1e3
        args = self._args
        response = rpc.get()
        who = f"userid={response['userid']} rolemask={response['rolemask']:#x} "
        emit(
            f"{response['rank']}!{self._topic} pad={args.pad} {who if args.userid else ''}"
            f"seq={response['seq']} time={ms:.3f} ms ({response['route']})",
        )

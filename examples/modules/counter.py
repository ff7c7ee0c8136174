"""A service with state: named counters, and statistics of its own.

flux module load counter.py
flux python -c 'import flux; print(flux.Flux().rpc("counter.add", {"name": "runs"}).get())'
flux module stats counter
"""

from __future__ import annotations

import errno
from collections import Counter
from typing import Any

from flux import Flux
from flux.brokermod import BrokerModule, request_handler
from flux.message import Message


def arguments(msg: Message) -> dict[str, Any]:
    """Return a request's payload, empty if it is not an object.

    What requesters do wrong must not raise: an exception would end the module.
    """
    try:
        payload = msg.payload
    except ValueError:
        return {}
    return payload if isinstance(payload, dict) else {}


class CounterModule(BrokerModule):
    """Counts by name; arguments ``NAME=VALUE`` set where to begin."""

    def __init__(self, h: Flux, *args: str) -> None:
        super().__init__(h, *args)
        self.counts: Counter[str] = Counter()
        self.requests = 0
        for arg in args:
            name, _, value = arg.partition("=")
            # A ValueError here is what a user sees who mistypes an argument of flux module load.
            self.counts[name] = int(value)

    @request_handler("add")
    def add(self, msg: Message) -> None:
        """Add to a counter: {"name": str, "by"?: int}."""
        self.requests += 1
        request = arguments(msg)
        name, by = request.get("name"), request.get("by", 1)
        if not isinstance(name, str) or not isinstance(by, int):
            self.handle.respond_error(msg, errno.EPROTO, "expected a name and a number")
            return
        self.counts[name] += by
        self.handle.respond(msg, {"value": self.counts[name]})

    @request_handler("get", allow_guest=True)
    def get(self, msg: Message) -> None:
        """Return all counters."""
        self.requests += 1
        self.handle.respond(msg, {"counts": self.counts})

    @request_handler("stats-get", allow_guest=True)
    def stats_get(self, msg: Message) -> None:
        """Return statistics in place of those that every module has."""
        self.handle.respond(msg, {"requests": self.requests, "counters": len(self.counts)})

    @request_handler("stats-clear")
    def stats_clear(self, msg: Message) -> None:
        """Begin the statistics anew."""
        self.requests = 0
        self.handle.respond(msg)

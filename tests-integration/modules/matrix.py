"""The broker module of the scenarios."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from flux.brokermod import BrokerModule, event_handler, request_handler
from flux.message import Message


class Matrix(BrokerModule):
    """Answers who it is, calls others, takes events and publishes its own."""

    def __init__(self, h: Any, *args: str) -> None:
        if "fail" in args:
            raise ValueError("told to fail")
        super().__init__(h, *args)
        self.seen: list[Any] = []

    @request_handler("info")
    def info(self, msg: Message) -> None:
        """Answer who the module is."""
        answer = {
            "name": self.name,
            "args": self.args,
            "pid": os.getpid(),
            "rank": self.handle.get_rank(),
            "python": sys.version_info[:3],
        }
        self.handle.respond(msg, answer)

    @request_handler("relay")
    async def relay(self, msg: Message) -> None:
        """Ask another service, without keeping anybody waiting."""
        request: Any = msg.payload
        self.handle.respond(msg, await self.handle.rpc(request["topic"], request["payload"]))

    @request_handler("both")
    async def both(self, msg: Message) -> None:
        """Await two things at a time."""
        ping = [self.handle.rpc("broker.ping", {"seq": n}) for n in (1, 2)]

        async def seq(number: int) -> Any:
            return (await ping[number])["seq"]

        self.handle.respond(msg, {"seqs": await asyncio.gather(seq(0), seq(1))})

    @event_handler("tell")
    def tell(self, msg: Message) -> None:
        """Take an event, and say so."""
        self.seen.append(msg.payload)
        self.handle.event_send(f"{self.name}.told", {"seen": self.seen})

    @request_handler("debugged")
    def debugged(self, msg: Message) -> None:
        """Answer whether a debug bit is set."""
        self.handle.respond(msg, {"debugged": self.debug_test(0x10)})

    @request_handler("crash")
    def crash(self, msg: Message) -> None:
        """End with an error."""
        self.handle.respond(msg)
        raise RuntimeError("told to crash")

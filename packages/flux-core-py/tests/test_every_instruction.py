"""Whatever comes at whatever instruction, a handle goes on: nothing is lost, doubled or left."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

import flux
from flux.constants import FLUX_MSGTYPE_EVENT, FLUX_MSGTYPE_REQUEST, FLUX_RPC_STREAMING
from flux.message import Message
from instructions import LONG, Interrupted, Scenario, echo, interferences, report, sweep

__all__ = ["echo"]

# What is interrupted before a new socket has an owner leaves it to the garbage collector, which
# closes it and warns.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"
)


class Call(Scenario):
    """An RPC and its get."""

    def prepare(self) -> None:
        self.got: list[Any] = []

    def act(self) -> None:
        self.got.append(self.handle.rpc("e.x", {"n": 1}).get())

    def check(self) -> None:
        assert self.got in ([], [{"n": 1}])


class Kept(Scenario):
    """The get of an RPC that is kept."""

    def prepare(self) -> None:
        self.rpc = self.handle.rpc("e.x", {"n": 1})

    def act(self) -> None:
        self.rpc.get()

    def check(self) -> None:
        assert self.rpc.get() == {"n": 1}
        del self.rpc


class Many(Scenario):
    """64 RPCs in flight."""

    def prepare(self) -> None:
        self.rpcs: list[Any] = [self.handle.rpc("e.x", {"n": n}) for n in range(62)]

    def act(self) -> None:
        for n in range(62, 64):
            self.rpcs.append(self.handle.rpc("e.x", {"n": n}))
        for rpc in self.rpcs:
            rpc.get()

    def check(self) -> None:
        assert [rpc.get() for rpc in self.rpcs] == [{"n": n} for n in range(len(self.rpcs))]
        self.rpcs.clear()


class Stream(Scenario):
    """A stream."""

    def prepare(self) -> None:
        self.rpc = self.handle.rpc("e.stream", flags=FLUX_RPC_STREAMING)
        self.got: list[int] = []

    def act(self) -> None:
        for response in self.rpc:
            self.got.append(response["n"])

    def finish(self) -> None:
        for response in self.rpc:
            self.got.append(response["n"])

    def check(self) -> None:
        # What was on its way to the caller when the exception came may be lost to him.
        assert self.got == sorted(set(self.got)), self.got
        assert len(self.got) >= 4, self.got
        del self.rpc


class Long(Scenario):
    """A message sent and received in parts."""

    def prepare(self) -> None:
        self.rpcs: list[Any] = []

    def act(self) -> None:
        self.rpcs.append(self.handle.rpc("e.x", {"pad": LONG}))
        self.rpcs[0].get()

    def check(self) -> None:
        for rpc in self.rpcs:
            assert rpc.get() == {"pad": LONG}
        self.rpcs.clear()


class Events(Scenario):
    """Events, to a watcher."""

    def prepare(self) -> None:
        self.got: list[Message] = []
        self.watcher = self.handle.msg_watcher_create(
            lambda h, w, msg, a: self.got.append(msg), FLUX_MSGTYPE_EVENT, "n.*"
        )
        self.watcher.start()
        self.rpc = self.handle.rpc("e.events").then(lambda f: self.handle.reactor_stop())

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        while len(self.got) < 5:
            self.handle.reactor_run(flags=2)

    def check(self) -> None:
        self.watcher.stop()
        self.handle.reactor_run()
        assert [msg.payload["n"] for msg in self.got] == [0, 1, 2, 3, 4]
        del self.watcher, self.rpc


class Subscription(Scenario):
    """Subscribing, and unsubscribing."""

    def act(self) -> None:
        self.handle.event_subscribe("n.")
        self.handle.event_unsubscribe("n.")


class Receiving(Scenario):
    """Events, to a call that waits."""

    def prepare(self) -> None:
        self.handle.rpc("e.events").get()
        self.got: list[int] = []

    def act(self) -> None:
        while len(self.got) < 5:
            self.got.append(self.handle.event_recv().payload["n"])

    def finish(self) -> None:
        self.handle.rpc("e.events").get()
        while len(self.got) < 9 or self.got[-1] != 4:
            self.got.append(self.handle.event_recv().payload["n"])

    def check(self) -> None:
        # What was on its way to the caller when the exception came may be lost to him.
        assert self.got[-5:] == [0, 1, 2, 3, 4]
        first = self.got[:-5]
        assert first == sorted(set(first)), first
        assert len(first) >= 4, first


class Answer(Scenario):
    """A service's answers."""

    def prepare(self) -> None:
        self.echo.seen.clear()
        self.got: list[Message] = []

        def answer(handle: Any, watcher: Any, msg: Message, args: Any) -> None:
            self.got.append(msg)
            handle.respond(msg, msg.payload)

        self.watcher = self.handle.msg_watcher_create(answer, FLUX_MSGTYPE_REQUEST, "mine.*")
        self.watcher.start()
        self.rpc = self.handle.rpc("e.call").then(lambda f: self.handle.reactor_stop())

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        while len(self.got) < 3:
            self.handle.reactor_run(flags=2)

    def check(self) -> None:
        self.watcher.stop()
        self.handle.reactor_run()
        self.handle.rpc("e.x").get()
        assert [msg.payload["n"] for msg in self.got] == [0, 1, 2]
        answers = [msg for msg in self.echo.seen if msg.topic == "mine.echo"]
        # One that was being made when the exception came may not have been.
        tags = [msg.matchtag for msg in answers]
        assert tags == sorted(set(tags)), tags
        assert len(tags) >= 2, tags
        del self.watcher, self.rpc


class Continuations(Scenario):
    """Continuations of 16 RPCs."""

    def prepare(self) -> None:
        self.got: list[Any] = []
        self.rpcs = [self.handle.rpc("e.x", {"n": n}).then(self.got.append) for n in range(16)]

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        self.handle.reactor_run()

    def check(self) -> None:
        assert self.got == self.rpcs
        assert [rpc.get()["n"] for rpc in self.rpcs] == list(range(16))
        self.rpcs.clear()
        self.got.clear()


class StreamThen(Scenario):
    """A stream, to a continuation."""

    def prepare(self) -> None:
        self.got: list[int] = []
        self.ended = 0

        def more(rpc: Any) -> None:
            try:
                n = rpc.get()["n"]
            except OSError:
                self.ended += 1
                return
            if not self.got or self.got[-1] != n:
                self.got.append(n)
            rpc.reset()

        self.more = more
        self.rpc = self.handle.rpc("e.stream", flags=FLUX_RPC_STREAMING).then(more)

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        # The continuation may have been cut short before it asked for more.
        while not self.ended:
            if not self.rpc._armed:
                self.more(self.rpc)
            self.handle.reactor_run()

    def check(self) -> None:
        assert self.ended == 1
        assert self.got == sorted(set(self.got)), self.got
        assert len(self.got) >= 4, self.got
        del self.rpc


class Timers(Scenario):
    """Timers, once and repeated."""

    def prepare(self) -> None:
        self.once: list[int] = []
        self.often: list[int] = []
        self.timers = [
            self.handle.timer_watcher_create(0, lambda *a: self.once.append(1)),
            self.handle.timer_watcher_create(0, self.repeated, repeat=0.0001),
        ]
        for timer in self.timers:
            timer.start()

    def repeated(self, *_args: Any) -> None:
        self.often.append(1)
        if len(self.often) >= 3:
            self.timers[1].stop()

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        self.handle.reactor_run()
        # The last call may have been cut short in the middle of `stop`.
        self.timers[1].stop()

    def check(self) -> None:
        assert self.once == [1]
        assert len(self.often) in (3, 4), self.often
        self.timers.clear()


class Starting(Scenario):
    """Watchers of all kinds, started and stopped."""

    def prepare(self) -> None:
        h = self.handle
        self.pipe = os.pipe()
        self.watchers = [
            h.timer_watcher_create(60, lambda *a: None),
            h.fd_watcher_create(self.pipe[0], lambda *a: None, 1),
            h.msg_watcher_create(lambda *a: None, FLUX_MSGTYPE_EVENT, "z.*"),
            h.prepare_watcher_create(lambda *a: None),
            h.idle_watcher_create(lambda *a: None),
            h.signal_watcher_create(10, lambda *a: None),
        ]

    def act(self) -> None:
        for watcher in self.watchers:
            watcher.start()
        for watcher in self.watchers:
            watcher.stop()

    def check(self) -> None:
        for watcher in self.watchers:
            watcher.start()
        assert self.handle.get_reactor().active() == len(self.watchers)
        for watcher in self.watchers:
            watcher.stop()
        assert self.handle.get_reactor().active() == 0
        assert self.handle.reactor_run() == 0
        for fd in self.pipe:
            os.close(fd)
        self.watchers.clear()


class Timeout(Scenario):
    """A wait whose time runs out."""

    def act(self) -> None:
        rpc = flux.Flux("loop://")
        with pytest.raises(OSError, match="timed out"):
            rpc.rpc("a.b").wait_for(0.0001)


class Opening(Scenario):
    """Opening and closing a handle."""

    def act(self) -> None:
        handle: Any
        with flux.Flux("loop://") as handle:
            handle.event_send("a.b")
            assert handle.recv().topic == "a.b"


class Awaiting(Scenario):
    """RPCs that are awaited, and events meanwhile."""

    def prepare(self) -> None:
        self.messages: list[Message] = []
        self.got: list[Any] = []
        self.watcher = self.handle.msg_watcher_create(
            lambda h, w, msg, a: self.messages.append(msg), FLUX_MSGTYPE_EVENT, "n.*"
        )
        self.watcher.start()

    async def main(self) -> None:
        self.got.append(await self.handle.rpc("e.events"))
        self.got += await asyncio.gather(*(self.handle.rpc("e.x", {"n": n}) for n in range(4)))

    def act(self) -> None:
        loop = asyncio.new_event_loop()
        # What is raised in a callback is for this; it would keep the traceback.
        loop.set_exception_handler(lambda *_args: None)
        try:
            loop.run_until_complete(self.main())
        except Interrupted:
            # A program that goes on ends what it has begun, as asyncio.run() does.
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks))
            raise
        finally:
            loop.close()

    def finish(self) -> None:
        async def again() -> None:
            await self.handle.rpc("e.x")

        asyncio.run(again())

    def check(self) -> None:
        self.handle.reactor_run(flags=1)
        self.watcher.stop()
        numbers = [msg.payload["n"] for msg in self.messages]
        assert numbers in ([0, 1, 2, 3, 4], []), numbers
        assert numbers or not self.got
        driver = getattr(self.handle._session.wake, "__self__", None)
        if driver is not None:
            driver.detach()
        del self.watcher
        self.messages.clear()


SCENARIOS = [
    Call, Kept, Many, Stream, Long, Events, Subscription, Receiving, Answer, Continuations,
    StreamThen, Timers, Starting, Timeout, Opening, Awaiting,
]  # fmt: skip


@interferences
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda cls: cls.__name__)
def test_a_handle_goes_on(echo, scenario, interfere):
    report(scenario, sweep(echo, scenario, interfere))

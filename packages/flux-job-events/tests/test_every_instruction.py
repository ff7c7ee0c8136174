"""Whatever comes at whatever instruction, a watch goes on: no event is lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest

import flux.job
from instructions import Scenario, echo, interferences, report, sweep

__all__ = ["echo"]

EVENTS = ["e0", "e1", "e2", "e3", "e4"]


class Watching(Scenario):
    """A watch of an eventlog."""

    def prepare(self) -> None:
        self.watch = flux.job.event_watch_async(self.handle, 1)
        self.got: list[str] = []

    def act(self) -> None:
        while (event := self.watch.get_event()) is not None:
            self.got.append(event.name)

    def finish(self) -> None:
        self.act()

    def check(self) -> None:
        # The one on its way to the caller when the exception came may be lost to him.
        missing = [name for name in EVENTS if name not in self.got]
        assert self.got == [name for name in EVENTS if name not in missing], self.got
        assert len(missing) <= 1, self.got
        del self.watch


class Generating(Scenario):
    """A watch as a generator, to its end."""

    def act(self) -> None:
        self.got: list[Any] = []
        with flux.job.event_watch(self.handle, 1) as watch:
            for event in watch:
                self.got.append(event)

    def check(self) -> None:
        assert [event.name for event in self.got] == EVENTS[: len(self.got)]


@interferences
@pytest.mark.parametrize("scenario", [Watching, Generating], ids=lambda cls: cls.__name__)
def test_a_watch_goes_on(echo, scenario, interfere):
    report(scenario, sweep(echo, scenario, interfere))

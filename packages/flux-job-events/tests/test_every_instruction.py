"""Whatever comes at whatever instruction, a watch goes on: no event is lost or doubled."""

from __future__ import annotations

import errno
from typing import Any

import pytest

import flux.job
from flux.job._reading import EventsFuture
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


class Both(EventsFuture):
    """The events of one eventlog, from the third on those of another, and how many there were."""

    def _read(self, eventlog: str, event: flux.job.EventLogEvent) -> list[Any]:
        self._changes["count"] = self._known("count", 0) + 1
        if event.name == "e2":
            self._begin("second")
        return [(eventlog, event.name)]

    def _failed(self, eventlog: str, exc: OSError) -> list[Any]:
        self._changes[eventlog] = True
        ended = self._known("first") and self._known("second")
        return [("end", self._known("count"))] if ended else []


class Reading(Scenario):
    """A future that is made of two eventlogs."""

    def prepare(self) -> None:
        self.future = Both(self.handle, 1)
        self.future._begin("first")
        self.got: list[Any] = []

    def act(self) -> None:
        while not self.got or self.got[-1][0] != "end":
            item = self.future.get()
            self.future.reset()
            self.got.append(item)

    def finish(self) -> None:
        try:
            self.act()
        except OSError as exc:
            # The end was on its way to the caller when the exception came.
            if exc.errno != errno.EDEADLK:
                raise

    def check(self) -> None:
        for eventlog in ("first", "second"):
            got = [name for where, name in self.got if where == eventlog]
            assert got == [name for name in EVENTS if name in got], self.got
        assert self.got[-1] == ("end", 10) or len(self.got) == 10, self.got
        assert len(self.got) >= 10, self.got
        del self.future


@interferences
@pytest.mark.parametrize("scenario", [Watching, Generating, Reading], ids=lambda cls: cls.__name__)
def test_a_watch_goes_on(echo, scenario, interfere):
    report(scenario, sweep(echo, scenario, interfere))

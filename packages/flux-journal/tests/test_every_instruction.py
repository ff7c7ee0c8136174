"""Whatever comes at whatever instruction, a journal goes on: no event is lost or doubled."""

from __future__ import annotations

from typing import Any

import pytest

from flux.abc import JournalConsumerBase, JournalEventBase
from instructions import Scenario, echo, interferences, report, sweep

__all__ = ["echo"]

EVENTS = ["e1", "e2", "e0", "e3", "e4", "e5"]


class Consumer(JournalConsumerBase):
    """A consumer of the journal of `instructions.Echo`."""

    def __init__(self, handle: Any) -> None:
        super().__init__(handle, "e.journal", include_sentinel=False)

    def is_empty_response(self, resp: Any) -> bool:
        return not resp["events"]

    def process_response(self, resp: Any) -> dict[str, Any]:
        return {}

    def create_event(self, entry: dict[str, Any], **_kw: Any) -> JournalEventBase:
        return JournalEventBase(entry)


class Polling(Scenario):
    """A journal, asked for one event after the other."""

    def prepare(self) -> None:
        self.consumer = Consumer(self.handle).start()
        self.got: list[str] = []

    def act(self) -> None:
        while (event := self.consumer.poll()) is not None:
            self.got.append(event.name)

    def finish(self) -> None:
        self.act()

    def check(self) -> None:
        # The one on its way to the caller when the exception came may be lost to him.
        missing = [name for name in EVENTS if name not in self.got]
        assert self.got == [name for name in EVENTS if name not in missing], self.got
        assert len(missing) <= 1, self.got
        del self.consumer


class CallingBack(Scenario):
    """A journal, by callback."""

    def prepare(self) -> None:
        self.got: list[Any] = []
        self.consumer = Consumer(self.handle).set_callback(self.got.append).start()

    def act(self) -> None:
        self.handle.reactor_run()

    def finish(self) -> None:
        while not self.got or self.got[-1] is not None:
            self.handle.reactor_run(flags=2)
        self.handle.reactor_run()

    def check(self) -> None:
        assert [event and event.name for event in self.got] == [*EVENTS, None]
        del self.consumer
        self.got.clear()


class Starting(Scenario):
    """A journal that is started and given up."""

    def act(self) -> None:
        with Consumer(self.handle):
            pass


@interferences
@pytest.mark.parametrize("scenario", [Polling, CallingBack, Starting], ids=lambda cls: cls.__name__)
def test_a_journal_goes_on(echo, scenario, interfere):
    report(scenario, sweep(echo, scenario, interfere))

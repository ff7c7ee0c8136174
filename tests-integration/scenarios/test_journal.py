from __future__ import annotations

import asyncio

import flux.job
from flux import Flux
from flux.job import event_wait
from flux.job.journal import JournalConsumer, JournalEvent
from harness.cell import Cell
from harness.jobs import jobspec

#: Events that every job which ends well has, in this order.
LIFE = ["submit", "depend", "priority", "alloc", "start", "finish", "release", "free", "clean"]


def test_the_past_of_a_job(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    event_wait(handle, jobid, "clean")
    names = []
    with JournalConsumer(handle, include_sentinel=True) as consumer:
        for event in consumer:
            assert isinstance(event, JournalEvent)
            if event.is_empty():
                break
            if event.jobid == jobid:
                names.append(event.name)
    assert [name for name in names if name in LIFE] == LIFE


def test_the_present(cell: Cell, handle: Flux) -> None:
    with cell.connect() as other, JournalConsumer(handle, full=False) as consumer:
        jobid = flux.job.submit(other, jobspec("true"))
        events = []
        for event in consumer:
            assert isinstance(event, JournalEvent)
            if event.jobid == jobid:
                events.append(event)
                if event.name == "clean":
                    break
    assert [event.name for event in events if event.name in LIFE] == LIFE
    assert events[0].jobspec is not None
    assert events[0].jobspec["tasks"][0]["command"] == ["true"]
    resources = next(event.R for event in events if event.name == "alloc")
    assert resources is not None
    assert resources["version"] == 1


def test_callbacks(cell: Cell, handle: Flux) -> None:
    with cell.connect() as other:
        jobid = flux.job.submit(other, jobspec("true"))
    names: list[str] = []

    def collect(event: JournalEvent | None) -> None:
        if event is not None and event.jobid == jobid:
            names.append(event.name)
            if event.name == "clean":
                consumer.stop()

    consumer = JournalConsumer(handle)
    consumer.set_callback(collect).start()
    handle.reactor_run()
    assert [name for name in names if name in LIFE] == LIFE


def test_async_for(cell: Cell) -> None:
    async def main() -> list[str]:
        names = []
        with cell.connect() as handle:
            async with JournalConsumer(handle) as consumer:
                jobid = await flux.job.submit_async(handle, jobspec("true"))
                async for event in consumer:
                    assert isinstance(event, JournalEvent)
                    if event.jobid == jobid:
                        names.append(event.name)
                        if event.name == "clean":
                            break
        return names

    names = asyncio.run(main())
    assert [name for name in names if name in LIFE] == LIFE

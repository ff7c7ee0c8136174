from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest

import flux.job
from flux import Flux
from flux.job import event_wait, event_watch, event_watch_async
from harness.cell import Cell
from harness.jobs import jobspec


def test_the_events_of_a_life(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    events = list(event_watch(handle, jobid))
    names = [event.name for event in events]
    order = ["submit", "depend", "priority", "alloc", "start", "finish", "release", "free", "clean"]
    assert [name for name in names if name in order] == order
    assert events[0].context["urgency"] == 16
    times = [event.timestamp for event in events]
    assert times == sorted(times)


def test_an_eventlog_is_followed_as_it_grows(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("sleep", "inf"))
    names = []
    for event in event_watch(handle, jobid):
        names.append(event.name)
        if event.name == "start":
            flux.job.cancel(handle, jobid)
    assert names[-1] == "clean"
    assert "exception" in names


def test_waiting_for_one_event(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    assert event_wait(handle, jobid, "start").name == "start"
    # Once more: it is in the past now.
    assert event_wait(handle, jobid, "start").name == "start"
    event_wait(handle, jobid, "clean")


def test_an_event_that_never_comes(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    with pytest.raises(OSError, match="nonesuch") as caught:
        event_wait(handle, jobid, "nonesuch")
    assert caught.value.errno == errno.ENODATA


def test_watching_with_callbacks(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    names: list[str] = []

    def collect(future: Any) -> None:
        event = future.get_event()
        if event is not None:
            names.append(event.name)

    event_watch_async(handle, jobid).then(collect)
    handle.reactor_run()
    assert names[0] == "submit"
    assert names[-1] == "clean"


def test_other_eventlogs(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    event_wait(handle, jobid, "start")
    names = [event.name for event in event_watch(handle, jobid, "guest.exec.eventlog")]
    assert "shell.start" in names
    event_wait(handle, jobid, "clean")


def test_a_watch_is_given_up(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("sleep", "inf"))
    with event_watch(handle, jobid) as watch:
        assert next(watch).name == "submit"
    flux.job.cancel(handle, jobid)
    event_wait(handle, jobid, "clean", raiseJobException=False)


def test_a_job_that_does_not_exist(handle: Flux) -> None:
    with pytest.raises(OSError, match=r"\w") as caught:
        list(event_watch(handle, 1))
    assert caught.value.errno == errno.ENOENT


def test_two_at_a_time_under_asyncio(cell: Cell) -> None:
    async def main() -> list[list[str]]:
        with cell.connect() as handle:

            async def names(jobid: int) -> list[str]:
                return [event.name async for event in event_watch(handle, jobid)]

            futures = [flux.job.submit_async(handle, jobspec("true")) for _ in range(2)]
            return await asyncio.gather(*[names(await future) for future in futures])

    for names in asyncio.run(main()):
        assert names[-1] == "clean"

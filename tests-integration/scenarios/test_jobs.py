from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest

import flux.job
from flux import Flux
from flux.job import JobException, JobID, event_wait
from flux.job.wait import wait
from harness.cell import Cell
from harness.jobs import jobspec, wait_output


def test_a_job_runs_to_its_end(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"), waitable=True)
    assert event_wait(handle, jobid, "clean").name == "clean"
    assert wait(handle, jobid) == (jobid, True, "")
    listed = handle.rpc("job-list.list-id", {"id": int(jobid), "attrs": ["all"]}).get()["job"]
    # Inactive, and completed.
    assert (listed["state"], listed["result"]) == (64, 1)


def test_a_job_that_fails_says_so(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("sh", "-c", "exit 3"), waitable=True)
    assert event_wait(handle, jobid, "finish").context["status"] == 3 << 8
    result = wait(handle, jobid)
    assert not result.success
    assert "3" in result.errstr


def test_its_output(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("sh", "-c", "echo out; echo err >&2"))
    wait_output(handle, jobid)
    output = [
        (event.context["stream"], event.context["data"])
        for event in flux.job.event_watch(handle, jobid, "guest.output")
        if "data" in event.context
    ]
    assert sorted(output) == [("stderr", "err\n"), ("stdout", "out\n")]
    event_wait(handle, jobid, "clean")


def test_its_environment(handle: Flux) -> None:
    spec = jobspec("sh", "-c", 'test "$FLUX_JOB_ID" && test "$WORD" = hello', WORD="hello")
    jobid = flux.job.submit(handle, spec, waitable=True)
    assert wait(handle, jobid).success
    event_wait(handle, jobid, "clean")


def test_many_jobs(handle: Flux) -> None:
    futures = [flux.job.submit_async(handle, jobspec("true"), waitable=True) for _ in range(10)]
    submitted = [future.get_id() for future in futures]
    ended = {wait(handle).jobid for _ in submitted}
    assert ended == set(submitted)
    for jobid in submitted:
        event_wait(handle, jobid, "clean")


def test_a_job_is_cancelled(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("sleep", "inf"), waitable=True)
    event_wait(handle, jobid, "start")
    flux.job.cancel(handle, jobid, "enough")
    with pytest.raises(JobException, match="enough"):
        event_wait(handle, jobid, "clean")
    event_wait(handle, jobid, "clean", raiseJobException=False)
    assert not wait(handle, jobid).success


def test_a_pending_job_is_cancelled(handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"), urgency=0)
    flux.job.cancel(handle, jobid)
    events = [event.name for event in flux.job.event_watch(handle, jobid)]
    assert "start" not in events
    assert events[-1] == "clean"


def test_a_signal_reaches_the_tasks(handle: Flux) -> None:
    script = "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done"
    jobid = flux.job.submit(handle, jobspec("sh", "-c", script))
    wait_output(handle, jobid)
    event_wait(handle, jobid, "data", "guest.output")
    flux.job.kill(handle, jobid, signal.SIGUSR1)
    assert event_wait(handle, jobid, "finish").context["status"] == 5 << 8
    event_wait(handle, jobid, "clean")


def test_a_jobspec_that_is_wrong(handle: Flux) -> None:
    spec = jobspec("true")
    del spec["tasks"]
    with pytest.raises(OSError, match="tasks"):
        flux.job.submit(handle, spec)


def test_more_than_there_is(handle: Flux) -> None:
    spec = jobspec("true")
    spec["resources"][0]["with"][0]["count"] = 100_000
    jobid = flux.job.submit(handle, spec)
    with pytest.raises(JobException, match="alloc"):
        event_wait(handle, jobid, "clean")


def test_submitting_under_asyncio(cell: Cell) -> None:
    async def main() -> list[Any]:
        with cell.connect() as handle:
            jobid = await flux.job.submit_async(handle, jobspec("true"))
            return [event.name async for event in flux.job.event_watch(handle, jobid)]

    names = asyncio.run(main())
    assert names[0] == "submit"
    assert names[-1] == "clean"


def test_a_job_id_means_the_same_to_the_command(cell: Cell, handle: Flux) -> None:
    jobid = flux.job.submit(handle, jobspec("true"))
    event_wait(handle, jobid, "clean")
    shown = cell.command("job", "id", "--to=f58", str(int(jobid))).stdout.strip()
    assert JobID(shown) == jobid
    assert jobid.f58 == shown

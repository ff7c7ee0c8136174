"""JobPool on a broker."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Callable

import pytest

from flux.devbroker import Broker
from flux.job import JobPool

Command = Callable[..., dict[str, Any]]


def test_run(broker: Broker, jobspec: Command) -> None:
    async def main() -> None:
        with broker.handle() as handle:
            async with JobPool(handle) as pool:
                assert await pool.run(jobspec("sh", "-c", "exit 3")) == 3
                with pytest.raises(OSError, match="jobspec"):
                    await pool.run(None)

    asyncio.run(main())


def test_results_come_as_jobs_end_within_the_limit(broker: Broker, jobspec: Command) -> None:
    taken = []

    def jobs():
        for code in range(6):
            taken.append(code)
            yield jobspec("sh", "-c", f"exit {code}")

    async def main() -> None:
        with broker.handle() as handle:
            async with JobPool(handle, limit=2) as pool:
                results = {}
                async for number, status in pool.as_completed(jobs()):
                    results[number] = status
                    assert len(taken) - len(results) <= 2
                assert results == {n: n for n in range(6)}

    asyncio.run(main())


def test_an_error_is_a_result_among_others(broker: Broker, jobspec: Command) -> None:
    async def main() -> None:
        with broker.handle() as handle:
            async with JobPool(handle) as pool:
                found = {n: r async for n, r in pool.as_completed([None, jobspec("true")])}
            assert isinstance(found[0], OSError)
            assert found[1] == 0

    asyncio.run(main())


def test_cancelling_the_task_cancels_the_job(
    broker: Broker, jobspec: Command, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def main() -> None:
        with broker.handle() as handle:
            async with JobPool(handle) as pool:
                script = f"exec 3>{fifo}; echo begun >&3; exec sleep inf"
                task = pool.run(jobspec("sh", "-c", script))
                with await asyncio.to_thread(fifo.open) as job:
                    assert await asyncio.to_thread(job.readline) == "begun\n"
                    task.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await task
                    # The end of the job's process closes the other end.
                    assert await asyncio.to_thread(job.read) == ""

    asyncio.run(main())


def test_an_exception_in_the_block_cancels_what_runs(broker: Broker, jobspec: Command) -> None:
    async def main() -> asyncio.Task[int]:
        with broker.handle() as handle:
            try:
                async with JobPool(handle) as pool:
                    task: asyncio.Task[int] = pool.run(jobspec("sleep", "inf"))
                    await asyncio.sleep(0)
                    raise ZeroDivisionError
            except ZeroDivisionError:
                return task

    assert asyncio.run(main()).cancelled()


def test_outside_of_the_block(broker: Broker, jobspec: Command) -> None:
    with pytest.raises(RuntimeError, match="async with"):
        JobPool().run(jobspec("true"))
    with pytest.raises(ValueError, match="at least one"):
        JobPool(limit=0)

"""Jobs of an asyncio program: `JobPool`."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from flux.core.handle import Flux
from flux.job._ends import exit_status
from flux.job._jobid import JobID
from flux.job.event import event_watch
from flux.job.kill import cancel_async
from flux.job.submit import submit_async

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["JobPool"]


class JobPool:
    """Runs jobs, so many of them at a time, for a program with asyncio.

    As an asynchronous context manager it waits on exit for the jobs begun with `run`; where the
    block ends with an exception it cancels them first.

    Example:
        >>> async with JobPool(limit=1000) as pool:
        ...     print(await pool.run(jobspec))
        ...     async for number, status in pool.as_completed(jobspecs):
        ...         print(number, status)

    Args:
        flux_handle: The handle, which stays the caller's; None: one of the pool's own.
        limit: How many jobs may be submitted and not ended at any time.

    Raises:
        ValueError: The limit is less than one.
    """

    def __init__(self, flux_handle: Flux | None = None, limit: int = 1000) -> None:
        if limit < 1:
            raise ValueError(f"a pool runs at least one job at a time, not {limit}")
        self._given = flux_handle
        self._limit = limit
        self._handle: Flux | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._handle = Flux() if self._given is None else self._given
        # Here, as on Python 3.9 it takes the event loop that is current when it is made.
        self._slots = asyncio.Semaphore(self._limit)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        handle, self._handle = self._handle, None
        try:
            await self._end(self._tasks, exc is not None)
        finally:
            if self._given is None and handle is not None:
                handle.__exit__(exc_type, exc, tb)

    @staticmethod
    async def _end(tasks: set[asyncio.Task[Any]], cancel: bool) -> None:
        remaining = set(tasks)
        if cancel:
            for task in remaining:
                task.cancel()
        if remaining:
            try:
                await asyncio.wait(remaining)
            except asyncio.CancelledError:
                for task in remaining:
                    task.cancel()
                await asyncio.wait(remaining)
                raise

    def run(self, jobspec: Any, **kwargs: Any) -> asyncio.Task[int]:
        """Submit a job once there is room, and wait for its end.

        Args:
            jobspec: The job, as `flux.job.submit_async` takes it.
            kwargs: Its keyword arguments, such as ``urgency``.

        Returns:
            A task, to be awaited: the highest exit status of the job's processes, or minus the
            number of the signal that ended it.  Cancelling the task cancels the job.

        Raises:
            RuntimeError: Outside of ``async with``.  Awaiting the task raises `JobException`, the
                job had a fatal exception, and the errors of `flux.job.submit`.
        """
        if self._handle is None:
            raise RuntimeError("a JobPool runs jobs only inside `async with`")
        task = asyncio.ensure_future(self._run(self._handle, jobspec, kwargs))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, handle: Flux, jobspec: Any, kwargs: dict[str, Any]) -> int:
        async with self._slots:
            # What has been sent is not taken back: a task that is cancelled here needs the id.
            submission = asyncio.ensure_future(_submitted(handle, jobspec, kwargs))
            try:
                jobid = await asyncio.shield(submission)
                return await _result(handle, jobid)
            except asyncio.CancelledError:
                await asyncio.wait([submission])
                if submission.exception() is None:
                    await _cancel(handle, submission.result())
                raise

    async def as_completed(
        self, jobspecs: Iterable[Any], **kwargs: Any
    ) -> AsyncIterator[tuple[int, int | Exception]]:
        """Run jobs and tell of each when it ends; ended early, it cancels those that remain.

        Args:
            jobspecs: The jobs.  No more of them are taken than may be in flight.
            kwargs: Keyword arguments of `flux.job.submit_async`.

        Yields:
            The number of the jobspec, from 0 on, and the job's result as `run` has it or the
            exception that it has instead.
        """
        numbered: Iterator[tuple[int, Any]] = enumerate(jobspecs)
        ended: asyncio.Queue[tuple[int, asyncio.Task[int]]] = asyncio.Queue()
        running: set[asyncio.Task[Any]] = set()

        def begin() -> None:
            for number, jobspec in numbered:
                task = self.run(jobspec, **kwargs)
                running.add(task)
                task.add_done_callback(partial(tell, number))
                if len(running) >= self._limit:
                    return

        def tell(number: int, task: asyncio.Task[int]) -> None:
            ended.put_nowait((number, task))

        try:
            begin()
            while running:
                number, task = await ended.get()
                running.discard(task)
                begin()
                exc = task.exception()
                if exc is not None and not isinstance(exc, Exception):
                    raise exc
                yield number, task.result() if exc is None else exc
        finally:
            await self._end(running, cancel=True)


async def _submitted(handle: Flux, jobspec: Any, kwargs: dict[str, Any]) -> JobID:
    jobid: JobID = await submit_async(handle, jobspec, **kwargs)
    return jobid


async def _result(handle: Flux, jobid: JobID) -> int:
    with event_watch(handle, jobid) as watch:
        async for event in watch:
            status = exit_status(event)
            if status is not None:
                return status
    raise OSError(errno.ENODATA, f"the eventlog of job {jobid} ended without a result")


async def _cancel(handle: Flux, jobid: JobID) -> None:
    try:
        await cancel_async(handle, jobid, "the task that ran it was cancelled")
    except FileNotFoundError:
        pass  # it has ended meanwhile

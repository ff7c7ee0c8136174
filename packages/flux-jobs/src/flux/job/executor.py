"""`FluxExecutor`: jobs in the manner of `concurrent.futures`."""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Mapping, Sequence
from itertools import count
from threading import current_thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from flux.core.handle import Flux
from flux.job._executor_future import FluxExecutorFuture
from flux.job._executor_worker import Worker
from flux.job.event import MAIN_EVENTS

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MAIN_EVENTS", "FluxExecutor", "FluxExecutorFuture"]

_numbers = count()
#: Threads that the interpreter's exit waits for, as it does for those of `concurrent.futures`.
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()


class FluxExecutor:
    """Submits jobs and tells what becomes of them, by threads of its own.

    As a context manager it waits on exit for all jobs.

    Example:
        >>> with FluxExecutor() as executor:
        ...     futures = [executor.submit(jobspec) for jobspec in jobspecs]
        ...     for future in concurrent.futures.as_completed(futures):
        ...         print(future.jobid(), future.result())

    Args:
        threads: How many threads share the work; each has a handle.
        thread_name_prefix: How their names begin.
        poll_interval: Accepted for compatibility: they are roused when there is work.
        handle_args: Positional arguments for `flux.Flux`.
        handle_kwargs: Its keyword arguments.

    Attributes:
        EVENTS: Names of events for `FluxExecutorFuture.add_event_callback`.

    Raises:
        ValueError: There would be no thread.
        OSError: A handle cannot be opened.
    """

    EVENTS: ClassVar[frozenset[str]] = MAIN_EVENTS

    def __init__(
        self,
        threads: int = 1,
        thread_name_prefix: str = "",
        poll_interval: float = 0.1,
        handle_args: Sequence[Any] = (),
        handle_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        if threads < 1:
            raise ValueError(f"the number of threads must be > 0, not {threads}")
        prefix = thread_name_prefix or f"{type(self).__name__}-{next(_numbers)}"
        self._shut = False
        # Not of the executor, which a thread is not to keep alive.
        self._broken: list[BaseException] = []
        handles: list[Flux] = []
        try:
            for _ in range(threads):
                handles.append(Flux(*handle_args, **(handle_kwargs or {})))  # noqa: PERF401
        except BaseException:
            for handle in handles:
                handle.__exit__(None, None, None)
            raise
        self._workers = [
            Worker(handle, f"{prefix}-{i}", self._broken.append) for i, handle in enumerate(handles)
        ]
        self._turn = 0
        for worker in self._workers:
            worker.start()
            _workers.add(worker)
        # Now that there are handles: what is registered last comes first, and they close at exit.
        atexit.unregister(_wait_for_all)
        atexit.register(_wait_for_all)
        # One that is forgotten does what it was given, and then its threads end.
        finalizer: Any = weakref.finalize(self, _finish, self._workers)
        finalizer.atexit = False

    def submit(self, *args: Any, **kwargs: Any) -> FluxExecutorFuture:
        """Have a job submitted.

        Args:
            args: The jobspec, and others as `flux.job.submit` takes them after the handle.
            kwargs: Its keyword arguments, such as ``urgency``.

        Returns:
            The job's future.  What is wrong with the arguments is its exception.

        Raises:
            RuntimeError: The executor was shut down, or has lost its connection.
        """
        future, worker = self._next()
        if not worker.submit(future, args, kwargs):
            raise self._is_broken()
        return future

    def attach(self, jobid: Any) -> FluxExecutorFuture:
        """Watch a job that was submitted by other means.

        Args:
            jobid: The job, as a number or in any encoding.

        Returns:
            The job's future.  What is wrong with the id is its exception.

        Raises:
            RuntimeError: The executor was shut down, or has lost its connection.
        """
        future, worker = self._next()
        future._set_jobid(jobid)
        if not worker.attach(future, jobid):
            raise self._is_broken()
        return future

    def _next(self) -> tuple[FluxExecutorFuture, Worker]:
        if self._broken:
            raise self._is_broken()
        if self._shut:
            raise RuntimeError("cannot schedule new futures after shutdown")
        worker = self._workers[self._turn % len(self._workers)]
        self._turn += 1
        return FluxExecutorFuture(worker.ident), worker

    def _is_broken(self) -> RuntimeError:
        reason = self._broken[0] if self._broken else "its threads have ended, as after a fork"
        return RuntimeError(f"Executor is broken, new futures cannot be scheduled: {reason}")

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more jobs; doing so again is harmless.

        Args:
            wait: Return only once all jobs are over and the threads have ended.
            cancel_futures: Cancel the futures that have not been started.
        """
        self._shut = True
        if cancel_futures:
            for worker in self._workers:
                for future in worker.withdraw():
                    if future.cancel():
                        future.set_running_or_notify_cancel()
        _finish(self._workers)
        if wait:
            for worker in self._workers:
                worker.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.shutdown()


def _finish(workers: Sequence[Worker]) -> None:
    for worker in workers:
        worker.finish()


def _wait_for_all() -> None:
    workers = [worker for worker in _workers if worker.is_alive()]
    _finish(workers)
    for worker in workers:
        if worker is not current_thread():
            worker.join()

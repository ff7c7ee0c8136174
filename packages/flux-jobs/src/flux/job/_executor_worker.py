"""A thread of an executor: it has a handle of its own, submits jobs on it and watches them."""

from __future__ import annotations

import errno
import socket
from collections import deque
from contextlib import suppress
from functools import partial
from threading import RLock, Thread
from typing import TYPE_CHECKING, Any, Callable

from flux.constants import FLUX_POLLIN
from flux.job._ends import exit_status
from flux.job._jobid import JobID
from flux.job.event import JobException, event_watch_async
from flux.job.submit import submit_async

if TYPE_CHECKING:
    from flux.core.handle import Flux
    from flux.eventlog import EventLogEvent
    from flux.job._executor_future import FluxExecutorFuture
    from flux.job._watch import JobEventWatchFuture
    from flux.job.submit import SubmitFuture

__all__ = ["Worker"]

Start = Callable[["FluxExecutorFuture"], None]


class Worker(Thread):
    """Starts what it is given and completes the futures.

    It ends once it was told to `finish`, or its connection is lost.

    Args:
        handle: The handle, which becomes the thread's.
        name: Name of the thread.
        broke: Called with the exception that ends the thread before its time.
    """

    def __init__(self, handle: Flux, name: str, broke: Callable[[BaseException], None]) -> None:
        super().__init__(name=name, daemon=True)
        self._flux = handle
        self._broke = broke
        # A signal handler, or a finalizer, may come in the middle of what the same thread does.
        self._lock = RLock()
        self._given: deque[tuple[FluxExecutorFuture, Start]] = deque()
        self._finishing = False
        self._ended = False
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        #: Jobs that have not come to the end of their eventlogs, and the watches of these.
        self._jobs: dict[FluxExecutorFuture, JobEventWatchFuture | None] = {}

    # -- what other threads call

    def submit(self, future: FluxExecutorFuture, args: Any, kwargs: Any) -> bool:
        """Have a job submitted; return False if the thread has ended."""
        return self._give(future, partial(self._submit, args, kwargs))

    def attach(self, future: FluxExecutorFuture, jobid: Any) -> bool:
        """Have a job watched; return False if the thread has ended."""
        return self._give(future, partial(self._attach, jobid))

    def _give(self, future: FluxExecutorFuture, start: Start) -> bool:
        with self._lock:
            if self._ended or not self.is_alive():
                return False
            self._given.append((future, start))
            self._rouse()
            return True

    def withdraw(self) -> list[FluxExecutorFuture]:
        """Take back what has not been started."""
        with self._lock:
            taken = [future for future, _ in self._given]
            self._given.clear()
        return taken

    def finish(self) -> None:
        """Have the thread end once all that it was given is over."""
        with self._lock:
            self._finishing = True
            if not self._ended:
                self._rouse()

    def _rouse(self) -> None:
        # Where there is no room for more, the thread has enough to rouse it.
        with suppress(BlockingIOError):
            self._near.send(b"\0")

    # -- the thread

    def run(self) -> None:
        """Serve until there is nothing more to do."""
        failure: BaseException = RuntimeError("the thread of the executor has ended")
        with self._flux as handle:
            try:
                watcher = handle.fd_watcher_create(self._far.fileno(), self._roused_cb, FLUX_POLLIN)
                watcher.start()
                # What is observed, and has no continuation, does not see to that.
                handle._attach()
                handle.reactor_run()
                watcher.destroy()
            except Exception as exc:
                failure = exc
                self._broke(exc)
            finally:
                with self._lock:
                    self._ended = True
                self._near.close()
                self._far.close()
                for future in (*self._jobs, *self.withdraw()):
                    if not future.done():
                        _fail(future, failure)
                self._jobs.clear()

    def _roused_cb(self, *_args: Any) -> None:
        # First: what is given from now on rouses the thread again.
        self._far.recv(4096)
        given = self._given
        while given:
            try:
                future, start = given.popleft()
            except IndexError:
                break
            if future.set_running_or_notify_cancel():
                self._jobs[future] = None
                try:
                    start(future)
                except Exception as exc:
                    self._over(future, exc)
        if self._finishing and not self._jobs and not self._given:
            self._flux.reactor_stop()

    def _over(self, future: FluxExecutorFuture, exc: BaseException | None = None) -> None:
        """Note that there is no more to come of a job."""
        self._jobs.pop(future, None)
        if exc is not None and not future.done():
            future.set_exception(exc)
        if self._finishing and not self._jobs:
            # Not a stop, which comes to nothing where the reactor is about to wait: this may be
            # called when it writes or reads.
            self._rouse()

    def _submit(self, args: Any, kwargs: Any, future: FluxExecutorFuture) -> None:
        submit_async(self._flux, *args, **kwargs).then(self._submitted, future)

    def _submitted(self, rpc: SubmitFuture, future: FluxExecutorFuture) -> None:
        try:
            jobid = rpc.get_id()
            future._set_jobid(jobid)
            self._watch(jobid, future)
        except Exception as exc:
            self._over(future, exc)

    def _attach(self, jobid: Any, future: FluxExecutorFuture) -> None:
        if isinstance(jobid, int) and not 0 <= jobid < 1 << 64:
            raise OverflowError(f"{jobid} is not a job id: that is a number from 0 to 2**64 - 1")
        self._watch(JobID(jobid), future)

    def _watch(self, jobid: JobID, future: FluxExecutorFuture) -> None:
        watch = event_watch_async(self._flux, jobid)
        self._jobs[future] = watch
        # Without a continuation, which would be called for each event by itself.
        watch.observe(partial(self._events, future))

    def _events(self, future: FluxExecutorFuture, watch: Any) -> None:
        """Take the events that have come.  There are no signals in this thread, and no loop."""
        results = watch.results
        try:
            while results:
                event: EventLogEvent = watch.event_of(results.pop(0))
                name = event.name
                if name in future.EVENTS:
                    future._set_event(event)
                if name in ("exception", "finish") and not future.done():
                    _complete(future, event)
        except FileNotFoundError as exc:
            self._over(future, ValueError(f"the job ID does not match any job: {exc.strerror}"))
        except OSError as exc:
            # Also ENODATA: an error where nothing was said of how the job ended, or else nothing.
            ended = OSError(errno.ENODATA, "the eventlog of the job ended without a result")
            self._over(future, ended if exc.errno == errno.ENODATA else exc)
        except Exception as exc:
            self._over(future, exc)


def _fail(future: FluxExecutorFuture, exc: BaseException) -> None:
    if future.running() or future.set_running_or_notify_cancel():
        future.set_exception(exc)


def _complete(future: FluxExecutorFuture, event: EventLogEvent) -> None:
    """Complete the future of a job if an event says how the job ends."""
    try:
        status = exit_status(event)
    except (JobException, ValueError) as exc:
        future.set_exception(exc)
    else:
        if status is not None:
            future.set_result(status)

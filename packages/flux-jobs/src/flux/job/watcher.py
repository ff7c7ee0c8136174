"""Watching several jobs: what they write, how they end, and how many of them have."""

from __future__ import annotations

import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Callable, TextIO

from flux.constants import FLUX_JOB_STATE_SCHED
from flux.job._jobid import JobID
from flux.job.event import event_watch_async
from flux.job.info import JobInfo
from flux.job.output import JobExceptionEvent, output_watch_async
from flux.progress import ProgressBar

if TYPE_CHECKING:
    from typing_extensions import Self

    from flux.core.handle import Flux
    from flux.eventlog import EventLogEvent
    from flux.job._output_watch import JobOutputWatch
    from flux.job._watch import JobEventWatchFuture

__all__ = ["JobProgressBar", "JobStatus", "JobWatcher"]

#: What, written by a job, would move the cursor, or what is on the screen, under a progress bar.
_MOVES = re.compile(r"\033(?:\[\??[\d;]*[A-HJMPSTXdfhlrst@`]|[78DMEc])")

_STATUS = {
    **dict.fromkeys(("DEPEND", "PRIORITY", "SCHED"), "pending"),
    **dict.fromkeys(("RUN", "CLEANUP"), "running"),
    "COMPLETED": "complete",
    **dict.fromkeys(("FAILED", "CANCELED", "TIMEOUT"), "failed"),
}


class JobStatus:
    """What a watcher knows of a job.

    Args:
        job: The job as it was listed.

    Attributes:
        id: Its id.
        status: ``pending``, ``running``, ``complete`` or ``failed``.
        exitcode: 0, or if it has failed its exit status.

    Raises:
        ValueError: It is no `flux.job.JobInfo`, or in no known state.
    """

    def __init__(self, job: JobInfo) -> None:
        if not isinstance(job, JobInfo):
            raise ValueError(f"the status of a job is made of a JobInfo, not of {job!r}")
        if job.status not in _STATUS:
            raise ValueError(f"job {job.id} has an unknown status: {job.status}")
        self.id: JobID = job.id
        self.status = _STATUS[job.status]
        self.exitcode: Any = job.returncode if self.status == "failed" else 0
        self._events: Counter[str] = Counter()

    @property
    def active(self) -> bool:
        """Whether it is still to end."""
        return self.status in ("pending", "running")

    def add_event(self, name: str) -> None:
        """Count an event."""
        self._events[name] += 1

    def event_count(self, name: str) -> int:
        """Return how often there was an event of the name."""
        return self._events[name]

    def has_event(self, name: str) -> bool:
        """Return whether there was an event of the name."""
        return self._events[name] > 0


class JobProgressBar(ProgressBar):
    """A progress bar for jobs, with how many of them are in which status.

    Args:
        flux_handle: The handle, whose reactor redraws it.
        starttime: When the elapsed time began, in seconds since the epoch; None for when the first
            of the jobs was submitted.
        jps: Show jobs a second in place of the elapsed time.
        counter_width: How many characters a count has.
        update_interval: Seconds after which it is drawn anew in any case.

    Attributes:
        jobs: The status of each job, by id.
        total: How many jobs there are.
    """

    def __init__(
        self,
        flux_handle: Flux,
        starttime: float | None = None,
        jps: bool = False,
        counter_width: int = 3,
        update_interval: float = 0.25,
    ) -> None:
        counts = (("PD", "pending"), ("R", "running"), ("CD", "complete"), ("F", "failed"))
        super().__init__(
            total=0,
            before="".join(f"{text}:{{{name}:<{counter_width}}} " for text, name in counts),
            after="{percent:5.1f}% " + ("{jps:4.1f} job/s" if jps else "{elapsed.dt}"),
            jps=0.0,
        )
        self.kwargs.update((name, 0) for _, name in counts)
        self.jobs: dict[int, JobStatus] = {}
        self.starttime = starttime
        self._over: set[int] = set()
        self._timer = flux_handle.timer_watcher_create(
            0, lambda *_: self.redraw(), repeat=update_interval
        )

    def start(self) -> Self:
        """Begin to draw it."""
        if not self._running:
            self._timer.start()
            # The reactor is to end when the jobs have.
            self._timer.unref()
            if self.starttime is not None:
                self._t0 = self.starttime
        return super().start()

    def stop(self) -> None:
        """Leave the bar as it is now among the output."""
        self._timer.stop()
        super().stop()

    def update(self, advance: int = 0, **kwargs: Any) -> None:
        """Draw the bar anew, with the counts as they are now.

        Args:
            advance: As for `flux.progress.ProgressBar.update`.
            kwargs: Values to change.
        """
        super().update(advance, **kwargs)

    def advance(self, **kwargs: Any) -> None:
        """Note that there is one job less to wait for.

        Args:
            kwargs: Values to change.
        """
        super().update(advance=1, **kwargs)

    def add_job(self, job: JobInfo) -> None:
        """Count a job.

        Raises:
            ValueError: It is no `flux.job.JobInfo`, or is counted already.
        """
        status = JobStatus(job)
        if job.id in self.jobs:
            raise ValueError(f"job {job.id} is being watched already")
        if self._t0 is None or job.t_submit < self._t0:
            self._t0 = job.t_submit
        self.jobs[job.id] = status
        self.total += 1
        self.update(**{status.status: self.kwargs[status.status] + 1})

    def add_jobs(self, *jobs: JobInfo) -> None:
        """Count jobs, as `add_job` does."""
        for job in jobs:
            self.add_job(job)

    def jobs_per_sec(self) -> float:
        """Return how many jobs a second are over, with the one about to be."""
        return (self.count + 1) / max(self.elapsed, 1e-3)

    def process_event(self, jobid: int, event: EventLogEvent | None = None) -> None:
        """Note an event of a job.

        Args:
            jobid: The job.
            event: The event; None if there is nothing more to wait for.
        """
        job = self.jobs[jobid]
        if event is None:
            if jobid not in self._over:
                self._over.add(jobid)
                self.advance(jps=self.jobs_per_sec())
        elif event.name == "alloc" and job.status == "pending":
            self._becomes(job, "running")
        elif event.name == "exception" and event.context.get("severity", 0) == 0:
            # That of a job that runs is followed by its finish event.
            if job.status == "pending":
                self._becomes(job, "failed")
        elif event.name == "finish" and job.active:
            job.exitcode = event.context["status"]
            self._becomes(job, "failed" if job.exitcode else "complete")
        self.update()

    def _becomes(self, job: JobStatus, status: str) -> None:
        self.kwargs[job.status] -= 1
        self.kwargs[status] += 1
        job.status = status


class JobWatcher:
    """Prints what jobs write and what becomes of them, with a progress bar if wanted.

    The reactor of the handle does it.

    Example:
        >>> watcher = JobWatcher(handle, progress=True).start().add_jobs(*jobs)
        >>> handle.reactor_run()
        >>> sys.exit(watcher.stop().exitcode)

    Args:
        flux_handle: The handle.
        jobs: Jobs to begin with.
        progress: Show a progress bar.
        jps: Show in it jobs a second in place of the elapsed time.
        wait: Name of the event until which a job is watched; one of the exec eventlog is
            ``exec.NAME``.
        watch: Print what the jobs write.
        log_events: Print events, to standard error.
        log_status: Print how each job ends, to standard error.
        stdout: Where standard output of jobs goes.
        stderr: Where standard error of them goes.
        labelio: Begin each line with the ids of the job and the task.
        starttime: When the elapsed time began, in seconds since the epoch; None for when the first
            of the jobs was submitted.
        output_callback: Called as ``output_callback(jobid, stream, data)`` in place of printing
            what a job writes; in the end with None for both.

    Attributes:
        exitcode: The highest exit status of the jobs, that of a signal being 128 more.
        progress: The progress bar.
    """

    class JobWatchStatus(JobStatus):
        """What is known of a job, and what to do with it."""

        def __init__(self, job: JobInfo, stdout: Any, stderr: Any, wait: str = "clean") -> None:
            super().__init__(job)
            self.stdout = stdout
            self.stderr = stderr
            self.wait = wait or ""

    def __init__(
        self,
        flux_handle: Flux,
        jobs: Iterable[JobInfo] | None = None,
        progress: bool = False,
        jps: bool = False,
        wait: str = "clean",
        watch: bool = True,
        log_events: bool = False,
        log_status: bool = False,
        stdout: TextIO = sys.stdout,
        stderr: TextIO = sys.stderr,
        labelio: bool = False,
        starttime: float | None = None,
        output_callback: Callable[[JobID, Any, Any], object] | None = None,
    ) -> None:
        self.flux_handle = flux_handle
        self.wait = wait
        self.watch = watch
        self.t0 = starttime
        self.log_events = log_events
        self.log_status = log_status
        self.labelio = labelio
        self.output_callback = output_callback
        self.stdout, self.stderr = stdout, stderr
        if output_callback is None:
            for stream in (stdout, stderr):
                # What is no UTF-8 comes as surrogates.
                if hasattr(stream, "reconfigure"):
                    stream.reconfigure(encoding="utf-8", errors="surrogateescape")
        self.exitcode = 0
        self.show_progress = progress
        self.progress = JobProgressBar(flux_handle, starttime=starttime, jps=jps)
        if jobs:
            self.add_jobs(*jobs, wait=wait)

    def start(self) -> Self:
        """Show the progress bar, if one is wanted."""
        if self.show_progress:
            self.progress.start()
        return self

    def stop(self) -> Self:
        """Leave the progress bar as it is now among the output."""
        if self.show_progress:
            self.progress.stop()
        return self

    def add_jobs(
        self,
        *jobs: JobInfo,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        wait: str = "clean",
    ) -> Self:
        """Watch jobs.

        Args:
            jobs: The jobs.
            stdout: Where their standard output goes; None for that of the watcher.
            stderr: Where their standard error goes; None for that of the watcher.
            wait: Name of the event until which they are watched.

        Raises:
            ValueError: One is no `flux.job.JobInfo`, or is being watched already.
        """
        self.progress.add_jobs(*jobs)
        for job in jobs:
            if self.t0 is None or job.t_submit < self.t0:
                self.t0 = job.t_submit
            status = self.JobWatchStatus(job, stdout or self.stdout, stderr or self.stderr, wait)
            event_watch_async(self.flux_handle, job.id).then(self._event, status)
            if not status.active:
                self.progress.process_event(job.id)
        return self

    def add_jobid(
        self,
        jobid: int | str,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        wait: str = "clean",
    ) -> Self:
        """Watch a job that was submitted just now, as `add_jobs` does.

        Args:
            jobid: The job, as a number or in any encoding.
            stdout: Where its standard output goes; None for that of the watcher.
            stderr: Where its standard error goes; None for that of the watcher.
            wait: Name of the event until which it is watched.
        """
        new = {"id": JobID(jobid), "state": FLUX_JOB_STATE_SCHED, "t_submit": time.time()}
        return self.add_jobs(JobInfo(new), stdout=stdout, stderr=stderr, wait=wait)

    def _log(self, job: JobWatchStatus, event: EventLogEvent, text: str) -> None:
        assert self.t0 is not None
        print(f"{job.id.f58}: {event.timestamp - self.t0:4.3f}s: {text}", file=job.stderr)

    def _event(self, future: JobEventWatchFuture, job: JobWatchStatus) -> None:
        event = future.get_event()
        self.progress.process_event(job.id, event)
        if event is None:
            return
        name, context = event.name, event.context
        job.add_event(name)
        assert self.t0 is not None
        self.t0 = min(self.t0, event.timestamp)
        if self.log_events:
            self._log(job, event, f"{name} {event.context_string}")
        if name == "exception" and context.get("severity", 0) == 0:
            self._died(job, event)
        elif name == "alloc":
            job.status = "running"
        elif name == "start" and (self.watch or job.wait.startswith("exec.")):
            watch = event_watch_async(self.flux_handle, job.id, "guest.exec.eventlog")
            watch.then(self._exec_event, job, future)
        elif name == "finish":
            status = context["status"]
            self.exitcode = max(self.exitcode, _exitcode(status))
            job.status = "failed" if status else "complete"
            if self.log_status:
                self._log(job, event, f"{job.status}: status={status}")
        if job.wait == name:
            self.progress.process_event(job.id)
            future.cancel(stop=True)

    def _died(self, job: JobWatchStatus, event: EventLogEvent) -> None:
        if not job.has_event("start"):
            self.exitcode = max(self.exitcode, 1)
            job.status = "failed"
        if not job.has_event("shell.init") and self.output_callback is None:
            # Else its output tells.
            print(JobExceptionEvent(event).render(), file=job.stderr)

    def _exec_event(
        self, future: JobEventWatchFuture, job: JobWatchStatus, main: JobEventWatchFuture
    ) -> None:
        event = future.get_event()
        if event is None:
            return
        if self.log_events:
            self._log(job, event, f"exec.{event.name} {event.context_string}")
        if self.watch and event.name == "shell.init":
            job.add_event(event.name)
            output = output_watch_async(self.flux_handle, job.id, labelio=self.labelio, nowait=True)
            output.then(self._output, job)
            if not job.wait.startswith("exec."):
                future.cancel(stop=True)
        if job.wait == f"exec.{event.name}":
            self.progress.process_event(job.id)
            future.cancel(stop=True)
            main.cancel(stop=True)

    def _output(self, future: JobOutputWatch, job: JobWatchStatus) -> None:
        stream, data = future.get_output()
        if self.output_callback is not None:
            self.output_callback(job.id, stream, data)
        elif stream is None or data is None:
            job.stdout.flush()
            job.stderr.flush()
        else:
            if self.show_progress:
                data = _MOVES.sub("", data)
            if self.labelio:
                data = "".join(f"{job.id}: {line}" for line in data.splitlines(keepends=True))
            # What is logged is not asked for apart: it comes as standard error.
            (job.stdout if stream == "stdout" else job.stderr).write(data)


def _exitcode(status: int) -> int:
    """Return what a shell makes of a wait status."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

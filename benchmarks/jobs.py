"""The workloads with jobs; `client.py` runs them."""

from __future__ import annotations

import concurrent.futures
import os
from typing import Any, Callable


def spec_of(flux: Any, command: list[str]) -> Any:
    """Describe a job of one core."""
    spec = flux.job.JobspecV1.from_command(command)
    spec.environment = {"PATH": os.environ["PATH"]}
    return spec


def executor(flux: Any, _topic: str, count: int) -> Callable[[], None]:
    """COUNT jobs through a FluxExecutor; where the broker can, without running anything."""
    import flux.job

    spec = spec_of(flux, ["true"])
    spec.setattr("system.exec.test.run_duration", "0.001s")

    def run() -> None:
        with flux.job.FluxExecutor() as pool:
            futures = [pool.submit(spec) for _ in range(count)]
            for future in concurrent.futures.as_completed(futures):
                assert future.result() == 0

    return run


def submit(flux: Any, _topic: str, count: int) -> Callable[[], None]:
    """Jobs described and submitted one at a time; they are held while the broker lives."""
    import flux.job

    handle = flux.Flux()

    def run() -> None:
        for _ in range(count):
            flux.job.submit(handle, spec_of(flux, ["true"]), urgency=0)

    return run


def _written(flux: Any, count: int) -> tuple[Any, Any]:
    """Return a handle, and a job that has written COUNT lines."""
    import flux.job

    handle = flux.Flux()
    jobid = flux.job.submit(handle, spec_of(flux, ["seq", str(count)]))
    flux.job.event_wait(handle, jobid, "clean")
    return handle, jobid


def output_lines(flux: Any, _topic: str, count: int) -> Callable[[], None]:
    """COUNT lines that a job has written, one by one."""
    handle, jobid = _written(flux, count)

    def run() -> None:
        lines = flux.job.output_watch_lines(handle, jobid)
        assert sum(1 for _ in lines) == count

    return run


def output(flux: Any, _topic: str, count: int) -> Callable[[], None]:
    """COUNT lines that a job has written, all at once."""
    handle, jobid = _written(flux, count)

    def run() -> None:
        assert flux.job.job_output(handle, jobid).stdout.count("\n") == count

    return run

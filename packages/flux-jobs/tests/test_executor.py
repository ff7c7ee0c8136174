"""FluxExecutor on a broker."""

from __future__ import annotations

import concurrent.futures
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any, Callable, cast

import pytest

import flux.job
from flux.devbroker import Broker
from flux.job import EventLogEvent, FluxExecutor, FluxExecutorFuture, JobException

Command = Callable[..., dict[str, Any]]
Open = Callable[..., FluxExecutor]


@pytest.fixture
def executor(broker: Broker) -> Open:
    """Return a function that makes an executor on the broker."""

    def make(**kwargs: Any) -> FluxExecutor:
        return FluxExecutor(handle_args=(broker.uri,), **kwargs)

    return make


def test_results(executor: Open, jobspec: Command) -> None:
    with executor(threads=2) as pool:
        futures = {pool.submit(jobspec("sh", "-c", f"exit {n}")): n for n in range(6)}
        for done in concurrent.futures.as_completed(futures):
            future = cast("FluxExecutorFuture", done)
            assert future.result(timeout=0) == futures[future]
            assert future.jobid() > 0


def test_a_job_that_cannot_be_submitted(executor: Open, jobspec: Command) -> None:
    with executor() as pool:
        none = pool.submit(None)
        # Asked for while the executor is on it.
        with pytest.raises(RuntimeError, match="job could not be submitted due to OSError"):
            none.jobid()
        unknown = pool.submit(jobspec("true"), not_an_argument=1)
        bad = pool.submit({"version": 1})
    assert isinstance(none.exception(), OSError)
    assert isinstance(unknown.exception(), TypeError)
    assert isinstance(bad.exception(), OSError)
    called: list[Any] = []
    bad.add_jobid_callback(called.append)
    assert called == [bad]


def test_attach(executor: Open, jobspec: Command) -> None:
    with executor() as pool:
        jobid = pool.submit(jobspec("sh", "-c", "exit 2")).jobid()
        assert pool.attach(jobid).result() == 2
        assert pool.attach(jobid.f58).result() == 2
        nobody = pool.attach(0)
        assert nobody.jobid() == 0
        with pytest.raises(ValueError, match="does not match any job"):
            nobody.result()
        with pytest.raises(OverflowError):
            pool.attach(-1).result()
        with pytest.raises(TypeError):
            pool.attach(None).result()


def test_attach_alone(executor: Open, broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", "exit 2"))
    with executor() as pool:
        assert pool.attach(jobid).result() == 2
        nobodies = [pool.attach(0) for _ in range(3)]
    assert all(isinstance(nobody.exception(), ValueError) for nobody in nobodies)


def test_events(executor: Open, jobspec: Command) -> None:
    seen: list[str] = []
    late: list[str] = []

    def note(future: FluxExecutorFuture, event: EventLogEvent) -> None:
        seen.append(event.name)

    with executor() as pool:
        future = pool.submit(jobspec("true"))
        assert future.add_event_callback("start", note).add_jobid_callback(lambda _: None) is future
        future.add_event_callback("finish", note).add_done_callback(lambda _: seen.append("done"))
        future.add_event_callback("clean", note)
        with pytest.raises(ValueError, match="no event of a job"):
            future.add_event_callback("nonsense", note)
    assert seen == ["start", "finish", "done", "clean"]
    future.add_event_callback("start", lambda _, event: late.append(event.name))
    assert late == ["start"]


def test_a_callback_for_what_was_may_wait_for_the_end(
    executor: Open, jobspec: Command, tmp_path: Path
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    results = []

    def wait(future: FluxExecutorFuture, event: EventLogEvent) -> None:
        fifo.write_text("go on\n")
        results.append((event.name, future.result()))

    with executor() as pool:
        future = pool.submit(jobspec("sh", "-c", f"read x <{fifo}"))
        started = threading.Event()
        future.add_event_callback("start", lambda *_: started.set())
        started.wait()
        future.add_event_callback("start", wait)
    assert results == [("start", 0)]


def test_a_callback_cannot_wait_for_its_own_thread(caplog: pytest.LogCaptureFixture) -> None:
    future = FluxExecutorFuture(threading.get_ident())
    waits: list[Callable[[], Any]] = [future.result, future.exception, future.jobid]
    for wait in waits:
        with pytest.raises(RuntimeError, match="from inside a callback"):
            wait()
    future.add_jobid_callback(lambda future: future.result())
    with caplog.at_level(logging.ERROR, "flux.job.executor"):
        future._set_jobid(1)
    assert "exception calling callback" in caplog.text
    future.set_result(0)
    assert [wait() for wait in waits] == [0, None, 1]


def test_cancel(executor: Open, broker: Broker, jobspec: Command) -> None:
    with executor() as pool:
        future = pool.submit(jobspec("sleep", "inf"))
        future.jobid()
        assert not future.cancel()
        with broker.handle() as handle:
            flux.job.cancel(handle, future.jobid(), "enough")
        with pytest.raises(JobException, match="enough"):
            future.result()


def test_cancelled_before_it_is_taken_up() -> None:
    future = FluxExecutorFuture(None)
    asked: list[Any] = []

    def ask(future: FluxExecutorFuture) -> None:
        with pytest.raises(concurrent.futures.CancelledError):
            future.jobid()
        asked.append(future)

    future.add_done_callback(ask)
    assert future.cancel()
    assert future.cancel()
    assert asked == [future]


def test_shutdown(executor: Open, jobspec: Command) -> None:
    pool = executor()
    holds, released = threading.Event(), threading.Event()
    first = pool.submit(jobspec("true"))

    def hold(_future: FluxExecutorFuture) -> None:
        holds.set()
        released.wait()

    first.add_jobid_callback(hold)
    holds.wait()
    # The thread is held in a callback, and has not taken up the second.
    second = pool.submit(jobspec("true"))
    pool.shutdown(wait=False, cancel_futures=True)
    assert second.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        second.jobid()
    done, _ = concurrent.futures.wait([second])
    assert done == {second}
    released.set()
    assert first.result() == 0
    pool.shutdown()
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(jobspec("true"))
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.attach(1)


def test_the_broker_goes_away(executor: Open, broker: Broker, jobspec: Command) -> None:
    with executor(threads=2) as pool:
        futures = [pool.submit(jobspec("sleep", "inf")) for _ in range(4)]
        for future in futures:
            future.jobid()
        broker.kill()
        for future in futures:
            assert isinstance(future.exception(), ConnectionError)
        for thread in pool._workers:
            thread.join()
        with pytest.raises(RuntimeError, match=r"Executor is broken.*lost connection"):
            pool.submit(jobspec("true"))
        with pytest.raises(RuntimeError, match="Executor is broken"):
            pool.attach(1)


def test_a_forgotten_executor_ends_when_its_jobs_have(executor: Open, jobspec: Command) -> None:
    pool = executor()
    (thread,) = pool._workers
    future = pool.submit(jobspec("sh", "-c", "exit 4"))
    del pool
    gc.collect()
    assert future.result() == 4
    thread.join()


def test_exit_waits_for_jobs(broker: Broker, jobspec: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"""
        from flux.job import FluxExecutor
        pool = FluxExecutor()
        future = pool.submit({jobspec("sh", "-c", "sleep 0.2; exit 3")!r})
        future.add_event_callback("clean", lambda f, e: print(f.result(), flush=True))
        """
    env = {**os.environ, "FLUX_URI": broker.uri}
    with out.open("w") as file:
        command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
        subprocess.run(command, env=env, stdout=file, check=True)
    assert out.read_text() == "3\n"


def test_no_broker(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FluxExecutor(handle_args=(f"local://{tmp_path}/none",))
    with pytest.raises(ValueError, match="threads"):
        FluxExecutor(threads=0)

"""What jobs write, on a broker."""

from __future__ import annotations

import asyncio
import errno
import gc
from typing import Any, Callable

import pytest

import flux.job
from flux.devbroker import Broker
from flux.job.output import (
    LOG_QUIET,
    JobExceptionEvent,
    JobOutput,
    LogEvent,
    OutputEvent,
    RedirectEvent,
    Taskset,
    job_output,
    output_event_watch,
    output_event_watch_async,
    output_watch,
    output_watch_async,
    output_watch_lines,
    output_watch_lines_async,
)

Command = Callable[..., dict[str, Any]]

SCRIPT = r"printf 'one\ntwo\nrest'; printf 'oops\n' >&2; exit 3"


def test_all_of_it(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", SCRIPT))
        expected = JobOutput("one\ntwo\nrest", "oops\n", "")
        assert job_output(handle, jobid) == expected
        assert job_output(handle, jobid, nowait=True) == expected
        assert job_output(handle, jobid, labelio=True).stdout == "0: one\n0: two\n0: rest\n"
        assert job_output(handle, jobid, tasks="0") == expected
        assert job_output(handle, jobid, tasks="1") == JobOutput("", "", "")


def test_lines_and_pieces(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", SCRIPT))
        lines = list(output_watch_lines(handle, jobid))
        assert sorted(lines) == [
            ("stderr", "oops"),
            ("stdout", "one"),
            ("stdout", "rest"),
            ("stdout", "two"),
        ]
        kept = output_watch_lines(handle, jobid, keepends=True)
        assert "".join(line for stream, line in kept if stream == "stdout") == "one\ntwo\nrest"
        labelled = [line for _, line in output_watch_lines(handle, jobid, labelio=True)]
        assert sorted(labelled) == ["0: one", "0: oops", "0: rest", "0: two"]
        pieces = output_watch(handle, jobid)
        assert "".join(text for stream, text in pieces if stream == "stdout") == "one\ntwo\nrest"


def test_a_line_in_pieces_is_one_line(broker: Broker, jobspec: Command) -> None:
    # Neither a form feed nor U+2028 ends a line.
    script = r"printf 'be'; printf 'gun\f\342\200\250\r\nand'; printf ' on\n'"
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", script))
        assert list(output_watch_lines(handle, jobid)) == [
            ("stdout", "begun\f\u2028"),
            ("stdout", "and on"),
        ]


def test_bytes_that_are_no_text(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("printf", r"\377\n"))
        assert job_output(handle, jobid).stdout == "\udcff\n"


def test_in_the_reactor(broker: Broker, jobspec: Command) -> None:
    found: list[Any] = []
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", SCRIPT))
        output_watch_lines_async(handle, jobid).then(lambda f: found.append(f.getline()))
        output_event_watch_async(handle, jobid).then(lambda f: found.append(f.get_event()))
        handle.reactor_run()
    assert found.count(("stdout", "one")) == 1
    assert found.count((None, None)) == 1
    assert found.count(None) == 1
    assert sum(isinstance(event, OutputEvent) and event.eof for event in found) == 2


def test_async_for(broker: Broker, jobspec: Command) -> None:
    async def main() -> None:
        with broker.handle() as handle:
            jobid = await flux.job.submit_async(handle, jobspec("sh", "-c", SCRIPT))
            lines = [line async for stream, line in output_watch_lines(handle, jobid)]
            assert sorted(lines) == ["one", "oops", "rest", "two"]
            assert await output_watch_lines_async(handle, jobid) == ("stdout", "one")

    asyncio.run(main())


def test_a_job_that_never_started(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("true"), urgency=0)
        flux.job.cancel(handle, jobid, "why not")
        with pytest.raises(flux.job.JobException, match="why not"):
            job_output(handle, jobid)
        watch = output_watch(handle, jobid)
        assert next(watch) == ("stderr", "job.exception: type=cancel severity=0 why not\n")
        with pytest.raises(OSError, match=f"job {jobid} never started") as error:
            next(watch)
        assert error.value.errno == errno.EIO
        with pytest.raises(StopIteration):
            next(watch)


def test_no_such_job(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        for call in (
            lambda: job_output(handle, 123),
            lambda: job_output(handle, 123, nowait=True),
            lambda: next(output_event_watch(handle, 123)),
        ):
            with pytest.raises(FileNotFoundError, match="job ƒ38 not found"):
                call()
        jobid = flux.job.submit(handle, jobspec("true"), urgency=0)
        with pytest.raises(FileNotFoundError, match="not written anything yet"):
            job_output(handle, jobid, nowait=True)
        with pytest.raises(ValueError, match="job id"):
            output_watch_async(handle, -1)


def test_cancelled_and_forgotten_watches_end(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", "echo begun; exec sleep inf"))
        watch = output_watch_lines_async(handle, jobid)
        assert watch.getline() == ("stdout", "begun")
        watch.cancel()
        assert watch.getline() == (None, None)
        assert list(watch) == []
        lines = output_watch_lines(handle, jobid)
        assert next(lines) == ("stdout", "begun")
        del lines, watch
        gc.collect()
        flux.job.cancel(handle, jobid)
        # Nothing is left that would keep it running.
        handle.reactor_run()


def test_the_broker_goes_away(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", "echo begun; exec sleep inf"))
        watch = output_watch_lines_async(handle, jobid)
        assert watch.getline() == ("stdout", "begun")
        broker.kill()
        with pytest.raises(ConnectionError):
            watch.getline()
        with pytest.raises(ConnectionError):
            next(watch)


def test_kinds_of_events() -> None:
    log = {"level": 3, "rank": 0, "message": "no", "component": "pmi", "file": "x.c", "line": 7}
    event = LogEvent({"timestamp": 1.0, "name": "log", "context": log})
    assert event.render() == "flux-shell[0]: ERROR: pmi: no"
    assert event.render(include_file_and_line=True) == "flux-shell[0]: ERROR: pmi: x.c:7: no"
    context: dict[str, Any] = {"stream": "stdout", "rank": "0", "path": "/tmp/x"}
    redirect = RedirectEvent({"timestamp": 1.0, "name": "redirect", "context": context})
    assert redirect.render() == "0: stdout redirected to /tmp/x"
    context = {"stream": "stdout", "rank": "0", "data": "ab", "repeat": 2}
    assert OutputEvent({"timestamp": 1.0, "name": "data", "context": context}).data == "abab"
    with pytest.raises(ValueError, match="event log is not a exception event"):
        JobExceptionEvent(event)
    assert event.level > LOG_QUIET
    assert str(Taskset("*")) == "all"
    assert Taskset("all").intersect(3)
    assert not Taskset(2).intersect("3")
    assert str(Taskset(2).intersect("all")) == "2"

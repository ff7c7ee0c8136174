"""The status line, the progress bar, and watching jobs with it."""

from __future__ import annotations

import io
from typing import Any, Callable

import pytest

import flux.job
from flux.constants import FLUX_JOB_STATE_RUN
from flux.devbroker import Broker
from flux.job import JobInfo, JobWatcher
from flux.job.watcher import JobStatus
from flux.progress import Bottombar, ElapsedTime, ProgressBar

Command = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("LINES", "10")


def test_bottombar(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bottombar(lambda bar, width: f"{bar.n} of {width}", n=1)
    assert bar.elapsed == 0  # type: ignore[comparison-overlap]
    bar.update(n=2)
    assert capsys.readouterr().out == ""
    assert bar.start() is bar
    bar.update(n=3)
    drawn = capsys.readouterr().out
    # Only the first time does it take the last line away from what scrolls.
    assert drawn.count("\033[1;9r") == 1
    assert drawn.index("2 of 40") < drawn.index("3 of 40")
    bar.stop()
    bar.stop()
    assert capsys.readouterr().out.endswith("3 of 40\n")
    assert str(Bottombar(a=1, b=2)) == "a=1 b=2"
    with pytest.raises(AttributeError, match="nonsense"):
        bar.nonsense  # noqa: B018
    assert str(ElapsedTime(61.4).dt) == "0:01:01"


def test_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    bar = ProgressBar(total=4, before="{count}/{total} {what} ", after="", what="eggs", style="bar")
    width = 40 - len("0/4 eggs ") - 2
    assert str(bar) == f"0/4 eggs │{'─' * width}│"
    bar.update(2)
    assert len(str(bar)) == 40
    assert str(bar).count("█") == round(width / 2)
    bar.update(advance=7)
    assert str(bar) == f"9/4 eggs │{'█' * width}│"
    assert " 0.0%" in str(ProgressBar(total=0))
    stops = ProgressBar(total=1, autostop=True).start()
    stops.update()
    assert capsys.readouterr().out.endswith("100.0%\n")


def test_status() -> None:
    job = JobStatus(JobInfo({"id": 5, "state": FLUX_JOB_STATE_RUN, "t_submit": 1.0}))
    assert (job.id, job.status, job.active, job.exitcode) == (5, "running", True, 0)
    assert not job.has_event("x")
    job.add_event("x")
    assert job.event_count("x") == 1
    with pytest.raises(ValueError, match="made of a JobInfo"):
        JobStatus("5")  # type: ignore[arg-type]


def test_watcher_prints_and_counts(broker: Broker, jobspec: Command) -> None:
    out, err = io.StringIO(), io.StringIO()
    with broker.handle() as handle:
        watcher = JobWatcher(handle, stdout=out, stderr=err, labelio=True, log_status=True)
        good = flux.job.submit(handle, jobspec("sh", "-c", "echo hello; echo oops >&2"))
        bad = flux.job.submit(handle, jobspec("sh", "-c", "exit 3"))
        never = flux.job.submit(handle, jobspec("true"), urgency=0)
        flux.job.cancel(handle, never, "why not")
        for jobid in (good, bad, never):
            watcher.add_jobid(jobid)
        with pytest.raises(ValueError, match="being watched already"):
            watcher.add_jobid(good)
        handle.reactor_run()
    assert out.getvalue() == f"{good}: 0: hello\n"
    assert f"{good}: 0: oops\n" in err.getvalue()
    assert "job.exception: type=cancel severity=0 why not\n" in err.getvalue()
    assert f"{bad.f58}: " in err.getvalue()
    assert "failed: status=768" in err.getvalue()
    assert watcher.exitcode == 3
    values = watcher.progress.kwargs
    assert [values[name] for name in ("pending", "running", "complete", "failed")] == [0, 0, 1, 2]
    assert watcher.progress.count == watcher.progress.total == 3


def test_watcher_with_progress(
    broker: Broker, jobspec: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    pieces = []
    with broker.handle() as handle:
        ids = [flux.job.submit(handle, jobspec("echo", str(n))) for n in range(3)]
        watcher = JobWatcher(
            handle,
            progress=True,
            jps=True,
            output_callback=lambda jobid, stream, data: pieces.append((jobid, stream, data)),
        )
        watcher.start()
        for jobid in ids:
            watcher.add_jobid(jobid)
        handle.reactor_run()
        watcher.stop()
    assert sorted(piece for piece in pieces if piece[1] is not None) == [
        (jobid, "stdout", f"{n}\n") for n, jobid in enumerate(ids)
    ]
    assert "PD:0   R:0   CD:3   F:0" in capsys.readouterr().out
    assert watcher.exitcode == 0


def test_no_longer_than_wanted(broker: Broker, jobspec: Command) -> None:
    out = io.StringIO()
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sleep", "inf"))
        JobWatcher(handle, stdout=out, stderr=out, watch=False).add_jobid(jobid, wait="start")
        JobWatcher(handle, stdout=out, stderr=out).add_jobid(jobid, wait="exec.shell.init")
        # The second still waits for what the job writes.
        flux.job.event_wait(handle, jobid, "shell.init", "guest.exec.eventlog")
        flux.job.cancel(handle, jobid)
        handle.reactor_run()

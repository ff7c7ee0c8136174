"""Listing jobs: what the broker says of them, and what follows from that."""

from __future__ import annotations

import errno
import math
import os
import time

import pytest

import flux
from flux.constants import FLUX_USERID_UNKNOWN
from flux.job import (
    JobInfo,
    JobInfoFormat,
    JobList,
    JobspecV1,
    cancel,
    event_wait,
    get_job,
    job_fields_to_attrs,
    job_list,
    job_list_id,
    job_list_inactive,
    submit,
    timeleft,
)
from flux.job.stats import JobStats


def job(**fields):
    """Return a job as job-list has it, with changes."""
    return JobInfo({"id": 1234, "userid": os.getuid(), "urgency": 16, "state": 64, **fields})


@pytest.fixture
def handle(broker):
    """Return a handle to a broker of the test's own."""
    with flux.Flux(broker.uri) as handle:
        yield handle


def run(handle, *command, **options):
    """Run a job to its end, and return its id."""
    jobid = submit(handle, JobspecV1.from_command(command, **options))
    event_wait(handle, jobid, "clean")
    return jobid


def test_jobs_are_listed_by_result_name_and_id(handle):
    good = run(handle, "true", name="good")
    bad = run(handle, "sh", "-c", "exit 3", name="bad")
    assert [job.id for job in JobList(handle, filters=["failed"]).jobs()] == [bad]
    assert [job.id for job in JobList(handle, name="good").jobs()] == [good]
    assert [job.id for job in JobList(handle, constraint={"name": ["bad"]}).jobs()] == [bad]
    assert {job.id for job in JobList(handle, user="all", filters=["completed,failed"]).jobs()} == {
        good,
        bad,
    }
    assert JobList(handle, filters=["running"]).jobs() == []
    assert len(JobList(handle, max_entries=1).jobs()) == 1
    named = JobList(handle, ids=[good, 123])
    assert [job.id for job in named.jobs()] == [good]
    assert named.errors == ["JobID 123 unknown"]
    failed = get_job(handle, bad)
    assert failed is not None
    assert (failed["result"], failed["returncode"], failed["name"]) == ("FAILED", 3, "bad")
    assert get_job(handle, 123) is None


def test_requests_for_jobs(handle):
    jobid = run(handle, "true")
    assert job_list(handle, attrs=["name"]).get_jobs() == [{"id": jobid, "name": "true"}]
    assert [info.id for info in job_list_inactive(handle).get_jobinfos()] == [jobid]
    assert job_list_inactive(handle, since=time.time() + 1000).get_jobs() == []
    assert job_list_id(handle, jobid.f58, ["state"]).get_job() == {"id": jobid, "state": 64}
    with pytest.raises(FileNotFoundError):
        job_list_id(handle, 123).get_jobinfo()
    with pytest.raises(ValueError, match="queue parameter"):
        job_list(handle, queue=3)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="is not a Flux handle") as caught:
        job_list(None)  # type: ignore[arg-type]
    assert caught.value.errno == errno.EINVAL


def test_filters_and_users_that_there_are_not(handle):
    with pytest.raises(ValueError, match=r"Invalid filter specified: nope \(there are depend"):
        JobList(handle, filters=["nope"])
    with pytest.raises(ValueError, match="Invalid user nobody-of-that-name"):
        JobList(handle, user="nobody-of-that-name")
    assert JobList(handle, user="12345").userid == 12345
    assert JobList(handle, user="all").userid == FLUX_USERID_UNKNOWN


def test_statistics(handle):
    run(handle, "true")
    run(handle, "false")
    stats = JobStats(handle)
    assert stats.total == -1
    stats.update_sync()
    assert (stats.total, stats.successful, stats.failed, stats.active) == (2, 1, 1, 0)
    seen = []
    stats.update(lambda stats, word: seen.append((word, stats.total)), word="x")
    handle.reactor_run()
    assert seen == [("x", 2)]
    with pytest.raises(ValueError, match="no stats available for queue nope"):
        JobStats(handle, queue="nope").update_sync()


def test_the_time_that_is_left(handle, monkeypatch):
    jobid = submit(handle, JobspecV1.from_command(["sleep", "100"], duration=50))
    event_wait(handle, jobid, "start")
    monkeypatch.setenv("FLUX_JOB_ID", jobid.f58)
    assert 0 < timeleft(handle) <= 50
    (info,) = JobList(handle).jobs()
    assert 0 < info.t_remaining <= 50
    assert info.status == "RUN"
    cancel(handle, jobid)
    with pytest.raises(Exception, match="cancel"):
        event_wait(handle, jobid, "clean")
    monkeypatch.setenv("FLUX_JOB_ID", run(handle, "true").f58)
    assert timeleft(handle) == 0
    monkeypatch.setenv("FLUX_JOB_ID", "nonsense")
    with pytest.raises(OSError, match="failed to parse jobid nonsense"):
        timeleft(handle)
    monkeypatch.setenv("FLUX_JOB_ID", "123")
    with pytest.raises(FileNotFoundError, match="123: no such jobid"):
        timeleft(handle)
    monkeypatch.delenv("FLUX_JOB_ID")
    assert timeleft(handle) == math.inf


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"result": 1, "waitstatus": 0}, 0, "Exit 0"),
        ({"result": 2, "waitstatus": 3 << 8}, 3, "Exit 3"),
        ({"result": 2, "waitstatus": 127 << 8}, 127, "command not found"),
        ({"result": 2, "waitstatus": 137 << 8}, 137, "Killed"),
        ({"result": 2, "waitstatus": 9}, -9, "Exit -9"),
        ({"result": 4}, -128, "Canceled"),
        ({"result": 8, "waitstatus": 142 << 8}, 142, "Timeout"),
        (
            {
                "result": 4,
                "exception_occurred": True,
                "exception_type": "cancel",
                "exception_note": "why",
            },
            -128,
            "Canceled: why",
        ),
        (
            {
                "result": 2,
                "exception_occurred": True,
                "exception_severity": 0,
                "exception_type": "alloc",
                "exception_note": "none",
            },
            1,
            "Exception: type=alloc note=none",
        ),
        ({"state": 16}, "", ""),
    ],
)
def test_why_a_job_is_over(fields, code, reason):
    info = job(**fields)
    assert (info.returncode, info.inactive_reason) == (code, reason)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"state": 4}, "priority-wait"),
        ({"state": 2, "dependencies": ["a", "b"]}, "depends:a,b"),
        ({"state": 8, "urgency": 0}, "held"),
        ({"state": 8, "priority": 0}, "priority-hold"),
        ({"state": 8, "priority": 3}, ""),
        ({"state": 8, "annotations": {"sched": {"t_estimate": 1.0}}}, "eta:now"),
        ({"state": 16, "nodelist": "n[1-2]"}, "n[1-2]"),
    ],
)
def test_what_a_job_waits_for(fields, text):
    assert job(**fields).contextual_info == text


def test_what_is_not_known_is_empty_or_an_error():
    info = JobInfo({"id": 1})
    assert (info.name, info.t_run, info.runtime) == ("", 0.0, 0.0)
    assert f"{info.user.a.b.c:>3d}{info.annotations}" == "   "
    for name in ("state", "username", "nonsense"):
        with pytest.raises(AttributeError, match="invalid JobInfo attribute"):
            getattr(info, name)


def test_an_instance_has_a_uri_and_says_nothing_once_it_is_gone():
    uri = "local:///no/such/local-0"
    info = job(state=16, annotations={"user": {"uri": uri, "x": 1}}).get_instance_info()
    assert str(info.uri) == uri
    assert f"{info.instance.stats.total:>3d}{info.instance.utilization}" == "   "
    fields = job(result=1, annotations={"user": {"uri": uri}}).to_dict()
    assert (fields["uri"], fields["annotations"]) == (uri, {})
    assert job().uri is None


def test_dicts_have_what_there_is():
    info = job(annotations={"user": {"note": "n"}}, t_run=1.0, t_cleanup=3.0, result=1)
    assert info.to_dict() == {
        "id": 1234,
        "userid": os.getuid(),
        "username": info.username,
        "urgency": 16,
        "duration": 0.0,
        "state": "INACTIVE",
        "status": "COMPLETED",
        "result": "COMPLETED",
        "t_run": 1.0,
        "t_cleanup": 3.0,
        "runtime": 2.0,
        "dependencies": [],
        "jobid": info.id.f58,
        "annotations": {"user": {"note": "n"}},
        "exception": {"occurred": False},
    }
    assert info.to_dict(filtered=False)["queue"] == ""


def test_a_time_to_begin_is_readable():
    tomorrow = time.time() + 86400
    text = str(job(dependencies=[f"begin-time={tomorrow}"]).dependencies)
    assert text.startswith(time.strftime("begin@%b%d-%H:%M", time.localtime(tomorrow)))


def test_tables_of_jobs(capsys):
    table = JobInfoFormat("{id.dec:>5} ?:{queue} {status_abbrev:>2} {user.note:<4} {sched.x}")
    assert set(table.fields) == {"id.dec", "queue", "status_abbrev", "user.note", "sched.x"}
    assert job_fields_to_attrs(table.fields) == {"queue", "state", "result", "annotations"}
    table.print_items([job(result=1, annotations={"user": {"note": "n"}})])
    assert capsys.readouterr().out == "JOBID ST USER.NOTE SCHED.X\n 1234 CD n    \n"
    with pytest.raises(ValueError, match="Unknown format field: nope"):
        JobInfoFormat("{nope}")
    assert "user.note" not in JobInfoFormat.headings

"""Submitting, ending and waiting for jobs."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import flux.job
from flux.job import (
    JobID,
    cancel,
    cancel_async,
    event_wait,
    event_watch_async,
    job_raise,
    job_raise_async,
    kill,
    kill_async,
    submit,
    submit_async,
    submit_get_id,
    wait_async,
    wait_get_status,
)
from flux.job._sign import sign_none
from flux.job.wait import wait

GOLDEN = json.loads((Path(__file__).parent / "data" / "golden-jobs.json").read_text("utf-8"))

JOBSPEC = {
    "version": 1,
    "resources": [
        {
            "type": "slot",
            "count": 1,
            "label": "task",
            "with": [{"type": "core", "count": 1}],
        }
    ],
    "tasks": [{"command": ["true"], "slot": "task", "count": {"per_slot": 1}}],
    "attributes": {"system": {"duration": 0, "environment": {"NAME": "ƒ"}}},
}


class Jobspec:
    """An object with a `dumps` method, like the official bindings' Jobspec."""

    def dumps(self):
        return json.dumps(JOBSPEC)


@pytest.mark.parametrize("vector", GOLDEN["sign_none"]["vectors"])
def test_jobspecs_are_signed_as_a_broker_wants_it(vector):
    assert sign_none(vector["payload"].encode(), vector["userid"]) == vector["J"]


@pytest.mark.parametrize(
    "jobspec",
    [JOBSPEC, json.dumps(JOBSPEC), json.dumps(JOBSPEC, ensure_ascii=False).encode(), Jobspec()],
    ids=["dict", "str", "bytes", "object"],
)
def test_submit_sends_the_jobspec_signed_by_the_user(peer, jobspec):
    future = submit_async(peer.handle, jobspec)
    request = peer.read("job-ingest.submit")
    assert (request.payload["urgency"], request.payload["flags"]) == (16, 0)
    text = jobspec if isinstance(jobspec, (str, bytes)) else json.dumps(JOBSPEC)
    data = text.encode() if isinstance(text, str) else text
    assert request.payload["J"] == sign_none(data, os.getuid())
    peer.answer(request, {"id": 10267656192})
    assert future.get_id() == submit_get_id(future) == future.get() == JobID("fGeKRU3")
    assert type(future.get_id()) is JobID


def test_submit_waits_for_the_id(peer):
    # A broker writes the id as a signed integer.
    peer.expect("job-ingest.submit", {"id": -2})
    assert submit(peer.handle, JOBSPEC) == (1 << 64) - 2


def test_the_options_of_submit(peer):
    futures = [
        submit_async(peer.handle, "{}", urgency=0, waitable=True),
        submit_async(peer.handle, "{}", 31, debug=True),
        submit_async(peer.handle, "{}", novalidate=True),
        submit_async(peer.handle, "a.b.none", pre_signed=True),
    ]
    payloads = [peer.read("job-ingest.submit").payload for _ in futures]
    assert [(payload["urgency"], payload["flags"]) for payload in payloads] == [
        (0, 4),
        (31, 2),
        (16, 8),
        (16, 0),
    ]
    assert payloads[-1]["J"] == "a.b.none"


def test_a_submission_can_be_awaited(peer):
    async def main():
        future = submit_async(peer.handle, JOBSPEC)
        peer.answer(peer.read(), {"id": 7})
        return await future

    assert asyncio.run(main()) == 7


@pytest.mark.parametrize(
    ("step", "error", "text"),
    [
        ("urgency-32", errno.EINVAL, "urgency range is"),
        ("J-wrong-uid", errno.EPERM, "signer=12345 != requestor=0"),
        ("no-resources", errno.EPERM, "Missing key"),
        ("unknown-queue", errno.EINVAL, "'nope' is not a valid queue"),
        ("guest-sign-none", errno.EPERM, "only instance owner can use sign-type=none"),
    ],
)
def test_the_errors_of_a_real_broker_are_raised(peer, step, error, text):
    future = submit_async(peer.handle, "{}")
    peer.replay(peer.read(), "ingest-errors", step)
    with pytest.raises(OSError, match=text) as caught:
        future.get_id()
    assert caught.value.errno == error


def test_a_malformed_answer_to_submit_is_an_error(peer):
    payloads: list[Any] = [None, {}, {"id": "1"}, []]
    for payload in payloads:
        future = submit_async(peer.handle, "{}")
        peer.answer(peer.read(), payload)
        with pytest.raises(OSError, match="job id") as caught:
            future.get_id()
        assert caught.value.errno == errno.EPROTO


def test_bad_arguments_of_submit(peer):
    with pytest.raises(TypeError, match="not int"):
        submit(peer.handle, 0)
    for handle, jobspec in ((None, JOBSPEC), (peer.handle, None)):
        with pytest.raises(OSError, match="None") as caught:
            submit(handle, jobspec)  # type: ignore[arg-type]
        assert caught.value.errno == errno.EINVAL
    with pytest.raises(OSError, match="not the future") as caught:
        submit_get_id(None)  # type: ignore[arg-type]
    assert caught.value.errno == errno.EINVAL
    loop: dict[str, Any] = {}
    loop["x"] = loop
    for unfit in (loop, {"x": float("nan")}):
        with pytest.raises(ValueError, match=r"Circular|not JSON compliant"):
            submit(peer.handle, unfit)
    with pytest.raises(TypeError, match="serializable"):
        submit(peer.handle, {"x": object()})
    assert peer.quiet()


def test_the_requests_that_end_jobs(peer):
    futures = [
        kill_async(peer.handle, JobID(5)),
        kill_async(peer.handle, "f6", signal.SIGUSR1),
        cancel_async(peer.handle, 5),
        cancel_async(peer.handle, 5, "because"),
        job_raise_async(peer.handle, 5, "odd"),
        job_raise_async(peer.handle, 5, "odd", 7, "well"),
    ]
    requests = [peer.read() for _ in futures]
    assert [(request.topic, request.payload) for request in requests] == [
        ("job-manager.kill", {"id": 5, "signum": 15}),
        ("job-manager.kill", {"id": 5, "signum": 10}),
        ("job-manager.raise", {"id": 5, "type": "cancel", "severity": 0}),
        ("job-manager.raise", {"id": 5, "type": "cancel", "severity": 0, "note": "because"}),
        ("job-manager.raise", {"id": 5, "type": "odd", "severity": 0}),
        ("job-manager.raise", {"id": 5, "type": "odd", "severity": 7, "note": "well"}),
    ]
    for future, request in zip(futures, requests):
        peer.answer(request, None)
        assert future.get() is None


def raise_odd(flux_handle, jobid):
    job_raise(flux_handle, jobid, "odd")


@pytest.mark.parametrize("function", [kill, cancel, raise_odd])
def test_the_calls_that_end_jobs_wait_and_raise(peer, function):
    topic = "job-manager.kill" if function is kill else "job-manager.raise"
    peer.expect(topic, None)
    function(peer.handle, 5)
    for error in (errno.ENOENT, errno.EPERM, errno.EINVAL):
        peer.expect(topic, error)
        with pytest.raises(OSError, match=os.strerror(error)) as caught:
            function(peer.handle, 5)
        assert caught.value.errno == error
    with pytest.raises(ValueError, match="abc is not a valid Flux jobid"):
        function(peer.handle, "abc")
    with pytest.raises(OSError, match="not a Flux handle"):
        function(None, 5)


def test_what_a_real_job_manager_says_of_guests_and_unknown_jobs(peer):
    for step, error, text in (
        ("raise type with space", errno.EPROTO, "invalid exception type"),
        ("raise sev8", errno.EPROTO, "invalid exception severity"),
    ):
        future = job_raise_async(peer.handle, 5, "a b", 8)
        peer.replay(peer.read(), "manager-raise-kill-urgency", step)
        with pytest.raises(OSError, match=text) as caught:
            future.get()
        assert caught.value.errno == error


def test_waiting_for_a_job(peer):
    future = wait_async(peer.handle)
    request = peer.read("job-manager.wait")
    assert request.payload == {"id": -1}
    peer.answer(request, {"id": 5, "success": False, "errstr": "task(s) Killed"})
    result = future.get_status()
    assert result == (5, False, "task(s) Killed") == wait_get_status(future)
    assert (result.jobid, result.success, result.errstr) == result
    peer.expect("job-manager.wait", {"id": 6, "success": True, "errstr": ""})
    assert wait(peer.handle, "f7") == (6, True, "")
    peer.expect("job-manager.wait", errno.ECHILD)
    with pytest.raises(ChildProcessError):
        wait(peer.handle)
    for payload in (None, {}, {"id": 5}):
        peer.expect("job-manager.wait", payload)
        with pytest.raises(OSError, match="lacks a result") as caught:
            wait(peer.handle)
        assert caught.value.errno == errno.EPROTO
    with pytest.raises(OSError, match="not the future"):
        wait_get_status(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("jobid", [-1, 1 << 64, True, "no id"])
@pytest.mark.parametrize(
    "request_about",
    [
        event_watch_async,
        kill_async,
        cancel_async,
        wait_async,
        partial(job_raise_async, exc_type="x"),
    ],
)
def test_what_is_no_job_id_is_an_error_at_once(peer, request_about, jobid):
    with pytest.raises(ValueError, match="job"):
        request_about(peer.handle, jobid=jobid)


@pytest.mark.parametrize(
    ("name", "request_about"),
    [
        ("exc_type", lambda h: job_raise_async(h, 5, "a\0b")),
        ("note", lambda h: job_raise_async(h, 5, "a", note="a\0b")),
        ("reason", lambda h: cancel_async(h, 5, "a\0b")),
        ("eventlog", lambda h: event_watch_async(h, 5, "a\0b")),
        ("name", lambda h: event_wait(h, 5, "a\0b")),
    ],
)
def test_text_that_a_broker_would_cut_is_an_error_that_names_it(peer, name, request_about):
    with pytest.raises(ValueError, match=rf"^{name} must not contain NUL: 'a\\x00b'$"):
        request_about(peer.handle)


def test_the_public_names():
    assert all(hasattr(flux.job, name) for name in flux.job.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        flux.job.nothing  # noqa: B018

"""Jobs on the development broker, as their owners see them."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

import pytest

import flux.job
from flux.constants import FLUX_RPC_STREAMING
from flux.devbroker import Broker
from flux.job.journal import JournalConsumer
from flux.message import Message

LOG_END = ("release", "free", "clean")


def jobspec(command, ntasks=1, cores=1, **system):
    slot = {
        "type": "slot",
        "count": ntasks,
        "label": "task",
        "with": [{"type": "core", "count": cores}],
    }
    environment = {"PATH": os.environ["PATH"]}
    return {
        "version": 1,
        "resources": [slot],
        "tasks": [{"command": command, "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {
            "system": {"duration": 0, "cwd": "/tmp", "environment": environment, **system}
        },
    }


def submit(handle, command, **kwargs):
    options = {key: kwargs.pop(key) for key in ("urgency", "waitable") if key in kwargs}
    return flux.job.submit(handle, json.dumps(jobspec(command, **kwargs)), **options)


def names(handle, jobid, path="eventlog"):
    return [event.name for event in flux.job.event_watch(handle, jobid, path)]


def output(handle, jobid, stream="stdout"):
    """Return what a job wrote, once it has ended."""
    return "".join(
        event.context.get("data", "")
        for event in flux.job.event_watch(handle, jobid, "guest.output")
        if event.name == "data" and event.context["stream"] == stream
    )


def status(handle, jobid):
    """Return the wait status that a job finished with."""
    for event in flux.job.event_watch(handle, jobid):
        if event.name == "finish":
            return event.context["status"]
    return None


def error(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except OSError as exc:
        return exc.errno, exc.strerror
    pytest.fail("it succeeded")


def ended(pid):
    """Wait for a process, which was killed or is about to be; False if it goes on for long."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], 10)[0])
    finally:
        os.close(fd)


@pytest.fixture
def impatient():
    """A broker that sends SIGKILL soon after SIGTERM, with two cores."""
    config = {
        "exec": {"kill-timeout": "0.2s"},
        "resource": {"config": [{"hosts": "x", "cores": "0-1"}]},
    }
    with Broker(config=config) as broker:
        yield broker


def test_a_job_finds_its_environment(flux_handle, flux_broker):
    jobid = submit(flux_handle, ["env"])
    env = dict(line.split("=", 1) for line in output(flux_handle, jobid).splitlines())
    assert env["FLUX_JOB_ID"] == jobid.f58
    assert env["FLUX_URI"] == flux_broker.uri
    assert (env["FLUX_TASK_RANK"], env["FLUX_JOB_SIZE"]) == ("0", "1")
    assert "HOME" not in env
    assert os.path.basename(env["FLUX_JOB_TMPDIR"]) == f"jobtmp-0-{jobid.f58plain}"
    assert not os.path.exists(env["FLUX_JOB_TMPDIR"])


def test_a_job_finds_the_files_of_its_jobspec(flux_handle):
    script = "#!/bin/sh\necho in the script; cat $(dirname $0)/data/bytes\n"
    files = {
        "script": {"mode": 0o100700, "data": script, "encoding": "utf-8"},
        "data/bytes": {"mode": 0o100644, "data": "Ynl0ZXMK", "encoding": "base64"},
    }
    jobid = submit(flux_handle, ["{{tmpdir}}/script"], files=files)
    assert output(flux_handle, jobid) == "in the script\nbytes\n"
    assert status(flux_handle, jobid) == 0


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("../escaped", {"data": "", "encoding": "utf-8"}),
        ("/tmp/escaped", {"data": "", "encoding": "utf-8"}),
        ("odd", {"data": "", "encoding": "rot13"}),
        ("odd", {"data": "not base64!", "encoding": "base64"}),
        ("odd", "text"),
    ],
)
def test_a_job_whose_files_are_wrong_does_not_start(flux_handle, name, file):
    jobid = submit(flux_handle, ["true"], files={name: file})
    with pytest.raises(flux.job.JobException, match=f"{name}: is not a"):
        flux.job.event_wait(flux_handle, jobid, "clean")
    flux.job.event_wait(flux_handle, jobid, "clean", raiseJobException=False)


def test_templates_in_a_command(flux_handle):
    words = "{{id}} {{id.dec}} {{task.rank}} {{ntasks}} {{unknown}}"
    jobid = submit(flux_handle, ["echo", *words.split()], ntasks=2)
    shown = {f"{jobid.f58} {int(jobid)} {rank} 2 {{{{unknown}}}}" for rank in range(2)}
    assert set(output(flux_handle, jobid).splitlines()) == shown


def test_jobs_wait_for_cores_in_order(impatient):
    handle = impatient.handle()
    first = submit(handle, ["sleep", "30"], cores=2)
    low = submit(handle, ["true"], urgency=5)
    high = submit(handle, ["true"], urgency=20)
    flux.job.event_wait(handle, first, "start")
    jobs = handle.rpc("job-list.list", {"max_entries": 0, "attrs": ["state"]}).get()["jobs"]
    assert [job["id"] for job in jobs] == [high, low, first]
    flux.job.cancel(handle, first)
    times = {jobid: flux.job.event_wait(handle, jobid, "alloc").timestamp for jobid in (low, high)}
    assert times[high] <= times[low]


def test_much_output_comes_whole(flux_handle):
    size = 100_000_000
    line = "x" * 98
    program = f"import sys\nfor _ in range({size // 100}): sys.stdout.write({line!r} + '\\n')"
    jobid = submit(flux_handle, [sys.executable, "-c", program])
    length = lines = 0
    for event in flux.job.event_watch(flux_handle, jobid, "guest.output"):
        data = event.context.get("data", "")
        length += len(data)
        lines += data.count(line + "\n")
    assert (length, lines) == (size // 100 * 99, size // 100)
    assert status(flux_handle, jobid) == 0


def test_output_that_was_long_is_found_later(flux_handle):
    program = "for i in range(20000): print(i, 'y' * 90)"
    jobid = submit(flux_handle, [sys.executable, "-c", program])
    flux.job.event_wait(flux_handle, jobid, "clean")
    text = output(flux_handle, jobid)
    assert [line.split()[0] for line in text.splitlines()] == [str(i) for i in range(20000)]


def test_what_a_job_leaves_behind_is_killed(flux_handle):
    command = "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"
    jobid = submit(flux_handle, ["sh", "-c", command])
    assert status(flux_handle, jobid) == 0
    assert ended(int(output(flux_handle, jobid)))


def test_a_job_that_ignores_sigterm_is_killed(impatient):
    handle = impatient.handle()
    jobid = submit(handle, ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
    for event in flux.job.event_watch(handle, jobid, "guest.output"):
        if "ready" in event.context.get("data", ""):
            break
    flux.job.cancel(handle, jobid)
    assert status(handle, jobid) == (128 + signal.SIGKILL) << 8


def test_pipes_held_by_a_daemon_do_not_outlast_a_cancel(impatient):
    handle = impatient.handle()
    jobid = submit(handle, ["setsid", "-f", "sleep", "20"])
    flux.job.event_wait(handle, jobid, "shell.task-exit", eventlog="guest.exec.eventlog")
    flux.job.cancel(handle, jobid)
    assert names(handle, jobid)[-3:] == list(LOG_END)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_no_job_outlives_the_broker(end):
    with Broker() as broker:
        handle = broker.handle()
        assert status(handle, submit(handle, ["true"])) == 0
        jobid = submit(handle, ["sh", "-c", "echo $$; exec sleep 1000"])
        for event in flux.job.event_watch(handle, jobid, "guest.output"):
            if "data" in event.context:
                pid = int(event.context["data"])
                break
        os.kill(pid, 0)
        getattr(broker, end)()
    assert ended(pid)


def test_the_broker_answers_while_its_jobs_end():
    with Broker() as broker, broker.handle() as handle:
        jobid = submit(handle, ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"])
        for event in flux.job.event_watch(handle, jobid, "guest.output"):
            if "ready" in event.context.get("data", ""):
                break
        events = flux.job.event_watch_async(handle, jobid)
        handle.rpc("shutdown.start").get()
        seen = []
        while "exception" not in seen:
            entry = events.get_event()
            assert entry is not None
            seen.append(entry.name)
        request = {"id": int(jobid), "keys": ["eventlog"], "flags": 0}
        log = handle.rpc("job-info.lookup", request).get()["eventlog"]
        assert "exception" in log
        # It has a second to end in its own way, and is killed after that.
        assert "finish" not in log


def test_a_restarted_broker_has_the_jobs(tmp_path):
    attributes = {"statedir": str(tmp_path)}
    with Broker(attributes=attributes) as broker:
        handle = broker.handle()
        done = submit(handle, ["sh", "-c", "echo kept; exit 5"])
        held = submit(handle, ["echo", "later"], urgency=0)
        running = submit(handle, ["sleep", "1000"])
        flux.job.event_wait(handle, running, "start")
        log = names(handle, done)
    with Broker(attributes=attributes) as broker:
        handle = broker.handle()
        assert names(handle, done) == log
        assert output(handle, done) == "kept\n"
        job = handle.rpc("job-list.list-id", {"id": done, "attrs": ["all"]}).get()["job"]
        assert (job["waitstatus"], job["result"], job["name"]) == (5 << 8, 2, "sh")
        assert names(handle, running)[-4:] == ["finish", *LOG_END]
        handle.rpc("job-manager.urgency", {"id": held, "urgency": 16}).get()
        assert output(handle, held) == "later\n"
        assert "flux-restart" in names(handle, held)
        assert submit(handle, ["true"]) > running


def test_the_journal_tells_all_of_a_job(flux_handle):
    before = submit(flux_handle, ["true"])
    flux.job.event_wait(flux_handle, before, "clean")
    consumer = JournalConsumer(flux_handle, include_sentinel=True).start()
    events: list[Any] = []
    while not events or not events[-1].is_empty():
        events.append(consumer.poll(5.0))
    assert [event.name for event in events[:-1] if event.jobid == before] == names(
        flux_handle, before
    )
    jobid = submit(flux_handle, ["true"])
    live: list[Any] = []
    while not live or live[-1].name != "clean":
        live.append(consumer.poll(5.0))
    assert all(event.jobid == jobid for event in live)
    assert [event.name for event in live if event.name != "annotations"] == names(
        flux_handle, jobid
    )
    assert live[0].jobspec["tasks"][0]["command"] == ["true"]
    alloc = next(event for event in live if event.name == "alloc")
    assert alloc.R["execution"]["R_lite"][0]["rank"] == "0"
    consumer.stop()


def history(consumer):
    """Return the events of a journal up to the end of its history."""
    events: list[Any] = []
    while not events or not events[-1].is_empty():
        events.append(consumer.poll(5.0))
    return [(int(event.jobid), event.name) for event in events[:-1]]


def test_the_journal_tells_as_much_of_the_past_as_it_is_asked_for(flux_handle):
    done = submit(flux_handle, ["true"])
    end = flux.job.event_wait(flux_handle, done, "clean").timestamp
    held = submit(flux_handle, ["true"], urgency=0)
    flux.job.event_wait(flux_handle, held, "priority")
    of_done = [(int(done), name) for name in names(flux_handle, done)]
    of_held = [(int(held), name) for name in ("submit", "validate", "depend", "priority")]
    for since, expected in (
        (0.0, of_done + of_held),
        (end - 1e-6, of_done[-1:] + of_held),
        (end, of_held),
    ):
        with JournalConsumer(flux_handle, since=since, include_sentinel=True) as consumer:
            assert history(consumer) == expected
    # What is of the past then is not told apart.
    with JournalConsumer(flux_handle, full=False) as consumer:
        seen: list[Any] = [consumer.poll(5.0) for _ in of_held]
        assert [(int(event.jobid), event.name) for event in seen] == of_held


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"allow": {"submit": 1, "clean": 1}}, ["submit", "clean"]),
        ({"allow": {"submit": 1, "clean": 1}, "deny": {"clean": 0}}, ["submit"]),
        ({"deny": {"validate": 1, "depend": 1, "priority": 1}}, None),
    ],
)
def test_the_journal_leaves_out_what_is_not_wanted(filters, expected, flux_handle):
    if expected is None:
        expected = ["submit", "alloc", "start", "finish", *LOG_END]
    rpc = flux_handle.rpc(
        "job-manager.events-journal", {"full": True, **filters}, flags=FLUX_RPC_STREAMING
    )
    assert rpc.get() == {"id": -1, "events": []}
    rpc.reset()
    jobid = submit(flux_handle, ["true"])
    flux.job.event_wait(flux_handle, jobid, "clean")
    live: list[str] = []
    while not live or live[-1] != expected[-1]:
        (event,) = rpc.get()["events"]
        rpc.reset()
        if event["name"] != "annotations":
            live.append(event["name"])
    assert live == expected
    past = flux_handle.rpc(
        "job-manager.events-journal", {"full": True, **filters}, flags=FLUX_RPC_STREAMING
    ).get()
    assert past["id"] == jobid
    assert [event["name"] for event in past["events"]] == expected


def test_queues_have_defaults():
    config = {
        "policy": {"jobspec": {"defaults": {"system": {"queue": "batch", "duration": "2m"}}}},
        "queues": {
            "batch": {},
            "debug": {"policy": {"jobspec": {"defaults": {"system": {"duration": 30}}}}},
        },
    }
    with Broker(config=config) as broker, broker.handle() as handle:

        def taken(**system):
            jobid = submit(handle, ["true"], urgency=0, **system)
            request = {"id": int(jobid), "keys": ["jobspec"], "flags": 1}
            spec = handle.rpc("job-info.lookup", request).get()["jobspec"]
            return {key: spec["attributes"]["system"][key] for key in ("queue", "duration")}

        assert taken() == {"queue": "batch", "duration": 120.0}
        assert taken(queue="debug") == {"queue": "debug", "duration": 30.0}
        assert taken(queue="debug", duration=5) == {"queue": "debug", "duration": 5}
        assert error(taken, queue="nope") == (errno.EPERM, "Invalid queue 'nope' specified")


def test_waiting_for_many(flux_handle):
    ids = {submit(flux_handle, ["sh", "-c", f"exit {i % 3}"], waitable=True) for i in range(9)}
    results = [flux.job.wait(flux_handle) for _ in ids]
    assert {result.jobid for result in results} == ids
    assert sum(result.success for result in results) == 3
    assert error(flux.job.wait, flux_handle)[0] == errno.ECHILD


@pytest.mark.parametrize(
    ("spec", "errnum", "text"),
    [
        (24 << 20, errno.EFBIG, "jobspec is too large"),
        ("[" * 10000, errno.EINVAL, "jobspec: invalid JSON"),
        ('{"version": 1' * 5, errno.EINVAL, "jobspec: invalid JSON"),
        (json.dumps(dict(jobspec(["true"]), tasks=[])), errno.EINVAL, "tasks are malformed"),
        (json.dumps(dict(jobspec(["true"]), tasks={})), errno.EPERM, "tasks must be a sequence"),
        (json.dumps(jobspec([])), errno.EPERM, "command array cannot have length of zero"),
        (json.dumps(jobspec(["true"], ntasks=0)), errno.EPERM, "count must be > 0"),
    ],
)
def test_a_bad_jobspec_is_refused_with_a_reason(spec, errnum, text, flux_handle):
    # A number stands for so many bytes.
    text_of_it = "x" * spec if isinstance(spec, int) else spec
    number, reason = error(flux.job.submit, flux_handle, text_of_it)
    assert number == errnum
    assert text in reason
    assert status(flux_handle, submit(flux_handle, ["true"])) == 0


@pytest.mark.parametrize(
    "system",
    [
        {"exec": "x", "job": 1, "shell": [], "queue": 5},
        {"shell": {"options": {"output": {"stdout": {"type": "file", "path": 3}}}}},
        {"duration": 1e300},
        {"environment": {"A": 1, "B\0": "x", "C": "y\0"}},
        {"cwd": "/nonexistent\0"},
    ],
)
def test_odd_jobspecs_end_one_way_or_another(system, flux_handle):
    jobid = submit(flux_handle, ["/bin/true"], **system)
    assert names(flux_handle, jobid)[-1] == "clean"


def test_more_tasks_than_a_machine_can_bear(flux_handle):
    spec = jobspec(["true"])
    spec["tasks"][0]["count"] = {"total": 10**9}
    jobid = flux.job.submit(flux_handle, json.dumps(spec))
    with pytest.raises(flux.job.JobException, match="too many"):
        flux.job.event_wait(flux_handle, jobid, "finish")


@pytest.mark.parametrize("form", ["dec", "hex", "f58", "f58plain", "dothex", "kvs", "words"])
def test_unknown_ids(form, flux_handle):
    jobid = flux.job.JobID(flux.job.JobID(987654321).encode(form))
    assert error(flux.job.cancel, flux_handle, jobid) == (errno.ENOENT, "unknown job id")
    assert error(flux.job.kill, flux_handle, jobid)[0] == errno.EINVAL
    assert error(flux.job.event_wait, flux_handle, jobid, "clean")[0] == errno.ENOENT


def test_cancelling_a_stream_that_has_ended(flux_handle):
    jobid = submit(flux_handle, ["true"])
    future = flux.job.event_watch_async(flux_handle, jobid)
    while future.get_event() is not None:
        pass
    future.cancel()
    assert names(flux_handle, jobid)[-1] == "clean"


def test_guests_see_no_more_than_their_own(flux_handle, raw_client):
    jobid = submit(flux_handle, ["sleep", "1000"])
    client = raw_client()

    def ask(topic, payload, streaming=False):
        msg = Message()
        msg.topic, msg.payload, msg.matchtag = topic, payload, 1
        msg.streaming = streaming
        msg.userid, msg.rolemask = os.getuid() + 1, 2
        client.send(msg)
        return client.receive().errnum

    lookup = {"id": jobid, "keys": ["J"], "flags": 0}
    assert ask("job-info.lookup", lookup) == errno.EPERM
    watch = {"id": jobid, "path": "guest.output", "flags": 0}
    assert ask("job-info.eventlog-watch", watch, True) == errno.EPERM
    assert ask("job-info.update-watch", {"id": jobid, "key": "R", "flags": 0}, True) == errno.EPERM
    assert ask("job-manager.kill", {"id": jobid, "signum": 9}) == errno.EPERM
    assert ask("job-manager.memo", {"id": jobid, "memo": {}}) == errno.EPERM
    assert ask("job-manager.getattr", {"id": jobid, "attrs": ["R"]}) == errno.EPERM
    assert ask("job-manager.events-journal", {"full": True}, True) == errno.EPERM
    stdin = {"stream": "stdin", "rank": "all", "data": "x"}
    assert ask(f"{os.getuid()}-shell-{jobid.f58plain}.stdin", stdin) == errno.EPERM
    everyone = {"dry_run": False, "userid": -1, "states": 62, "severity": 0, "type": "cancel"}
    assert ask("job-manager.raiseall", everyone) == errno.EPERM
    flux.job.cancel(flux_handle, jobid)


# -- commands


def flux_command(broker, *words, **kwargs):
    return subprocess.run(
        ["flux", *words],
        env=broker.environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **kwargs,
    )


def test_run_is_as_good_as_the_command(flux_broker):
    result = flux_command(flux_broker, "run", "sh", "-c", "cat; echo no >&2; exit 3", input="hi\n")
    assert (result.returncode, result.stdout) == (3, "hi\n")
    assert sorted(result.stderr.splitlines()) == ["flux-job: task(s) exited with exit code 3", "no"]


def test_jobs_are_tabulated_as_told(flux_broker):
    for name, command in (("b", "exit 3"), ("a", "true")):
        flux_command(flux_broker, "run", f"--job-name={name}", "sh", "-c", command)
    wanted = (
        "sort:name {name} ?:{queue:<8} +:{status:<2} {returncode:>3} {nnodes:h} {inactive_reason}"
    )
    table = flux_command(flux_broker, "jobs", "-a", "-o", wanted).stdout
    assert table == (
        "NAME STATUS     RC NNODES INACTIVE-REASON\n"
        "a COMPLETED   0 1 Exit 0\nb FAILED      3 1 Exit 3\n"
    )
    words = ("jobs", "-ano", "{name}", "--sort=-name", "--width=20")
    assert flux_command(flux_broker, *words).stdout == "b\na\n"
    assert flux_command(flux_broker, *words, "--name=a", "--since=-1h").stdout == "a\n"
    assert flux_command(flux_broker, *words, "--user=1", "-f", "failed").stdout == ""
    (failed,) = json.loads(flux_command(flux_broker, "jobs", "--json", "-f", "failed").stdout)[
        "jobs"
    ]
    assert (failed["name"], failed["returncode"], failed["result"]) == ("b", 3, "FAILED")
    heading, *_ = flux_command(flux_broker, "jobs", "-a", "-o", "long").stdout.splitlines()
    assert heading.split()[:4] == ["JOBID", "USER", "NAME", "STATUS"]
    assert "endreason" in flux_command(flux_broker, "jobs", "-o", "help").stdout
    colored = flux_command(flux_broker, "jobs", "-no", "{name}", "-f", "failed", "--color").stdout
    assert colored == "\033[01;31mb\n\033[0;0m"


def test_commands_about_a_job(flux_broker, flux_handle):
    jobid = flux_command(flux_broker, "submit", "sleep", "1000").stdout.strip()
    assert flux_command(flux_broker, "job", "wait-event", jobid, "start").returncode == 0
    lines = flux_command(flux_broker, "jobs", "-no", "{id.f58} {name} {state}").stdout
    assert lines == f"{jobid} sleep RUN\n"
    assert flux_command(flux_broker, "cancel", jobid).returncode == 0
    attach = flux_command(flux_broker, "job", "attach", jobid)
    assert attach.returncode == 143
    assert "type=cancel severity=0" in attach.stderr
    log = flux_command(flux_broker, "job", "eventlog", jobid).stdout
    assert [line.split()[1] for line in log.splitlines()] == names(
        flux_handle, int(flux.job.JobID(jobid))
    )
    again = flux_command(flux_broker, "cancel", jobid)
    assert (again.returncode, again.stderr) == (
        1,
        f"flux-cancel: ERROR: {jobid}: job is inactive\n",
    )
    unknown = flux_command(flux_broker, "job", "attach", "12345")
    assert unknown.stderr == "flux-job: Failed to attach to 12345: No such job\n"
    assert flux_command(flux_broker, "job", "id", "--to=dec", jobid).stdout == (
        f"{int(flux.job.JobID(jobid))}\n"
    )


def test_commands_print_utf8_whatever_the_locale_is(flux_broker):
    jobid = flux_command(flux_broker, "submit", "echo", "漢").stdout.strip()
    flux_command(flux_broker, "job", "wait-event", jobid, "clean")
    latin = dict(flux_broker.environ, PYTHONIOENCODING="latin-1")
    shown = subprocess.run(
        ["flux", "job", "eventlog", "-p", "output", jobid],
        env=latin,
        capture_output=True,
        check=True,
        timeout=30,
    )
    assert 'data="漢\\n"'.encode() in shown.stdout


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (
            ["jobs", "-f", "failed,nope"],
            (
                "flux-jobs: Invalid filter specified: nope (there are depend, priority, sched, "
                "run, cleanup, inactive, pending, running, active, completed, failed, canceled, "
                "timeout)"
            ),
        ),
        (
            ["jobs", "-o", "nope"],
            (
                "flux-jobs: Error in user format: --format: No such format nope (Did you mean "
                "'{nope}'?)"
            ),
        ),
        (["jobs", "nope"], 'flux-jobs: error parsing jobid: "nope"'),
        (["job", "status", "12345"], "flux-job: 12345: No such job"),
        (["job", "kill", "12345"], "flux-job: kill 12345: unknown job id"),
        (["job", "kill", "-s", "99", "12345"], "flux-job: kill 12345: Invalid signal number"),
        (["job", "raise", "12345"], "flux-job: raise 12345: unknown job id"),
        (["job", "eventlog", "12345"], "flux-job: job 12345 not found"),
        (["job", "wait-event", "-p", "x", "12345", "y"], "flux-job: eventlog path x not found"),
        (["job", "wait-event", "-c", "0", "12345", "y"], "flux-job: count must be > 0"),
        (
            ["job", "wait-event", "-m", "k", "12345", "y"],
            "flux-job: must specify a context test as key=value",
        ),
    ],
)
def test_commands_name_what_is_wrong(words, text, flux_broker):
    result = flux_command(flux_broker, *words)
    assert (result.returncode, result.stdout, result.stderr) == (1, "", text + "\n")

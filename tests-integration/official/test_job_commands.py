"""Commands that are about jobs and resources."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
from pathlib import Path

from harness.cell import LIMIT
from harness.official import Official
from harness.rows import fails, works


def submit(flux: Official, *words: str) -> str:
    """Submit a job and return its id."""
    return flux("submit", *words).strip()


def end(flux: Official, job: str) -> None:
    """Cancel a job and wait for its end."""
    flux("cancel", job)
    flux("job", "wait-event", f"--timeout={LIMIT}", job, "clean")


@works("flux submit")
def test_submit(flux: Official) -> None:
    assert flux("submit", "--wait", "--quiet", "true") == ""
    assert len(flux("submit", "--cc=1-3", "--wait", "true").split()) == 3
    assert flux.run("submit", "--wait", "false").returncode == 1


@works("flux run", "output, input, exit code, several tasks, labels, time limit")
def test_run(flux: Official) -> None:
    assert flux("run", "echo", "hello") == "hello\n"
    assert flux("run", "cat", stdin="some input\n") == "some input\n"
    assert sorted(flux("run", "-n2", "--label-io", "echo", "x").splitlines()) == ["0: x", "1: x"]
    assert flux.run("run", "sh", "-c", "exit 3").returncode == 3
    assert "timeout" in flux.fail("run", "--time-limit=0.1s", "sleep", "100")


@works("flux run --input, --output, --error")
def test_files(flux: Official, tmp_path: Path) -> None:
    out = tmp_path / "out-{{id.dec}}"
    (tmp_path / "in").write_text("from a file\n")
    flux("run", f"--input={tmp_path / 'in'}", f"--output={out}", "cat")
    (written,) = tmp_path.glob("out-*")
    assert written.read_text() == "from a file\n"


@works("flux bulksubmit")
def test_bulksubmit(flux: Official) -> None:
    shown = flux("bulksubmit", "--wait", "--watch", "echo", "{}", ":::", "a", "b", "c")
    assert {"a", "b", "c"} <= set(shown.split())


@works("flux batch", "the instance within it is an independent one: see nested instances")
def test_batch(flux: Official, tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text("#!/bin/sh\nflux run echo from the batch job\n")
    script.chmod(0o700)
    out = tmp_path / "out"
    job = flux("batch", "-n1", f"--output={out}", str(script)).strip()
    flux("job", "attach", job)
    assert out.read_text() == "from the batch job\n"


@works("flux alloc", "the instance within it is an independent one: see nested instances")
def test_alloc(flux: Official) -> None:
    assert flux("alloc", "-n1", "flux", "run", "echo", "within") == "within\n"


@fails("nested instances", "tasks have no PMI: brokers in a job are of size 1 and know no parent")
def test_nested_instances(flux: Official) -> None:
    assert flux("alloc", "-n1", "flux", "getattr", "instance-level") == "0\n"
    assert "parent-uri: No such file" in flux.fail("alloc", "-n1", "flux", "getattr", "parent-uri")


@works("flux jobs")
def test_jobs(flux: Official) -> None:
    job = submit(flux, "--job-name=listed", "sleep", "inf")
    flux("job", "wait-event", job, "start")
    assert flux("jobs", "--no-header", "-o{id.f58} {name} {status}", job) == f"{job} listed RUN\n"
    end(flux, job)
    (listed,) = json.loads(flux("jobs", "-a", "--name=listed", "--json"))["jobs"]
    assert listed["result"] == "CANCELED"
    assert "completed" in flux.run("jobs", "--stats-only").stdout


@works("flux job attach")
def test_attach(flux: Official) -> None:
    job = submit(flux, "sh", "-c", "echo out; echo err >&2; exit 2")
    done = flux.run("job", "attach", job)
    assert (done.returncode, done.stdout) == (2, "out\n")
    assert "err" in done.stderr.splitlines()
    assert "job.clean" in flux.run("job", "attach", "-vEX", job).stderr


@works("flux job attach, interactive input")
def test_attach_with_input(flux: Official) -> None:
    job = submit(flux, "cat")
    flux("job", "wait-event", job, "start")
    assert flux("job", "attach", job, stdin="typed\n") == "typed\n"


@works("flux watch")
def test_watch(flux: Official) -> None:
    job = submit(flux, "echo", "watched")
    assert flux("watch", job) == "watched\n"


@works("flux job eventlog, wait-event, info")
def test_eventlogs(flux: Official) -> None:
    job = submit(flux, "true")
    flux("job", "wait-event", f"--timeout={LIMIT}", job, "clean")
    names = [line.split()[1] for line in flux("job", "eventlog", job).splitlines()]
    assert names[0] == "submit"
    assert names[-1] == "clean"
    assert "shell.start" in flux("job", "eventlog", "--path=guest.exec.eventlog", job)
    assert json.loads(flux("job", "info", job, "R"))["version"] == 1
    assert json.loads(flux("job", "info", job, "jobspec"))["tasks"][0]["command"] == ["true"]
    assert "not found" in flux.fail("job", "eventlog", "1234")


@works("flux cancel, flux job kill, raise")
def test_ending_jobs(flux: Official) -> None:
    job = submit(flux, "sleep", "inf")
    flux("cancel", "--message=enough", job)
    assert "enough" in flux("job", "wait-event", job, "exception")
    job = submit(flux, "sleep", "inf")
    flux("job", "wait-event", job, "start")
    flux("job", "kill", "--signal=USR1", job)
    assert "status=35328" in flux("job", "wait-event", job, "finish")
    job = submit(flux, "sleep", "inf")
    flux("job", "raise", "--severity=0", "--type=official", job, "a", "note")
    assert "a note" in flux("job", "wait-event", job, "exception")
    flux("job", "wait-event", job, "clean")


@works("flux pgrep, pkill")
def test_by_name(flux: Official) -> None:
    job = submit(flux, "--job-name=wanted", "sleep", "inf")
    flux("job", "wait-event", job, "start")
    assert flux("pgrep", "wanted").strip() == job
    flux("pkill", "--wait", "wanted")
    assert flux.run("pgrep", "wanted").returncode == 1


@works("flux job urgency, hold, release by urgency")
def test_urgency(flux: Official) -> None:
    job = submit(flux, "--urgency=hold", "true")
    flux("job", "urgency", job, "default")
    assert flux("job", "status", "-v", job) == ""


@works("flux update", "duration of a running job")
def test_update(flux: Official) -> None:
    job = submit(flux, "--time-limit=10m", "sleep", "inf")
    flux("job", "wait-event", job, "start")
    flux("update", job, "duration=+5m")
    assert "jobspec-update" in flux("job", "eventlog", job)
    end(flux, job)


@works("flux job list, last, id, taskmap, stats, wait, purge")
def test_the_rest_of_flux_job(flux: Official) -> None:
    job = submit(flux, "--flags=waitable", "true")
    assert flux.run("job", "wait", job).returncode == 0
    assert json.loads(flux("job", "list-ids", flux("job", "id", job).strip()))["result"] == 1
    assert flux("job", "last").strip() == job
    assert flux("job", "id", "--to=f58", flux("job", "id", "--to=hex", job).strip()).strip() == job
    assert flux("job", "taskmap", job) == "[[0,1,1,1]]\n"
    assert json.loads(flux("job", "stats"))["job_states"]["total"] > 0
    assert "inactive jobs" in flux("job", "purge", "--force", "--num-limit=1000")


@works("flux queue status, list, disable, enable, stop, start, drain, idle")
def test_queues(flux: Official) -> None:
    assert "Job submission is enabled" in flux("queue", "status")
    flux("queue", "disable", "--all", "--message=closed")
    assert "closed" in flux.fail("submit", "true")
    flux("queue", "enable", "--all")
    flux("queue", "stop", "--all")
    job = submit(flux, "true")
    flux("queue", "start", "--all")
    flux("queue", "drain")
    flux("queue", "idle")
    flux("job", "wait-event", job, "clean")
    assert "TLIMIT" in flux("queue", "list")


@works("flux resource list, status, info, drain, undrain, R, eventlog")
def test_resources(flux: Official) -> None:
    host = os.uname().nodename
    assert flux("resource", "list", "--no-header", "--states=free", "-o{nodelist}") == f"{host}\n"
    flux("resource", "drain", "0", "broken")
    assert "broken" in flux("resource", "status", "--states=drain", "-o{reason}")
    flux("resource", "undrain", "0")
    assert "1 Nodes" in flux("resource", "info")
    assert json.loads(flux("resource", "R"))["version"] == 1
    assert "drain" in flux("resource", "eventlog")


@fails("flux resource reload", "resources are set by the configuration")
def test_resource_reload(flux: Official) -> None:
    assert "Unknown service method 'resource.reload'" in flux.fail(
        "resource", "reload", "/dev/null"
    )


@works("flux pstree")
def test_pstree(flux: Official) -> None:
    flux("run", "--job-name=a-leaf", "true")
    assert "a-leaf:CD" in flux("pstree", "-a")


@works("flux top")
def test_top(flux: Official) -> None:
    job = submit(flux, "--job-name=on-top", "sleep", "inf")
    flux("job", "wait-event", job, "start")
    ours, its = pty.openpty()
    env = dict(flux.environ, TERM="xterm")
    with subprocess.Popen([flux.flux, "top"], env=env, stdin=its, stdout=its, stderr=its) as top:
        shown = b""
        try:
            while b"on-top" not in shown:
                assert select.select([ours], [], [], LIMIT)[0], shown
                shown += os.read(ours, 1 << 16)
            os.write(ours, b"q")
            assert top.wait(LIMIT) == 0
        finally:
            top.kill()
    os.close(ours)
    os.close(its)
    end(flux, job)


@works("flux housekeeping list", "there is never any")
def test_housekeeping(flux: Official) -> None:
    assert "JOBID" in flux("housekeeping", "list")


@works("flux run --dependency")
def test_dependencies(flux: Official) -> None:
    first = submit(flux, "true")
    assert flux("run", f"--dependency=afterok:{first}", "echo", "then") == "then\n"


@works("flux run --add-file")
def test_added_files(flux: Official, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("carried along\n")
    option = f"--add-file=data={tmp_path / 'data'}"
    assert flux("run", option, "cat", "{{tmpdir}}/data") == "carried along\n"


@works("flux multi-prog")
def test_multi_prog(flux: Official, tmp_path: Path) -> None:
    (tmp_path / "conf").write_text("0 echo zero\n1 echo one\n")
    shown = flux("run", "-n2", flux.flux, "multi-prog", str(tmp_path / "conf"))
    assert sorted(shown.split()) == ["one", "zero"]


@fails("flux run -o pty", "tasks have no terminal")
def test_terminals(flux: Official) -> None:
    assert flux("run", "-o", "pty", "sh", "-c", "test -t 0 || echo no terminal") == "no terminal\n"


@fails("flux proxy JOBID, flux uri JOBID", "as brokers in a job know no parent to tell")
def test_uri_of_a_job(flux: Official) -> None:
    job = submit(flux, "sleep", "inf")
    flux("job", "wait-event", job, "start")
    assert flux.fail("uri", job)
    end(flux, job)

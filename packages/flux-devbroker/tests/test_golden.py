"""The vectors recorded from a real instance that are about its services and commands."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flux.job
from flux.devbroker import Broker
from flux.devbroker._jobs import _states
from flux.job.event import event_wait
from flux.job.wait import wait

# Beside the distribution whose vectors most of them are.
DATA = Path(__file__).parents[2] / "flux-job-events" / "tests" / "data" / "golden-jobs.json"
GOLDEN = json.loads(DATA.read_text("utf-8"))


@pytest.fixture(scope="module")
def broker():
    with Broker() as broker:
        yield broker


def command(broker, *args, **env):
    return subprocess.run(
        [sys.executable, "-m", "flux.devbroker", *args],
        env={**broker.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def jobspec(command):
    return {
        "version": 1,
        "resources": [
            {"type": "slot", "count": 1, "label": "t", "with": [{"type": "core", "count": 1}]}
        ],
        "tasks": [{"command": command, "slot": "t", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0, "environment": {"PATH": os.environ["PATH"]}}},
    }


def test_tree_objects_and_their_hashes(broker):
    with broker.handle() as handle:
        request = {"namespace": "golden", "owner": os.getuid(), "flags": 0, "rootref": ""}
        empty, *vectors = GOLDEN["kvs_treeobj"]["vectors"]
        request["rootref"] = empty["rootref"]
        handle.rpc("kvs.namespace-create", request).get()
        for vector in vectors:
            commit = {"namespace": "golden", "flags": 0, "ops": vector["ops"]}
            answer = handle.rpc("kvs.commit", commit).get()
            assert (answer["rootseq"], answer["rootref"]) == (vector["rootseq"], vector["rootref"])
            load = handle.request_encode("content.load")
            load.payload_bytes = bytes.fromhex(vector["rootref"].partition("-")[2])
            load.matchtag = 1 << 30
            handle.send(load)
            response = handle.recv(match_tag=load.matchtag)
            assert response is not None
            response.raise_for_error()
            assert response.payload_bytes == vector["root_object"].encode()


@pytest.mark.parametrize(
    "vector", GOLDEN["waitstatus"]["vectors"], ids=lambda vector: " ".join(vector["command"])
)
def test_how_a_command_ended_is_told_in_every_way(broker, vector):
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec(vector["command"]), waitable=True)
        finish = event_wait(handle, jobid, "finish")
        assert finish.context["status"] == vector["finish_status"]
        result = wait(handle, jobid)
        assert result.success == vector["wait_success"]
        assert result.errstr in (vector["wait_errstr"], vector["wait_errstr"].encode())
    attached = command(broker, "job", "attach", str(jobid))
    assert attached.returncode == vector["flux_job_attach_rc"]
    assert attached.stderr.strip() == vector["flux_job_attach_stderr"]
    assert command(broker, "job", "status", str(jobid)).returncode == vector["flux_job_status_rc"]


@pytest.fixture(scope="module")
def finished(broker):
    """A job that has ended, to whose directory a log is added; a function that prints it."""
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec(["true"]))
        event_wait(handle, jobid, "clean")

        def show(text, *options, **env):
            data = base64.b64encode(text.encode()).decode()
            put = {
                "key": f"{jobid.kvs}.added",
                "flags": 0,
                "dirent": {"ver": 1, "type": "val", "data": data},
            }
            request = {"namespace": "primary", "flags": 0, "ops": [put]}
            handle.rpc("kvs.commit", request).get()
            return command(broker, "job", "eventlog", "-p", "added", *options, jobid.f58, **env)

        yield show


@pytest.mark.parametrize("options", GOLDEN["eventlog_format"]["outputs"])
def test_an_eventlog_is_printed_as_recorded(finished, options):
    recorded = GOLDEN["eventlog_format"]
    arguments, _, env = options.replace("(default)", "").partition(" with ")
    env = dict([env.split("=")]) if env else {}
    shown = finished(recorded["eventlog"], *arguments.split(), **env)
    # Only newlines end a line here, and not what else Unicode has.
    assert shown.stdout.split("\n") == [*recorded["outputs"][options], ""]
    assert (shown.returncode, shown.stderr) == (0, "")


@pytest.mark.parametrize("fault", GOLDEN["eventlog_invalid"]["vectors"])
def test_a_broken_eventlog_is_refused_as_recorded(finished, fault):
    recorded = GOLDEN["eventlog_invalid"]["vectors"][fault]
    shown = finished(recorded["eventlog"])
    assert shown.returncode == recorded["rc"]
    assert shown.stdout == recorded["stdout"]
    assert shown.stderr.strip() == recorded["stderr"]


def test_states_and_results_have_their_names():
    for table, names in (("states", _states.STATE_NAMES), ("results", _states.RESULT_NAMES)):
        golden = GOLDEN["state_strings"][table]
        assert names == {strings[1]: int(number) for number, strings in golden.items()}

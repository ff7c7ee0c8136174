"""What is stored of jobs, on a broker."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Callable

import pytest

import flux.job
from flux.constants import FLUX_JOB_RESULT_CANCELED, FLUX_JOB_RESULT_FAILED
from flux.devbroker import Broker
from flux.job import JobKVSLookup, job_info_lookup, job_kvs, job_kvs_guest, job_kvs_lookup

Command = Callable[..., dict[str, Any]]


def test_one_job(broker: Broker, jobspec: Command) -> None:
    spec = jobspec("true")
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, spec)
        flux.job.event_wait(handle, jobid, "clean")
        rpc = job_info_lookup(handle, jobid, keys=["R", "J"])
        assert json.loads(rpc.get()["R"]) == rpc.get_decode()["R"]
        found = job_kvs_lookup(handle, jobid)
        assert found is not None
        assert found["id"] == jobid
        # The environment is stored only with what was signed.
        assert found["jobspec"]["tasks"] == spec["tasks"]
        assert "environment" not in found["jobspec"]["attributes"]["system"]
        assert job_kvs_lookup(handle, jobid, original=True) == {"id": jobid, "jobspec": spec}
        text = job_kvs_lookup(handle, jobid, ["jobspec", "J"], original=True, decode=False)
        assert text is not None
        assert json.loads(text["jobspec"]) == spec
        assert "J" in text
        assert job_kvs_lookup(handle, jobid, ["foo"]) is None
        assert job_kvs_lookup(handle, 123) is None


def test_several_jobs(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        ids = [flux.job.submit(handle, jobspec("echo", str(n))) for n in range(3)]
        lookup = JobKVSLookup(handle, [*ids, 123])
        commands = [data["jobspec"]["tasks"][0]["command"] for data in lookup.data()]
        assert commands == [["echo", str(n)] for n in range(3)]
        assert lookup.errors == ["JobID 123 unknown"]
        lacking = JobKVSLookup(handle, ids[:1], keys=["foo"])
        assert lacking.data() == []
        assert lacking.errors == [f"JobID {ids[0].orig}: foo: key not found"]
        assert JobKVSLookup(handle).data() == []

        async def main() -> int:
            return len(await lookup.fetch_data())

        assert asyncio.run(main()) == 3


def test_directories(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("true"))
        flux.job.event_wait(handle, jobid, "clean")
        assert job_kvs(handle, jobid)["jobspec"]["version"] == 1
        assert "output" in list(job_kvs_guest(handle, jobid.f58))
        with pytest.raises(FileNotFoundError):
            job_kvs(handle, 123)


def test_results(broker: Broker, jobspec: Command) -> None:
    with broker.handle() as handle:
        jobid = flux.job.submit(handle, jobspec("sh", "-c", "exit 3"))
        found = flux.job.result_async(handle, jobid).get_dict()
        assert found["result"] == FLUX_JOB_RESULT_FAILED
        assert found["waitstatus"] == 3 << 8
        assert found["t_submit"] <= found["t_run"] <= found["t_cleanup"]
        assert not found["exception_occurred"]

        async def main() -> None:
            held = await flux.job.submit_async(handle, jobspec("true"), urgency=0)
            future = flux.job.result_async(handle, held)
            await flux.job.cancel_async(handle, held, "enough")
            found = await future
            assert found["result"] == FLUX_JOB_RESULT_CANCELED
            assert found["exception_note"] == "enough"
            assert "t_run" not in found

        asyncio.run(main())
        results: list[Any] = []
        flux.job.result_async(handle, jobid).then(lambda f: results.append(f.get_dict()))
        handle.reactor_run()
        assert results == [found]
        with pytest.raises(FileNotFoundError, match="ƒ38"):
            flux.job.result_async(handle, 123).get()

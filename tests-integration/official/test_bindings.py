"""Programs on flux-core's own Python bindings, and with them on libflux-core."""

from __future__ import annotations

import json
from typing import Any

from harness.official import Official
from harness.rows import works

HEAD = """
import errno, json, sys
import flux, flux.constants, flux.job
from flux.job import JobspecV1

h = flux.Flux()
out = {}
"""

TAIL = """
print(json.dumps(out))
"""


def run(flux: Official, program: str) -> Any:
    """Run a program on the official bindings and return the ``out`` that it made."""
    return json.loads(flux("python", "-c", HEAD + program + TAIL))


@works("Python: `rpc` with get and then, errors")
def test_rpc(flux: Official) -> None:
    program = """
out["get"] = h.rpc("broker.ping", {"seq": 1}).get()["seq"]
seen = []
for n in range(10):
    h.rpc("broker.ping", {"seq": n}).then(lambda f: seen.append(f.get()["seq"]))
h.reactor_run()
out["then"] = seen
try:
    h.rpc("nosuchservice.method").get()
except OSError as exc:
    out["errno"] = errno.errorcode[exc.errno]
"""
    assert run(flux, program) == {"get": 1, "then": list(range(10)), "errno": "ENOSYS"}


@works("Python: streaming RPCs")
def test_streaming(flux: Official) -> None:
    program = """
stream = h.rpc("log.dmesg", {"follow": False}, flags=flux.constants.FLUX_RPC_STREAMING)
lines = []
try:
    while True:
        lines.append(stream.get_str())
        stream.reset()
except OSError as exc:
    out["end"] = errno.errorcode[exc.errno]
out["some"] = len(lines) > 0
"""
    assert run(flux, program) == {"end": "ENODATA", "some": True}


@works("Python: events")
def test_events(flux: Official) -> None:
    program = """
h.event_subscribe("bindings.")
h.event_send("bindings.a", {"n": 1})
event = h.event_recv()
out.update(topic=event.topic, payload=event.payload)
"""
    assert run(flux, program) == {"topic": "bindings.a", "payload": {"n": 1}}


@works("Python: services, message watchers")
def test_services(flux: Official) -> None:
    program = """
def serve(handle, watcher, msg, args):
    handle.respond(msg, {"answer": msg.payload["n"] + 1})

h.service_register("bindings").get()
watcher = h.msg_watcher_create(serve, topic_glob="bindings.*")
watcher.start()
other = flux.Flux()

def done(future):
    out.update(future.get())
    h.reactor_stop()

h.rpc("bindings.add", {"n": 41}).then(done)
h.reactor_run()
watcher.stop()
h.service_unregister("bindings").get()
"""
    assert run(flux, program) == {"answer": 42}


@works("Python: attributes, configuration")
def test_attributes(flux: Official) -> None:
    program = """
h.attr_set("test.bindings", "x")
out.update(x=h.attr_get("test.bindings"), rank=h.get_rank(), conf=h.conf_get("none.such"))
"""
    assert run(flux, program) == {"x": "x", "rank": 0, "conf": None}


@works("Python: `flux.kvs`")
def test_kvs(flux: Official) -> None:
    program = """
import flux.kvs
flux.kvs.put(h, "bindings.a", {"b": 1})
flux.kvs.commit(h)
out.update(value=flux.kvs.get(h, "bindings.a"), isdir=flux.kvs.isdir(h, "bindings"))
directory = flux.kvs.get_dir(h, "bindings")
out["names"] = list(directory)
"""
    assert run(flux, program) == {"value": {"b": 1}, "isdir": True, "names": ["a"]}


@works("Python: `flux.job.submit`, `event_watch`, `event_wait`, `result`, `wait`")
def test_jobs(flux: Official) -> None:
    program = """
spec = JobspecV1.from_command(["true"])
job = flux.job.submit(h, spec, waitable=True)
out["last"] = [event.name for event in flux.job.event_watch(h, job)][-1]
out["start"] = flux.job.event_wait(h, job, "start").name
out["success"] = flux.job.wait(h, job).success
out["result"] = flux.job.result(h, job).result
"""
    result = run(flux, program)
    assert result == {"last": "clean", "start": "start", "success": True, "result": "COMPLETED"}


@works("Python: `flux.job.JobList`, `FluxExecutor`")
def test_lists_and_executors(flux: Official) -> None:
    program = """
from flux.job import FluxExecutor, JobList
with FluxExecutor() as executor:
    futures = [executor.submit(JobspecV1.from_command(["sh", "-c", f"exit {n}"])) for n in (0, 3)]
    out["codes"] = [future.result() for future in futures]
out["listed"] = len(list(JobList(h, ids=[future.jobid() for future in futures]).jobs()))
"""
    assert run(flux, program) == {"codes": [0, 3], "listed": 2}


@works("Python: `flux.job.JournalConsumer`")
def test_journal(flux: Official) -> None:
    program = """
from flux.job import JournalConsumer
job = flux.job.submit(h, JobspecV1.from_command(["true"]))
names = []
consumer = JournalConsumer(h)
consumer.start()
while not names or names[-1] != "clean":
    event = consumer.poll()
    if event is not None and event.jobid == job:
        names.append(event.name)
consumer.stop()
out.update(first=names[0], last=names[-1])
"""
    assert run(flux, program) == {"first": "submit", "last": "clean"}


@works("Python: `flux.resource.list`")
def test_resources(flux: Official) -> None:
    program = """
from flux.resource import resource_list
out["nodes"] = resource_list(h).get().up.nnodes
"""
    assert run(flux, program) == {"nodes": 1}

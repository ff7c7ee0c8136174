"""A failing job raises the alarm on a development broker."""

from __future__ import annotations

import jobalarm

from flux import Flux
from flux.job import JobID, submit

JOBSPEC = {
    "version": 1,
    "resources": [
        {"type": "slot", "count": 1, "label": "task", "with": [{"type": "core", "count": 1}]}
    ],
    "tasks": [{"command": ["sh", "-c", "exit 3"], "slot": "task", "count": {"per_slot": 1}}],
    "attributes": {"system": {"duration": 0}},
}


def test_a_failing_job_is_announced_and_remembered(flux_handle: Flux) -> None:
    jobalarm.load(flux_handle)
    flux_handle.event_subscribe("alarm.failed")
    jobid = submit(flux_handle, JOBSPEC)
    event = flux_handle.event_recv()
    assert event is not None
    assert event.payload == {"id": JobID(jobid).f58plain}
    assert jobalarm.failures(flux_handle) == {JobID(jobid).f58plain: 3 << 8}

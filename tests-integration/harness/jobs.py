"""Jobs for the scenarios to submit."""

from __future__ import annotations

import os
from typing import Any

from flux import Flux
from flux.job import event_wait
from harness.fluxcore import SESSION_VARIABLE


def jobspec(*command: str, **environ: str) -> dict[str, Any]:
    """Return the jobspec of one task on one core (RFC 25).

    Args:
        *command: The task's words.
        **environ: Its environment, to which what it needs to run is added.
    """
    for name in ("PATH", "HOME", SESSION_VARIABLE):
        if name in os.environ:
            environ[name] = os.environ[name]
    slot = {"type": "slot", "count": 1, "label": "task", "with": [{"type": "core", "count": 1}]}
    return {
        "version": 1,
        "resources": [slot],
        "tasks": [{"command": list(command), "slot": "task", "count": {"per_slot": 1}}],
        "attributes": {"system": {"duration": 0, "cwd": "/", "environment": environ}},
    }


def wait_output(handle: Flux, jobid: int) -> None:
    """Wait until a job has an eventlog of its output, which is not yet so when it starts."""
    event_wait(handle, jobid, "start")
    event_wait(handle, jobid, "shell.init", "guest.exec.eventlog")

"""Flux jobs: their ids, eventlogs and journal, submitting and ending them."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import flux._ours
from flux._missing import attribute_error
from flux.job._jobid import JobID, id_encode, id_parse
from flux.job.event import (
    MAIN_EVENTS,
    EventLogEvent,
    JobEventWatchFuture,
    JobException,
    event_wait,
    event_watch,
    event_watch_async,
)
from flux.job.kill import cancel, cancel_async, job_raise, job_raise_async, kill, kill_async
from flux.job.submit import submit, submit_async, submit_get_id
from flux.job.wait import wait, wait_async, wait_get_status

# flux-jobs adds modules to this package: installed editable, from a directory of its own.
__path__ = [*__path__, *(f"{path}/job" for path in flux.__path__ if f"{path}/job" not in __path__)]

if TYPE_CHECKING:
    from flux.job.journal import JournalConsumer as JournalConsumer

__all__ = [
    "MAIN_EVENTS",
    "EventLogEvent",
    "JobEventWatchFuture",
    "JobException",
    "JobID",
    "cancel",
    "cancel_async",
    "event_wait",
    "event_watch",
    "event_watch_async",
    "id_encode",
    "id_parse",
    "job_raise",
    "job_raise_async",
    "kill",
    "kill_async",
    "submit",
    "submit_async",
    "submit_get_id",
    "wait",
    "wait_async",
    "wait_get_status",
]

#: Names that flux-jobs brings, and the modules that they are in.
_OF_FLUX_JOBS = {"JobPool": "flux.job.pool"}

# `import *` is to work where the extra `journal` is not installed.
if find_spec("flux.abc") is not None:
    __all__ += ["JournalConsumer"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Only on demand: its module needs the extra.
    if name == "JournalConsumer" and name in __all__:
        from flux.job.journal import JournalConsumer

        return JournalConsumer
    module = _OF_FLUX_JOBS.get(name)
    if module is not None:
        try:
            return getattr(import_module(module), name)
        except ModuleNotFoundError as exc:
            if exc.name != module:
                raise
    raise attribute_error(__name__, name)

"""Flux jobs: their ids, eventlogs and journal, submitting and ending them."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
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
from flux.job.wait import result, result_async, wait, wait_async, wait_get_status

# flux-jobs adds modules to this package: installed editable, from a directory of its own.
__path__ = [*__path__, *(f"{path}/job" for path in flux.__path__ if f"{path}/job" not in __path__)]

if TYPE_CHECKING:
    from flux.job._batch_config import BatchConfig as BatchConfig
    from flux.job.executor import FluxExecutor as FluxExecutor
    from flux.job.executor import FluxExecutorFuture as FluxExecutorFuture
    from flux.job.info import JobInfo as JobInfo
    from flux.job.info import JobInfoFormat as JobInfoFormat
    from flux.job.info import job_fields_to_attrs as job_fields_to_attrs
    from flux.job.Jobspec import Jobspec as Jobspec
    from flux.job.Jobspec import JobspecV1 as JobspecV1
    from flux.job.Jobspec import validate_jobspec as validate_jobspec
    from flux.job.journal import JournalConsumer as JournalConsumer
    from flux.job.kvs import job_kvs as job_kvs
    from flux.job.kvs import job_kvs_guest as job_kvs_guest
    from flux.job.kvslookup import JobKVSLookup as JobKVSLookup
    from flux.job.kvslookup import job_info_lookup as job_info_lookup
    from flux.job.kvslookup import job_kvs_lookup as job_kvs_lookup
    from flux.job.list import JobList as JobList
    from flux.job.list import get_job as get_job
    from flux.job.list import job_list as job_list
    from flux.job.list import job_list_id as job_list_id
    from flux.job.list import job_list_inactive as job_list_inactive
    from flux.job.output import job_output as job_output
    from flux.job.output import output_event_watch as output_event_watch
    from flux.job.output import output_event_watch_async as output_event_watch_async
    from flux.job.output import output_watch as output_watch
    from flux.job.output import output_watch_async as output_watch_async
    from flux.job.output import output_watch_lines as output_watch_lines
    from flux.job.output import output_watch_lines_async as output_watch_lines_async
    from flux.job.pool import JobPool as JobPool
    from flux.job.timeleft import timeleft as timeleft
    from flux.job.watcher import JobWatcher as JobWatcher

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
    "result",
    "result_async",
    "submit",
    "submit_async",
    "submit_get_id",
    "wait",
    "wait_async",
    "wait_get_status",
]

#: Modules that flux-jobs brings, and what of each is to be found here.  They load on first use.
_MODULES_OF_FLUX_JOBS = {
    "Jobspec": "Jobspec JobspecV1 validate_jobspec",
    "_batch_config": "BatchConfig",
    "directives": "",
    "executor": "FluxExecutor FluxExecutorFuture",
    "info": "JobInfo JobInfoFormat job_fields_to_attrs",
    "kvs": "job_kvs job_kvs_guest",
    "kvslookup": "JobKVSLookup job_info_lookup job_kvs_lookup",
    "list": "JobList get_job job_list job_list_id job_list_inactive",
    "output": "job_output output_event_watch output_event_watch_async output_watch "
    "output_watch_async output_watch_lines output_watch_lines_async",
    "pool": "JobPool",
    "stats": "",
    "timeleft": "timeleft",
    "watcher": "JobWatcher",
}
_OF_FLUX_JOBS = {
    name: module for module, names in _MODULES_OF_FLUX_JOBS.items() for name in names.split()
}

# `import *` is to work where these are not installed.
if find_spec("flux.abc") is not None:
    __all__ += ["JournalConsumer"]
if find_spec("flux.job.pool") is not None:
    __all__ += sorted(_OF_FLUX_JOBS)  # noqa: PLE0605


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # Only on demand: its module needs the extra.
    if name == "JournalConsumer" and name in __all__:
        from flux.job.journal import JournalConsumer

        return JournalConsumer
    if name == "ffi":
        from _flux._core import ffi

        return ffi
    part = _OF_FLUX_JOBS.get(name, name if name in _MODULES_OF_FLUX_JOBS else None)
    if part is not None:
        try:
            module = import_module(f"{__name__}.{part}")
        except ModuleNotFoundError as exc:
            if exc.name != f"{__name__}.{part}":
                raise
        else:
            value = globals()[name] = getattr(module, name) if name in _OF_FLUX_JOBS else module
            return value
    raise attribute_error(__name__, name)


#: Modules with something of their own name in them, which is what the name stands for here.
_NAMESAKES = {"JobID", "Jobspec", "timeleft"}


class _Package(ModuleType):
    """A package some of whose modules have the name of what is in them."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a module here once it has loaded it.
        if name in _NAMESAKES and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

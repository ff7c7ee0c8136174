"""The job services: they take jobs, run them on this machine, and tell of them."""

from __future__ import annotations

from flux.devbroker._jobs.execution import JobExecService
from flux.devbroker._jobs.info import JobInfoService
from flux.devbroker._jobs.ingest import JobIngestService
from flux.devbroker._jobs.listing import JobListService
from flux.devbroker._jobs.manager import JobManagerService
from flux.devbroker._jobs.resources import FeasibilityService, ResourceService, SchedService
from flux.devbroker._service import Service

#: The services by name, in the order in which they are made.
SERVICES: dict[str, type[Service]] = {
    "job-manager": JobManagerService,
    "job-ingest": JobIngestService,
    "job-exec": JobExecService,
    "job-info": JobInfoService,
    "job-list": JobListService,
    "resource": ResourceService,
    "sched": SchedService,
    "feasibility": FeasibilityService,
}

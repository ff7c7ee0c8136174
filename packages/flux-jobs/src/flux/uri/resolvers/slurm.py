"""Finds the instance that a Slurm job is: ``slurm:JOBID``."""

from __future__ import annotations

import os
import subprocess
from pathlib import PurePosixPath

from flux.hostlist import Hostlist
from flux.uri.uri import FluxURIResolver, URIResolverPlugin, URIResolverURI

__all__ = ["URIResolver"]


class URIResolver(URIResolverPlugin):
    """Asks Slurm for processes of the job that are here, or else has it look where the job is."""

    def describe(self) -> str:
        """Return what it does, in a few words."""
        return "Get URI for a Flux instance launched under Slurm"

    def resolve(self, uri: URIResolverURI) -> str:
        """Return the URI of the instance.

        Raises:
            ValueError: There is no such job, or it is no instance.
            OSError: Slurm's commands cannot be run.
        """
        steps = PurePosixPath(uri.path).parts
        if not steps:
            raise ValueError("a Slurm job id is missing")
        jobid = steps[0]
        pids = _local_pids(jobid)
        if pids is None:
            return _ask_there(jobid)
        resolver = FluxURIResolver()
        for pid in pids:
            try:
                return resolver.resolve(f"pid:{pid}").remote
            except (ValueError, OSError):  # noqa: PERF203
                pass
        raise ValueError(f"no process of Slurm job {jobid} seems to have a FLUX_URI")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    """Return what a command writes; None if it fails."""
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return None if result.returncode else result.stdout


def _local_pids(jobid: str) -> list[int] | None:
    """Return the ids of the first process of each step; None if the job is not here."""
    output = _run(["scontrol", "listpids", jobid])
    if output is None:
        return None
    # PID, JOBID, STEPID, LOCALID, GLOBALID.  The broker is what a step has started; others may be
    # those of an instance inside of it.
    rows = (line.split() for line in output.splitlines()[1:])
    pids = [int(row[0]) for row in rows if len(row) > 3 and row[0].isdecimal() and row[3] == "0"]
    return [pid for pid in pids if pid not in (0, os.getpid())]


def _ask_there(jobid: str) -> str:
    hosts = _run(["squeue", "-h", "-o", "%N", "-j", jobid])
    if hosts is None:
        raise ValueError(f"unable to query nodelist for Slurm job {jobid}")
    names = Hostlist(hosts.strip())
    if not len(names):
        raise ValueError(f"empty nodelist returned for Slurm job {jobid}")
    # What is asked for is not the instance that this program is in.
    environment = {name: value for name, value in os.environ.items() if name != "FLUX_URI"}
    where = [f"--jobid={jobid}", "-w", str(names[0]), "-n1", "-N1"]
    found = _run(["srun", "--overlap", *where, "flux", "uri", f"slurm:{jobid}"], environment)
    if found is None:
        raise ValueError(f"unable to resolve Flux URI for Slurm job {jobid}")
    return found.strip()

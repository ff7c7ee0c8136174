"""Finds the instance that a job of IBM Spectrum LSF is: ``lsf:JOBID``."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import yaml

from flux.hostlist import Hostlist
from flux.uri.uri import FluxURIResolver, URIResolverPlugin, URIResolverURI

__all__ = ["URIResolver"]

_CSM = "/opt/ibm/csm/bin/csm_allocation_query"


class URIResolver(URIResolverPlugin):
    """Asks Cluster Systems Manager for the job's hosts, and the first of those for its broker."""

    def describe(self) -> str:
        """Return what it does, in a few words."""
        return "Get URI for a Flux instance launched under IBM Spectrum LSF"

    def resolve(self, uri: URIResolverURI) -> str:
        """Return the URI of the instance.

        Raises:
            ValueError: There is no such job, or it is no instance.
        """
        steps = PurePosixPath(uri.path).parts
        if not steps:
            raise ValueError("an LSF job id is missing")
        jobid = steps[0]
        if "is_compute" in uri.query_dict:
            return FluxURIResolver().resolve(f"pid:{_broker(jobid)}").remote
        # As the ssh connector finds them.
        ssh = os.environ.get("FLUX_SSH", "ssh")
        command = os.environ.get("FLUX_SSH_RCMD") or shutil.which("flux") or "flux"
        remote = [command, "uri", "--remote", f"lsf:{jobid}?is_compute"]
        try:
            return _output([ssh, _first_host(jobid), *remote]).strip()
        except (OSError, subprocess.CalledProcessError) as exc:
            raise ValueError(f"LSF job {jobid} doesn't seem to have a FLUX_URI: {exc}") from exc


def _output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _first_host(jobid: str) -> str:
    query = os.environ.get("CSM_ALLOCATION_QUERY", _CSM)
    try:
        hosts = yaml.safe_load(_output([query, "-j", jobid]))["compute_nodes"]
        return str(Hostlist(hosts).sort()[0])
    except (OSError, subprocess.CalledProcessError, yaml.YAMLError, LookupError, TypeError) as exc:
        raise ValueError(f"no compute node of LSF job {jobid} was found: {exc}") from exc


def _broker(jobid: str) -> str:
    """Return the process id of the first broker of the job that is here."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if "flux-broker-0" not in (process / "comm").read_text("utf-8", "replace"):
                continue
            if f"LSB_JOBID={jobid}".encode() in (process / "environ").read_bytes().split(b"\0"):
                return process.name
        except OSError:
            # It has ended, or is another user's.
            continue
    raise ValueError(f"no broker of LSF job {jobid} runs here")

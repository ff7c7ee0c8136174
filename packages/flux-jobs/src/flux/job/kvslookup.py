"""What is stored of jobs: their jobspecs, resource sets and eventlogs (RFC 16)."""

from __future__ import annotations

import base64
import binascii
import errno
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_JOB_LOOKUP_CURRENT
from flux.job._jobid import JobID
from flux.job._request import check_handle, to_wire
from flux.job._several import SeveralJobs
from flux.rpc import RPC

if TYPE_CHECKING:
    from flux.core.handle import Flux

__all__ = [
    "JobInfoLookupRPC",
    "JobKVSLookup",
    "JobKVSLookupFuture",
    "decode_special_data",
    "job_info_lookup",
    "job_kvs_lookup",
]

#: Keys whose values are JSON objects; of the others some are lines of it, and some no JSON.
_OBJECTS = ("jobspec", "R")


def decode_special_data(data: dict[str, Any]) -> None:
    """Replace the text of a jobspec and of R by the objects that it stands for.

    Args:
        data: Values by key, which is changed.  Text that is no JSON remains.
    """
    for key in _OBJECTS:
        if isinstance(data.get(key), str):
            try:
                data[key] = json.loads(data[key])
            except ValueError:
                pass


class JobInfoLookupRPC(RPC):
    """The values of keys in a job's directory; see `job_info_lookup`.

    Attributes:
        jobid: The job.
    """

    jobid: JobID | None = None

    def get_decode(self) -> dict[str, Any]:
        """As `get`, with objects in place of text for ``jobspec`` and ``R``."""
        data: dict[str, Any] = self.get()
        decode_special_data(data)
        return data


def job_info_lookup(
    flux_handle: Flux, jobid: int | str, keys: Iterable[str] = ("jobspec",), flags: int = 0
) -> JobInfoLookupRPC:
    """Ask for what is stored of a job.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        keys: Paths in the job's KVS directory (RFC 16), such as ``R`` or ``guest.output``.
        flags: ``flux.constants.FLUX_JOB_LOOKUP_CURRENT`` for ``jobspec`` and ``R`` as they are now,
            and not as they were at first; ``FLUX_JOB_LOOKUP_JSON_DECODE`` for objects.

    Returns:
        A future; its `get`, and ``await``, give a dict with the values as text, and ``id``.  Its
        errors: ENOENT, there is no such job, or no such key; EISDIR, a key is a directory; EPERM,
        it is another user's job.

    Raises:
        ValueError: The job id is not one.
        OSError: EINVAL, no handle; EPIPE, the connection is lost.
    """
    request = {"id": to_wire(jobid), "keys": list(keys), "flags": flags}
    rpc = JobInfoLookupRPC(check_handle(flux_handle), "job-info.lookup", request)
    rpc.jobid = JobID(jobid)
    return rpc


class _Wanted:
    """Which keys to ask for, and what to make of the answer."""

    def __init__(self, keys: Iterable[str], decode: bool, original: bool, base: bool) -> None:
        self.keys = list(keys)
        self.decode = decode
        self.flags = 0 if base else FLUX_JOB_LOOKUP_CURRENT
        # The jobspec as it was submitted is only to be found within J, what the user signed.
        self._unwrap = original and "jobspec" in self.keys
        self.lookup = [key for key in self.keys if not (self._unwrap and key == "jobspec")]
        if self._unwrap and "J" not in self.lookup:
            self.lookup.append("J")

    def finish(self, data: dict[str, Any]) -> dict[str, Any]:
        if self._unwrap:
            data["jobspec"] = _unwrap(data["J"])
            if "J" not in self.keys:
                del data["J"]
        if self.decode:
            decode_special_data(data)
        return data


def _unwrap(signed: str) -> str:
    """Return what was signed (RFC 15).

    Raises:
        OSError: EPROTO, it does not have the form of it.
    """
    try:
        _, payload, _ = signed.split(".")
        return base64.b64decode(payload, validate=True).decode("utf-8", "surrogateescape")
    except (ValueError, binascii.Error) as exc:
        raise OSError(errno.EPROTO, f"the signed jobspec of a job is malformed: {exc}") from None


def job_kvs_lookup(
    flux_handle: Flux,
    jobid: int | str,
    keys: Iterable[str] = ("jobspec",),
    decode: bool = True,
    original: bool = False,
    base: bool = False,
) -> dict[str, Any] | None:
    """Return what is stored of a job.

    Args:
        flux_handle: The handle.
        jobid: The job, as a number or in any encoding.
        keys: Paths in the job's KVS directory (RFC 16), such as ``R`` or ``guest.output``.
        decode: Return objects in place of text for ``jobspec`` and ``R``.
        original: Return the jobspec as it was submitted, the environment included.
        base: Return ``jobspec`` and ``R`` as they were at first, without later updates.

    Returns:
        The values by key, and ``id``; None if there is no such job, or it lacks one of the keys.

    Raises:
        ValueError: The job id is not one.
        OSError: EISDIR, a key is a directory; EPERM, it is another user's job; EINVAL, no handle;
            EPROTO, what was signed is malformed; ECONNRESET, the connection was lost.
    """
    wanted = _Wanted(keys, decode, original, base)
    try:
        data = job_info_lookup(flux_handle, jobid, wanted.lookup, wanted.flags).get()
    except FileNotFoundError:
        return None
    return wanted.finish(data)


class JobKVSLookupFuture(SeveralJobs):
    """What is stored of several jobs; see `JobKVSLookup.fetch_data`.

    Attributes:
        errors: What went wrong with jobs that are left out, once the results were taken.
    """

    def get(self) -> list[dict[str, Any]]:
        """Wait for all answers.

        Returns:
            The values by key for each job that has all keys; what is wrong with others is in
            `errors`.
        """
        return self._collect(JobInfoLookupRPC.get)

    def get_decode(self) -> list[dict[str, Any]]:
        """As `get`, with objects in place of text for ``jobspec`` and ``R``."""
        found = self.get()
        for data in found:
            decode_special_data(data)
        return found


class JobKVSLookup:
    """Looks up what is stored of several jobs.

    Args:
        flux_handle: The handle.
        ids: The jobs, each as a number or in any encoding.
        keys: As for `job_kvs_lookup`, as are the others.
        decode: Return objects in place of text for ``jobspec`` and ``R``.
        original: Return the jobspec as it was submitted, the environment included.
        base: Return ``jobspec`` and ``R`` as they were at first, without later updates.

    Attributes:
        errors: What `data` has left out, and why.

    Raises:
        ValueError: A job id is not one.
    """

    def __init__(
        self,
        flux_handle: Flux,
        ids: Iterable[int | str] = (),
        keys: Iterable[str] = ("jobspec",),
        decode: bool = True,
        original: bool = False,
        base: bool = False,
    ) -> None:
        self.handle = flux_handle
        self.ids = [JobID(jobid) for jobid in ids or ()]
        self.errors: list[str] = []
        self._wanted = _Wanted(keys, decode, original, base)

    def fetch_data(self) -> JobKVSLookupFuture:
        """Ask for all jobs at once and return without waiting.

        Raises:
            OSError: EINVAL, no handle; EPIPE, the connection is lost.
        """
        future = JobKVSLookupFuture()
        for jobid in self.ids:
            wanted = self._wanted
            future.push(job_info_lookup(self.handle, jobid, wanted.lookup, wanted.flags))
        return future

    def data(self) -> list[dict[str, Any]]:
        """Wait for the answers.

        Returns:
            The values by key for each job that has all keys; what is wrong with others is in
            `errors`.

        Raises:
            OSError: As `fetch_data`; EPROTO, what was signed is malformed.
        """
        future = self.fetch_data()
        found = future.get()
        self.errors = future.errors
        return [self._wanted.finish(data) for data in found]

"""Requests about several jobs at once, each by itself."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Callable

from flux.future import WaitAllFuture

if TYPE_CHECKING:
    from flux.job._jobid import JobID

__all__ = ["SeveralJobs"]


class SeveralJobs(WaitAllFuture):
    """Requests with an attribute ``jobid``.

    Attributes:
        errors: What went wrong with jobs that are left out, once the results were taken.
    """

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []

    def _collect(self, take: Callable[[Any], Any]) -> list[Any]:
        """Wait for all answers; return what is taken of those that are no errors."""
        self.wait_for()
        found = []
        self.errors = []
        for child in self.children:
            try:
                found.append(take(child))
            except OSError as exc:  # noqa: PERF203
                self.errors.append(_explain(getattr(child, "jobid", None), exc))
        return found


def _explain(jobid: JobID | None, exc: OSError) -> str:
    name = "" if jobid is None else jobid.orig
    if exc.errno != errno.ENOENT:
        return f"rpc: {exc.strerror}"
    # Brokers say that there is no such job in several ways, or else which key it lacks.
    return (
        f"JobID {name}: {exc.strerror}" if "key" in str(exc.strerror) else f"JobID {name} unknown"
    )

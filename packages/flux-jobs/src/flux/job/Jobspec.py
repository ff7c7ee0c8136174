"""Jobspecs: `Jobspec`, `JobspecV1`, and checking them (RFC 14, RFC 25)."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from typing import Any

from flux.job._jobspec import Jobspec
from flux.job._jobspec_check import check_counts, check_keys
from flux.job._jobspec_v1 import JobspecV1
from flux.wrapper import is_null

__all__ = ["Jobspec", "JobspecV1", "validate_counts", "validate_jobspec"]


def validate_jobspec(jobspec: Any, require_version: int | None = None) -> tuple[bool, Jobspec]:
    """Check a jobspec.

    Args:
        jobspec: A `Jobspec`, or JSON as str or bytes.
        require_version: Check it as one of this version, whatever it says itself.

    Returns:
        True, and the jobspec as an object.

    Raises:
        OSError: EINVAL, there is none.
        TypeError: It is something else; or something in it has the wrong type.
        ValueError: It is not JSON; or something in it is missing, too much or out of range.
            The text begins with the path of what is wrong.
    """
    if jobspec is None or is_null(jobspec):
        raise OSError(errno.EINVAL, "jobspec must not be None/NULL")
    if isinstance(jobspec, Jobspec):
        jobspec = jobspec.dumps()
    if not isinstance(jobspec, (str, bytes)):
        raise TypeError(f"jobspec must be a Jobspec, a str or bytes, not {jobspec!r:.80}")
    fields = json.loads(jobspec)
    if not isinstance(fields, dict):
        raise TypeError(f"a jobspec must be a mapping, not {fields!r:.80}")
    check_keys(fields, sorted(Jobspec.top_level_keys), "")
    cls = JobspecV1 if 1 in (require_version, fields["version"]) else Jobspec
    return True, cls(**fields)


def validate_counts(resources: Sequence[dict[str, Any]]) -> None:
    """Check that the counts of resources, and of those in them, are integers.

    Args:
        resources: The ``resources`` of a jobspec.

    Raises:
        ValueError: One is not; the text begins with its path.
    """
    check_counts(resources, "resources")

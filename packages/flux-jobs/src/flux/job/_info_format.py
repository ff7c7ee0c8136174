"""Tables of jobs: the fields of ``flux jobs -o`` (flux-jobs(1))."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from string import Formatter

from flux.util._output_format import OutputFormat

__all__ = ["JobInfoFormat", "job_fields_to_attrs"]

_ENCODINGS = ("dec", "hex", "f58", "f58plain", "emoji", "kvs", "words", "dothex")
_EXCEPTION = ("exception_occurred", "exception_severity", "exception_type", "exception_note")

#: Fields that are what job-list calls them, and have their name in capitals above them.
_PLAIN = (
    *("state", "name", "cwd", "queue", "project", "bank", "ntasks", "ncores", "duration"),
    *("nnodes", "expiration", "ranks", "nodelist", "success", "result", "t_submit", "t_depend"),
    *("t_priority", "t_sched", "t_run", "t_cleanup", "t_inactive", "annotations", "dependencies"),
)

#: The others: what stands above them, and what job-list is to be asked for.
_FIELDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "id": ("JOBID", ()),
    **{f"id.{encoding}": ("JOBID", ()) for encoding in _ENCODINGS},
    "userid": ("UID", ("userid",)),
    "username": ("USER", ("userid",)),
    "urgency": ("URG", ("urgency",)),
    "priority": ("PRI", ("priority",)),
    "state_single": ("S", ("state",)),
    "state_emoji": ("STATE", ("state",)),
    "t_remaining": ("T_REMAINING", ("expiration", "state", "result")),
    "result_abbrev": ("RS", ("result",)),
    "result_emoji": ("RESULT", ("result",)),
    "runtime": ("RUNTIME", ("t_run", "t_cleanup")),
    "status": ("STATUS", ("state", "result")),
    "status_abbrev": ("ST", ("state", "result")),
    "status_emoji": ("STATUS", ("state", "result")),
    "waitstatus": ("WSTATUS", ("waitstatus",)),
    "returncode": ("RC", ("waitstatus", "result")),
    **{name.replace("_", ".", 1): (name.replace("_", "-").upper(), (name,)) for name in _EXCEPTION},
    "contextual_info": (
        "INFO",
        ("state", "dependencies", "annotations", "nodelist", "priority", "urgency"),
    ),
    "contextual_time": ("TIME", ("state", "t_run", "t_cleanup", "duration")),
    "inactive_reason": ("INACTIVE-REASON", ("state", "result", "waitstatus", *_EXCEPTION)),
    "sched": ("SCHED", ("annotations",)),
    "user": ("USER", ("annotations",)),
    "uri": ("URI", ("annotations",)),
    "uri.local": ("URI", ("annotations",)),
    **{name: (name.upper(), (name,)) for name in _PLAIN},
    # How long is left also follows from these.
    "expiration": ("EXPIRATION", ("expiration", "state", "result")),
}

#: Annotations that have a name of their own (RFC 27).
_SCHED = {"t_estimate": "T_ESTIMATE", "reason_pending": "REASON", "resource_summary": "RESOURCES"}

#: Of each of ``all``, ``up`` and so on there are nodes, cores and GPUs.
_RESOURCES = {"up": "UP", "down": "DOWN", "allocated": "USED", "free": "FREE"}
_UNITS = {"ncores": "CORES", "ngpus": "GPUS", "nnodes": "NODES"}


def job_fields_to_attrs(fields: Iterable[str]) -> set[str]:
    """Return what to ask job-list for to show some fields.

    Args:
        fields: The fields.

    Raises:
        KeyError: There is no such field.
    """
    attrs: set[str] = set()
    for field in fields:
        top = field.partition(".")[0]
        if top == "instance":
            attrs |= {"annotations", "state", "result"}
        elif top in ("annotations", "sched", "user"):
            attrs.add("annotations")
        else:
            attrs.update(_FIELDS[field][1])
    return attrs


class JobInfoFormat(OutputFormat):
    """A table of jobs, which are `flux.job.JobInfo`.

    Fields may also be any annotation, such as ``annotations.user.note`` or ``sched.queue``, and
    what is known of a job that is a Flux instance, such as ``instance.resources.up.ncores``.

    Args:
        fmt: A format string; see `flux.util.OutputFormat`.
        headings: What stands above the fields, where that is to be another.
        prepend: What is put before each field.

    Raises:
        ValueError: The format is malformed, or names a field that there is not.
    """

    headings: Mapping[str, str] = {
        **{field: heading for field, (heading, _) in _FIELDS.items()},
        **{f"annotations.sched.{name}": heading for name, heading in _SCHED.items()},
        **{f"sched.{name}": heading for name, heading in _SCHED.items()},
        "instance.stats.total": "NJOBS",
        "instance.utilization": "CORE%",
        "instance.gpu_utilization": "GPU%",
        "instance.progress": "PROG",
        **{f"instance.resources.all.{unit}": heading for unit, heading in _UNITS.items()},
        **{
            f"instance.resources.{state}.{unit}": heading
            for state, heading in _RESOURCES.items()
            for unit in _UNITS
        },
    }

    def __init__(
        self, fmt: str, headings: Mapping[str, str] | None = None, prepend: str | None = None
    ) -> None:
        known = dict(self.headings if headings is None else headings)
        for _, field, _, _ in Formatter().parse(fmt):
            top, dot, rest = (field or "").partition(".")
            if field and dot and field not in known:
                if top in ("sched", "user"):
                    known[field] = field.upper()
                elif top in ("annotations", "instance"):
                    prefix = "resources." if top == "instance" else ""
                    known[field] = (
                        rest[len(prefix) :].upper() if rest.startswith(prefix) else (rest.upper())
                    )
        super().__init__(fmt, known, "0." if prepend is None else prepend)

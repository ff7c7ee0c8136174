"""What to say of names that are not here: which distribution has them, or that none has.

flux-core's bindings are one package; here each part is installed by itself.
"""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["Finder", "attribute_error", "explain"]

#: Modules, with what is in them, and the distributions that they come with.
_DISTRIBUTIONS = {
    "flux.abc": "flux-journal",
    "flux.brokermod": "flux-brokermod",
    "flux.cli.argparse": "flux-jobs",
    "flux.cli.plugin": "flux-jobs",
    "flux.cli.plugins": "flux-jobs",
    "flux.command": "flux-command",
    "flux.conf_builtin": "flux-jobs",
    "flux.constraint": "flux-resource",
    "flux.debugged": "flux-jobs",
    "flux.devbroker": "flux-devbroker",
    "flux.hostlist": "flux-resource",
    "flux.idset": "flux-resource",
    "flux.importer": "flux-jobs",
    "flux.job": "flux-job-events",
    "flux.kvs": "flux-kvs",
    "flux.proctitle": "flux-jobs",
    "flux.progress": "flux-jobs",
    "flux.queue": "flux-jobs",
    "flux.resource": "flux-resource",
    "flux.shape": "flux-jobs",
    "flux.slurm": "flux-jobs",
    "flux.subprocess": "flux-jobs",
    "flux.uri": "flux-jobs",
    "flux.util": "flux-jobs",
}

#: What is in `flux.job` by way of another distribution than the module itself.
_OF_JOB = {
    "flux-journal": "JournalConsumer",
    "flux-jobs": """
        BatchConfig FluxExecutor FluxExecutorFuture JobInfo JobInfoFormat JobKVSLookup JobList
        JobPool JobWatcher Jobspec JobspecV1 directives executor get_job info job_fields_to_attrs
        job_info_lookup job_kvs job_kvs_guest job_kvs_lookup job_list job_list_id
        job_list_inactive job_output kvs kvslookup list output output_event_watch
        output_event_watch_async output_watch output_watch_async output_watch_lines
        output_watch_lines_async pool stats timeleft validate_jobspec watcher
        """,
}

#: What flux-core's bindings have, and no distribution of ours.
_THEIRS = {
    "flux.cli",
    "flux.compat36",
    "flux.job.frobnicator",
    "flux.job.validator",
    "flux.memoized_property",
    "flux.modprobe",
    "flux.resource.InfeasibleRequest",
    "flux.resource.InsufficientResources",
    "flux.resource.ResourceJournalConsumer",
    "flux.resource.ResourcePool",
    "flux.resource.ResourcePoolImplementation",
    "flux.resource.ResourceStatus",
    "flux.resource.Rv1Pool",
    "flux.resource.TreePool",
    "flux.resource.journal",
    "flux.resource.resource_status",
    "flux.resource.status",
    "flux.scheduler",
    "flux.sdexec",
    "flux.security",
    "flux.testing",
    "flux.utils",
}

for _name, _names in _OF_JOB.items():
    _DISTRIBUTIONS.update((f"flux.job.{_part}", _name) for _part in _names.split())


def explain(name: str) -> str | None:
    """Say why a public name is not here.

    Args:
        name: The name of a module, or of something in it, from ``flux.`` on.

    Returns:
        The explanation, or None where nothing is known of the name.
    """
    # The longest part that is known: flux.job.info is not where flux.job is.
    known = name
    while known not in _DISTRIBUTIONS and known not in _THEIRS:
        known = known.rpartition(".")[0]
        if not known:
            return None
    theirs = f"{known} is part of flux-core's own Python bindings alone"
    if known in _THEIRS:
        return theirs
    wanted = _DISTRIBUTIONS[known]
    # Only now: that alone takes as long as all else that `import flux` does.
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(wanted)
    except PackageNotFoundError:
        return f"{known} is part of {wanted}, which is not installed: pip install {wanted}"
    # Installed, and yet without it.
    return theirs if name == known and known.startswith("flux.job.") else None


def attribute_error(module: str, name: str) -> AttributeError:
    """Return the exception for an attribute that a module has not."""
    text = f"module {module!r} has no attribute {name!r}"
    reason = explain(f"{module}.{name}")
    return AttributeError(f"{text}: {reason}" if reason else text)


class Finder:
    """Is asked last of all finders, and says of what is not there where it would be."""

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> None:
        """Raise ImportError where a statement imports a name of which something is known.

        ModuleNotFoundError if the statement is ``import``, as then the name is that of a module.
        """
        if fullname.startswith("flux."):
            callers = _import_system()
            # A program that looks with importlib.util.find_spec() is to be told None.
            if "_find_and_load" in callers:
                reason = explain(fullname)
                if reason is None:
                    return
                if "_handle_fromlist" in callers:
                    parent, _, name = fullname.rpartition(".")
                    text = f"cannot import name {name!r} from {parent!r}: {reason}"
                    raise ImportError(text, name=parent)
                raise ModuleNotFoundError(f"No module named {fullname!r}: {reason}", name=fullname)


def _import_system() -> set[str]:
    """Return the names of the functions of the import system that are calling."""
    frame: FrameType | None = sys._getframe(2)
    names = set()
    while frame is not None and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names

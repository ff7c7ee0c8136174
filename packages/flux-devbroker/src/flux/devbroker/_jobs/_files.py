"""Files in place of pipes: what a jobspec's shell options ask for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from flux.devbroker._jobs import _eventlog, _request
from flux.devbroker._jobs._fluid import dothex, f58, f58plain
from flux.devbroker._jobs._process import STREAMS
from flux.idset import IDset

if TYPE_CHECKING:
    from flux.devbroker._jobs._shell import Run

_TEMPLATE = re.compile(r"\{\{([\w.]+)\}\}")


@contextmanager
def open_files(run: Run, spec: dict[str, Any], cwd: str) -> Iterator[dict[str, Any]]:
    """Return a context with the files for a job's tasks, open, by the name of the stream.

    Raises:
        OSError: A file cannot be opened.
    """
    options = _request.shell_options(spec)
    files: dict[str, Any] = {}
    with ExitStack() as stack:
        path = _path(options, "input", "stdin")
        if path is not None:
            files["stdin"] = stack.enter_context(open(os.path.join(cwd, path), "rb"))
        paths: dict[str, Any] = {}
        for stream in STREAMS:
            path = _path(options, "output", stream)
            if path is None and stream == "stderr" and not _has(options, "output", stream):
                # Where it goes unless it is told otherwise.
                path = _path(options, "output", "stdout")
            if path is None:
                continue
            path = os.path.join(cwd, expand(path, run))
            if path not in paths:
                paths[path] = stack.enter_context(open(path, _mode(options)))
            files[stream] = paths[path]
            ranks = str(IDset(range(run.job.request.ntasks)))
            context = {"stream": stream, "rank": ranks, "path": path}
            run.output.write(_eventlog.event("redirect", context))
        yield files


def _option(options: dict[str, Any], kind: str, stream: str) -> dict[str, Any]:
    return _request.table(_request.table(options, kind), stream)


def _has(options: dict[str, Any], kind: str, stream: str) -> bool:
    return bool(_option(options, kind, stream))


def _path(options: dict[str, Any], kind: str, stream: str) -> str | None:
    option = _option(options, kind, stream)
    path = option.get("path")
    return path if option.get("type") == "file" and isinstance(path, str) else None


def _mode(options: dict[str, Any]) -> str:
    return "ab" if _request.table(options, "output").get("mode") == "append" else "wb"


def expand(text: str, run: Run, rank: int | None = None) -> str:
    """Return a path or a task's argument with its templates, such as ``{{id}}``, filled in.

    Args:
        text: The path or argument.
        run: The job.
        rank: The task that it is for, if only one.
    """
    if "{{" not in text:
        return text
    job = run.job
    values = {
        "id": f58(job.id),
        "jobid": f58(job.id),
        "id.f58": f"ƒ{f58plain(job.id)[1:]}",
        "id.f58plain": f58plain(job.id),
        "id.dec": str(job.id),
        "id.hex": hex(job.id),
        "id.dothex": dothex(job.id),
        "name": _request.name(job.spec),
        "size": str(job.request.ntasks),
        "ntasks": str(job.request.ntasks),
        "nnodes": "1",
        "node.id": "0",
        "node.name": run.hostname,
        "tmpdir": run.tmpdir or "",
    }
    if rank is not None:
        values.update({"taskid": str(rank), "task.id": str(rank), "task.rank": str(rank)})
    return _TEMPLATE.sub(lambda match: values.get(match[1], match[0]), text)

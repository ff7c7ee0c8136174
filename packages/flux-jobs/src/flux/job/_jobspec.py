"""`Jobspec`: a description of a job as an object (RFC 14)."""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import IO, TYPE_CHECKING, Any, Union

from flux.job._jobspec_check import TOP_LEVEL_KEYS, check, check_keys
from flux.util._durations import parse_fsd
from flux.util._fileref import Fileref
from flux.util._treedict import del_treedict, set_treedict

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Jobspec", "resource", "slot"]

_Resource = dict[str, Any]

#: `json.dumps` makes an encoder for each call that is not its default.
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode

#: How long the shell may hold output back when it is not to, in seconds.
_PROMPT = 0.05
_OUTPUTS = ("stdout", "stderr")


class Jobspec:
    """What a job needs, runs and is called (RFC 14), of any version.

    Args:
        resources: The tree of resources.
        tasks: The tasks to run on them.
        attributes: Everything else, under ``system`` and ``user``.
        version: The version of the format.

    Raises:
        TypeError: Something has the wrong type; the text begins with its path in the jobspec.
        ValueError: Something is missing, too much or out of range; likewise.

    Attributes:
        jobspec: All of it, as a dict.
    """

    top_level_keys = TOP_LEVEL_KEYS

    def __init__(
        self,
        resources: Sequence[Mapping[str, Any]],
        tasks: Sequence[Mapping[str, Any]],
        attributes: Mapping[str, Any],
        version: int,
    ) -> None:
        check(resources, tasks, attributes, version)
        self.jobspec: dict[str, Any] = {
            "resources": resources,
            "tasks": tasks,
            "attributes": attributes,
            "version": version,
        }

    @classmethod
    def from_yaml_stream(cls, yaml_stream: Union[str, bytes, IO[str], IO[bytes]]) -> Self:  # noqa: UP007
        """Read a jobspec in YAML, of which JSON is a part.

        Args:
            yaml_stream: A file, or the text.

        Raises:
            TypeError: As the constructor; or it is no mapping.
            ValueError: As the constructor.
            yaml.YAMLError: It is no YAML.
        """
        import yaml

        jobspec = yaml.safe_load(yaml_stream)
        if not isinstance(jobspec, dict):
            raise TypeError(f"a jobspec must be a mapping, not {jobspec!r:.80}")
        check_keys(jobspec, sorted(cls.top_level_keys), "")
        return cls(**jobspec)

    @classmethod
    def from_yaml_file(cls, filename: Union[str, os.PathLike[str]]) -> Self:  # noqa: UP007
        """Read a jobspec from a file in YAML.

        Raises:
            OSError: The file cannot be read.
            TypeError: As `from_yaml_stream`.
            ValueError: As `from_yaml_stream`.
            yaml.YAMLError: As `from_yaml_stream`.
        """
        with open(filename, "rb") as file:
            return cls.from_yaml_stream(file)

    def dumps(self, **kwargs: Any) -> str:
        """Return the jobspec as JSON.

        Args:
            **kwargs: Arguments of `json.dumps`.
        """
        return (
            json.dumps(self.jobspec, ensure_ascii=False, **kwargs)
            if kwargs
            else _ENCODE(self.jobspec)
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.resources}, {self.tasks}, "
            f"attributes={self.attributes}, version={self.version})"
        )

    def __str__(self) -> str:
        return str(self.jobspec)

    @property
    def resources(self) -> Any:
        """The tree of resources."""
        return self.jobspec.get("resources")

    @property
    def tasks(self) -> Any:
        """The tasks."""
        return self.jobspec.get("tasks")

    @property
    def attributes(self) -> Any:
        """The attributes."""
        return self.jobspec.get("attributes")

    @property
    def version(self) -> Any:
        """The version of the format."""
        return self.jobspec.get("version")

    def __iter__(self) -> Iterator[_Resource]:
        """Iterate over all resources, parents before children."""
        return (entry for _, entry, _ in _walk(self.resources, None, None))

    def resource_walk(self) -> Iterator[tuple[_Resource | None, _Resource, Any]]:
        """Iterate over all resources, parents before children.

        Yields:
            The parent, None for those at the top; the resource; and how many there are of it in
            all, which is its count times those of all above it.
        """
        return _walk(self.resources, None, 1)

    def resource_counts(self) -> dict[str, int]:
        """Return how many there are of each type of resource, without a look at units."""
        counts: dict[str, int] = defaultdict(int)
        for _, entry, count in self.resource_walk():
            counts[entry["type"]] += count
        return counts

    def getattr(self, key: str) -> Any:
        """Return an attribute.

        Args:
            key: Its dotted path from ``attributes``; that may be left out, as may ``system``.

        Raises:
            KeyError: There is none.
        """
        node: Any = self.jobspec
        path = _full_path(key)
        for part in path.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
            if node is None:
                raise KeyError(path)
        return node

    def setattr(self, key: str, val: Any) -> None:
        """Set an attribute.

        Args:
            key: As for `getattr`.
            val: The value, of what JSON has.

        Raises:
            TypeError: Something on its path is not a mapping.
        """
        path = _full_path(key)
        try:
            set_treedict(self.jobspec, path, val)
        except TypeError as exc:
            raise TypeError(f"failed to set {path} to {val!r}: {exc}") from None

    def setattr_shell_option(self, key: str, val: Any) -> None:
        """Set an option of the job shell (flux-shell(1)).

        Args:
            key: Its dotted path from ``attributes.system.shell.options``.
            val: The value.

        Raises:
            TypeError: As `setattr`.
        """
        self.setattr(f"system.shell.options.{key}", val)

    def _system(self, key: str) -> Any:
        try:
            return self.getattr(f"system.{key}")
        except KeyError:
            return None

    @property
    def duration(self) -> Any:
        """The time limit in seconds; 0 for none.

        What is assigned may be a number, a `datetime.timedelta`, or text as RFC 23 has it.

        Raises:
            TypeError: On assignment: it is none of these.
            ValueError: On assignment: it is negative, infinite or not a duration.
        """
        return self._system("duration")

    @duration.setter
    def duration(self, duration: Any) -> None:
        if isinstance(duration, str):
            seconds = parse_fsd(duration)
        elif isinstance(duration, timedelta):
            seconds = duration.total_seconds()
        elif isinstance(duration, (float, int)):
            seconds = float(duration)
        else:
            raise TypeError(
                f"duration must be an int, float, string or timedelta, not {duration!r}"
            )
        if not 0 <= seconds < math.inf:
            raise ValueError(f"duration must be finite and not negative, not {duration!r}")
        self.setattr("system.duration", seconds)

    @property
    def queue(self) -> Any:
        """The queue that the job is for; TypeError if what is assigned is no string."""
        return self._system("queue")

    @queue.setter
    def queue(self, queue: Any) -> None:
        if not isinstance(queue, str):
            raise TypeError(f"queue must be a string, not {queue!r}")
        self.setattr("system.queue", queue)

    @property
    def cwd(self) -> Any:
        """The directory that the job runs in; ValueError if what is assigned is no path."""
        return self._system("cwd")

    @cwd.setter
    def cwd(self, cwd: Any) -> None:
        if isinstance(cwd, os.PathLike):
            cwd = os.fspath(cwd)
        if not isinstance(cwd, str):
            raise ValueError(f"cwd must be a string, not {cwd!r}")
        self.setattr("system.cwd", cwd)

    @property
    def environment(self) -> Any:
        """The job's environment, all of it; ValueError if what is assigned is no mapping.

        The mapping is not copied.
        """
        return self._system("environment")

    @environment.setter
    def environment(self, environ: Any) -> None:
        if environ.__class__ is not dict and not isinstance(environ, Mapping):
            raise ValueError(f"environment must be a mapping, not {environ!r}")
        self.setattr("system.environment", environ)

    def _stream(self, name: str) -> Any:
        return self._system(f"shell.options.{name}.path")

    def _set_stream(self, name: str, path: Any) -> None:
        if isinstance(path, os.PathLike):
            path = os.fspath(path)
        if not isinstance(path, str):
            raise TypeError(f"the path of {name} must be a string or a path, not {path!r}")
        self.setattr_shell_option(f"{name}.type", "file")
        self.setattr_shell_option(f"{name}.path", path)

    @property
    def stdin(self) -> Any:
        """The file that the tasks read; TypeError if what is assigned is no path."""
        return self._stream("input.stdin")

    @stdin.setter
    def stdin(self, path: Any) -> None:
        self._set_stream("input.stdin", path)

    @property
    def stdout(self) -> Any:
        """The file that the tasks' output goes to; TypeError if what is assigned is no path."""
        return self._stream("output.stdout")

    @stdout.setter
    def stdout(self, path: Any) -> None:
        self._set_stream("output.stdout", path)

    @property
    def stderr(self) -> Any:
        """The file that the tasks' errors go to; TypeError if what is assigned is no path."""
        return self._stream("output.stderr")

    @stderr.setter
    def stderr(self, path: Any) -> None:
        self._set_stream("output.stderr", path)

    input = stdin
    output = stdout
    error = stderr

    @property
    def unbuffered(self) -> bool:
        """True if output is passed on at once; TypeError if what is assigned is no bool."""
        kinds = {self._system(f"shell.options.output.{name}.buffer.type") for name in _OUTPUTS}
        return kinds == {"none"}

    @unbuffered.setter
    def unbuffered(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"unbuffered must be True or False, not {value!r}")
        settings = {
            "output.stdout.buffer.type": "none",
            "output.stderr.buffer.type": "none",
            "output.batch-timeout": _PROMPT,
            "input.batch-timeout": 0.0,
        }
        for key, setting in settings.items():
            if value:
                self.setattr_shell_option(key, setting)
            elif key.endswith(".type") or self._system(f"shell.options.{key}") == setting:
                # Of a timeout that somebody else has set it is not ours to say.
                path = key.removesuffix(".type")
                try:
                    del_treedict(self.attributes, f"system.shell.options.{path}", remove_empty=True)
                except KeyError:
                    pass

    def add_file(
        self,
        path: str,
        data: Union[str, Mapping[str, Any]],  # noqa: UP007
        perms: int | None = None,
        encoding: str | None = None,
    ) -> None:
        """Have the job find a file in its temporary directory (RFC 14, RFC 37).

        Args:
            path: Its name there.
            data: A mapping, which the file will hold as JSON; its content, if there is a newline
                in it or an encoding is given; or else the path of a local file to take.
            perms: Its permissions, 0o600 if None; those of the local file where one is taken.
            encoding: ``utf-8`` or ``base64``.

        Raises:
            TypeError: The data is neither a mapping nor a string.
            OSError: The local file cannot be read.
            ValueError: The encoding is another one.
        """
        if not isinstance(data, (Mapping, str)):
            raise TypeError(f"data must be a mapping or a string, not {data!r:.80}")
        if encoding is None and isinstance(data, str) and "\n" in data:
            encoding = "utf-8"
        file = Fileref(data, perms=0o600 if perms is None else perms, encoding=encoding)
        self.jobspec["attributes"].setdefault("system", {}).setdefault("files", {})[path] = file


def _full_path(key: str) -> str:
    if key.startswith("attributes."):
        return key
    prefix = "attributes." if key.startswith(("user.", "system.")) else "attributes.system."
    return f"{prefix}{key}"


def _walk(
    resources: Sequence[_Resource], parent: _Resource | None, count: Any
) -> Iterator[tuple[_Resource | None, _Resource, Any]]:
    for entry in resources:
        # Counts may be ranges, which nothing can be multiplied with: nor are they, unasked.
        total = None if count is None else count * entry["count"]
        yield parent, entry, total
        yield from _walk(entry.get("with", ()), entry, total)


def resource(
    kind: str, count: int, children: Sequence[_Resource] = (), exclusive: bool = False
) -> _Resource:
    """Return an entry for the tree of resources."""
    entry: _Resource = {"type": kind, "count": count}
    if exclusive:
        entry["exclusive"] = True
    if children:
        entry["with"] = list(children)
    return entry


def slot(count: int, children: Sequence[_Resource]) -> _Resource:
    """Return an entry for the slots that tasks run in."""
    return {**resource("slot", count, children), "label": "task"}

"""Events of the eventlog of what a job writes (RFC 24)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Union

from flux.eventlog import EventLogEvent

if TYPE_CHECKING:
    from flux.idset import IDset

__all__ = [
    "LOG_DEBUG",
    "LOG_ERROR",
    "LOG_FATAL",
    "LOG_NOTICE",
    "LOG_QUIET",
    "LOG_TRACE",
    "LOG_WARN",
    "JobExceptionEvent",
    "LogEvent",
    "OutputEvent",
    "OutputHeaderEvent",
    "RedirectEvent",
    "Taskset",
    "data_of",
    "event_of",
]

#: Levels of what a job's shell logs; QUIET is below all of them.
LOG_QUIET = -1
LOG_FATAL = 0
LOG_ERROR = 3
LOG_WARN = 4
LOG_NOTICE = 5
LOG_DEBUG = 6
LOG_TRACE = 7

Entry = Union[str, Mapping[str, Any]]


class Taskset:
    """Some tasks of a job, or all of them.

    Args:
        tasks: Another set, ``all`` or ``*``, an idset such as ``0-3``, or a task's rank.

    Attributes:
        all: Whether it is all tasks.

    Raises:
        ValueError: It is none of these.
    """

    def __init__(self, tasks: Taskset | IDset | str | int) -> None:
        # Most sets are of one task, and few are looked into: the idset is made when it is needed.
        self._ids: IDset | None = None
        self._text = ""
        self.all = False
        if isinstance(tasks, Taskset):
            self.all, self._text = tasks.all, tasks._text
            self._ids = None if tasks._ids is None else tasks._ids.copy()
        elif isinstance(tasks, (str, int)):
            text = str(tasks)
            self.all = text in ("all", "*")
            if not self.all:
                self._text = text
                if not (text.isascii() and text.isdecimal()):
                    self._ids = _idset(text)
        else:
            self._ids = tasks.copy()

    @property
    def ids(self) -> IDset | None:
        """The ranks of the tasks; None if it is all of them."""
        if self._ids is None and not self.all:
            self._ids = _idset(self._text)
        return self._ids

    def intersect(self, tasks: Taskset | IDset | str | int) -> Taskset:
        """Return the tasks that are in both sets."""
        other = tasks if isinstance(tasks, Taskset) else Taskset(tasks)
        if self.all:
            return Taskset(other)
        if other.all:
            return Taskset(self)
        if self._ids is None and other._ids is None:
            common = Taskset(self)
            common._text = self._text if self._text == other._text else ""
            return common
        mine, theirs = self.ids, other.ids
        assert mine is not None
        assert theirs is not None
        return Taskset(mine.intersect(theirs))

    def __bool__(self) -> bool:
        return self.all or bool(self._text if self._ids is None else len(self._ids))

    def __str__(self) -> str:
        if self.all:
            return "all"
        return self._text if self._ids is None else str(self._ids)


def _idset(text: str) -> IDset:
    from flux.idset import IDset

    return IDset(text)


def data_of(context: Mapping[str, Any]) -> str | None:
    """Return what was written, from the context of an event; None if it is none but the end.

    What is not UTF-8 becomes surrogates, as Python has them in names of files.
    """
    data: str | None = context.get("data")
    if data is None:
        return None
    if context.get("encoding") == "base64":
        data = base64.b64decode(data).decode("utf-8", "surrogateescape")
    return data * context["repeat"] if "repeat" in context else data


class _Event(EventLogEvent):
    """An event of one kind.

    Args:
        entry: The entry as a dict, or as JSON text.

    Raises:
        ValueError: It is not such an event.
        KeyError: It lacks something.
    """

    _name = ""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        if self.name != self._name:
            raise ValueError(f"event {self.name} is not a {self._name} event")


class OutputEvent(_Event):
    """An event ``data``: what tasks have written.

    Args:
        entry: The entry as a dict, or as JSON text.
        labelio: Have the data begin each line with the tasks' ranks.

    Attributes:
        rank: The tasks, as a `Taskset`.
        stream: ``stdout`` or ``stderr``.
        data: What they have written, as text; None if nothing.
        eof: Whether it was all that they write.

    Raises:
        ValueError: It is not such an event.
        KeyError: It lacks something.
    """

    _name = "data"

    def __init__(self, entry: Entry, labelio: bool = False) -> None:
        super().__init__(entry)
        context = self.context
        self.rank = Taskset(context["rank"])
        self.stream: str = context["stream"]
        self.eof: bool = context.get("eof", False)
        self.data = data_of(context)
        if labelio and self.data is not None:
            self.data = labelled(str(self.rank), self.data)

    def render(self) -> str | None:
        """Return the data."""
        return self.data


def labelled(label: str, text: str) -> str:
    """Return text with a label before each line, and a newline after the last."""
    return "".join(f"{label}: {line}\n" for line in text.removesuffix("\n").split("\n"))


class LogEvent(_Event):
    """An event ``log``: what the job's shell has to say.

    Attributes:
        rank: The shell, as a `Taskset`.
        level: How bad it is: ``LOG_FATAL``, 0, to ``LOG_TRACE``, 7.
        message: The text.
        component: The part of the shell, or None.
        file: The source file, or None.
        line: The line in it, or -1.
    """

    _name = "log"

    #: What is put before a message, by level.
    log_level_string: ClassVar[list[str]] = [
        *["FATAL"] * 3,
        "ERROR",
        " WARN",
        "",
        "DEBUG",
        "TRACE",
    ]

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        context = self.context
        self.level: int = context["level"]
        self.rank = Taskset(context["rank"])
        self.message: str = context["message"]
        self.component: str | None = context.get("component")
        self.file: str | None = context.get("file")
        self.line: int = context.get("line", -1)

    @property
    def levelstr(self) -> str:
        """What is put before a message of the level; may be empty."""
        return self.log_level_string[self.level]

    def render(self, include_file_and_line: bool = False) -> str:
        """Return the message as flux-job(1) prints it.

        Args:
            include_file_and_line: Say where in the source it comes from, where that is known.
        """
        where = f"{self.file}:{self.line}" if include_file_and_line and self.file else None
        parts = (f"flux-shell[{self.rank}]", self.levelstr, self.component, where, self.message)
        return ": ".join(part for part in parts if part)


class OutputHeaderEvent(_Event):
    """An event ``header``, the first of all.

    Attributes:
        version: That of RFC 24.
        stdout_count: How many streams of that name there are.
        stderr_count: How many of that one.
        stdout_encoding: The encoding of data that is not said to have another.
        stderr_encoding: That of the other stream.
    """

    _name = "header"

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        context = self.context
        self.version: int = context["version"]
        self.stdout_count: int = context["count"]["stdout"]
        self.stderr_count: int = context["count"]["stderr"]
        self.stdout_encoding: str = context["encoding"]["stdout"]
        self.stderr_encoding: str = context["encoding"]["stderr"]


class RedirectEvent(_Event):
    """An event ``redirect``: what tasks write goes to a file.

    Attributes:
        rank: The tasks, as a `Taskset`.
        stream: ``stdout`` or ``stderr``.
        path: The file.
    """

    _name = "redirect"

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        context = self.context
        self.rank = Taskset(context["rank"])
        self.stream: str = context["stream"]
        self.path: str = context["path"]

    def render(self) -> str:
        """Return a line for humans."""
        return f"{self.rank}: {self.stream} redirected to {self.path}"


class JobExceptionEvent(_Event):
    """An event ``exception``, of the job's main eventlog (RFC 21).

    Attributes:
        severity: 0 if the job ends of it, up to 7 for the least severe.
        exc_type: What kind of exception it is.
        note: An explanation for humans; may be empty.
    """

    _name = "exception"

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry)
        context = self.context
        self.severity: int = context["severity"]
        self.exc_type: str = context["type"]
        self.note: str = context.get("note", "")

    def render(self) -> str:
        """Return a line for humans."""
        note = f" {self.note}" if self.note else ""
        return f"job.exception: type={self.exc_type} severity={self.severity}{note}"


_KINDS: dict[str, type[_Event]] = {
    cls._name: cls for cls in (LogEvent, OutputHeaderEvent, RedirectEvent, JobExceptionEvent)
}


def event_of(entry: EventLogEvent, labelio: bool = False) -> EventLogEvent:
    """Return an event as one of its kind; as it is, if that is not known here."""
    if entry.name == "data":
        return OutputEvent(entry, labelio)
    kind = _KINDS.get(entry.name)
    return entry if kind is None else kind(entry)

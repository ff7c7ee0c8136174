"""What travels between processes survives it: exceptions, messages, job ids, events."""

from __future__ import annotations

import copy
import errno
import importlib
import inspect
import os
import pickle
import pkgutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

import flux
from flux.brokermod._errors import as_oserror
from flux.eventlog import EventLogEvent
from flux.job import JobException, JobID
from flux.job.journal import SENTINEL_EVENT, JournalEvent
from flux.job.wait import JobWaitResult
from flux.message import Message

ENTRY = {
    "timestamp": 1.5,
    "name": "exception",
    "context": {"type": "cancel", "severity": 0, "note": "no more"},
}

#: Arguments for exceptions whose ``__init__`` wants particular ones.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "BrokerError": ("it has ended", "what it wrote"),
    "InvalidArguments": ("name", "int name(int)", ("x",), "not a number"),
    "JobException": (EventLogEvent(ENTRY),),
    "MethodError": (errno.EINVAL, "text"),
    "MissingFunctionError": ("name", ["flux_name"], ["flux_game"]),
    "PayloadError": ("the payload is wrong",),
    "ProtocolError": ("the magic number is wrong",),
    "RequestError": (errno.EINVAL, "text"),
    "WrongNumArguments": ("name", "int name(int)", 1, ()),
    "_RefusedError": (OSError(errno.EPERM, "go away"),),
}


def modules() -> Iterator[Any]:
    """Import every module of every distribution that is installed here."""
    for info in pkgutil.walk_packages(flux.__path__, "flux."):
        # Another implementation's, if one shares the directory.
        if not info.name.endswith("__main__"):
            yield importlib.import_module(info.name)


def exceptions() -> list[type[BaseException]]:
    """Return the exception classes of all modules."""
    found = {
        value
        for module in modules()
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, BaseException)
        and value.__module__.partition(".")[0] == "flux"
    }
    return sorted(found, key=lambda cls: (cls.__module__, cls.__qualname__))


def make(cls: type[BaseException]) -> BaseException:
    if cls.__name__ in ARGUMENTS:
        return cls(*ARGUMENTS[cls.__name__])
    assert "__init__" not in vars(cls), f"what arguments does {cls.__name__} take?"
    return cls(errno.EINVAL, "text") if issubclass(cls, OSError) else cls("text")


def fields(exc: BaseException) -> dict[str, Any]:
    state = {
        name: getattr(exc, name, None)
        for name in ("args", "errno", "strerror", "filename", "stderr", "event", "text")
    }
    # Exceptions have no equality: what they say stands for them.
    return {name: repr(value) for name, value in {**state, **vars(exc)}.items()}


def _pickled(protocol: int, value: Any) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


WAYS: dict[str, Callable[[Any], Any]] = {
    **{
        f"pickle {protocol}": partial(_pickled, protocol)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
    },
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cls", exceptions(), ids=lambda cls: cls.__qualname__)
def test_every_exception_survives(cls: type[BaseException], way: str) -> None:
    exc = make(cls)
    exc.found_out = "by whom"  # type: ignore[attr-defined]
    again = WAYS[way](exc)
    assert type(again) is cls
    assert fields(again) == fields(exc)
    assert (str(again), repr(again)) == (str(exc), repr(exc))
    assert " at 0x" not in repr(exc)


@pytest.mark.parametrize("cls", exceptions(), ids=lambda cls: cls.__qualname__)
def test_an_oserror_has_an_errno_and_a_text(
    cls: type[BaseException],
) -> None:
    exc = make(cls)
    if isinstance(exc, OSError):
        assert exc.errno in errno.errorcode
        assert isinstance(exc.strerror, str)
        assert exc.strerror in str(exc)


def test_the_exceptions_that_programs_catch_are_among_them() -> None:
    assert {"PayloadError", "ProtocolError", "JobException", "ModuleError", "BrokerError"} <= {
        cls.__name__ for cls in exceptions()
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("cause", [KeyError("k"), ValueError("v"), RuntimeError("r"), Exception()])
def test_the_error_of_a_module_stays_of_the_type_of_its_cause(cause: Exception, way: str) -> None:
    exc = as_oserror(cause)
    again = WAYS[way](exc)
    assert isinstance(again, type(cause))
    assert isinstance(again, OSError)
    assert fields(again) == fields(exc)
    assert str(again) == str(exc)


def message() -> Message:
    msg = Message.from_event_encode("some.topic", {"a": [1, None]})
    msg.seq = 7
    msg.route_push("peer")
    msg.userid, msg.rolemask, msg.answered = 1000, 2, True
    return msg


EMPTY = Message()
EQUAL: dict[str, tuple[Callable[[], Any], Any]] = {
    "job id": (lambda: JobID("ƒGeKRU3"), JobID(5)),
    "message": (message, EMPTY),
    "entry": (lambda: EventLogEvent(ENTRY), EventLogEvent({**ENTRY, "timestamp": 2})),
    "journal event": (lambda: JournalEvent(5, ENTRY), JournalEvent(6, ENTRY)),
    "sentinel": (lambda: SENTINEL_EVENT, JournalEvent(5, SENTINEL_EVENT)),
    "result": (lambda: JobWaitResult(JobID(5), True, ""), JobWaitResult(JobID(5), False, "")),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", EQUAL)
def test_values_are_equal_to_what_comes_out(name: str, way: str) -> None:
    build, other = EQUAL[name]
    value: Any = build()
    again = WAYS[way](value)
    assert type(again) is type(value)
    assert again == value
    assert not again != value  # noqa: SIM202
    assert again != other
    assert not again == other  # noqa: SIM201
    assert getattr(again, "__dict__", None) == getattr(value, "__dict__", None)


def test_a_job_id_keeps_its_spelling() -> None:
    again = pickle.loads(pickle.dumps(JobID("ƒGeKRU3")))
    assert again.orig == "ƒGeKRU3"
    assert hash(again) == hash(JobID(again))


def test_a_journal_event_keeps_its_job() -> None:
    event = JournalEvent(5, {**ENTRY, "name": "submit"}, jobspec={"tasks": []})
    again = pickle.loads(pickle.dumps(event))
    assert (again.jobid, again.jobspec, again.R) == (5, {"tasks": []}, None)


def test_a_message_as_a_key_stands_for_itself() -> None:
    first, second = message(), message()
    assert first == second
    assert {first: 1}.get(second) is None
    second.payload = None
    assert first != second
    assert first != "a message"


def test_job_exception_keeps_its_event() -> None:
    again = pickle.loads(pickle.dumps(JobException(EventLogEvent(ENTRY))))
    assert (again.type, again.note, again.severity, again.timestamp) == (
        "cancel",
        "no more",
        0,
        1.5,
    )


def test_errors_with_text_of_the_system_say_it_in_strerror() -> None:
    from flux._codec import ProtocolError

    assert ProtocolError("x").strerror == f"{os.strerror(errno.EPROTO)}: x"

"""Processes on the nodes of an instance, started by its brokers (RFC 42)."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from flux.constants import FLUX_NODEID_ANY
from flux.rpc import RPC

if TYPE_CHECKING:
    import builtins

    from flux.core.handle import Flux

__all__ = [
    "FLUX_NODEID_ANY",
    "SUBPROCESS_REXEC_WAITABLE",
    "Subprocess",
    "SubprocessBackgroundRexecRPC",
    "SubprocessListRPC",
    "SubprocessWaitRPC",
    "command_create",
    "kill",
    "list",
    "rexec_bg",
    "wait",
]

#: Flag of a request to start a process: `wait` will be called for it.
SUBPROCESS_REXEC_WAITABLE = 16

#: Whether requests can be signed: flux-security's own bindings do it.
_have_security = find_spec("flux.security") is not None


def command_create(
    command: Sequence[str],
    label: str | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    opts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a command object of RFC 42.

    Args:
        command: The program and its arguments.
        label: A name for the process.
        cwd: Its working directory; None for that of this process.
        env: Its environment; None for that of this process.
        opts: Options.
    """
    created = {
        "cmdline": command,
        "cwd": os.getcwd() if cwd is None else cwd,
        "env": dict(os.environ if env is None else env),
        "opts": {} if opts is None else opts,
        "channels": [],
    }
    return created if label is None else {**created, "label": label}


def _request(
    handle: Flux, topic: str, payload: dict[str, Any], sign: bool | None
) -> dict[str, Any]:
    """Return a payload with a signature beside it, if that is wanted or needed."""
    if sign is None:
        try:
            sign = int(handle.attr_get("security.owner")) != os.getuid()
        except (OSError, ValueError):
            sign = False
    if not sign:
        return payload
    if not _have_security:
        raise OSError(
            errno.ENOSYS,
            f"{topic} wants a signature of who is not the instance's owner, and flux-security's "
            "Python bindings, which make it, are not installed",
        )
    security = import_module("flux.security")
    text = json.dumps({**payload, "topic": topic}, separators=(",", ":"))
    return {**payload, "signature": security.SecurityContext().sign_wrap(text).decode()}


def _which(pid: int | None, label: str | None) -> dict[str, Any]:
    if pid is None and label is None:
        raise ValueError("which process? at least one of pid or label must say so")
    if pid is not None and label is not None:
        raise ValueError(f"which process? only one of pid or label may say so: {pid}, {label!r}")
    return {"pid": -1, "label": label} if pid is None else {"pid": int(pid)}


class SubprocessBackgroundRexecRPC(RPC):
    """A process that is being started; see `rexec_bg`."""

    def __init__(self, handle: Flux, *args: Any, **kwargs: Any) -> None:
        nodeid = kwargs.get("nodeid", FLUX_NODEID_ANY)
        self._rank = handle.get_rank() if nodeid == FLUX_NODEID_ANY else nodeid
        super().__init__(handle, *args, **kwargs)

    def get_pid(self) -> int:
        """Wait until it has been started and return its process id.

        Raises:
            OSError: It could not be: ENOENT, there is no such program, for instance.
        """
        pid: int = self.get()["pid"]
        return pid

    def get_rank(self) -> int:
        """Return the rank of the broker."""
        return self._rank


def rexec_bg(
    handle: Flux,
    command: Sequence[str],
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    label: str | None = None,
    waitable: bool = False,
    service: str = "rexec",
    nodeid: int = FLUX_NODEID_ANY,
    sign: bool | None = None,
) -> SubprocessBackgroundRexecRPC:
    """Start a process that runs on without this program.

    Args:
        handle: The handle.
        command: The program and its arguments.
        cwd: Its working directory; None for that of this process.
        env: Its environment; None for that of this process.
        label: A name, by which `kill` and `wait` find it.
        waitable: Whether `wait` is to be called for it: until then its end is remembered.
        service: The service that starts it.
        nodeid: The rank of the broker.
        sign: Whether to sign the request (RFC 42); None: if the instance is another user's.

    Returns:
        A future; see `SubprocessBackgroundRexecRPC`.

    Raises:
        OSError: ENOSYS, the request is to be signed and cannot be; EPIPE, the connection is lost.
    """
    topic = f"{service}.exec"
    payload = {
        "cmd": command_create(command, label=label, cwd=cwd, env=env),
        "flags": SUBPROCESS_REXEC_WAITABLE if waitable else 0,
    }
    return SubprocessBackgroundRexecRPC(
        handle, topic, payload=_request(handle, topic, payload, sign), nodeid=int(nodeid)
    )


def kill(
    handle: Flux,
    signum: int = 15,
    pid: int | None = None,
    label: str | None = None,
    service: str = "rexec",
    nodeid: int = FLUX_NODEID_ANY,
    sign: bool | None = None,
) -> RPC:
    """Send a signal to a process.

    Args:
        handle: The handle.
        signum: The signal.
        pid: The process, by its id.
        label: The process, by its label.
        service: The service that has started it.
        nodeid: The rank of the broker.
        sign: As for `rexec_bg`.

    Returns:
        A future without a value.  Its errors: ESRCH, there is no such process.

    Raises:
        ValueError: Not exactly one of ``pid`` and ``label`` is given.
        OSError: As `rexec_bg`.
    """
    topic = f"{service}.kill"
    payload = {**_which(pid, label), "signum": int(signum)}
    return handle.rpc(topic, _request(handle, topic, payload, sign), nodeid=int(nodeid))


class SubprocessWaitRPC(RPC):
    """The end of a process; see `wait`."""

    def get_status(self) -> int:
        """Wait for the end and return the wait status, as `os.WEXITSTATUS` takes it.

        Raises:
            OSError: ENOENT, there is no such process; ECHILD, it is not waitable.
        """
        status: int = self.get()["status"]
        return status

    def get_output(self) -> builtins.list[dict[str, Any]]:
        """Wait for the end and return what it wrote last, as far as the broker has kept it.

        Returns:
            I/O objects of RFC 42, with ``stream``, ``rank``, ``data`` and perhaps ``encoding``.
        """
        output: builtins.list[dict[str, Any]] = self.get().get("output", [])
        return output

    def _written(self, stream: str) -> bytes:
        from flux.job._output_events import data_of

        pieces = [data_of(io) for io in self.get_output() if io.get("stream") == stream]
        return "".join(filter(None, pieces)).encode("utf-8", "surrogateescape")

    @property
    def stdout(self) -> bytes:
        """What the broker has kept of its standard output."""
        return self._written("stdout")

    @property
    def stderr(self) -> bytes:
        """What the broker has kept of its standard error."""
        return self._written("stderr")


def wait(
    handle: Flux,
    pid: int | None = None,
    label: str | None = None,
    service: str = "rexec",
    nodeid: int = FLUX_NODEID_ANY,
    sign: bool | None = None,
) -> SubprocessWaitRPC:
    """Ask for the end of a process that was started as waitable.  It is given out once.

    Args:
        handle: The handle.
        pid: The process, by its id.
        label: The process, by its label.
        service: The service that has started it.
        nodeid: The rank of the broker.
        sign: As for `rexec_bg`.

    Returns:
        A future; see `SubprocessWaitRPC`.

    Raises:
        ValueError: Not exactly one of ``pid`` and ``label`` is given.
        OSError: As `rexec_bg`.
    """
    topic = f"{service}.wait"
    payload = _request(handle, topic, _which(pid, label), sign)
    return SubprocessWaitRPC(handle, topic, payload, nodeid=int(nodeid))


@dataclass
class Subprocess:
    """A process that a broker has started.

    Attributes:
        pid: Its id.
        rank: The rank of the broker.
        state: ``R``, it runs, or ``Z``, it has ended and is to be waited for.
        label: Its label; ``-`` if it has none.
        cmd: The program.
    """

    pid: int
    rank: int
    state: str
    label: str
    cmd: str

    def __post_init__(self) -> None:
        self.label = self.label or "-"


class SubprocessListRPC(RPC):
    """The processes that a broker has started; see `list`."""

    def get_processes(self) -> builtins.list[Subprocess]:
        """Wait for the answer and return the processes."""
        response = self.get()
        return [Subprocess(rank=response["rank"], **fields) for fields in response["procs"]]


def list(  # noqa: A001
    handle: Flux,
    service: str = "rexec",
    nodeid: int = FLUX_NODEID_ANY,
    sign: bool | None = None,
) -> SubprocessListRPC:
    """Ask which processes a broker has started.

    Args:
        handle: The handle.
        service: The service that has started them.
        nodeid: The rank of the broker.
        sign: As for `rexec_bg`.

    Returns:
        A future; see `SubprocessListRPC`.

    Raises:
        OSError: As `rexec_bg`.
    """
    topic = f"{service}.list"
    return SubprocessListRPC(handle, topic, _request(handle, topic, {}, sign), nodeid=int(nodeid))
